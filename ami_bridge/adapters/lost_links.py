"""When nobody listened to the PBX, as the journal tells it: lost links, and the times between two bridges.

The markers of a journal are few and its events are many, so a line is only read as JSON when it holds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ami_bridge.adapters.journal import JournalEntry, from_line, segments_of

_MARKER = '"kind":"marker"'
_LOST = frozenset({"LinkLost", "EventGap"})


class LostLink(NamedTuple):
    """Nobody listened from ``lost_at`` to ``found_at``.

    An open beginning: before the journal begins. An open end: nobody has listened since.
    """

    lost_at: datetime | None
    found_at: datetime | None
    cause: str


class Listening(NamedTuple):
    """What the journal says of a period. ``last_at`` is its last line: what came then was still heard."""

    lost: tuple[LostLink, ...]
    last_at: datetime | None


def listening(folder: Path, node: str, since: datetime | None = None) -> Listening:
    """Every stretch without a listener that reaches beyond ``since``, oldest first."""
    ear = _Ear()
    segments = segments_of(folder, node)
    first = _first_of_interest(segments, since)
    if first == 0:
        ear.lost = LostLink(None, None, "before the journal begins")
    for path in segments[first:]:
        for line in _whole_lines(path):
            ear.hear(line)
    found = [*ear.found, *([ear.lost] if ear.lost is not None else [])]
    last = _entry(ear.previous)
    return Listening(
        tuple(lost for lost in found if since is None or lost.found_at is None or lost.found_at >= since),
        last.at if last is not None else None,
    )


class _Ear:
    def __init__(self) -> None:
        self.lost: LostLink | None = None
        self.found: list[LostLink] = []
        self.previous = ""

    def hear(self, line: str) -> None:
        marker = _entry(line) if _MARKER in line else None
        if marker is not None:
            self._hear_marker(marker)
        self.previous = line

    def _hear_marker(self, marker: JournalEntry) -> None:
        if marker.name in _LOST:
            cause = str(marker.headers.get("reason") or f"{marker.headers.get('dropped')} events dropped")
            self.lost = self.lost or LostLink(marker.at, None, cause)
        elif marker.name == "LinkReady":
            before = _entry(self.previous)
            if self.lost is None and before is not None:
                # The earlier bridge ended before it could say that it heard nothing more.
                self.lost = LostLink(before.at, None, "no bridge")
        elif marker.name == "SnapshotTaken" and self.lost is not None:
            self.found.append(self.lost._replace(found_at=marker.at))
            self.lost = None


def _first_of_interest(segments: list[Path], since: datetime | None) -> int:
    """The segment before the first one that was written to after ``since``: its last line may begin a gap."""
    for index, path in enumerate(segments):
        if since is None or path.stat().st_mtime >= since.timestamp():
            return max(0, index - 1)
    return max(0, len(segments) - 1)


def _whole_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        yield from (line for line in lines if line.endswith("\n"))


def _entry(line: str) -> JournalEntry | None:
    try:
        return from_line(line)
    except ValueError:
        return None
