"""Somebody hangs up while the greeting is still being said."""

from __future__ import annotations

import asyncio
import time

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from tests.faults.listening import listen, talk
from tests.faults.plant import Plant
from tests.pbx.calls import now, record_of
from tests.pbx.customers import by_hand

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

RELEASED_SECONDS = 1.5


async def answered_call(plant: Plant, number: str, did: str, agent: Softphone, index: int) -> Softphone:
    """A caller whom ``agent`` has just answered; the greeting has begun."""
    caller = await plant.caller(number, index=index)
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, 30)
    await agent.answer()
    await agent.wait_for(PhoneState.ESTABLISHED, 5)
    await asyncio.sleep(1.2)
    return caller


async def released(caller: Softphone, agent: Softphone) -> None:
    """The caller hangs up; the agent's phone is free soon."""
    left = time.monotonic()
    await caller.hangup()
    closed = (await agent.wait_for(PhoneState.CLOSED, 5)).monotonic
    assert closed - left <= RELEASED_SECONDS


async def test_the_caller_hangs_up(phones: Plant, store: SqlStore) -> None:
    """Answered directly and from the queue: the agent does not sit in silence for half a minute."""
    since = now()
    direct, member = await phones.agent("103"), await phones.agent("102")
    caller = await answered_call(phones, "79165550501", "74950000006", direct, 0)
    await released(caller, direct)
    other = await answered_call(phones, "79165550502", "74950000010", member, 1)
    await released(other, member)
    for number in ("79165550501", "79165550502"):
        record = await record_of(store, number, since)
        assert record["hung_up_by"] == "caller"
        assert record["answered_by"] is not None, "the agent was there"
        assert record["ended_at"] is not None


@by_hand
async def test_the_agent_hangs_up(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The caller is not dropped: he goes on to the queue, whose member answers him; that one leaves too."""
    since = now()
    direct, member = await phones.agent("103"), await phones.agent("102")
    caller = await answered_call(phones, "79165550503", "74950000006", direct, 2)
    await direct.hangup()
    left = time.monotonic()
    await listen(caller, expected.greeting("queue-join", "quick3"), since=left, within=12.0)
    # The member answers, hangs up at once, is rung again, and talks.
    await member.wait_for(PhoneState.INCOMING, 25)
    await member.answer()
    await member.wait_for(PhoneState.ESTABLISHED, 5)
    await asyncio.sleep(1.2)
    await member.hangup()
    await member.wait_for(PhoneState.INCOMING, 20)
    assert caller.state is PhoneState.ESTABLISHED
    await member.answer()
    answered = (await member.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    greeting = expected.greeting("queue-answer", "quick3", "102")
    heard = await listen(caller, greeting, since=answered, within=2.0)
    await talk(phones, caller, member, since=heard.ends - 0.1)
    await caller.hangup()
    record = await record_of(store, "79165550503", since)
    assert [party["extension"] for party in record["answers"]][::2] == ["103", "102"]
    assert record["answered_by"]["uniqueid"] == record["answers"][-1]["uniqueid"], (
        "who stayed, not who ran away"
    )
    assert record["failover_reason"] == "agent_left"
    assert record["hung_up_by"] == "caller"
