"""What callers hear, in both languages: whole, once, at once, and nothing of anybody's words lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agi.voice import own_voice
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.demo.ear import Ear, HeardPrompt
from ami_bridge.demo.hearing import find_all, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.faults.listening import listen
from tests.pbx.calls import callback_of, now, record_of, spoken

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

MOST_SILENCE_SECONDS = 1.0
WORDS = {"ru": "Слушаю вас внимательно, чем могу помочь", "en": "I am listening, what can I do for you today"}


def heard_once(phone: Softphone, prompt: Path) -> None:
    wanted, _ = load_wav(prompt)
    assert len(find_all(phone.heard_call().samples, wanted)) == 1, f"{prompt.stem} was not heard exactly once"


async def answered_by(
    stage: Stage, agent: Softphone, caller: Softphone, greeting: Path, language: str
) -> HeardPrompt:
    """The agent takes the call; the greeting is heard at once and once, then the agent's first words, whole."""
    words = await spoken(stage, WORDS[language], language)
    await agent.answer()
    answered = time.monotonic()
    heard = await listen(caller, greeting, since=answered - 0.1, within=MOST_SILENCE_SECONDS + 0.1)
    same = await Ear(agent).hears(greeting, since=answered - 0.1)
    await asyncio.sleep(max(0.0, max(same.ends, heard.ends) + 0.15 - time.monotonic()))
    await agent.speak(words)
    await listen(caller, words, since=heard.ends - 0.1)
    heard_once(caller, greeting)
    return heard


async def direct(
    stage: Stage, expected: ExpectedPrompts, department: str, *, language: str, index: int
) -> None:
    extension = stage.settings.departments[department].direct[0]
    agent = await stage.agent(extension)
    caller = await stage.caller(f"7916555030{index}", index=index)
    await caller.dial(stage.settings.departments[department].dids[0])
    await agent.wait_for(PhoneState.INCOMING, 10)
    await answered_by(stage, agent, caller, expected.greeting("direct", department, extension), language)
    await caller.hangup()


async def queued(
    stage: Stage, expected: ExpectedPrompts, department: str, did: str, *, language: str, index: int
) -> None:
    member = stage.settings.departments[department].queue[0]
    agent = await stage.agent(member)
    caller = await stage.caller(f"7916555030{index}", index=index)
    await caller.dial(did)
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 15)).monotonic
    join = expected.greeting("queue-join", department, language=language)
    await listen(caller, join, since=answered, within=MOST_SILENCE_SECONDS)
    await agent.wait_for(PhoneState.INCOMING, 40)
    greeting = expected.greeting("queue-answer", department, member, language=language)
    await answered_by(stage, agent, caller, greeting, language)
    heard_once(caller, join)
    await caller.hangup()


async def test_direct(phones: Stage, expected: ExpectedPrompts) -> None:
    await asyncio.gather(
        direct(phones, expected, "quick", language="ru", index=0),
        direct(phones, expected, "america", language="en", index=1),
    )


async def test_in_the_queue(phones: Stage, expected: ExpectedPrompts) -> None:
    """Joined and answered; the language of one of the callers is chosen by the DID."""
    await asyncio.gather(
        queued(phones, expected, "quick", "74950000005", language="ru", index=2),
        queued(phones, expected, "bilingual", "74950000008", language="en", index=3),
    )


async def test_a_key_goes_on_to_the_other_language(phones: Stage, expected: ExpectedPrompts) -> None:
    """The offer is heard in the language that is offered, and everything after the key is said in it."""
    await phones.agent("103")
    caller = await phones.caller("79165550304", index=4)
    await caller.dial("74950000007")
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 15)).monotonic
    await listen(caller, expected.greeting("queue-join", "bilingual"), since=answered, within=1.0)
    offer = expected.fixed("language-offer", "bilingual")
    await listen(caller, offer.parent / "en" / offer.name, since=answered)
    await caller.send_dtmf("9")
    pressed = time.monotonic()
    join = expected.greeting("queue-join", "bilingual", language="en")
    await listen(caller, join, since=pressed, within=2.0)
    busy = expected.fixed("busy", "bilingual")
    await listen(caller, busy.parent / "en" / busy.name, since=pressed, limit=40)
    await caller.hangup()


async def closed_then_farewell(
    stage: Stage, store: SqlStore, expected: ExpectedPrompts, did: str, *, language: str, index: int
) -> None:
    """Closed: told when it opens, a callback is taken; the farewell is heard whole and nobody hangs up (S12)."""
    began, number = now(), f"7916555030{index}"
    caller = await stage.caller(number, index=index)
    await caller.dial(did)
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 10)).monotonic
    greeting = expected.greeting("closed", "shut", language=language)
    since = (await listen(caller, greeting, since=answered, within=MOST_SILENCE_SECONDS)).ends
    for phrase in ("permission", "permission", "permission"):
        question = expected.phrase(f"capture.{phrase}", "shut", language=language)
        since = (await listen(caller, question, since=since - 0.5, limit=40)).ends
        await caller.send_dtmf("7")
    message = expected.phrase("capture.message", "shut", language=language)
    since = (await listen(caller, message, since=since - 0.5, limit=40)).ends
    await asyncio.sleep(0.8)  # the tone
    words = await spoken(stage, WORDS[language], language)
    await asyncio.sleep(await caller.speak(words) + 0.4)
    await caller.send_dtmf("#")
    farewell = expected.phrase("capture.message_kept", "shut", caller=number, language=language)
    await listen(caller, farewell, since=since, limit=40)
    heard_once(caller, greeting)
    heard_once(caller, farewell)
    assert caller.state is PhoneState.ESTABLISHED
    await caller.hangup()
    kept = await callback_of(store, number, set(CallbackState), began)
    assert kept.language == language


