"""``fourthring record`` and ``fourthring calls --gaps``: stretches of the journal, and what is missing in it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.journal import JournalEntry, read_journal
from ami_bridge.adapters.lost_links import Listening, LostLink, listening
from ami_bridge.core.channel_events import ChannelStories
from ami_bridge.errors import FourthRingError
from ami_bridge.render import cel_file
from ami_bridge.settings import Settings

# The store is asked for this many calls at the most before those without a gap are left out.
MOST_CALLS = 100_000


def record_stretch(
    folder: Path,
    node: str,
    since: datetime | None,
    until: datetime | None,
    out: Path,
    *,
    replace: bool = False,
) -> int:
    """Copy the journal of ``node`` from ``since`` up to ``until`` into ``out``; returns how many lines it has.

    The file is the owner's alone: it holds callers' numbers. ``fourthring replay`` tells the same facts from
    it again. A call that lives at either end of the stretch is told as far as it goes, ``complete: false``.

    Raises:
        FourthRingError: nothing was journalled then, or ``out`` exists or cannot be written.
    """
    entries = _between(read_journal(folder, since, node=node), until)
    first = next(entries, None)
    if first is None:
        raise FourthRingError(
            f"The journal in {folder} holds nothing of that time; give another --since and --until, "
            f"or start the bridge, which keeps it."
        )
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        with os.fdopen(os.open(out, flags, 0o600), "w", encoding="utf-8") as lines:
            return sum(
                1 for entry in itertools.chain([first], entries) if lines.write(f"{_line_of(entry)}\n")
            )
    except FileExistsError:
        raise FourthRingError(f"{out} exists; give another name, or --force to write over it.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise FourthRingError(f"Cannot write {out}: {reason}; give another path.") from None


def _between(entries: Iterable[JournalEntry], until: datetime | None) -> Iterator[JournalEntry]:
    return (entry for entry in entries if until is None or entry.at < until)


def _line_of(entry: JournalEntry) -> str:
    line: dict[str, Any] = {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "name": entry.name,
        "headers": entry.headers,
    }
    if entry.repaired:
        line["repaired"] = True
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def gap_rows(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each gap of each record: from when to when nobody listened, and what that leaves unknown."""
    for record in records:
        for gap in record.get("gaps") or ():
            yield {
                "call_id": record.get("call_id"),
                "started_at": record.get("started_at"),
                "caller_number": (record.get("caller") or {}).get("number", ""),
                "disposition": record.get("disposition"),
                "lost_at": gap.get("lost_at"),
                "found_at": gap.get("found_at"),
                "seconds": _seconds(gap.get("lost_at"), gap.get("found_at")),
                "unknown": unknown_of(record, gap),
            }


def all_gap_rows(
    settings: Settings, records: Iterable[Mapping[str, Any]], since: datetime | None, until: datetime | None
) -> list[dict[str, Any]]:
    """What ``calls --gaps`` tells: the calls of ``records`` that a gap touched, and every gap of this node."""
    heard = listening(settings.state_folder / "journal", settings.node.name, since)
    return [
        *gap_rows(records),
        *silence_rows(heard, ChannelEventLog(cel_file(settings)), since, until),
    ]


def silence_rows(
    heard: Listening, log: ChannelEventLog, since: datetime | None, until: datetime | None
) -> Iterator[dict[str, Any]]:
    """One row for each stretch in which nobody listened, whether it touched a known call or not.

    Calls that began and ended within it are in no record; the PBX's own log says how many there were.
    """
    lost = [
        each for each in heard.lost if each.lost_at is not None and (until is None or each.lost_at < until)
    ]
    if not lost:
        return
    earliest = min(each.lost_at for each in lost if each.lost_at is not None)
    stories = ChannelStories()
    stories.take_all(log.events(earliest))
    for each in lost:
        if since is not None and each.found_at is not None and each.found_at < since:
            continue
        yield {
            "call_id": "",
            "started_at": None,
            "caller_number": "",
            "disposition": "",
            "lost_at": _text(each.lost_at),
            "found_at": _text(each.found_at),
            "seconds": _seconds(_text(each.lost_at), _text(each.found_at)),
            "unknown": [_unseen(each, stories) if log.exists else "calls that began and ended meanwhile"],
        }


def _unseen(lost: LostLink, stories: ChannelStories) -> str:
    within: set[str] = set()
    for story in stories.by_uniqueid.values():
        # A call has the uniqueid of its first channel as its linkedid.
        first = story.uniqueid in story.linkedids
        if first and _was_within(story.started_at, lost) and _was_within(story.ended_at, lost):
            within.add(story.uniqueid)
    return f"calls that began and ended meanwhile: {len(within)} in the PBX's log"


def _was_within(instant: datetime | None, lost: LostLink) -> bool:
    return (
        instant is not None
        and (lost.lost_at is None or instant >= lost.lost_at)
        and (lost.found_at is None or instant <= lost.found_at)
    )


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="milliseconds") if instant is not None else None


def unknown_of(record: Mapping[str, Any], gap: Mapping[str, Any]) -> list[str]:
    """What nobody can say about this call because of ``gap``, in words."""
    unknown = []
    began = record.get("started_at")
    if not record.get("complete") and _within(began, gap):
        unknown.append("when and how it began")
    if record.get("disposition") == "UNKNOWN":
        unknown.append("how it went on")
    if record.get("ended_at") is not None and _within(record.get("ended_at"), gap):
        unknown.append("when it ended")
    if record.get("ended_at") is not None and record.get("hung_up_by") == "unknown":
        unknown.append("who hung up first")
    return unknown or ["holds, transfers and queue moves during the gap"]


def _within(instant: str | None, gap: Mapping[str, Any]) -> bool:
    lost, found = gap.get("lost_at"), gap.get("found_at")
    if instant is None:
        return True
    at = datetime.fromisoformat(instant)
    return (lost is None or at >= datetime.fromisoformat(lost)) and (
        found is None or at <= datetime.fromisoformat(found)
    )


def _seconds(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3)
