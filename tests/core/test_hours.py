"""Opening hours: weekly spans, the company's own days, holidays, midnight and changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.hours import ALWAYS, Schedule, Span, span_of, week_of

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = week_of(["mon-fri 09:00-18:00", "sat 10:00-14:00"])


def moscow(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-03-11T08:59:59", False),  # Wednesday
        ("2026-03-11T09:00", True),
        ("2026-03-11T17:59:59", True),
        ("2026-03-11T18:00", False),
        ("2026-03-14T12:00", True),  # Saturday
        ("2026-03-14T14:00", False),
        ("2026-03-15T12:00", False),
        ("2026-12-31T13:59", True),  # the company's own, every year
        ("2026-12-31T14:00", False),
        ("2027-12-31T11:00", False),  # once, and that one wins
        ("2026-02-23T12:00", False),  # a holiday
        ("2026-05-01T12:00", True),  # a holiday on which this company works
    ],
)
def test_a_week_with_days_of_its_own(at: str, is_open: bool) -> None:
    schedule = Schedule(
        MOSCOW,
        OFFICE,
        days={"12-31": (span_of("10:00-14:00"),), "2027-12-31": (), "2026-05-01": (span_of("09:00-18:00"),)},
        holidays={date(2026, 2, 23), date(2026, 5, 1)},
    )
    assert schedule.is_open(moscow(at)) is is_open


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    schedule = Schedule(MOSCOW, week_of(["fri 22:00-02:00"]))
    assert schedule.is_open(moscow("2026-03-14T01:59"))
    assert not schedule.is_open(moscow("2026-03-13T01:59"))
    assert not schedule.is_open(moscow("2026-03-14T02:00"))
    assert schedule.closes_at(moscow("2026-03-13T23:00")) == moscow("2026-03-14T02:00")


def test_the_next_opening_and_closing() -> None:
    schedule = Schedule(MOSCOW, OFFICE, holidays={date(2026, 3, 16)})
    friday_evening = moscow("2026-03-13T18:00")
    assert schedule.opens_at(friday_evening) == moscow("2026-03-14T10:00")
    assert schedule.opens_at(moscow("2026-03-14T14:00")) == moscow("2026-03-17T09:00")  # over the holiday
    assert schedule.opens_at(moscow("2026-03-11T10:00")) == moscow("2026-03-11T10:00")
    assert schedule.closes_at(friday_evening) is None
    assert Schedule(MOSCOW, week_of([])).opens_at(friday_evening) is None
    assert Schedule(MOSCOW, ALWAYS).closes_at(friday_evening) is None


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-28", 9.0), ("2026-03-29", 9.0), ("2026-10-25", 9.0)],  # the clock changes on the last two
)
def test_a_change_of_the_clock_moves_no_opening(day: str, hours: float) -> None:
    schedule = Schedule(BERLIN, week_of(["mon-sun 09:00-18:00"]))
    opens = schedule.opens_at(datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=BERLIN))
    assert opens is not None
    assert opens.astimezone(BERLIN).isoformat()[:16] == f"{day}T09:00"
    closes = schedule.closes_at(opens)
    assert closes is not None
    assert (closes - opens) / timedelta(hours=1) == hours


def test_hours_inside_the_gap_of_summer_time_begin_after_it() -> None:
    schedule = Schedule(BERLIN, week_of(["sun 02:30-05:00"]))
    opens = schedule.opens_at(datetime(2026, 3, 29, 0, 0, tzinfo=UTC))
    assert opens == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # 03:30 in summer time
    assert schedule.is_open(opens)


@given(
    at=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 12, 31), timezones=st.just(UTC)),
    begins=st.integers(0, 1439),
    length=st.integers(1, 1440),
    zone=st.sampled_from([MOSCOW, BERLIN, ZoneInfo("America/New_York")]),
)
def test_what_opens_is_open_and_what_closes_was(
    at: datetime, begins: int, length: int, zone: ZoneInfo
) -> None:
    schedule = Schedule(zone, ((Span(begins, begins + length),), (), (), (), (), (), ()))
    opens = schedule.opens_at(at)
    assert opens is not None
    assert opens >= at
    assert schedule.is_open(opens)
    closes = schedule.closes_at(opens)
    assert closes is not None
    assert not schedule.is_open(closes)
    assert schedule.is_open(closes - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("9-18", "no line of opening hours"),
        ("mon-fri 9:00-18:00", "no span of time"),
        ("mon 24:00-25:00", "no span of time"),
        ("lun-fri 09:00-18:00", "names no day"),
        ("mon-fri", "no line of opening hours"),
    ],
)
def test_what_cannot_be_read_is_told(line: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        week_of([line])


def test_lines_may_go_over_the_end_of_the_week() -> None:
    week = week_of(["sat-mon,wed 10:00-12:00", "mon 13:00-24:00"])
    assert [len(spans) for spans in week] == [2, 0, 1, 0, 0, 1, 1]
    assert week[0] == (Span(600, 720), Span(780, 1440))
