"""The voice breaks and what it had said is gone: callers hear the generic greeting, the admin reads why."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ami_bridge import doctor
from ami_bridge.check import Finding
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from tests.faults.conftest import mend_voice
from tests.faults.listening import listen
from tests.faults.plant import Plant

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


async def voice_finding(plant: Plant) -> Finding:
    return next(each for each in await doctor.examine(plant.settings) if each.subject == "voice")


async def test_a_broken_voice(phones: Plant, expected: ExpectedPrompts, state_folder: Path) -> None:
    assert (await voice_finding(phones)).ok
    prompts = phones.settings.state_folder / "prompts" / "en"
    mend_voice(state_folder, "echo 'out of order' >&2; exit 1")
    prompts.rename(prompts.with_name("kept"))
    try:
        agent = await phones.agent("104")
        caller = await phones.caller("79165550701")
        await caller.dial("74950000031")
        await agent.wait_for(PhoneState.INCOMING, 10)
        await agent.answer()
        answered = time.monotonic()
        generic = expected.fixed("greeting", "hoarse")
        await listen(caller, generic, since=answered - 0.1, within=1.1)
        await Ear(agent).hears(generic, since=answered - 0.1)
        await caller.hangup()
        told = await voice_finding(phones)
        assert not told.ok
        assert "out of order" in told.message, told
    finally:
        mend_voice(state_folder)
        prompts.with_name("kept").rename(prompts)
    assert await asyncio.to_thread(phones.voice.prepare) == 0
    assert (await voice_finding(phones)).ok
