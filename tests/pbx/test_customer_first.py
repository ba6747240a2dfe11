"""Callbacks that ring the customer first (``callback.mode = "customer_first"``), with real phones.

The agent is kept for him meanwhile, and hears who it is before the two are joined; who waits is never hung up on.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import correlate, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import due_callback, now, spoken
from tests.pbx.customers import AGENT, FIRST, agreed, asked, by_hand, ended, machines_greeting

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


def heard_whole(phone: Softphone, prompt: Path) -> bool:
    """Whether ``phone`` heard all of ``prompt`` in its call."""
    return bool(correlate(phone.heard_call().samples, load_wav(prompt)[0]).whole)


async def served_in_the_queue(expected: ExpectedPrompts, agent: Softphone, customer: Softphone) -> None:
    """The customer, who was not hung up on, is answered when the agent's phone rings again; then he hangs up."""
    assert customer.state is PhoneState.ESTABLISHED
    await agent.wait_for(PhoneState.INCOMING, 20)
    since = time.monotonic()
    await agent.answer()
    await Ear(customer).hears(expected.greeting("queue-answer", FIRST, AGENT), since=since)
    await asyncio.sleep(1)
    await customer.hangup()
    assert (agent.calls, customer.calls) == (2, 1)


async def test_agreed_and_talked(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """1: the agent hears who it is, and he alone; both hear who answers, then each other. Done, one attempt."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550901", began, FIRST)
    await asked(expected, customer, agent)
    assert customer.dialled_users == ["79165550901"]
    await customer.send_dtmf("1")
    await Ear(customer).hears(expected.fixed("connecting", FIRST))
    await agent.wait_for(PhoneState.INCOMING, 10)
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", FIRST), timeout=40)
    await agent.send_dtmf("1")
    since = time.monotonic() - 0.1
    greeting = expected.greeting("queue-answer", FIRST, AGENT)
    theirs = await Ear(customer).hears(greeting, since=since)
    same = await Ear(agent).hears(greeting, since=since)
    words = await spoken(phones, "Здравствуйте, ваш заказ привезут завтра утром")
    await asyncio.sleep(max(0.0, max(same.ends, theirs.ends) + 0.4 - time.monotonic()))
    await agent.speak(words)
    await Ear(customer).hears(words, since=theirs.ends - 0.1)
    reply = await spoken(phones, "Спасибо, завтра утром мне удобно")
    await customer.speak(reply)
    await Ear(agent).hears(reply, since=same.ends)
    whisper = expected.phrase("briefing.intro", FIRST)
    assert heard_whole(agent, whisper)
    assert not heard_whole(customer, whisper), "the whisper is the agent's alone"
    await customer.hangup()
    assert (await ended(store, callback, 40)).state == "answered"
    done = await store.callback(callback.id)
    assert done is not None
    assert (done.state, done.attempts) == (CallbackState.DONE, 1)
    assert (agent.calls, customer.calls) == (1, 1)


@by_hand
async def test_another_time(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """2, then 3 hours: the same promise for then, and no agent's phone has rung."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550902", began, FIRST)
    await asked(expected, customer, agent)
    await customer.send_dtmf("2")
    await Ear(customer).hears(expected.phrase("convenient.hours", FIRST))
    await customer.send_dtmf("3#")
    await Ear(customer).hears(expected.phrase("convenient.later", FIRST))
    attempt = await ended(store, callback)
    assert (attempt.state, attempt.detail) == ("later", "LATER3")
    later = await store.callback(callback.id)
    assert later is not None
    assert later.due_at is not None
    assert 175 < (later.due_at - now()).total_seconds() / 60 < 181
    assert agent.calls == 0


@by_hand
async def test_the_agent_does_not_pick_up(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The customer goes to the queue, where the next ring of the same phone is answered; nobody hung up on him."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550903", began, FIRST)
    await agreed(expected, customer, agent)
    await agent.hangup()
    await agent.wait_for(PhoneState.CLOSED, 5)
    await served_in_the_queue(expected, agent, customer)
    assert (await ended(store, callback)).state == "answered"


@pytest.mark.parametrize(
    ("number", "answer_mode", "result"),
    [
        ("79165550904", "reject", "busy"),
        pytest.param("79165550907", "manual", "no_answer", marks=by_hand),
    ],
)
async def test_not_reached(
    phones: Stage, store: SqlStore, number: str, answer_mode: str, result: str
) -> None:
    """The agent was never rung, and is given back to the line."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer(answer_mode=answer_mode)
    callback = await due_callback(store, number, began, FIRST)
    # Who does not answer is rung for 40 s.
    attempt = await ended(store, callback, 60 if result == "no_answer" else 30)
    assert attempt.state == result
    assert (agent.calls, customer.calls) == (0, 1)
    caller = await phones.caller("79165550911")
    await caller.dial("74950000043")
    await agent.wait_for(PhoneState.INCOMING, 30)


@by_hand
async def test_the_customer_hangs_up_while_the_agent_rings(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """The phone stops at once; he was rung, so it counts."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550905", began, FIRST)
    await agreed(expected, customer, agent)
    await customer.hangup()
    await agent.wait_for(PhoneState.CLOSED, 3)
    attempt = await ended(store, callback)
    assert (attempt.state, attempt.detail) == ("no_answer", "CUSTOMER_LEFT")


