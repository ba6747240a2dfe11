"""The main job: answered by the 4th ring, or the queue answers. Real Asterisk, real phones, real time."""

from __future__ import annotations

import asyncio
import time

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import correlate, load_wav, ring_tones, silence_gaps
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import leg_of, now, record_of, spoken

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

# Ring clock against the caller's phone, seconds: the acceptance of the product.
TOLERANCE = 0.3


async def let_it_ring(
    stage: Stage, store: SqlStore, expected: ExpectedPrompts, department: str, *, index: int
) -> None:
    """Call ``department`` directly; nobody answers. Exactly four tones, then the queue with its greeting."""
    settings = stage.settings
    ring = settings.ring_of(department)
    extension = settings.departments[department].direct[0]
    number = f"7916555010{index}"
    since = now()
    agent = await stage.agent(extension)
    caller = await stage.caller(number, index=index)
    await caller.dial(settings.departments[department].dids[0])
    rung = (await agent.wait_for(PhoneState.INCOMING, 5)).monotonic
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 25)).monotonic
    due = ring.cadence.deadline_seconds(4)
    assert answered - rung == pytest.approx(due, abs=TOLERANCE)
    # The caller's own view: from the first provisional answer that promised a ringing phone.
    promised = next(event for event in caller.events if event.state is PhoneState.RINGING)
    assert answered - promised.monotonic == pytest.approx(due, abs=TOLERANCE)
    await Ear(caller).hears(expected.greeting("queue-join", department), since=answered)
    heard = caller.heard_call()
    before = heard.samples[: int((answered - heard.started) * heard.rate)]
    bursts = {"uk": 8}.get(ring.zone, 4)  # a British ring is two bursts
    assert len(ring_tones(before, ring.zone, shortest_seconds=0.3)) == bursts
    await Ear(caller).hears(expected.fixed("busy", department), since=answered)
    await asyncio.sleep(1.0)  # in the queue
    await caller.hangup()
    record = await record_of(store, number, since)
    assert record["failover_reason"] == "ring_deadline"
    assert leg_of(record, extension)["ring_verdict"] == "missed"
    assert record["answered_by"] is None
    assert record["department"] == department
    assert record["hung_up_by"] == "caller"
    assert record["queue"]["name"] == department
    assert 0.5 < record["queue"]["wait_seconds"] < 3.0


async def test_four_rings_of_each_cadence_then_the_queue(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """ru 16.0 s, us 20.0 s, uk 10.0 s, at the same time on three departments."""
    cases = [("sales", 0), ("america", 1), ("britain", 2)]
    await asyncio.gather(*(let_it_ring(phones, store, expected, name, index=index) for name, index in cases))


async def test_answered_on_ring_three(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The whole greeting with the agent's name, and nothing of the agent's first words lost."""
    since = now()
    agent = await phones.agent("101")
    caller = await phones.caller("79165550110")
    await caller.dial("74950000001")
    rung = (await agent.wait_for(PhoneState.INCOMING, 5)).monotonic
    await asyncio.sleep(rung + 11.0 - time.monotonic())
    await agent.answer()
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    greeting = expected.greeting("direct", "sales", "101")
    heard = await Ear(caller).hears(greeting, since=answered)
    assert heard.starts - answered < 1.0, "silence between answer and greeting"
    # The agent hears the same at the same time, so he knows when to speak; he does so at once.
    same = await Ear(agent).hears(greeting)
    assert abs(same.starts - heard.starts) < 0.25
    words = await spoken(phones, "Слушаю вас, чем могу помочь")
    await agent.speak(words)
    await Ear(caller).hears(words, since=heard.ends - 0.1)
    reply = await spoken(phones, "Здравствуйте, хочу сделать заказ")
    await caller.speak(reply)
    await Ear(agent).hears(reply, since=heard.ends)
    await agent.hangup()
    record = await record_of(store, "79165550110", since)
    assert record["answered_on_ring"] == 3
    assert record["ring_verdict"] == "ideal"
    assert record["answered_by"]["extension"] == "101"
    assert record["disposition"] == "ANSWERED"
    assert record["hung_up_by"] == "agent"
    assert any(greeting["kind"] == "direct" for greeting in record["greetings"])


async def test_first_words_right_after_the_greeting_are_whole(
    phones: Stage, expected: ExpectedPrompts
) -> None:
    """The agent speaks in the very instant in which the greeting ends; the caller hears the first syllable."""
    agent = await phones.agent("101")
    caller = await phones.caller("79165550111")
    await caller.dial("74950000005")
    await agent.wait_for(PhoneState.INCOMING, 5)
    await agent.answer()
    greeting = expected.greeting("direct", "quick", "101")
    length = len(load_wav(greeting)[0]) / 8000
    words = await spoken(phones, "Слушаю вас, чем могу помочь")
    answered = (await agent.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    # From the agent's own ear: the greeting's first sample is his first sample.
    await asyncio.sleep(max(0.0, answered + length + 0.15 - time.monotonic()))
    await agent.speak(words)
    await Ear(caller).hears(words)


async def test_member_of_the_queue_is_named(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """102 answers from the queue: greeting with that agent's name, then they hear each other."""
    since = now()
    member = await phones.agent("102")
    caller = await phones.caller("79165550120")
    await caller.dial("74950000002")
    await caller.wait_for(PhoneState.ESTABLISHED, 5)
    await member.wait_for(PhoneState.INCOMING, 30)
    await member.answer()
    answered = (await member.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    greeting = expected.greeting("queue-answer", "support", "102")
    heard = await Ear(caller).hears(greeting, since=answered)
    assert heard.starts - answered < 1.0
    await Ear(member).hears(greeting, since=answered)
    words = await spoken(phones, "Слушаю вас, чем могу помочь")
    await member.speak(words)
    await Ear(caller).hears(words, since=heard.ends - 0.1)
    reply = await spoken(phones, "Здравствуйте, хочу сделать заказ")
    await caller.speak(reply)
    await Ear(member).hears(reply, since=heard.ends)
    await caller.hangup()
    record = await record_of(store, "79165550120", since)
    assert record["answered_by"]["extension"] == "102"
    assert record["disposition"] == "ANSWERED"
    assert record["queue"]["name"] == "support"
    assert record["queue"]["wait_seconds"] > 0
    assert record["hung_up_by"] == "caller"


async def test_absent_phone_fails_over_at_once(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """101 is not registered: the queue answers within a second and the caller is not left in silence."""
    since = now()
    caller = await phones.caller("79165550130")
    began = time.monotonic()
    await caller.dial("74950000001")
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    assert answered - began < 1.0
    heard = await Ear(caller).hears(expected.greeting("closed", "sales"), since=began)
    assert heard.starts - answered < 1.0
    await Ear(caller).hears(expected.phrase("capture.permission", "sales"), since=began)
    sound = caller.heard_call()
    first = sound.samples[: int(8.0 * sound.rate)]
    assert all(gap.seconds <= 1.0 for gap in silence_gaps(first, shortest_seconds=1.01))
    await caller.hangup()
    record = await record_of(store, "79165550130", since)
    assert record["failover_reason"] == "no_leg"


async def test_a_prompt_that_was_not_played_is_not_heard(phones: Stage, expected: ExpectedPrompts) -> None:
    """The ear can say no: the greeting of another department does not pass for the one that was played."""
    caller = await phones.caller("79165550140")
    await caller.dial("74950000001")
    await Ear(caller).hears(expected.greeting("closed", "sales"))
    other, _ = load_wav(expected.greeting("closed", "support"))
    assert not correlate(caller.heard_call().samples, other).whole
