"""When a department answers: weekly hours, the company's own days, public holidays.

Pure: instants and dates come in, answers go out. A week is written as people write it ("mon-fri 09:00-18:00");
times are those of the department's wall clock, so a change to summer time moves no opening.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60
_LINE = re.compile(r"(?P<days>[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*) (?P<span>\S+)")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
# Whoever is not open on one of so many days never opens again.
_SEARCHED_DAYS = 400


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From ``begins`` up to, and without, ``ends``: minutes since the midnight with which the day begins.

    ``ends`` lies above 1440 when the span goes over midnight; it belongs to the day on which it begins.
    """

    begins: int
    ends: int


Spans = tuple[Span, ...]
Week = tuple[Spans, ...]
"""The spans of Monday, Tuesday … Sunday."""

ALWAYS: Week = ((Span(0, _DAY_MINUTES),),) * 7


@dataclass(frozen=True, slots=True)
class Schedule:
    """The opening hours of one department.

    Attributes:
        zone: whose wall clock the hours are.
        week: the hours of an ordinary week.
        days: hours of single days, by "MM-DD" (every year) or "YYYY-MM-DD" (once, wins); empty: closed.
        holidays: dates that are closed all day unless ``days`` has them; may be computed on demand.
    """

    zone: tzinfo
    week: Week = ALWAYS
    days: Mapping[str, Spans] = field(default_factory=dict)
    holidays: Container[date] = frozenset()

    def is_open(self, at: datetime) -> bool:
        """Whether somebody is meant to answer at the instant ``at`` (which has a zone)."""
        return self._end_of_span(at) is not None

    def spans_on(self, day: date) -> Spans:
        """The hours that begin on ``day``."""
        own = self.days.get(day.isoformat(), self.days.get(f"{day:%m-%d}"))
        if own is not None:
            return own
        return () if day in self.holidays else self.week[day.weekday()]

    def spans_within(self, day: date) -> Spans:
        """The hours that lie on ``day`` itself, cut at its midnights, with what began the evening before."""
        late = [
            Span(0, span.ends - _DAY_MINUTES)
            for span in self.spans_on(day - timedelta(days=1))
            if span.ends > _DAY_MINUTES
        ]
        return tuple(
            sorted([*late, *(Span(span.begins, min(span.ends, _DAY_MINUTES)) for span in self.spans_on(day))])
        )

    def opens_at(self, after: datetime) -> datetime | None:
        """The first instant (UTC) from ``after`` on at which the department is open; None: never within 400 days."""
        if self.is_open(after):
            return after.astimezone(UTC)
        today = after.astimezone(self.zone).date()
        for distance in range(_SEARCHED_DAYS):
            day = today + timedelta(days=distance)
            begins = (self._instant(day, span.begins) for span in sorted(self.spans_on(day)))
            if found := next((at for at in begins if at > after), None):
                return found
        return None

    def closes_at(self, at: datetime) -> datetime | None:
        """When (UTC) the hours in which ``at`` lies end; None when it is closed then, or open for ever."""
        never = self.week == ALWAYS and not self.days and self.holidays == frozenset()
        if never or not self.is_open(at):
            return None
        ending = at
        for _ in range(_SEARCHED_DAYS):
            later = self._end_of_span(ending)
            if later is None:
                return ending.astimezone(UTC)
            ending = later
        return None

    def _end_of_span(self, at: datetime) -> datetime | None:
        today = at.astimezone(self.zone).date()
        ends = [
            self._instant(day, span.ends)
            for day in (today - timedelta(days=1), today)
            for span in self.spans_on(day)
            if self._instant(day, span.begins) <= at < self._instant(day, span.ends)
        ]
        return max(ends, default=None)

    def _instant(self, day: date, minute: int) -> datetime:
        """Wall-clock ``minute`` of ``day`` as an instant; one left out by summer time lies after the gap."""
        days, left = divmod(minute, _DAY_MINUTES)
        wall = time(left // 60, left % 60)
        return datetime.combine(day + timedelta(days=days), wall, self.zone).astimezone(UTC)


def week_of(lines: Iterable[str]) -> Week:
    """The week that ``lines`` describe, each "DAYS HH:MM-HH:MM": "mon-fri 09:00-18:00", "sat,sun 10:00-14:00".

    An end at or before the beginning lies on the next day; days that are not named are closed.

    Raises:
        ValueError: a line cannot be read; the message says how one is written.
    """
    week: list[list[Span]] = [[] for _ in _DAYS]
    for line in lines:
        match = _LINE.fullmatch(line.strip().lower())
        if match is None:
            raise ValueError(f"'{line}' is no line of opening hours; write one such as 'mon-fri 09:00-18:00'")
        span = span_of(match["span"])
        for index in _indexes(match["days"], line):
            week[index].append(span)
    return tuple(tuple(sorted(spans)) for spans in week)


def span_of(text: str) -> Span:
    """The span "HH:MM-HH:MM"; 24:00 is the end of a day.

    Raises:
        ValueError: it is not written like that.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is no span of time; write one such as '09:00-18:00'")
    begins = int(match[1]) * 60 + int(match[2])
    ends = int(match[3]) * 60 + int(match[4]) if match[3] else _DAY_MINUTES
    return Span(begins, ends if ends > begins else ends + _DAY_MINUTES)


def _indexes(days: str, line: str) -> list[int]:
    found: list[int] = []
    for part in days.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ValueError(f"'{part}' in '{line}' names no day; the days are {', '.join(_DAYS)}")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        # "sat-mon" goes over the end of the week.
        found += [day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)]
    return found
