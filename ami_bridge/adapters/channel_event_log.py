"""Reads the PBX's channel event log: the file that cel_custom writes, and its older segments.

``fourthring.csv`` is the file that Asterisk appends to; ``fourthring.000001.csv`` and so on are what was
moved aside (:mod:`ami_bridge.cel_keeper`). Only the stretch that is asked for is read: the lines of a
segment lie in the order of time, so its beginning is found by halving.

A line counts only when all of it has the form that dialplans/cel_custom.conf.j2 writes. There every value
stands in quotes, and each quote within is doubled, so no text of a stranger can close a value: not a quote,
nor a line break with a whole forged line after it, whose own quotes are doubled too.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from ami_bridge.core.channel_events import EVENT_KINDS, ChannelEvent

_log = logging.getLogger(__name__)

OnUnreadable = Callable[[Path, bytes], None]

_TEXT = r'"((?:[^"\x00-\x1f\x7f]|"")*)"'
_LINE = re.compile(
    r'"([A-Z_]{4,20})","(\d{1,11}\.\d{1,6})","([^"\x00-\x20\x7f,]{1,150})","([^"\x00-\x20\x7f,]{1,150})",'
    rf"{_TEXT},{_TEXT},{_TEXT}"
)
#: Lines are written by several threads of Asterisk, and a clock may be set back a little: so much earlier
#: than asked for is read too.
SLACK = timedelta(seconds=60)
_LONGEST_LINE = 16 * 1024
_SEGMENT = re.compile(r"\.(\d{6,})$")


def parse_line(line: bytes) -> ChannelEvent | None:
    """The event of one line (without its end), or None when it is not one that Asterisk wrote whole.

    When Asterisk died in the middle of a line, the next one continues it: then its end is whole, and is taken.
    """
    text = line.decode("utf-8", "replace")
    found = _LINE.fullmatch(text)
    if found is None:
        # A later beginning. In a value it could not stand: there the quotes around the kind would be doubled.
        found = next((late for late in _LINE.finditer(text, 1) if late.end() == len(text)), None)
    if found is None or found[1] not in EVENT_KINDS:
        return None
    kind, stamp, uniqueid, linkedid, channel, _, extra = found.groups()
    at = datetime.fromtimestamp(float(stamp), UTC)
    return ChannelEvent(kind, at, uniqueid, linkedid, channel.replace('""', '"'), _extra_of(extra))


def _extra_of(text: str) -> dict[str, Any]:
    try:
        extra = json.loads(text.replace('""', '"')) if text else {}
    except ValueError:  # cut off by Asterisk's own buffer
        return {}
    return extra if isinstance(extra, dict) else {}


class ChannelEventLog:
    """The log whose current file is ``file``."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def segments(self) -> list[Path]:
        """What was moved aside, oldest first."""
        numbered = [(number_of(path), path) for path in self.file.parent.glob(f"{self.file.stem}.*.csv")]
        return [path for number, path in sorted(numbered) if number]

    @property
    def exists(self) -> bool:
        """Whether there is anything to ask."""
        return self.file.exists() or bool(self.segments())

    def begins_at(self) -> datetime | None:
        """The instant of the oldest line; None while there is none."""
        for path in [*self.segments(), self.file]:
            try:
                with path.open("rb") as lines:
                    first = next(iter(_lines(lines, 0, None)), None)
            except FileNotFoundError:
                continue
            if first is not None:
                return first.at
        return None

    def covers(self, since: datetime) -> bool:
        """Whether everything from ``since`` on is still here: what was removed cannot deny anything."""
        segments = self.segments()
        if not self.exists:
            return False
        if not segments or number_of(segments[0]) == 1:
            return True  # nothing was ever removed
        begins = self.begins_at()
        return begins is not None and begins <= since

    def events(
        self, since: datetime | None = None, on_unreadable: OnUnreadable | None = None
    ) -> Iterator[ChannelEvent]:
        """Every event from ``since`` on (and up to :data:`SLACK` before it), oldest segment first.

        Unreadable lines are passed over and told. A last line without its end is being written: it waits.
        Reading is not stopped by a rotation meanwhile: nothing is missed and nothing comes twice.

        Raises:
            OSError: a file is there but cannot be read.
        """
        told = on_unreadable or _log_unreadable
        # The current file first: should it be moved aside now, it is among the segments too.
        current = _opened(self.file)
        try:
            for path in self.segments():
                segment = None if _is_file(path, current) or _is_older(path, since) else _opened(path)
                if segment is not None:
                    with segment:
                        yield from _read(segment, since, told)
            if current is not None:
                yield from _read(current, since, told)
        finally:
            if current is not None:
                current.close()


def number_of(segment: Path) -> int:
    """The running number of a segment, 0 when it is none."""
    found = _SEGMENT.search(segment.stem)
    return int(found[1]) if found else 0


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_file(path: Path, stream: IO[bytes] | None) -> bool:
    try:
        return stream is not None and os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _is_older(segment: Path, since: datetime | None) -> bool:
    """Whether nothing was written to it any more at that time."""
    try:
        return since is not None and segment.stat().st_mtime < (since - SLACK).timestamp()
    except FileNotFoundError:
        return True


def _read(stream: IO[bytes], since: datetime | None, told: OnUnreadable) -> Iterator[ChannelEvent]:
    if since is None:
        yield from _lines(stream, 0, told)
        return
    earliest = since - SLACK
    for event in _lines(stream, _place_of(stream, earliest), told):
        if event.at >= earliest:
            yield event


def _place_of(stream: IO[bytes], at: datetime) -> int:
    """An offset before which every line is older than ``at``, found by halving."""
    low, high = 0, stream.seek(0, 2)
    while high - low > 4 * _LONGEST_LINE:
        middle = (low + high) // 2
        first = next(_lines(stream, middle, None, upto=high), None)
        if first is not None and first.at < at:
            low = middle
        else:
            high = middle
    return low


def _lines(
    stream: IO[bytes], offset: int, told: OnUnreadable | None, upto: int | None = None
) -> Iterator[ChannelEvent]:
    """The events from ``offset`` on; the line that ``offset`` falls into is passed over."""
    stream.seek(max(0, offset - 1))
    if offset:
        offset += len(stream.readline()) - 1
    while upto is None or offset < upto:
        line = stream.readline()
        offset += len(line)
        if not line.endswith(b"\n"):
            return
        event = parse_line(line[:-1])
        if event is not None:
            yield event
        elif told is not None:
            told(Path(stream.name), line)


def _log_unreadable(path: Path, line: bytes) -> None:
    _log.warning(
        "A line of %s is passed over; it is not one that the PBX wrote whole: %.200r", path.name, line
    )
