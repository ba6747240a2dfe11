"""Bridge, AGI and dialer are all down: the dialplan serves the caller alone, and nothing said is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.demo.hearing import correlate, load_wav, ring_tones
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from tests.faults.listening import listen
from tests.faults.plant import Plant
from tests.pbx.calls import callback_of, now, spoken

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

NUMBER = "79165550601"


async def test_everything_is_down(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Queue after the 4th ring (16 s ± 1 s), fixed greeting, key 1, a recording; later a callback of it."""
    since = now()
    await phones.stop_services()
    ringing, _ = await phones.agent("101"), await phones.agent("102")
    caller = await phones.caller(NUMBER)
    await caller.dial("74950000001")
    rung = (await ringing.wait_for(PhoneState.INCOMING, 5)).monotonic
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 25)).monotonic
    assert answered - rung == pytest.approx(16.0, abs=1.0)
    heard = caller.heard_call()
    tones = ring_tones(
        heard.samples[: int((answered - heard.started) * heard.rate)], "ru", shortest_seconds=0.3
    )
    assert len(tones) == 4
    await listen(caller, expected.fixed("greeting-join", "sales"), since=answered, within=1.0)
    pressed = time.monotonic()
    await caller.send_dtmf("1")
    asked = await listen(caller, expected.fixed("leave-message", "sales"), since=pressed, within=1.0)
    message = await spoken(phones, "Перезвоните мне, пожалуйста, по поводу заказа")
    await asyncio.sleep(max(0.0, asked.ends + 0.8 - time.monotonic()))  # the tone
    await asyncio.sleep(await caller.speak(message) + 0.3)
    ended = time.monotonic()
    await caller.send_dtmf("#")
    await listen(caller, expected.fixed("message-thanks", "sales"), since=ended, within=1.0)
    await caller.hangup()
    assert await store.callbacks(since=since) == [], "nobody was there to file it"
    await phones.start_services()
    kept = await callback_of(store, NUMBER, {CallbackState.QUEUED}, since, seconds=20)
    assert kept.department == "sales"
    assert kept.number == f"+{NUMBER}"
    assert kept.number_source == "caller_id"
    assert kept.consent is not None
    assert (kept.consent.key, kept.consent.number) == ("recorded", f"+{NUMBER}")
    recorded = Path(str(kept.subject_recording))
    assert correlate(load_wav(recorded)[0], load_wav(message)[0]).whole
    assert not list((phones.settings.state_folder / "spool").glob("*.wav")), "filed once, then moved away"
    assert len([one for one in await store.callbacks(since=since) if one.caller_id == NUMBER]) == 1
