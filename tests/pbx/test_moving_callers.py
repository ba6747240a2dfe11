"""A supervisor moves who waits: to another department, to the front. The caller hears no gap and is answered there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from agi.voice.prompts import music_folder
from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.ear import HeardPrompt
from ami_bridge.demo.hearing import correlate, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.faults.listening import beginning, listen, talk
from tests.pbx.calls import eventually, now, record_of
from tests.pbx.customers import by_hand
from tests.pbx.desk_program import Desk, desks_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def boss(phones: Stage, store: SqlStore) -> AsyncIterator[Desk]:
    """A supervisor, who needs no phone for this."""
    async with desks_of(phones, store, "supervisor", ("104",)) as desks:
        yield desks["104"]


async def hears_the_music(stage: Stage, caller: Softphone, since: float, limit: float = 30.0) -> HeardPrompt:
    """Its first two seconds, from the beginning: it is played anew to each who joins."""
    music = beginning(stage, music_folder(stage.settings) / "waiting.wav", 2.0)
    return await listen(caller, music, since=since, limit=limit)


def hears_no_gap(stage: Stage, caller: Softphone, since: float, seconds: float) -> None:
    """What was heard from ``since`` on is one unbroken piece of the music, which begins anew when it has ended."""
    heard = caller.heard_call()
    first = int((since - heard.started) * heard.rate)
    piece = heard.samples[first : first + int(seconds * heard.rate)]
    music, _ = load_wav(music_folder(stage.settings) / "waiting.wav")
    match = correlate(np.concatenate([music, music]), piece, rate=heard.rate)
    assert match.whole, f"the music was broken off: {match}"


async def waits(stage: Stage, expected: ExpectedPrompts, caller: Softphone, department: str) -> None:
    """The caller dials ``department``, hears its words, then its music."""
    (did, *_) = stage.settings.departments[department].dids
    await caller.dial(did)
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 20)).monotonic
    busy = await listen(caller, expected.fixed("busy", department), since=answered, limit=40)
    await hears_the_music(stage, caller, busy.ends - 0.1)


async def answers_for(
    stage: Stage, expected: ExpectedPrompts, agent: Softphone, caller: Softphone, department: str
) -> None:
    """The phone of ``agent`` rings for ``caller``: greeted with the agent's name, then they hear each other."""
    await agent.answer()
    picked_up = time.monotonic()
    greeting = expected.greeting("queue-answer", department, agent.name)
    heard = await listen(caller, greeting, since=picked_up - 0.1)
    await talk(stage, caller, agent, since=heard.ends - 0.1)


async def rings_anew(agent: Softphone, since: int) -> None:
    """A ring that began after its ``since`` calls."""

    async def ask() -> bool | None:
        return (agent.calls > since and agent.state is PhoneState.INCOMING) or None

    await eventually(ask, f"{agent.name} rings for the next", 45)


async def moved_to_another_department(
    stage: Stage, store: SqlStore, expected: ExpectedPrompts, boss: Desk
) -> None:
    """103 does not pick up; the caller is sent to the department of 102, hears its words and is answered there."""
    since, number = now(), "79165550861"
    agent, caller = await asyncio.gather(stage.agent("102"), stage.caller(number, index=0))
    absent = await stage.agent("103", answer_mode="never")
    await waits(stage, expected, caller, "bilingual")
    calls = caller.calls
    call_id = await boss.live_call(number, "ringing")  # the phone of 103, which he does not hear
    pressed = time.monotonic()
    await boss.done(f"/calls/{call_id}/move", department="quick")
    joins = await listen(caller, expected.greeting("queue-join", "quick"), since=pressed, within=2.0)
    busy = await listen(caller, expected.fixed("busy", "quick"), since=joins.ends - 0.1, within=1.0)
    await hears_the_music(stage, caller, busy.ends - 0.1)
    await absent.wait_for(PhoneState.CLOSED, 5)
    await agent.wait_for(PhoneState.INCOMING, 10)
    await answers_for(stage, expected, agent, caller, "quick")
    assert caller.calls == calls, "one call from beginning to end"
    await caller.hangup()
    await agent.wait_for(PhoneState.CLOSED, 5)
    record = await record_of(store, number, since)
    assert (record["disposition"], record["hung_up_by"]) == ("ANSWERED", "caller"), record["hung_up_evidence"]
    assert record["department"] == "quick"
    assert [(stay["name"], stay["left_reason"]) for stay in record["queues"]] == [
        ("bilingual", "moved"),
        ("quick", "answered"),
    ]
    assert [party["endpoint"] for party in record["answers"]] == ["102"]
    assert [note["fields"]["Department"] for note in record["notes"] if note["name"] == "moved"] == ["quick"]
    (entry,) = await store.audits(subject=call_id, limit=10)
    assert (entry.action, entry.detail["to"]) == ("call.move", "quick")


async def moved_to_the_front(stage: Stage, store: SqlStore, expected: ExpectedPrompts, boss: Desk) -> None:
    """The second of two goes on hearing the music, and gets the agent before the first."""
    since = now()
    agent, first, second = await asyncio.gather(
        stage.agent("102"), stage.caller("79165550862", index=1), stage.caller("79165550863", index=2)
    )
    await waits(stage, expected, first, "quick")
    await agent.wait_for(PhoneState.INCOMING, 10)
    await waits(stage, expected, second, "quick")
    call_id = await boss.live_call("79165550863", "waiting")
    calls = agent.calls
    pressed = time.monotonic()
    await boss.done(f"/calls/{call_id}/move")
    await rings_anew(agent, calls)
    hears_no_gap(stage, second, pressed - 1.0, 3.0)
    await answers_for(stage, expected, agent, second, "quick")
    await second.hangup()
    await agent.wait_for(PhoneState.CLOSED, 5)
    calls = agent.calls
    await rings_anew(agent, calls)
    await answers_for(stage, expected, agent, first, "quick")
    await first.hangup()
    for number in ("79165550863", "79165550862"):
        record = await record_of(store, number, since)
        assert (record["disposition"], record["hung_up_by"]) == ("ANSWERED", "caller")
        assert [stay["left_reason"] for stay in record["queues"]] == ["answered"]
    (entry,) = await store.audits(subject=call_id, limit=10)
    assert (entry.action, entry.detail["to"]) == ("call.move", "front")


@by_hand
async def test_to_another_department(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts, boss: Desk
) -> None:
    await moved_to_another_department(phones, store, expected, boss)


@by_hand
async def test_to_the_front(phones: Stage, store: SqlStore, expected: ExpectedPrompts, boss: Desk) -> None:
    await moved_to_the_front(phones, store, expected, boss)
