"""At the moment of dialling: who is never rung, who not now, and who only by one agent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.store import DoNotCall, Halt
from ami_bridge.core.callbacks import CallbackState

NIGHT = datetime(2026, 11, 23, 20, 59, tzinfo=UTC)  # one minute before midnight in Moscow


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("+78091234567", "not_callable_type"),
        ("+493012345678", "not_allowed_region"),
        ("+74950000001", "own_number"),
        ("+74951234567", "denied_prefix"),
        ("+88213123456", "invalid"),
    ],
)
async def test_what_may_no_longer_be_rung_is_called_off(
    tmp_path: Path, new_reception: Any, number: str, why: str
) -> None:
    """It was right when it was taken; the rules have changed since."""
    reception = new_reception(tmp_path, callback={"denied_prefixes": ["74951"]})
    callback = await reception.ask(number=number)
    await reception.tick()
    assert reception.originates == []
    after = await reception.now_is(callback)
    assert (after.state, after.closed_by, after.closed_reason) == (CallbackState.CANCELLED, "dialer", why)
    (entry,) = await reception.store.audits(subject=callback.id)
    assert (entry.action, entry.detail["reason"]) == ("callback.refused", why)


async def test_who_asked_never_to_be_rung_meanwhile(reception: Any) -> None:
    callback = await reception.ask()
    await reception.store.forbid_calling(DoNotCall(callback.number, reception.clock.now(), "desk", "asked"))
    await reception.tick()
    assert reception.originates == []
    assert (await reception.now_is(callback)).state is CallbackState.CANCELLED


async def test_the_switch_stops_everything_until_it_is_put_back(reception: Any) -> None:
    callback = await reception.ask()
    assert await reception.store.halt(Halt(reception.clock.now(), "boss", "fraud"))
    assert not await reception.store.halt(Halt(reception.clock.now(), "other", "too"))
    await reception.tick()
    await reception.tick(5)
    assert reception.originates == []
    assert (await reception.now_is(callback)).fence == 0, "it is not even claimed"
    await reception.store.go_on()
    await reception.tick(5)
    assert len(reception.originates) == 1


async def test_so_many_an_hour(tmp_path: Path, new_reception: Any) -> None:
    reception = new_reception(tmp_path, callback={"calls_per_hour": 2})
    for digits in ("001", "002", "003"):
        await reception.ask(digits)
    for _ in range(3):
        await reception.tick(1)
        for index in range(len(reception.originates)):
            await reception.tell("ended", reception.channel_id(index), "ANSWER")
    await reception.tick(60)
    assert len(reception.originates) == 2
    await reception.tick(3600)
    assert len(reception.originates) == 3


async def test_the_days_minutes_end_at_midnight(tmp_path: Path, new_reception: Any) -> None:
    reception = new_reception(
        tmp_path, clock=FakeClock(NIGHT - timedelta(minutes=30)), callback={"minutes_per_day": 20}
    )
    await reception.ask("001")
    await reception.tick()
    await reception.tell("customer_answered", reception.channel_id())
    reception.live.add(reception.channel_id())
    await reception.ask("002")
    reception.free = {"sales": ()}
    await reception.tick(20 * 60)
    await reception.tell("ended", reception.channel_id(), "ANSWER")
    reception.free = {"sales": ("101", "102")}
    await reception.tick(60)
    assert len(reception.originates) == 1
    await reception.tick(11 * 60)
    assert len(reception.originates) == 2, "a new day"


async def test_one_number_is_not_rung_all_day(tmp_path: Path, new_reception: Any) -> None:
    reception = new_reception(tmp_path, callback={"rings_per_number_per_day": 2, "max_attempts": 10})
    callback = await reception.ask()
    for _ in range(2):
        await reception.tick(1)
        await reception.tell("ended", reception.channel_id(), "NOANSWER")
        reception.clock.advance(timedelta(hours=3))
    await reception.tick()
    assert len(reception.originates) == 2
    waits = (await reception.now_is(callback)).due_at
    assert waits == datetime(2026, 11, 23, 21, 0, tzinfo=UTC), "midnight in Moscow"


# One agent alone ------------------------------------------------------------------------------


async def test_previewed_callbacks_wait_for_the_agent_who_takes_them(
    tmp_path: Path, new_reception: Any
) -> None:
    reception = new_reception(tmp_path, callback={"mode": "preview"})
    callback = await reception.ask()
    await reception.tick(1)
    assert reception.originates == []
    await reception.store.update_callback(callback.id, assigned_to="102", at=reception.clock.now())
    await reception.tick(1)
    assert reception.rung == ["102"]


async def test_who_was_given_a_callback_is_waited_for_and_others_pass(reception: Any) -> None:
    reception.free = {"sales": ("101",)}
    given = await reception.ask("001")
    await reception.store.update_callback(given.id, assigned_to="102", at=reception.clock.now())
    await reception.ask("002", due=1)
    await reception.tick(1)
    assert reception.rung == ["101"]
    reception.free = {"sales": ("102",)}
    await reception.tick(1)
    assert reception.rung == ["101", "102"]
    await reception.tell("ended", reception.channel_id(), "DECLINED")
    assert (await reception.now_is(given)).assigned_to == "", "who does not take it gives it back to all"


# A machine has answered ---------------------------------------------------------------------------


async def test_a_machine_is_followed_when_the_agent_has_gone(reception: Any) -> None:
    callback = await reception.ask()
    await reception.tick()
    channel_id = reception.channel_id()
    (attempt,) = await reception.store.attempts(callback.id)
    await reception.tell("customer_answered", channel_id)
    await reception.tell("machine", "fr1-77.7", attempt=attempt.id)
    reception.live.add("fr1-77.7")
    await reception.tell("ended", channel_id, "MACHINE")
    await reception.hang_up(channel_id)
    for _ in range(10):
        await reception.tick(2)
    assert (await reception.now_is(callback)).state is CallbackState.TALKING, (
        "the message is still being left"
    )
    await reception.tell("ended", "fr1-77.7", "MACHINE_WHOLE", attempt=attempt.id)
    (attempt,) = await reception.store.attempts(callback.id)
    assert (attempt.state, attempt.detail) == ("machine", "MACHINE_WHOLE")
    assert (await reception.now_is(callback)).attempts == 1


async def test_a_message_whose_end_nobody_saw_counts_as_cut(reception: Any) -> None:
    callback = await reception.ask()
    await reception.tick()
    channel_id = reception.channel_id()
    (attempt,) = await reception.store.attempts(callback.id)
    await reception.tell("customer_answered", channel_id)
    await reception.tell("machine", "fr1-77.7", attempt=attempt.id)
    await reception.hang_up(channel_id)
    reception.log_cel(channel_id, "CHAN_START", "PJSIP/carrier-1")
    reception.log_cel(channel_id, "ANSWER", "PJSIP/carrier-1")
    for _ in range(5):
        await reception.tick(2)
    (attempt,) = await reception.store.attempts(callback.id)
    assert (attempt.state, attempt.detail) == ("machine", "MACHINE_CUT")