async def test_closed(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    await asyncio.gather(
        closed_then_farewell(phones, store, expected, "74950000009", language="ru", index=5),
        closed_then_farewell(phones, store, expected, "74950000010", language="en", index=6),
    )


async def test_a_tone_for_the_agent_and_less_for_who_rings_again(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts
) -> None:
    """Agent and caller begin to talk together after the tone; in the next call the caller hears the short form."""
    began, number = now(), "79165550308"
    agent = await phones.agent("103")
    caller = await phones.caller(number, index=8)
    whole = expected.greeting("direct", "toned", "103")
    tone = phones.voice.find_tone(whole.with_suffix("")).with_suffix(".wav")
    words = await spoken(phones, WORDS["ru"], "ru")
    await caller.dial("74950000011")
    await agent.wait_for(PhoneState.INCOMING, 10)
    await agent.answer()
    answered = time.monotonic()
    heard, same = await asyncio.gather(
        listen(caller, whole, since=answered - 0.1, within=MOST_SILENCE_SECONDS + 0.1),
        Ear(agent).hears(tone, since=answered - 0.1),
    )
    assert abs(same.ends - heard.ends) < 0.4, "the tone ends with the greeting"
    await agent.speak(words)
    await listen(caller, words, since=heard.ends - 0.1)
    assert find_all(agent.heard_call().samples, load_wav(whole)[0]) == [], (
        "the agent does not hear the greeting"
    )
    await caller.hangup()
    await record_of(store, number, began)
    short = expected.greeting("direct", "toned", "103", again=True)
    await caller.dial("74950000011")
    await agent.wait_for(PhoneState.INCOMING, 10)
    await agent.answer()
    answered = time.monotonic()
    await listen(caller, short, since=answered - 0.1, within=MOST_SILENCE_SECONDS + 0.1)
    assert find_all(caller.heard_call().samples, load_wav(whole)[0]) == [], "he knows who we are"
    await caller.hangup()


async def records_by_phone(
    agent: Softphone, expected: ExpectedPrompts, code: str, question: str, speech: Path
) -> None:
    """Dial the code, speak, listen, accept."""
    await agent.dial(code)
    began = (await agent.wait_for(PhoneState.ESTABLISHED, 10)).monotonic
    asked = await listen(agent, expected.phrase(f"own_name.{question}", "quick"), since=began, limit=40)
    await asyncio.sleep(0.8)  # the tone
    await asyncio.sleep(await agent.speak(speech) + 0.4)
    await agent.send_dtmf("#")
    await listen(agent, speech, since=asked.ends)
    await listen(agent, expected.phrase("own_name.choose", "quick"), since=asked.ends, limit=40)
    await agent.send_dtmf("1")
    await listen(agent, expected.phrase("own_name.accepted", "quick"), since=asked.ends, limit=40)
    await agent.wait_for(PhoneState.CLOSED, 10)


async def rings(stage: Stage, agent: Softphone, did: str, index: int) -> tuple[Softphone, float]:
    """A caller whom ``agent`` answers: the caller's phone, and when."""
    caller = await stage.caller(f"791655503{index:02}", index=index)
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, 10)
    await agent.answer()
    return caller, time.monotonic()


async def own_name_is_heard(stage: Stage, expected: ExpectedPrompts) -> None:
    agent = await stage.agent("102")
    name = await spoken(stage, "John Peter Smith", "en")
    await records_by_phone(agent, expected, stage.settings.own_voices.code, "ask", name)
    caller, answered = await rings(stage, agent, "74950000003", 7)
    greeting = expected.greeting("direct", "america", "102")
    await listen(caller, greeting, since=answered - 0.1, within=1.1)
    await listen(caller, name, since=answered - 0.1)
    await caller.hangup()


async def own_greeting_is_heard(stage: Stage, expected: ExpectedPrompts) -> None:
    """The whole greeting in the agent's voice, once, and no word of the house's voice."""
    agent = await stage.agent("101")
    house = expected.greeting("direct", "quick", "101")
    speech = await spoken(stage, "Ромашка, у телефона Аня, чем я могу вам помочь", "ru")
    await records_by_phone(agent, expected, stage.settings.own_voices.greeting_code, "ask_greeting", speech)
    caller, answered = await rings(stage, agent, "74950000005", 9)
    await listen(caller, speech, since=answered - 0.1, within=1.1)
    heard_once(caller, expected.greeting("direct", "quick", "101"))
    assert find_all(caller.heard_call().samples, load_wav(house)[0]) == []
    await caller.hangup()


async def test_agents_record_name_and_greeting_and_the_next_callers_hear_them(
    phones: Stage, expected: ExpectedPrompts
) -> None:
    try:
        await asyncio.gather(own_name_is_heard(phones, expected), own_greeting_is_heard(phones, expected))
    finally:
        for extension in ("101", "102"):
            own_voice.forget(phones.settings, extension)
