"""A callback from the caller's key to the kept promise, with real phones."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackEvent, CallbackState
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import correlate, find_all, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import callback_of, due_callback, eventually, now, record_of, spoken
from tests.pbx.customers import by_hand

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

OPEN = {CallbackState.QUEUED, CallbackState.CLAIMED, CallbackState.DIALING}
# A department whose queue has one member, whose phone is not there: callbacks taken here are not dialled by themselves.
QUIET_DID, QUIET = "74950000004", "britain"


class Guest:
    """A caller in the capture conversation of a department, with the ear that follows it."""

    def __init__(self, stage: Stage, phone: Softphone, expected: ExpectedPrompts, department: str) -> None:
        self._stage, self._expected, self._department = stage, expected, department
        self.phone = phone
        self.since = time.monotonic()

    async def hears(self, phrase: str, limit: float = 40) -> None:
        heard = await Ear(self.phone).hears(
            self._expected.phrase(phrase, self._department), since=self.since, timeout=limit
        )
        self.since = heard.ends - 0.5

    async def presses_after(self, phrase: str, keys: str) -> None:
        await self.hears(phrase)
        await self.phone.send_dtmf(keys)

    async def says_after(self, phrase: str, speech: Path, *, end: str = "#") -> None:
        await self.hears(phrase)
        await asyncio.sleep(0.8)  # the tone
        seconds = await self.phone.speak(speech)
        await asyncio.sleep(seconds + 0.4)
        await self.phone.send_dtmf(end)


async def recorded(stored: str | None, said: Path) -> None:
    """The stored recording can be played and holds what was said."""
    assert stored is not None
    heard, rate = load_wav(Path(stored).with_suffix(".wav"))
    assert rate == 8000
    assert correlate(heard, load_wav(said)[0]).whole


async def guest(stage: Stage, expected: ExpectedPrompts, number: str, index: int = 0) -> Guest:
    """A caller who has been told that nobody is there and is now asked for permission."""
    phone = await stage.caller(number, index=index)
    await phone.dial(QUIET_DID)
    await phone.wait_for(PhoneState.ESTABLISHED, 5)
    return Guest(stage, phone, expected, QUIET)


async def as_read_back(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The whole conversation; both recordings stored and playable, consent as evidence, accepted only when stored."""
    began = now()
    caller = await guest(phones, expected, "79165550201")
    name = await spoken(phones, "John Peter Smith", "en")
    subject = await spoken(phones, "I would like to know when my order arrives", "en")
    await caller.presses_after("capture.permission", "1")
    await caller.presses_after("capture.number_confirm", "1")
    await caller.says_after("capture.name", name)
    await caller.says_after("capture.subject", subject)
    await caller.presses_after("capture.suits", "1")
    await caller.presses_after("capture.summary_confirm", "1")
    await caller.hears("capture.accepted")
    stored = await callback_of(store, "79165550201", OPEN, began, seconds=1)
    assert stored.number == "+79165550201"
    assert stored.number_confirmed
    assert stored.consent is not None
    assert stored.consent.key == "1"
    assert stored.consent.number == "+79165550201"
    await recorded(stored.name_recording, name)
    await recorded(stored.subject_recording, subject)
    await asyncio.sleep(1.5)
    assert caller.phone.state is PhoneState.ESTABLISHED, "whoever called hangs up first (S12)"
    await caller.phone.hangup()
    record = await record_of(store, "79165550201", began)
    assert record["hung_up_by"] == "caller"


