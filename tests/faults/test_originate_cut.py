"""The dialer's AMI link is cut between Originate and its answer: the customer is dialled exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ami_bridge import secrets
from ami_bridge.adapters.ami import AmiLink, LinkState
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.dialer.dialer import Dialer
from ami_bridge.render import cel_file
from tests.faults.listening import listen, talk
from tests.faults.plant import Plant
from tests.faults.proxy import CuttingProxy
from tests.pbx.calls import callback_of, due_callback, now
from tests.pbx.customers import by_hand

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def dialler_behind(plant: Plant, store: SqlStore, orders: list[str]) -> AsyncIterator[CuttingProxy]:
    """The dialer of this process, on a link that goes through a proxy which obeys ``orders``."""
    settings = plant.settings
    async with CuttingProxy((str(settings.network.address), settings.network.ami_port), "Originate") as proxy:
        proxy.orders = orders
        link = AmiLink(settings.node.name, wanted=READ_EVENTS)
        secret = secrets.read_secret(settings, secrets.AMI_DIALER)
        await link.connect("127.0.0.1", proxy.port, "fourthring-dialer", secret, timeout_seconds=10)
        dialer = Dialer(settings, link, store, SystemClock(), cel_file(settings))
        running = asyncio.create_task(dialer.run())
        try:
            yield proxy
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await link.close()
            assert link.state is LinkState.CLOSED


async def first_rung(agents: list[Softphone]) -> Softphone:
    """The agent whose phone rings first."""
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline:
        for agent in agents:
            if agent.state is PhoneState.INCOMING:
                return agent
        await asyncio.sleep(0.05)
    raise AssertionError("no agent was rung")


async def accepts(
    plant: Plant, expected: ExpectedPrompts, agents: list[Softphone], customer: Softphone
) -> None:
    """An agent is briefed and presses 1, the customer answers, they talk, the customer hangs up."""
    agent = await first_rung(agents)
    await agent.answer()
    answered = (await agent.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await listen(agent, expected.phrase("briefing.choose", "back"), since=answered, limit=30)
    await agent.send_dtmf("1")
    await customer.wait_for(PhoneState.INCOMING, 10)
    await customer.answer()
    picked_up = (await customer.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    greeting = expected.greeting("callback", "back", agent.name)
    heard = await listen(customer, greeting, since=picked_up, within=1.5)
    await talk(plant, customer, agent, since=heard.ends - 0.1)
    await customer.hangup()


async def test_lost_then_unanswered(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The first Originate never arrives, the second arrives but its answer does not: one call in all."""
    since = now()
    agents, customer = [await phones.agent("102"), await phones.agent("104")], await phones.customer()
    callback = await due_callback(store, "79165550801", since, "back")
    async with dialler_behind(phones, store, ["lose", "deafen"]) as proxy:
        await accepts(phones, expected, agents, customer)
        done = await callback_of(store, "79165550801", {CallbackState.DONE}, since, seconds=20)
        await asyncio.sleep(2.5)  # two more rounds of the dialer
        assert (proxy.seen, proxy.passed) == (2, 1)
    attempts = await store.attempts(callback.id)
    assert [attempt.state for attempt in attempts] == ["not_dialled", "answered"]
    assert done.attempts == 1, "who was never rung was not tried"
    assert (sum(agent.calls for agent in agents), customer.calls) == (1, 1)
    assert customer.dialled_users == ["79165550801"]


@by_hand
async def test_deaf_until_the_talk_is_over(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The link stays down for the whole attempt: what became of it is found in the channel event log."""
    since = now()
    agents, customer = [await phones.agent("102"), await phones.agent("104")], await phones.customer()
    callback = await due_callback(store, "79165550802", since, "back")
    async with dialler_behind(phones, store, ["deafen"]) as proxy:
        await asyncio.wait_for(proxy.met.wait(), 20)
        proxy.closed = True
        await accepts(phones, expected, agents, customer)
        await customer.wait_for(PhoneState.CLOSED, 5)
        proxy.closed = False
        reopened = time.monotonic()
        done = await callback_of(store, "79165550802", {CallbackState.DONE}, since, seconds=40)
        assert time.monotonic() - reopened < 40
        await asyncio.sleep(2.5)
        assert (proxy.seen, proxy.passed) == (1, 1)
    assert done.attempts == 1
    (attempt,) = await store.attempts(callback.id)
    assert attempt.state == "answered"
    assert "customer_answered" in attempt.detail
    assert (sum(agent.calls for agent in agents), customer.calls) == (1, 1)
