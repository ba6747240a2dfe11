"""One call drawn: lanes with what happened when, from its record alone. Pure; the template only writes it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ami_bridge.core.cadence import Cadence

#: Width of the drawing's time, in its own units.
WIDTH = 900.0
_ROOM = 150.0
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_RINGS = 60


@dataclass(frozen=True, slots=True)
class Stretch:
    """Something from ``x`` on, ``width`` long; ``kind`` is its style, ``label`` its tooltip."""

    x: float
    width: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: ``title`` is a word of the pages, ``who`` whom it is about."""

    title: str
    who: str
    stretches: list[Stretch]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing: lanes from above, ticks (x, seconds), and marks (x, word, who)."""

    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    marks: list[tuple[float, str, str]]

    @property
    def height(self) -> int:
        """Of the whole drawing."""
        return 34 * len(self.lanes) + 44


class _Scale:
    def __init__(self, start: datetime, end: datetime) -> None:
        self.start = start
        self.seconds = max(1.0, (end - start).total_seconds())

    def x(self, at: datetime) -> float:
        share = (at - self.start).total_seconds() / self.seconds
        return round(_ROOM + (WIDTH - _ROOM) * min(max(share, 0.0), 1.0), 1)

    def stretch(self, begin: datetime, end: datetime, kind: str, label: str) -> Stretch:
        x = self.x(begin)
        return Stretch(x, max(2.0, round(self.x(end) - x, 1)), kind, label)


def timeline_of(record: Mapping[str, Any], cadence: Cadence | None, now: datetime) -> Timeline | None:
    """The drawing of a stored record; None when not even its start is known. ``cadence``: of the caller's ringback."""
    start = _at(record.get("started_at"))
    if start is None:
        return None
    end = _at(record.get("ended_at")) or now
    scale = _Scale(start, end)
    lanes = [
        *_rings(record, cadence, scale, end),
        _lane(_QUEUE, record.get("queues"), scale, end),
        _lane(_GREETING, record.get("greetings"), scale, end),
        *_talk(record, scale, end),
        _lane(_HOLD, record.get("holds"), scale, end),
    ]
    return Timeline([lane for lane in lanes if lane.stretches], _ticks(scale), _marks(record, scale))


def _rings(
    record: Mapping[str, Any], cadence: Cadence | None, scale: _Scale, end: datetime
) -> Iterable[Lane]:
    """Each phone that rang; where the caller heard ringback, ring by ring."""
    for leg in _dicts(record.get("legs")):
        begin = _at(leg.get("rang_at"))
        if begin is None or leg.get("originator"):
            continue
        until = _at(leg.get("answered_at")) or _at(leg.get("ended_at")) or end
        direct = str(leg.get("dialled_from") or "").startswith("direct,")
        drawn = [scale.stretch(begin, until, "t-period", _seconds(begin, until))]
        if cadence is not None and direct:
            drawn += _tones(begin, until, cadence, scale)
        yield Lane("lane_ring", str(leg.get("endpoint") or ""), drawn)


def _tones(begin: datetime, until: datetime, cadence: Cadence, scale: _Scale) -> list[Stretch]:
    tones = []
    for ring in range(_MOST_RINGS):
        tone = begin + timedelta(seconds=ring * cadence.period_seconds)
        if tone >= until:
            break
        ends = min(until, tone + timedelta(seconds=cadence.tone_seconds))
        tones.append(scale.stretch(tone, ends, "t-ring", str(ring + 1)))
    return tones


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one sort of stretch is kept in a record: where its ends and its name stand, and how it is drawn."""

    title: str
    style: str
    begins: str = "started_at"
    ends: str = "ended_at"
    named: str = ""


_QUEUE = _Kind("lane_queue", "t-queue", "joined_at", "left_at", "name")
_GREETING = _Kind("lane_greeting", "t-greeting", named="kind")
_HOLD = _Kind("lane_hold", "t-hold")


def _lane(kind: _Kind, parts: Any, scale: _Scale, end: datetime) -> Lane:
    drawn = []
    for part in _dicts(parts):
        begin, ended = _at(part.get(kind.begins)), _at(part.get(kind.ends))
        until = ended or end
        # A greeting whose end was not told is one that the other side heard too: that one is drawn.
        if begin is not None and (ended is not None or kind is not _GREETING):
            told = f"{part.get(kind.named) or ''} {_seconds(begin, until)}".strip()
            drawn.append(scale.stretch(begin, until, kind.style, told))
    return Lane(kind.title, "", drawn)


def _talk(record: Mapping[str, Any], scale: _Scale, end: datetime) -> Iterable[Lane]:
    """From when they heard each other. A record knows how much each side spoke, not when: that is no lane."""
    begin = _at(record.get("talk_started_at"))
    if begin is None:
        return
    length = record.get("talk_seconds")
    until = min(end, begin + timedelta(seconds=float(length))) if length else end
    yield Lane("lane_talk", "", [scale.stretch(begin, until, "t-talk", _seconds(begin, until))])


def _marks(record: Mapping[str, Any], scale: _Scale) -> list[tuple[float, str, str]]:
    marks = []
    for transfer in _dicts(record.get("transfers")):
        at, target = _at(transfer.get("at")), transfer.get("target")
        who = str(target.get("extension") or "") if isinstance(target, Mapping) else ""
        if at is not None:
            marks.append((scale.x(at), "lane_transfer", who or str(transfer.get("extension") or "")))
    ended = _at(record.get("ended_at"))
    if ended is not None:
        marks.append((scale.x(ended), "hung_up_first", str(record.get("hung_up_by") or "unknown")))
    return marks


def _ticks(scale: _Scale) -> list[tuple[float, str]]:
    step = next((step for step in _STEPS if scale.seconds / step <= 12), _STEPS[-1])
    count = min(60, int(scale.seconds // step) + 1)
    return [
        (scale.x(scale.start + timedelta(seconds=place * step)), _clock(place * step))
        for place in range(count)
    ]


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


def _seconds(begin: datetime, end: datetime) -> str:
    return f"{max(0.0, (end - begin).total_seconds()):.1f} s"


def _dicts(parts: Any) -> list[Mapping[str, Any]]:
    return [part for part in parts or () if isinstance(part, Mapping)]


def _at(value: Any) -> datetime | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
