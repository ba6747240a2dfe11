"""The agent answers around the deadline: the caller talks to him or is in the queue, and nobody sits in silence."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import pytest

from ami_bridge import secrets
from ami_bridge.adapters.ami import AmiLink
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.errands import ERRAND
from ami_bridge.core.ring_policy import FAILOVER_CONTEXT
from ami_bridge.demo.ear import Ear, NotHeard
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from tests.faults.listening import listen, seconds_of, talk
from tests.faults.plant import Plant
from tests.pbx.calls import eventually, now, record_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

# One British ring.
DEADLINE = 1.0
# When the answer is sent, against the deadline as the agent's phone sees it; ± 15 ms in steps of 2.7 ms.
OFFSETS = [(-15 + 30 * step / 11) / 1000 for step in range(12)]
DEPARTMENTS = (("quick", "101"), ("quick3", "103"), ("quick4", "104"))


async def answer_at_the_deadline(
    plant: Plant, expected: ExpectedPrompts, department: str, agent: Softphone, *, number: str, offset: float
) -> str:
    """One call; returns who got the caller: ``agent`` or ``queue``."""
    caller = await plant.caller(number, index=10 + int(number[-2:]))
    began = time.monotonic()
    await caller.dial(plant.settings.departments[department].dids[0])
    rung = (await agent.wait_for(PhoneState.INCOMING, 5)).monotonic
    await asyncio.sleep(rung + DEADLINE + offset - time.monotonic())
    await agent.answer()
    await caller.wait_for(PhoneState.ESTABLISHED, 5)
    direct = expected.greeting("direct", department, agent.name)
    join = expected.greeting("queue-join", department)
    await asyncio.sleep(max(seconds_of(direct), seconds_of(join)) + 0.8)
    try:
        heard = await Ear(caller).hears(direct, since=began, timeout=1.0)
        fate = "agent"
        await talk(plant, caller, agent, since=heard.ends - 0.1)
    except NotHeard:
        fate = "queue"
        await Ear(caller).hears(join, since=began, timeout=2.0)
        assert agent.state is not PhoneState.ESTABLISHED, "an agent sits in silence"
    assert caller.state is PhoneState.ESTABLISHED, "the caller was dropped"
    await caller.hangup()
    await caller.stop()
    if agent.state is not PhoneState.IDLE:
        await agent.wait_for(PhoneState.IDLE, 3)
    return fate


async def races_seen(store: SqlStore, since: datetime) -> int:
    """What the bridge says in its next heartbeat."""

    async def ask() -> int | None:
        beats = [beat for beat in await store.heartbeats() if beat.service == "bridge" and beat.at > since]
        return int(beats[0].detail["races"]) if beats else None

    return await eventually(ask, "a heartbeat of the bridge")


async def test_answered_at_the_deadline(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Twelve calls, four on each of three phones."""
    since = now()
    await phones.agent("102")
    before = await races_seen(store, since)

    async def one_phone(place: int) -> list[tuple[str, str]]:
        department, extension = DEPARTMENTS[place]
        agent = await phones.agent(extension)
        fates = []
        for offset in range(place, len(OFFSETS), len(DEPARTMENTS)):
            number = f"791655509{offset:02d}"
            fate = await answer_at_the_deadline(
                phones, expected, department, agent, number=number, offset=OFFSETS[offset]
            )
            fates.append((number, fate))
        return fates

    told = [fate for fates in await asyncio.gather(*map(one_phone, range(3))) for fate in fates]
    assert len(told) == len(OFFSETS)
    for number, fate in told:
        record = await record_of(store, number, since)
        assert record["hung_up_by"] == "caller", number
        assert bool(record["answered_by"]) == (fate == "agent"), number
        # Who hung up during the words before the queue has not joined it yet, but was moved.
        assert (record["failover_reason"] == "ring_deadline") == (fate == "queue"), number
    races = await races_seen(store, now()) - before
    won = [fate for _, fate in told].count("agent")
    print(f"to the agent {won}, to the queue {len(told) - won}, races {races}")
    assert 0 <= races <= won


# How long after the agent's answer the bridge's Redirect reaches Asterisk, in seconds: a bridge short of processor
# time, or just thawed, has not read yet that somebody answered.
LATE = (0.0, 0.02, 0.1, 0.3, 0.8, 1.5)


async def redirected_late(
    plant: Plant, link: AmiLink, expected: ExpectedPrompts, agent: Softphone, turn: int
) -> None:
    """The agent has answered, then the Redirect comes: they talk all the same."""
    department, late = DEPARTMENTS[turn % len(DEPARTMENTS)][0], LATE[turn]
    number = late_number(turn)
    caller = await plant.caller(number, index=30 + turn)
    await caller.dial(plant.settings.departments[department].dids[0])
    await agent.wait_for(PhoneState.INCOMING, 5)
    lines = (await link.core_show_channels()).items
    channel = next(line.headers["Channel"] for line in lines if line.headers["CallerIDNum"] == number)
    await agent.answer()
    answered = (await agent.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await asyncio.sleep(late)
    await link.redirect(str(channel), FAILOVER_CONTEXT, department)
    greeting = expected.greeting("direct", department, agent.name)
    heard = await listen(caller, greeting, since=answered, within=late + 1)
    await talk(plant, caller, agent, since=heard.ends - 0.1)
    await caller.hangup()
    await agent.wait_for(PhoneState.CLOSED, 3)


def late_number(turn: int) -> str:
    """The caller of this turn."""
    return f"7916555099{turn}"


async def test_a_redirect_that_comes_late(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Two calls on each of three phones."""
    since, settings = now(), phones.settings
    link = AmiLink(settings.node.name)
    await link.connect(
        str(settings.network.address),
        settings.network.ami_port,
        "fourthring-bridge",
        secrets.read_secret(settings, secrets.AMI_BRIDGE),
    )

    told: list[str] = []

    async def write_down() -> None:
        async for item in link.events():
            told.append(str(item))

    writing = asyncio.create_task(write_down())

    async def one_phone(place: int) -> None:
        agent = await phones.agent(DEPARTMENTS[place][1])
        for turn in range(place, len(LATE), len(DEPARTMENTS)):
            await redirected_late(phones, link, expected, agent, turn)

    try:
        await asyncio.gather(*map(one_phone, range(len(DEPARTMENTS))))
    finally:
        await link.close()
        writing.cancel()
    # The requests to the AGI have channels of their own, which nobody is told of.
    assert any("greeting" in item for item in told)
    assert not [item for item in told if ERRAND in item]
    for turn in range(len(LATE)):
        record = await record_of(store, late_number(turn), since)
        assert record["answered_by"]["extension"] == DEPARTMENTS[turn % len(DEPARTMENTS)][1]
        assert record["hung_up_by"] == "caller"
