"""Who answers a callback: a machine, somebody who was never asked, the customer. With real phones.

Each is a call of half a minute, so the ordinary run plays one of them; ``FOURTHRING_STORIES=all`` plays all.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import Callback, CallbackState
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import correlate, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import callback_of, due_callback, now, spoken
from tests.pbx.customers import by_hand, ended, machines_greeting

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

# The department of tests/pbx/conftest.py that listens for machines.
LISTENING = "listening"


async def accepted(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts, callback: Callback, customer: Softphone
) -> Softphone:
    """The agent's phone, once he has accepted and the customer's rings."""
    agent = await phones.agent("102")
    await agent.wait_for(PhoneState.INCOMING, 15)
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", callback.department), timeout=40)
    await agent.send_dtmf("1")
    await customer.wait_for(PhoneState.INCOMING, 10)
    return agent


@pytest.mark.parametrize(
    ("number", "quiet_before_tone"), [pytest.param("79165550301", 0.6, marks=by_hand), ("79165550302", 3.5)]
)
async def test_a_machine_keeps_the_whole_message(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts, number: str, quiet_before_tone: float
) -> None:
    """What it records holds every slice of the message after its tone, even of a tone that came late."""
    began = now()
    greeting, seconds = await machines_greeting(phones, quiet_before_tone)
    machine = await phones.customer(answer_mode="auto", voice=greeting)
    callback = await due_callback(store, number, began, LISTENING)
    agent = await accepted(phones, store, expected, callback, machine)
    await machine.wait_for(PhoneState.ESTABLISHED, 10)
    await Ear(agent).hears(expected.fixed("customer-machine", LISTENING))
    await agent.wait_for(PhoneState.CLOSED, 5)
    assert machine.state is PhoneState.ESTABLISHED, "the agent is freed before the message is left"
    message = expected.greeting("machine", LISTENING, "102")
    await machine.wait_for(PhoneState.CLOSED, 60)
    said, heard = machine.said_call(), machine.heard_call()
    found = correlate(heard.samples, load_wav(message)[0])
    assert found.whole, found
    # Both directions on the phone's own time line: its tone against our first word.
    tone = correlate(said.samples, load_wav(greeting)[0])
    tone_ends = said.started + tone.start_seconds + seconds
    assert heard.started + found.start_seconds > tone_ends
    attempt = await ended(store, callback, 15)
    assert (attempt.state, attempt.detail) == ("machine", "MACHINE_WHOLE")
    again = await callback_of(store, number, {CallbackState.QUEUED}, began)
    assert again.due_at is not None
    assert (again.due_at - now()).total_seconds() > 60 * phones.settings.callback.retry.machine[0] - 30


@by_hand
async def test_a_machine_that_hangs_up_has_half_a_message(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """Stored as cut."""
    began = now()
    greeting, seconds = await machines_greeting(phones, 0.6)
    machine = await phones.customer(answer_mode="auto", voice=greeting)
    callback = await due_callback(store, "79165550303", began, LISTENING)
    await accepted(phones, store, expected, callback, machine)
    await machine.wait_for(PhoneState.ESTABLISHED, 10)
    await asyncio.sleep(seconds + 4.0)
    await machine.hangup()
    attempt = await ended(store, callback, 15)
    assert (attempt.state, attempt.detail) == ("machine", "MACHINE_CUT")


@by_hand
async def test_a_person_is_put_through(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Who says hello is no machine: greeting, then both hear each other."""
    began = now()
    hello = await spoken(phones, "Алло, слушаю")
    customer = await phones.customer(voice=hello)
    callback = await due_callback(store, "79165550304", began, LISTENING)
    agent = await accepted(phones, store, expected, callback, customer)
    await customer.answer()
    await talk(phones, expected, agent, customer, LISTENING)
    await customer.hangup()
    assert (await ended(store, callback, 40)).state == "answered"


