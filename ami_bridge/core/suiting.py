"""When it suits the caller to be rung: parts of today, days ahead and hours, within what is allowed.

Pure arithmetic on *windows*: stretches of time in which we may ring. Whoever asks brings them (opening hours
of the department cut with decent hours at the caller's end), so a choice that is offered can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

from ami_bridge.core.hours import Schedule

#: A window shorter than this is not offered: nobody could promise to ring in it.
SHORTEST = timedelta(minutes=30)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begins`` up to ``ends``, both in UTC.

    Two wall clocks of one zone would be compared and subtracted without the hour that a change of summer
    time adds or takes.
    """

    begins: datetime
    ends: datetime

    @property
    def length(self) -> timedelta:
        """How long it is; never negative for a window that :func:`common` gave."""
        return self.ends - self.begins


class DayPart(StrEnum):
    """The parts of a day that a caller can choose, by his own clock."""

    MORNING = "morning"  # up to 12:00
    AFTERNOON = "afternoon"  # 12:00 to 18:00
    EVENING = "evening"  # from 18:00


_PART_HOURS = {DayPart.MORNING: (0, 12), DayPart.AFTERNOON: (12, 18), DayPart.EVENING: (18, 24)}


def common(first: Sequence[Window], second: Sequence[Window]) -> tuple[Window, ...]:
    """The stretches that lie in a window of both, in the order of ``first``."""
    cut = (
        Window(max(one.begins, other.begins), min(one.ends, other.ends)) for one in first for other in second
    )
    return tuple(window for window in cut if window.begins < window.ends)


def daily(day: date, first_hour: int, last_hour: int, zone: ZoneInfo) -> Window:
    """``day`` from ``first_hour`` to ``last_hour`` (24 is midnight) on the wall clock of ``zone``."""
    ends = day + timedelta(days=1) if last_hour == 24 else day
    return Window(_at(day, first_hour, zone), _at(ends, last_hour % 24, zone))


def open_windows(schedule: Schedule, now: datetime, until: datetime) -> tuple[Window, ...]:
    """When the department of ``schedule`` is open between ``now`` and ``until``."""
    found: list[Window] = []
    at: datetime = now
    while (begins := schedule.opens_at(at)) is not None and begins < until:
        ends = schedule.closes_at(begins)
        if ends is None or ends >= until:
            return (*found, Window(begins, until.astimezone(UTC)))
        found.append(Window(begins, ends))
        at = ends
    return tuple(found)


def common_windows(schedules: Sequence[Schedule], now: datetime, until: datetime) -> tuple[Window, ...]:
    """When all of ``schedules`` are open between ``now`` and ``until``; none of no schedule."""
    if not schedules:
        return ()
    found = open_windows(schedules[0], now, until)
    for schedule in schedules[1:]:
        found = common(found, open_windows(schedule, now, until))
    return found


def part_left(windows: Sequence[Window], zone: ZoneInfo, now: datetime, part: DayPart) -> Window | None:
    """What is left of ``part`` of today, the longest stretch of it; None when that is next to nothing."""
    today = now.astimezone(zone).date()
    rest = Window(now.astimezone(UTC), daily(today, 0, 24, zone).ends)
    return _longest(common(common([daily(today, *_PART_HOURS[part], zone)], [rest]), windows))


def days_ahead(windows: Sequence[Window], zone: ZoneInfo, now: datetime, most: int) -> tuple[date, ...]:
    """The next days after today, at most ``most``, on which an hour can be chosen."""
    if not windows:
        return ()
    today, last = now.astimezone(zone).date(), max(window.ends for window in windows).astimezone(zone).date()
    # Day by day: a window may go over many midnights (a company that never closes).
    later = (today + timedelta(days=distance) for distance in range(1, (last - today).days + 1))
    return tuple(islice((day for day in later if hours_of(windows, zone, day)), most))


def hours_of(windows: Sequence[Window], zone: ZoneInfo, day: date) -> tuple[int, ...]:
    """The hours of ``day`` in which we may ring, in order."""
    return tuple(hour for hour in range(24) if hour_window(windows, zone, day, hour))


def hour_window(windows: Sequence[Window], zone: ZoneInfo, day: date, hour: int) -> Window | None:
    """The hour that begins at ``hour`` o'clock, as far as we may ring in it.

    None for hours that are closed, that do not exist, and that the clock change of that day skips.
    """
    if not 0 <= hour <= 23:
        return None
    begins = _at(day, hour, zone)
    if begins.astimezone(zone).hour != hour:
        return None
    return _longest(common([Window(begins, begins + _HOUR)], windows))


def _at(day: date, hour: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(hour), zone).astimezone(UTC)


def _longest(windows: Sequence[Window]) -> Window | None:
    longest = max(windows, key=lambda window: window.length, default=None)
    return longest if longest is not None and longest.length >= SHORTEST else None
