"""What an agent can do with a caller on any phone: pickup, parking, three-way, transfer by keys."""

from __future__ import annotations

import asyncio
import time

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import now, record_of, spoken

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


async def heard_by(stage: Stage, speaker: Softphone, *listeners: Softphone) -> None:
    """What ``speaker`` says now is heard by all of them."""
    words = await spoken(stage, "Слушаю вас, чем могу помочь")
    began = time.monotonic()
    await speaker.speak(words)
    await asyncio.gather(*(Ear(listener).hears(words, since=began) for listener in listeners))
    await speaker.speak(None)


async def test_picked_up_parked_fetched_and_joined_by_a_third(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """101 rings, 102 answers with *8 and is named; parks with *7; 103 fetches with *71 and brings 101 in."""
    since = now()
    first, second, third = [await phones.agent(extension) for extension in ("101", "102", "103")]
    caller = await phones.caller("79165550161")
    await caller.dial("74950000001")
    await first.wait_for(PhoneState.INCOMING, 5)
    await second.dial("*8")
    await second.wait_for(PhoneState.ESTABLISHED, 5)
    await Ear(caller).hears(expected.greeting("direct", "sales", "102"))
    await heard_by(phones, second, caller)
    await second.send_dtmf("*7")
    digits = phones.pbx.paths.data / "sounds" / phones.settings.company.language / "digits"
    for digit in ("7", "1"):
        await Ear(second).hears(digits / f"{digit}.wav")
    await second.hangup()
    await third.dial("*71")
    await third.wait_for(PhoneState.ESTABLISHED, 5)
    await heard_by(phones, third, caller)
    await third.send_dtmf("*2")
    await asyncio.sleep(1.0)
    await third.send_dtmf("101")
    await first.wait_for(PhoneState.INCOMING, 10)
    await first.answer()
    await first.wait_for(PhoneState.ESTABLISHED, 5)
    await asyncio.sleep(0.5)
    await third.send_dtmf("*3")
    await asyncio.sleep(0.5)
    await heard_by(phones, caller, first, third)
    await heard_by(phones, first, caller, third)
    await third.hangup()
    await heard_by(phones, caller, first)
    await caller.hangup()
    record = await record_of(store, "79165550161", since)
    assert [party["extension"] for party in record["answers"]] == ["102", "103", "101"]
    assert record["answered_by"]["extension"] == "102"
    assert (record["rung"][0]["extension"], record["rung"][0]["ring_verdict"]) == ("101", "elsewhere")
    assert (record["disposition"], record["hung_up_by"]) == ("ANSWERED", "caller")


async def test_handed_to_a_colleague_who_is_not_there(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """101 transfers to 103, whose phone is off: the caller is not hung up on but goes to the queue."""
    since = now()
    agent = await phones.agent("101")
    caller = await phones.caller("79165550162", index=1)
    await caller.dial("74950000001")
    await agent.wait_for(PhoneState.INCOMING, 5)
    await agent.answer()
    await Ear(caller).hears(expected.greeting("direct", "sales", "101"))
    await agent.send_dtmf("##")
    await asyncio.sleep(1.0)
    sent = time.monotonic()
    await agent.send_dtmf("103")
    await Ear(caller).hears(expected.greeting("queue-join", "sales"), since=sent)
    await caller.hangup()
    record = await record_of(store, "79165550162", since)
    assert record["failover_reason"] == "not_reached"
    assert record["answered_by"]["extension"] == "101"
    (transfer,) = record["transfers"]
    assert (transfer["kind"], transfer["target"]) == ("blind", None)
    assert record["hung_up_by"] == "caller"
