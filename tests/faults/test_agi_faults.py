"""The AGI refuses, freezes, dies, or talks nonsense: every caller reaches the queue or a recording within 3 s.

What a fault costs is counted from the instant at which the caller would have been served: the answer, the key.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.demo.hearing import correlate, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from tests.faults.impostor import AGI_FAULTS, Impostor
from tests.faults.listening import beginning, listen, talk
from tests.faults.plant import Plant
from tests.pbx.calls import callback_of, now, record_of, spoken
from tests.pbx.customers import by_hand

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

MOST_SECONDS = 3.0
COSTLY = ("noise", "unended", "flood")


@pytest_asyncio.fixture(loop_scope="session")
async def impostor(phones: Plant) -> AsyncIterator[Impostor]:
    """The impostor in the place of our AGI."""
    await phones.agi.stop()
    network = phones.settings.network
    async with Impostor(str(network.address), network.agi_port) as listening:
        yield listening
    await phones.agi.start()


async def reach_queue_and_recording(
    plant: Plant, expected: ExpectedPrompts, department: str, *, index: int
) -> None:
    """Call; the queue greets with the fixed words; key 1 leads to a plain recording."""
    caller = await plant.caller(f"791655503{index:02d}", index=index)
    await caller.dial(plant.settings.departments[department].dids[0])
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await listen(caller, expected.fixed("greeting-join", department), since=answered, within=MOST_SECONDS)
    pressed = time.monotonic()
    await caller.send_dtmf("1")
    offer = beginning(plant, expected.fixed("leave-message", department))
    await listen(caller, offer, since=pressed, within=MOST_SECONDS)
    await caller.hangup()


@by_hand
async def test_garbage(phones: Plant, store: SqlStore, expected: ExpectedPrompts, impostor: Impostor) -> None:
    """Every way of answering wrongly at the same time, but for those that take a whole core: one by one.

    The flood never pauses, and Asterisk logs a backtrace for each line of noise that is not UTF-8; what is
    measured here is how long one such caller waits, not how many of them this machine carries.
    """
    since = now()
    await phones.agent("102")
    index_of = {fault: index for index, fault in enumerate(AGI_FAULTS)}
    quiet = [fault for fault in AGI_FAULTS if fault not in COSTLY]
    await asyncio.gather(
        *(reach_queue_and_recording(phones, expected, fault, index=index_of[fault]) for fault in quiet)
    )
    for fault in COSTLY:
        await reach_queue_and_recording(phones, expected, fault, index=index_of[fault])
    assert set(impostor.asked) == set(AGI_FAULTS)
    for index in range(len(AGI_FAULTS)):
        record = await record_of(store, f"791655503{index:02d}", since)
        assert record["hung_up_by"] == "caller"


# Our own AGI, hurt ----------------------------------------------------------------------

# Nobody is logged in to this department's queue, so its callers are asked for a callback at once.
CAPTURE = "britain"


async def asked_for_name(plant: Plant, expected: ExpectedPrompts, number: str, index: int) -> Softphone:
    """A caller who has given permission and number and is now asked for the name."""
    caller = await asked_for_number(plant, expected, number, index)
    pressed = time.monotonic()
    await caller.send_dtmf("1")
    await listen(caller, expected.phrase("capture.name", CAPTURE), since=pressed)
    await asyncio.sleep(1.0)  # the tone; a key before the recording would not end it
    return caller


async def asked_for_number(
    plant: Plant, expected: ExpectedPrompts, number: str, index: int, *, whole: bool = True
) -> Softphone:
    """A caller who has given permission and is asked whether this is the number (``whole``: has been)."""
    caller = await plant.caller(number, index=index)
    await caller.dial(plant.settings.departments[CAPTURE].dids[0])
    began = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await listen(caller, expected.phrase("capture.permission", CAPTURE), since=began)
    pressed = time.monotonic()
    await caller.send_dtmf("1")
    if whole:
        await listen(caller, expected.phrase("capture.number_confirm", CAPTURE), since=pressed)
    return caller


async def leave_message(
    plant: Plant, expected: ExpectedPrompts, caller: Softphone, *, since: float, within: float
) -> Path:
    """The caller is asked for a message, speaks and hangs up; returns what was said."""
    asked = await listen(caller, expected.fixed("leave-message", CAPTURE), since=since, within=within)
    message = await spoken(plant, "Please ring me back about my order", "en")
    await asyncio.sleep(max(0.0, asked.ends + 0.8 - time.monotonic()))  # the tone
    await asyncio.sleep(await caller.speak(message) + 0.5)
    await caller.hangup()
    return message


async def kept_message(store: SqlStore, number: str, said: Path, since: datetime) -> None:
    """One callback of this caller is due, with the message and the consent that lies in it."""
    kept = await callback_of(store, number, {CallbackState.QUEUED}, since, seconds=20)
    assert kept.number == f"+{number}"
    assert kept.consent is not None
    assert kept.consent.key == "recorded"
    assert kept.subject_recording is not None
    assert correlate(load_wav(Path(kept.subject_recording))[0], load_wav(said)[0]).whole


async def answered_by_agent(plant: Plant, expected: ExpectedPrompts, *, index: int) -> None:
    """101 answers: both hear the fixed greeting soon, then each other."""
    agent = await plant.agent("101")
    caller = await plant.caller(f"791655504{index:02d}", index=index)
    await caller.dial(plant.settings.departments["quick"].dids[0])
    await agent.wait_for(PhoneState.INCOMING, 5)
    await agent.answer()
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    fixed = expected.fixed("greeting", "quick")
    heard, _ = await asyncio.gather(
        listen(caller, fixed, since=answered, within=MOST_SECONDS),
        listen(agent, fixed, since=answered, within=MOST_SECONDS),
    )
    await talk(plant, caller, agent, since=heard.ends)
    await caller.hangup()


async def failed_over(plant: Plant, expected: ExpectedPrompts, *, index: int) -> None:
    """104 lets it ring: the queue greets with the fixed words."""
    await plant.agent("104")
    caller = await plant.caller(f"791655504{index:02d}", index=index)
    await caller.dial(plant.settings.departments["quick4"].dids[0])
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await listen(caller, expected.fixed("greeting-join", "quick4"), since=answered, within=MOST_SECONDS)
    await caller.hangup()


@by_hand
async def test_frozen(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """SIGSTOP: an answered caller, one who falls to the queue, and one in the middle of leaving a callback."""
    since = now()
    await phones.agent("102")
    capturing = await asked_for_name(phones, expected, "79165550410", 10)
    phones.agi.signal(signal.SIGSTOP)
    try:
        pressed = time.monotonic()
        await capturing.send_dtmf("#")
        said, _, _ = await asyncio.gather(
            # The recording of the name ends by the key, then the frozen turn costs its two seconds.
            leave_message(phones, expected, capturing, since=pressed, within=MOST_SECONDS),
            answered_by_agent(phones, expected, index=11),
            failed_over(phones, expected, index=12),
        )
    finally:
        phones.agi.signal(signal.SIGCONT)
    await kept_message(store, "79165550410", said, since)
    for index in (11, 12):
        record = await record_of(store, f"791655504{index:02d}", since)
        assert record["hung_up_by"] == "caller"
    # Thawed, it serves again: the greeting names the agent.
    agent, caller = await phones.agent("103"), await phones.caller("79165550413", index=13)
    await caller.dial(phones.settings.departments["quick3"].dids[0])
    await agent.wait_for(PhoneState.INCOMING, 5)
    await agent.answer()
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await listen(caller, expected.greeting("direct", "quick3", "103"), since=answered, within=1.0)


async def test_killed(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """SIGKILL between two turns, in the middle of a turn, and in the middle of a greeting step."""
    since = now()
    during = await asked_for_name(phones, expected, "79165550421", 11)
    # Frozen first, so that the steps that begin now are still being waited for when it is killed.
    phones.agi.signal(signal.SIGSTOP)
    pressed = time.monotonic()
    await during.send_dtmf("#")
    answered = asyncio.create_task(answered_by_agent(phones, expected, index=22))
    await asyncio.sleep(1.2)
    phones.agi.signal(signal.SIGKILL)
    said, _, _ = await asyncio.gather(
        leave_message(phones, expected, during, since=pressed, within=MOST_SECONDS),
        answered,
        goes_on(phones, expected),
    )
    await kept_message(store, "79165550421", said, since)


async def goes_on(plant: Plant, expected: ExpectedPrompts) -> None:
    """Between two turns nothing is lost: the supervisor brings the AGI back, the conversation goes on."""
    await plant.agi.wait_ready(now())
    caller = await asked_for_number(plant, expected, "79165550420", 10, whole=False)
    asked = time.monotonic()
    await asyncio.sleep(0.7)
    plant.agi.signal(signal.SIGKILL)
    await asyncio.sleep(0.2)
    await plant.agi.wait_ready(now())
    await listen(caller, expected.phrase("capture.number_confirm", CAPTURE), since=asked - 0.5)
    pressed = time.monotonic()
    await caller.send_dtmf("1")
    await listen(caller, expected.phrase("capture.name", CAPTURE), since=pressed, within=MOST_SECONDS)
    await caller.hangup()