async def another_number_is_typed(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """A number of a wrong length is refused kindly, the right one is read back; wrong keys are forgiven."""
    began = now()
    caller = await guest(phones, expected, "79165550202", 1)
    await caller.presses_after("capture.permission", "7")
    await caller.hears("capture.wrong_key")
    await caller.presses_after("capture.permission", "1")
    await caller.presses_after("capture.number_confirm", "2")
    await caller.presses_after("capture.number_type", "12345#")
    await caller.hears("capture.number_incomplete")
    await caller.presses_after("capture.number_type", "84951234567#")
    await caller.presses_after("capture.number_confirm", "1")
    await caller.hears("capture.name")
    stored = await callback_of(store, "79165550202", {CallbackState.CAPTURING}, began, seconds=2)
    assert stored.number == "+74951234567"
    assert stored.number_source == "typed"
    assert stored.number_confirmed
    await caller.phone.hangup()


async def hanging_up_after_the_name(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """A partial callback: number, consent and name."""
    began = now()
    caller = await guest(phones, expected, "79165550203", 2)
    name = await spoken(phones, "John Peter Smith", "en")
    await caller.presses_after("capture.permission", "1")
    await caller.presses_after("capture.number_confirm", "1")
    await caller.says_after("capture.name", name)
    await caller.hears("capture.subject")
    await caller.phone.hangup()
    stored = await callback_of(store, "79165550203", {CallbackState.PARTIAL}, began, seconds=5)
    assert stored.number == "+79165550203"
    assert stored.consent is not None
    await recorded(stored.name_recording, name)
    await store.update_callback(stored.id, event=CallbackEvent.CANCELLED, by="test")


async def test_three_callers_leave_callbacks(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """Side by side: as read back, another number, hung up after the name."""
    await asyncio.gather(
        as_read_back(phones, store, expected),
        another_number_is_typed(phones, store, expected),
        hanging_up_after_the_name(phones, store, expected),
    )


async def test_key_one_in_the_queue(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """A waiting caller presses 1; the members stop ringing; refusing permission leads back to the queue."""
    began = now()
    member = await phones.agent("102")
    phone = await phones.caller("79165550204", index=3)
    await phone.dial("74950000002")
    await member.wait_for(PhoneState.INCOMING, 30)
    await phone.send_dtmf("1")
    await member.wait_for(PhoneState.CLOSED, 3)
    caller = Guest(phones, phone, expected, "support")
    await caller.presses_after("capture.permission", "2")
    await caller.hears("capture.back_to_queue")
    await member.wait_for(PhoneState.INCOMING, 10)
    await member.answer()
    await Ear(phone).hears(expected.greeting("queue-answer", "support", "102"), since=caller.since)
    await phone.hangup()
    record = await record_of(store, "79165550204", began)
    assert record["answered_by"]["extension"] == "102"
    assert [stay["left_reason"] for stay in record["queues"]] == ["key", "answered"]


async def test_the_promise_is_kept(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """The agent accepts with 1, the customer's phone rings, they hear each other; done, one attempt."""
    began = now()
    agent = await phones.agent("102")
    customer = await phones.customer()
    callback = await due_callback(store, "79165550210", began, "quick")
    ringing = await agent.wait_for(PhoneState.INCOMING, 15)
    assert phones.settings.departments["quick"].dids[0] in ringing.detail, "his phone shows which department"
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", "quick"), timeout=40)
    assert customer.calls == 0, "the customer is not rung before the agent has accepted"
    await agent.send_dtmf("1")
    await customer.wait_for(PhoneState.INCOMING, 10)
    assert customer.dialled_users == ["79165550210"]
    await customer.answer()
    answered = time.monotonic()
    text = expected.greeting("callback", "quick", "102")
    greeting = await Ear(customer).hears(text, since=answered - 0.1)
    assert greeting.starts - answered < 1.0
    # The agent hears the same words and speaks when they end for him.
    same = await Ear(agent).hears(text, since=answered - 0.1)
    assert abs(same.starts - greeting.starts) < 0.3
    words = await spoken(phones, "Здравствуйте, ваш заказ привезут завтра утром")
    # The ear is sure of a prompt before its last, silent samples; the two are not joined until those have ended.
    await asyncio.sleep(max(0.0, max(same.ends, greeting.ends) + 0.15 - time.monotonic()))
    await agent.speak(words)
    await Ear(customer).hears(words, since=greeting.ends - 0.1)
    reply = await spoken(phones, "Спасибо, завтра утром мне удобно")
    await customer.speak(reply)
    await Ear(agent).hears(reply, since=answered)
    wanted, _ = load_wav(text)
    assert len(find_all(customer.heard_call().samples, wanted)) == 1, "heard once"
    hung_up = time.monotonic()
    await customer.hangup()
    await Ear(agent).hears(expected.phrase("outcome.ask", "quick"), since=hung_up)
    await agent.send_dtmf("1")
    done = await callback_of(store, "79165550210", {CallbackState.DONE}, began)
    assert done.attempts == 1
    attempts = await store.attempts(callback.id)
    assert [attempt.state for attempt in attempts] == ["answered"]

    async def record() -> dict[str, object] | None:
        call = await store.find_call_by_uniqueid(attempts[0].channel_id)
        return dict(call.record) if call is not None and call.ended_at is not None else None

    told = await eventually(record, "the record of the callback")
    assert told["kind"] == "callback"


@by_hand
async def test_the_customer_is_greeted_in_the_language_of_the_request(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """A department of two languages: the agent is briefed in its first, the customer hears the one he asked in."""
    began = now()
    agent = await phones.agent("103")
    customer = await phones.customer()
    await due_callback(store, "79165550213", began, "bilingual", language="en")
    await agent.wait_for(PhoneState.INCOMING, 15)
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", "bilingual"), timeout=40)
    await agent.send_dtmf("1")
    await customer.wait_for(PhoneState.INCOMING, 10)
    await customer.answer()
    answered = time.monotonic()
    greeting = expected.greeting("callback", "bilingual", "103", language="en")
    heard = await Ear(customer).hears(greeting, since=answered - 0.1)
    assert heard.starts - answered < 1.0
    same = await Ear(agent).hears(greeting, since=answered - 0.1)
    words = await spoken(phones, "Good afternoon, your order arrives tomorrow morning", "en")
    await asyncio.sleep(max(0.0, max(same.ends, heard.ends) + 0.15 - time.monotonic()))
    await agent.speak(words)
    await Ear(customer).hears(words, since=heard.ends - 0.1)
    wanted, _ = load_wav(greeting)
    assert len(find_all(customer.heard_call().samples, wanted)) == 1, "heard once"
    await customer.hangup()
    hung_up = time.monotonic()
    await Ear(agent).hears(expected.phrase("outcome.ask", "bilingual"), since=hung_up)
    await agent.send_dtmf("1")
    await callback_of(store, "79165550213", {CallbackState.DONE}, began)


async def test_the_agent_declines(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Key 2: the customer is not rung, and the callback stays due."""
    began = now()
    agent = await phones.agent("102")
    customer = await phones.customer()
    callback = await due_callback(store, "79165550211", began, "quick")
    await agent.wait_for(PhoneState.INCOMING, 15)
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", "quick"), timeout=40)
    await agent.send_dtmf("2")
    await Ear(agent).hears(expected.phrase("briefing.declined", "quick"))

    async def declined() -> bool | None:
        attempts = await store.attempts(callback.id)
        return True if attempts and attempts[0].state == "agent_declined" else None

    await eventually(declined, "the attempt is marked declined")
    again = await store.callback(callback.id)
    assert again is not None
    assert again.attempts == 0
    assert customer.calls == 0
    await agent.stop()
    for _ in range(50):
        try:
            await store.update_callback(callback.id, event=CallbackEvent.CANCELLED, by="test")
            break
        except Exception:
            await asyncio.sleep(0.2)


async def test_the_customer_does_not_answer(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """The customer refuses: the agent is told, the attempt counts, and the next try is later."""
    began = now()
    agent = await phones.agent("102")
    await phones.customer(answer_mode="reject")
    callback = await due_callback(store, "79165550212", began, "quick")
    await agent.wait_for(PhoneState.INCOMING, 15)
    await agent.answer()
    await Ear(agent).hears(expected.phrase("briefing.choose", "quick"), timeout=40)
    await agent.send_dtmf("1")
    await Ear(agent).hears(expected.fixed("customer-not-reached", "quick"))
    queued = await callback_of(store, "79165550212", {CallbackState.QUEUED}, began)
    assert queued.attempts == 1
    assert queued.last_result == "busy"
    assert queued.due_at is not None
    assert queued.due_at > now()
    await store.update_callback(callback.id, event=CallbackEvent.CANCELLED, by="test")
