"""Callbacks that ring the customer first, while AGI or dialer are away: he is put through, and rung once."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import Callback
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from tests.faults.listening import listen, talk
from tests.faults.plant import Plant
from tests.pbx.calls import due_callback, now
from tests.pbx.customers import AGENT, FIRST, agreed, asked, by_hand, ended

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


async def talked(
    phones: Plant, store: SqlStore, callback: Callback, agent: Softphone, customer: Softphone, *, since: float
) -> None:
    """They talk, the customer hangs up, and the attempt ends as answered. Each phone has had one call."""
    await talk(phones, customer, agent, since=since)
    await customer.hangup()
    await agent.wait_for(PhoneState.CLOSED, 10)
    assert (await ended(store, callback, 40)).state == "answered"
    await asyncio.sleep(2.5)  # two more rounds of the dialer
    assert (agent.calls, customer.calls) == (1, 1)


@by_hand
async def test_nobody_can_ask(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The AGI goes while the customer is asked: he is put through, and the agent is not briefed."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    await phones.dialer.start()
    callback = await due_callback(store, "79165550841", began, FIRST)
    await asked(expected, customer, agent)
    await phones.agi.stop()
    await customer.send_dtmf("2")
    await agent.wait_for(PhoneState.INCOMING, 15)
    await agent.answer()
    answered = time.monotonic()
    heard = await listen(customer, expected.fixed("greeting", FIRST), since=answered)
    await talked(phones, store, callback, agent, customer, since=heard.ends)


@by_hand
async def test_the_dialer_is_killed(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """kill -9 while the agent's phone rings: the call goes on without it, and what became of it is found out."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    await phones.dialer.start()
    callback = await due_callback(store, "79165550842", began, FIRST)
    await agreed(expected, customer, agent)
    phones.dialer.signal(signal.SIGKILL)
    await phones.dialer.wait_ready(now())
    await agent.answer()
    answered = time.monotonic()
    await listen(agent, expected.phrase("briefing.choose", FIRST), since=answered, limit=30)
    await agent.send_dtmf("1")
    heard = await listen(
        customer, expected.greeting("queue-answer", FIRST, AGENT), since=time.monotonic() - 0.1
    )
    await talked(phones, store, callback, agent, customer, since=heard.ends)
