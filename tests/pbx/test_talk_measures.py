"""Who spoke how long (S14): talk detection of a real call against the speech that was really said."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import load_wav, silence_gaps
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import now, record_of, spoken

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

# Each turn's ends: a packet of 20 ms, the soft beginning and ending of words, and a loaded machine.
PER_TURN_SECONDS = 0.25
AGENT_WORDS = "Меня зовут Анна, я расскажу вам о нашем предложении на этой неделе"
CALLER_WORDS = "Здравствуйте, хочу сделать заказ"


def speech_of(sound: Path) -> float:
    """How long a WAV speaks: without silence at its ends and without pauses that split a turn."""
    samples, rate = load_wav(sound)
    length = len(samples) / rate
    gaps = silence_gaps(samples, shortest_seconds=0.02)
    ends = [gap for gap in gaps if gap.start < 0.03 or gap.end > length - 0.03]
    pauses = [gap for gap in gaps if gap not in ends and gap.seconds >= 0.4]
    return length - sum(gap.seconds for gap in ends + pauses)


async def say(phone: Softphone, words: Path) -> None:
    """Say all of it, and be silent long enough for everybody to notice."""
    length = await phone.speak(words)
    await asyncio.sleep(length + 0.9)


async def test_talk_of_both_sides(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Agent, caller, both at once, and the caller alone while he is on hold."""
    agent_says, caller_says = await spoken(phones, AGENT_WORDS), await spoken(phones, CALLER_WORDS)
    long, short = speech_of(agent_says), speech_of(caller_says)
    assert long > short + 1.0 > 2.0, "the words must differ in length, or the test could mix up the sides"
    since = now()
    agent = await phones.agent("101")
    caller = await phones.caller("79165550151")
    await caller.dial("74950000001")
    await agent.wait_for(PhoneState.INCOMING, 5)
    await agent.answer()
    greeting = await Ear(caller).hears(expected.greeting("direct", "sales", "101"))
    await say(agent, agent_says)
    first_turn = time.monotonic() - greeting.ends
    await say(caller, caller_says)
    await agent.hold()
    await asyncio.sleep(0.5)
    await say(caller, caller_says)
    await agent.hold(on=False)
    await asyncio.sleep(0.5)
    await asyncio.gather(say(agent, agent_says), say(caller, caller_says))
    await caller.hangup()
    record = await record_of(store, "79165550151", since)
    talk = record["talk"]
    assert talk["agent_seconds"] == pytest.approx(2 * long, abs=2 * PER_TURN_SECONDS)
    assert talk["caller_seconds"] == pytest.approx(2 * short, abs=2 * PER_TURN_SECONDS)
    assert talk["agent_share"] == pytest.approx(long / (long + short), abs=0.08)
    assert talk["overtalk_seconds"] == pytest.approx(short, abs=2 * PER_TURN_SECONDS)
    assert talk["agent_longest_seconds"] == pytest.approx(long, abs=PER_TURN_SECONDS)
    assert talk["caller_longest_seconds"] == pytest.approx(short, abs=PER_TURN_SECONDS)
    assert talk["caller_first_turn_seconds"] == pytest.approx(first_turn, abs=0.4)
    assert len(record["holds"]) == 1