async def talk(
    phones: Stage, expected: ExpectedPrompts, agent: Softphone, customer: Softphone, department: str
) -> None:
    """Both hear the greeting, then each other."""
    since = time.monotonic() - 0.1
    text = expected.greeting("callback", department, "102")
    greeting = await Ear(customer).hears(text, since=since)
    same = await Ear(agent).hears(text, since=since)
    words = await spoken(phones, "Здравствуйте, ваш заказ привезут завтра утром")
    await asyncio.sleep(max(0.0, max(same.ends, greeting.ends) + 0.3 - time.monotonic()))
    await agent.speak(words)
    await Ear(customer).hears(words, since=greeting.ends - 0.1)
    reply = await spoken(phones, "Спасибо, завтра утром мне удобно")
    await customer.speak(reply)
    await Ear(agent).hears(reply, since=greeting.ends)


@by_hand
async def test_key_one_puts_through(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """A number that somebody else typed: whoever answers is asked first, and the agent hears nothing of it."""
    began = now()
    customer = await phones.customer()
    callback = await due_callback(store, "79165550305", began, "quick", number_source="typed")
    agent = await accepted(phones, store, expected, callback, customer)
    await customer.answer()
    await Ear(customer).hears(expected.phrase("confirm.ask", "quick"))
    await customer.send_dtmf("1")
    await talk(phones, expected, agent, customer, "quick")
    await customer.hangup()
    assert (await ended(store, callback, 40)).state == "answered"


@by_hand
async def test_key_two_is_never_again(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The number is on the do-not-call list; the agent is told and freed."""
    began = now()
    customer = await phones.customer()
    callback = await due_callback(store, "79165550316", began, "quick", number_source="typed")
    agent = await accepted(phones, store, expected, callback, customer)
    await customer.answer()
    await Ear(customer).hears(expected.phrase("confirm.ask", "quick"))
    await customer.send_dtmf("2")
    await Ear(customer).hears(expected.phrase("confirm.refused", "quick"))
    assert await store.do_not_call(["+79165550316"]), "on the list before he hears so"
    await Ear(agent).hears(expected.fixed("customer-refused", "quick"))
    attempt = await ended(store, callback, 15)
    assert attempt.state == "refused"
    stored = await store.callback(callback.id)
    assert stored is not None
    assert stored.state in {CallbackState.CANCELLED, CallbackState.DONE}


@by_hand
async def test_silence_is_no_confirmation(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Nobody is put on; it counts as an attempt in which nobody was reached."""
    began = now()
    customer = await phones.customer(answer_mode="auto")
    callback = await due_callback(store, "79165550307", began, "quick", number_source="typed")
    agent = await accepted(phones, store, expected, callback, customer)
    await Ear(customer).hears(expected.phrase("confirm.silent", "quick"), timeout=60)
    await Ear(agent).hears(expected.fixed("customer-not-reached", "quick"))
    attempt = await ended(store, callback, 15)
    assert (attempt.state, attempt.detail) == ("no_answer", "UNCONFIRMED")


@by_hand
async def test_a_long_talk_ends_politely(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Both are warned half-way through twelve seconds, and hear a farewell before the customer's phone is let go."""
    began = now()
    customer = await phones.customer()
    callback = await due_callback(store, "79165550308", began, "brief")
    agent = await accepted(phones, store, expected, callback, customer)
    await customer.answer()
    since = time.monotonic() - 0.1
    greeting = await Ear(customer).hears(expected.greeting("callback", "brief", "102"), since=since)
    warned = await Ear(customer).hears(expected.fixed("talk-ends-soon", "brief"), since=greeting.ends)
    assert 5.0 < warned.starts - greeting.ends < 8.0
    await Ear(agent).hears(expected.fixed("talk-ends-soon", "brief"), since=greeting.ends)
    farewell = await Ear(customer).hears(expected.fixed("talk-ends", "brief"), since=warned.ends)
    assert 11.0 < farewell.starts - greeting.ends < 14.0
    await customer.wait_for(PhoneState.CLOSED, 10)
    assert (await ended(store, callback, 40)).state == "answered"
