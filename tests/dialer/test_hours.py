"""At the moment of dialling: opening hours here, quiet hours and holidays where the customer is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.clock import FakeClock
from ami_bridge.core.callbacks import AttemptState, CallbackState
from ami_bridge.core.calling_time import next_common_opening
from ami_bridge.core.hours import Schedule
from ami_bridge.dialer.calling_hours import CallingHours
from ami_bridge.dialer.retries import retry_policy

MOSCOW, MOBILE = "+74951234567", "+79161234567"
BERLIN, LONDON = "+493012345678", "+442071234567"
KAMCHATKA, LOS_ANGELES = "+74152123456", "+12135551234"
DECENT = {"open": ["mon-sun 09:00-21:00"]}
OFFICE = {"open": ["mon-fri 09:00-18:00"]}
EVERYWHERE = ["RU", "DE", "GB", "US"]
WORKDAYS = DECENT | {"closed_on_holidays": True}
AT_ONE = {"open": ["mon-sun 01:00-02:00"]}
ALWAYS = {"open": ["mon-sun 00:00-24:00"]}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# What it is, whose number, office hours (Moscow, UTC+3), customer's hours, asked at, first rung at (UTC).
TABLE = [
    ("everybody awake", MOSCOW, OFFICE, DECENT, "2026-11-23 09:00", "2026-11-23 09:00"),
    ("Friday evening", MOSCOW, OFFICE, DECENT, "2026-11-20 15:00", "2026-11-23 06:00"),
    ("Friday, one minute before", MOSCOW, OFFICE, DECENT, "2026-11-20 14:59", "2026-11-20 14:59"),
    ("midnight, quiet", MOSCOW, ALWAYS, DECENT, "2026-11-23 21:00", "2026-11-24 06:00"),
    ("open over midnight", MOSCOW, {"open": ["mon-sun 18:00-02:00"]}, ALWAYS, "2026-11-23 22:59", "2026-11-23 22:59"),
    ("closed after that", MOSCOW, {"open": ["mon-sun 18:00-02:00"]}, ALWAYS, "2026-11-23 23:00", "2026-11-24 15:00"),
    ("Berlin before summer time", BERLIN, ALWAYS, DECENT, "2026-03-28 05:00", "2026-03-28 08:00"),
    ("Berlin on the day of summer time", BERLIN, ALWAYS, DECENT, "2026-03-29 00:30", "2026-03-29 07:00"),
    ("Berlin on the day of winter time", BERLIN, ALWAYS, DECENT, "2026-10-25 00:30", "2026-10-25 08:00"),
    ("an hour left out", LONDON, ALWAYS, {"open": ["mon-sun 01:00-02:30"]}, "2026-03-29 00:30", "2026-03-29 01:00"),
    ("an hour that comes twice", LONDON, ALWAYS, AT_ONE, "2026-10-25 01:30", "2026-10-25 01:30"),
    ("nine zones away, asleep", KAMCHATKA, OFFICE, DECENT, "2026-11-23 09:00", "2026-11-24 06:00"),
    ("nine zones away, both awake", KAMCHATKA, OFFICE, DECENT, "2026-11-23 08:59", "2026-11-23 08:59"),
    ("nine zones away, before Monday here", KAMCHATKA, OFFICE, DECENT, "2026-11-22 23:00", "2026-11-23 06:00"),
    ("a mobile of sixteen zones counts as near", MOBILE, ALWAYS, DECENT, "2026-11-23 17:59", "2026-11-23 17:59"),
    ("holiday in the customer's country", BERLIN, ALWAYS, WORKDAYS, "2026-12-25 10:00", "2026-12-27 08:00"),
    ("and none at home that day", MOSCOW, ALWAYS, WORKDAYS, "2026-12-25 10:00", "2026-12-25 10:00"),
    ("holiday here", BERLIN, OFFICE | {"closed_on_holidays": True}, DECENT, "2026-02-20 15:00", "2026-02-24 08:00"),
]  # fmt: skip


@pytest.mark.parametrize("row", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
async def test_rung_only_at_a_decent_hour(
    tmp_path: Path, new_reception: Any, row: tuple[str, dict[str, Any], dict[str, Any], str, str]
) -> None:
    """The dialer itself, on a clock that is set: nothing a minute before, the call when the hour has come."""
    number, office, customer, asked, rung = row
    reception = new_reception(
        tmp_path,
        clock=FakeClock(at(asked)),
        hours=office,
        callback={"customer_hours": customer, "allowed_regions": EVERYWHERE},
    )
    callback = await reception.ask(number=number)
    await reception.tick()
    if rung != asked:
        assert reception.originates == []
        waiting = await reception.now_is(callback)
        assert (waiting.state, waiting.due_at) == (CallbackState.QUEUED, at(rung))
        assert waiting.attempts == 0
        reception.clock.advance(at(rung) - at(asked) - timedelta(minutes=1))
        await reception.tick()
        assert reception.originates == []
        await reception.tick(60)
    assert len(reception.originates) == 1


async def test_a_callback_that_is_asleep_does_not_stand_before_one_that_is_awake(
    tmp_path: Path, new_reception: Any
) -> None:
    reception = new_reception(tmp_path, callback={"customer_hours": DECENT})
    await reception.ask(number=KAMCHATKA)  # 21:00 there
    awake = await reception.ask("002", due=1)
    reception.free = {"sales": ("101",)}
    await reception.tick(1)
    await reception.tick(1)
    assert (await reception.now_is(awake)).state is CallbackState.DIALING


async def test_strict_waits_for_an_hour_that_is_decent_in_all_zones(
    tmp_path: Path, new_reception: Any
) -> None:
    reception = new_reception(tmp_path, callback={"customer_hours": DECENT, "unclear_zone": "strict"})
    callback = await reception.ask(number=MOBILE)  # somewhere between Bucharest and Kamchatka
    await reception.tick()
    assert (await reception.now_is(callback)).due_at == at("2026-11-24 07:00")


async def test_hours_that_never_meet_ring_nobody_and_are_said(
    tmp_path: Path, new_reception: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rules = {"customer_hours": DECENT, "allowed_regions": EVERYWHERE}
    reception = new_reception(tmp_path, hours=OFFICE, callback=rules)
    callback = await reception.ask(number=LOS_ANGELES)
    await reception.tick()
    assert reception.originates == []
    assert "never meet" in caplog.text
    assert (await reception.now_is(callback)).state is CallbackState.QUEUED


@pytest.mark.parametrize("unknown", ["+88213123456", "+99999999999"])
def test_a_number_of_no_known_zone_counts_as_near(tmp_path: Path, new_reception: Any, unknown: str) -> None:
    """Such a number is not rung at all (see test_gate), but a promise about it still has its hours."""
    reception = new_reception(tmp_path, callback={"customer_hours": DECENT})
    first = CallingHours(reception.settings).next_call("sales", unknown, at("2026-11-23 20:00"))
    assert first == at("2026-11-24 06:00")


def test_who_is_never_open_never_meets_anybody() -> None:
    shut = Schedule(UTC, week=((),) * 7)
    assert next_common_opening((Schedule(UTC), shut), at("2026-11-23 09:00")) is None
    assert next_common_opening((), at("2026-11-23 09:00")) == at("2026-11-23 09:00")


async def test_each_cause_has_gaps_of_its_own_and_they_grow(reception: Any) -> None:
    policy = retry_policy(reception.settings)
    assert policy.delays_after(AttemptState.BUSY) == (2, 10, 30)
    assert policy.delays_after(AttemptState.NO_ANSWER) == (5, 30, 120)
    callback = await reception.ask()
    for result, minutes in (("BUSY", 2), ("BUSY", 10)):
        await reception.tick(1)
        asked = reception.clock.now()
        await reception.tell("ended", reception.channel_id(), result)
        now = await reception.now_is(callback)
        assert now.due_at == asked + timedelta(minutes=minutes)
        reception.clock.advance(timedelta(minutes=minutes))
    await reception.tick(1)
    await reception.tell("ended", reception.channel_id(), "CONGESTION")
    assert (await reception.now_is(callback)).state is CallbackState.EXHAUSTED