@by_hand
async def test_never_again(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """3: on the do-not-call list before he hears so."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550906", began, FIRST)
    await asked(expected, customer, agent)
    await customer.send_dtmf("3")
    await Ear(customer).hears(expected.phrase("convenient.refused", FIRST))
    assert await store.do_not_call(["+79165550906"])
    assert (await ended(store, callback)).state == "refused"
    assert agent.calls == 0


@by_hand
async def test_who_says_nothing_costs_no_agent_a_second(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """Three times no key: a farewell, and the callback is tried again later."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550908", began, FIRST)
    await asked(expected, customer, agent)
    await Ear(customer).hears(expected.phrase("convenient.silent", FIRST), timeout=90)
    attempt = await ended(store, callback)
    assert (attempt.state, attempt.detail) == ("no_answer", "UNCONFIRMED")
    assert agent.calls == 0


@by_hand
async def test_a_machine_costs_no_agent_a_second(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """It keeps the whole message, and no agent's phone has rung."""
    began, agent = now(), await phones.agent(AGENT)
    greeting, _ = await machines_greeting(phones, 0.6)
    machine = await phones.customer(answer_mode="auto", voice=greeting)
    callback = await due_callback(store, "79165550909", began, "first_listening")
    await machine.wait_for(PhoneState.ESTABLISHED, 20)
    await machine.wait_for(PhoneState.CLOSED, 60)
    assert heard_whole(machine, expected.greeting("machine", "first_listening", AGENT))
    attempt = await ended(store, callback)
    assert (attempt.state, attempt.detail) == ("machine", "MACHINE_WHOLE")
    assert agent.calls == 0


@by_hand
async def test_a_typed_number_is_asked_once(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """Who confirms that he wishes a call from us is not asked once more whether it suits him."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550910", began, FIRST, number_source="typed")
    await customer.wait_for(PhoneState.INCOMING, 15)
    await customer.answer()
    await Ear(customer).hears(expected.phrase("confirm.ask", FIRST))
    assert agent.calls == 0
    await customer.send_dtmf("1")
    await agent.wait_for(PhoneState.INCOMING, 10)
    assert not heard_whole(customer, expected.phrase("convenient.ask", FIRST))
    await customer.hangup()
    assert (await ended(store, callback)).detail == "CUSTOMER_LEFT"


@by_hand
async def test_the_agent_declines(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """2 in the briefing: the customer is not hung up on but waits in the queue for whoever takes him."""
    began, agent, customer = now(), await phones.agent(AGENT), await phones.customer()
    callback = await due_callback(store, "79165550912", began, FIRST)
    await agreed(expected, customer, agent)
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", FIRST), timeout=40)
    await agent.send_dtmf("2")
    await Ear(agent).hears(expected.phrase("briefing.declined", FIRST))
    await agent.wait_for(PhoneState.CLOSED, 10)
    await served_in_the_queue(expected, agent, customer)
    assert (await ended(store, callback)).state == "answered"
