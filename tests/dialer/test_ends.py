"""How a request may end, and what becomes of the promise that was made with it: one table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from ami_bridge.adapters.store import DoNotCall
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.dialer.ledger import Ledger

# What the dialplan says of one attempt after another, minutes between the rounds: state, last result, promise.
TABLE: list[tuple[str, Sequence[str], str, str, str]] = [
    ("spoken", ["ANSWER"], "done", "answered", "kept"),
    ("busy once, then spoken", ["BUSY", "ANSWER"], "done", "answered", "kept"),
    ("busy as often as is allowed", ["BUSY", "BUSY", "BUSY"], "exhausted", "busy", "kept"),
    ("not there as often as is allowed", ["NOANSWER"] * 3, "exhausted", "no_answer", "kept"),
    ("no line as often as is allowed", ["CONGESTION"] * 3, "exhausted", "congestion", "kept"),
    ("busy, nobody, then a machine", ["BUSY", "NOANSWER", "MACHINE_WHOLE"], "exhausted", "machine", "kept"),
    ("a machine", ["MACHINE_WHOLE"], "queued", "machine", "kept"),
    ("a machine that hung up", ["MACHINE_CUT"], "queued", "machine", "kept"),
    ("nobody there said yes", ["UNCONFIRMED"], "queued", "no_answer", "kept"),
    ("wants no calls", ["REFUSED_BY_CUSTOMER"], "cancelled", "refused", "kept"),
    ("somebody else", ["WRONG_NUMBER"], "cancelled", "wrong_number", "kept"),
    ("another time", ["LATER3"], "queued", "later", "open"),
    ("another time, then spoken", ["LATER1", "ANSWER"], "done", "answered", "kept"),
    ("nobody came for him", ["LATER1"], "queued", "later", "open"),
    ("no agent took it", ["DECLINED"], "queued", "agent_declined", "open"),
]


@pytest.mark.parametrize(
    ("outcomes", "state", "result", "promise"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_after_calls(
    reception: Any, outcomes: Sequence[str], state: str, result: str, promise: str
) -> None:
    callback = await reception.ask()
    ledger = Ledger(reception.settings, reception.store, reception.clock)
    await ledger.look()
    for outcome in outcomes:
        due_at = (await reception.now_is(callback)).due_at
        wait = max(timedelta(0), due_at - reception.clock.now()).total_seconds() if due_at else 0
        await reception.tick(wait + 1)
        await reception.tell("ended", reception.channel_id(), outcome)
        await ledger.look()
    after = await reception.now_is(callback)
    assert (after.state, after.last_result) == (state, result)
    kept = await reception.store.promise(callback.id)
    assert kept is not None
    assert kept.state == promise
    never = bool(await reception.store.do_not_call([callback.number]))
    assert never == (result in {"refused", "wrong_number"})


@pytest.mark.parametrize(
    ("event", "late", "state", "promise"),
    [
        (CallbackEvent.REACHED, False, "done", "kept"),
        (CallbackEvent.CANCELLED, False, "cancelled", "withdrawn"),
        (CallbackEvent.CANCELLED, True, "cancelled", "broken"),
        (CallbackEvent.REACHED, True, "done", "broken"),
    ],
)
async def test_without_a_call(
    reception: Any, event: CallbackEvent, late: bool, state: str, promise: str
) -> None:
    """Reached in another call, or called off; in time, or when the promise was broken already."""
    callback = await reception.ask()
    ledger = Ledger(reception.settings, reception.store, reception.clock)
    await ledger.look()
    reception.clock.advance(timedelta(minutes=61 if late else 30))
    await ledger.look()
    await reception.store.update_callback(callback.id, event=event, by="test", at=reception.clock.now())
    await ledger.look()
    kept = await reception.store.promise(callback.id)
    assert kept is not None
    assert ((await reception.now_is(callback)).state, kept.state) == (state, promise)


async def test_expired(reception: Any) -> None:
    callback = await reception.ask()
    now = reception.clock.now()
    await reception.store.update_callback(callback.id, expires_at=now + timedelta(minutes=10), at=now)
    ledger = Ledger(reception.settings, reception.store, reception.clock)
    await ledger.look()
    reception.free = {"sales": ()}
    await reception.tick(11 * 60)
    await ledger.look()
    kept = await reception.store.promise(callback.id)
    assert kept is not None
    assert ((await reception.now_is(callback)).state, kept.state) == ("expired", "withdrawn")


async def test_never_again_by_another_way(reception: Any) -> None:
    callback = await reception.ask()
    ledger = Ledger(reception.settings, reception.store, reception.clock)
    await ledger.look()
    await reception.store.forbid_calling(DoNotCall(callback.number, reception.clock.now(), "desk", "asked"))
    await reception.tick(1)
    await ledger.look()
    kept = await reception.store.promise(callback.id)
    assert kept is not None
    assert ((await reception.now_is(callback)).state, kept.state) == ("cancelled", "withdrawn")
    assert reception.originates == []


@pytest.mark.parametrize("left", ["MACHINE_WHOLE", "MACHINE_CUT"])
async def test_a_machine_goes_on_when_the_agent_has_gone(reception: Any, left: str) -> None:
    """Its own channel tells how it went; until then the attempt is open, and nobody is rung for it."""
    callback = await reception.ask()
    await reception.tick()
    channel_id = reception.channel_id()
    (attempt,) = await reception.store.attempts(callback.id)
    reception.live = {channel_id, "customer-1"}
    await reception.tell("machine", "customer-1", attempt=attempt.id)
    await reception.tell("ended", channel_id, "MACHINE", attempt.id)
    await reception.hang_up(channel_id)
    await reception.tick(30)
    assert [each.state for each in await reception.store.attempts(callback.id)] == ["dialing"]
    await reception.tell("ended", "customer-1", left, attempt.id)
    (attempt,) = await reception.store.attempts(callback.id)
    assert (attempt.state, attempt.detail) == ("machine", left)
    assert len(reception.originates) == 1


@pytest.mark.parametrize(("source", "told"), [("typed", "1"), ("caller_id", ""), ("desk", "")])
async def test_whose_number_another_typed_is_asked_first(reception: Any, source: str, told: str) -> None:
    callback = await reception.ask(due=1)
    await reception.store.update_callback(callback.id, number_source=source, at=reception.clock.now())
    await reception.tick(2)
    assert f"__FR_CONFIRM={told}" in reception.originates[0].headers["Variable"]
