"""Windows of time in which a caller may be rung: opening hours, decent hours, midnight, summer time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.hours import ALWAYS, Schedule, week_of
from ami_bridge.core.suiting import (
    DayPart,
    Window,
    common_windows,
    daily,
    days_ahead,
    hour_window,
    hours_of,
    open_windows,
    part_left,
)

MOSCOW, BERLIN, VLADIVOSTOK = (
    ZoneInfo("Europe/Moscow"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Asia/Vladivostok"),
)
WEDNESDAY = datetime(2026, 3, 11, 12, 0, tzinfo=MOSCOW)


def windows(
    lines: list[str], zone: ZoneInfo, now: datetime, callers: ZoneInfo | None = None
) -> tuple[Window, ...]:
    decent = Schedule(callers or zone, week_of(["mon-sun 09:00-21:00"]))
    work = Schedule(zone, week_of(lines) if lines else ALWAYS)
    return common_windows([work, decent], now, now + timedelta(days=8))


def test_nine_time_zones_away_only_hours_that_are_decent_at_both_ends_are_left() -> None:
    """Moscow works from 9 to 18, which is 16 to 1 o'clock in Vladivostok: rung from 16 to 21 there."""
    found = windows(["mon-fri 09:00-18:00"], MOSCOW, WEDNESDAY, VLADIVOSTOK)
    thursday = date(2026, 3, 12)
    assert hours_of(found, VLADIVOSTOK, thursday) == (16, 17, 18, 19, 20)
    assert hour_window(found, VLADIVOSTOK, thursday, 16) == Window(
        datetime(2026, 3, 12, 6, 0, tzinfo=UTC), datetime(2026, 3, 12, 7, 0, tzinfo=UTC)
    )


def test_the_weekend_is_passed_over() -> None:
    friday_evening = datetime(2026, 3, 13, 19, 0, tzinfo=MOSCOW)
    found = windows(["mon-fri 09:00-18:00"], MOSCOW, friday_evening)
    assert [day.isoweekday() for day in days_ahead(found, MOSCOW, friday_evening, 5)] == [1, 2, 3, 4, 5]
    assert not any(part_left(found, MOSCOW, friday_evening, part) for part in DayPart)


@pytest.mark.parametrize(
    ("hour", "minute", "left"),
    [
        (7, 0, {DayPart.MORNING, DayPart.AFTERNOON, DayPart.EVENING}),
        (11, 29, {DayPart.MORNING, DayPart.AFTERNOON, DayPart.EVENING}),
        (11, 31, {DayPart.AFTERNOON, DayPart.EVENING}),  # half an hour is the least that is promised
        (17, 45, {DayPart.EVENING}),
        (20, 45, set()),
        (23, 59, set()),
    ],
)
def test_the_parts_that_are_left_of_a_day(hour: int, minute: int, left: set[DayPart]) -> None:
    now = WEDNESDAY.replace(hour=hour, minute=minute)
    found = windows([], MOSCOW, now)
    assert {part for part in DayPart if part_left(found, MOSCOW, now, part)} == left


def test_a_part_begins_now_when_it_has_begun() -> None:
    window = part_left(windows([], MOSCOW, WEDNESDAY), MOSCOW, WEDNESDAY, DayPart.AFTERNOON)
    assert window == Window(WEDNESDAY.astimezone(UTC), datetime(2026, 3, 11, 15, 0, tzinfo=UTC))


def test_the_hour_that_summer_time_leaves_out_cannot_be_chosen() -> None:
    sunday, now = date(2026, 3, 29), datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)
    always = [Window(now.astimezone(UTC), now.astimezone(UTC) + timedelta(days=3))]
    assert hour_window(always, BERLIN, sunday, 2) is None
    assert hour_window(always, BERLIN, sunday, 3) == Window(
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 3, 29, 2, 0, tzinfo=UTC)
    )
    assert daily(sunday, 0, 24, BERLIN).length == timedelta(hours=23)
    assert len(hours_of(always, BERLIN, sunday)) == 23


@pytest.mark.parametrize("hour", [-1, 24, 99])
def test_hours_that_do_not_exist(hour: int) -> None:
    assert hour_window(windows([], MOSCOW, WEDNESDAY), MOSCOW, date(2026, 3, 12), hour) is None


def test_a_department_that_never_opens_offers_nothing() -> None:
    closed = Schedule(MOSCOW, week_of([]))
    assert open_windows(closed, WEDNESDAY, WEDNESDAY + timedelta(days=8)) == ()


_zones = st.sampled_from(
    [MOSCOW, BERLIN, VLADIVOSTOK, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia")]
)
_lines = st.sampled_from(
    [
        [],
        ["mon-fri 09:00-18:00"],
        ["mon-sun 22:00-02:00"],
        ["sat,sun 10:00-10:20"],
        ["mon 00:00-24:00", "tue 08:30-12:15"],
    ]
)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)), _zones, _zones, _lines
)
def test_whatever_can_be_chosen_is_open_and_decent_and_to_come(
    now: datetime, ours: ZoneInfo, callers: ZoneInfo, lines: list[str]
) -> None:
    found = windows(lines, ours, now, callers)
    schedule = Schedule(ours, week_of(lines) if lines else ALWAYS)
    assert all(first.ends <= second.begins for first, second in pairwise(found))
    chosen = [part_left(found, callers, now, part) for part in DayPart]
    for day in days_ahead(found, callers, now, 5):
        chosen += [hour_window(found, callers, day, hour) for hour in range(24)]
    for window in filter(None, chosen):
        assert now <= window.begins < window.ends
        assert window.length >= timedelta(minutes=30)
        for at in (window.begins, window.ends - timedelta(minutes=1)):
            assert schedule.is_open(at)
            assert 9 <= at.astimezone(callers).hour < 21


def test_a_company_that_never_closes_offers_every_day() -> None:
    until = WEDNESDAY + timedelta(days=8)
    found = common_windows([Schedule(MOSCOW), Schedule(MOSCOW)], WEDNESDAY, until)
    assert len(found) == 1
    assert [day.day for day in days_ahead(found, MOSCOW, WEDNESDAY, 5)] == [12, 13, 14, 15, 16]
    assert hours_of(found, MOSCOW, date(2026, 3, 12)) == tuple(range(24))
