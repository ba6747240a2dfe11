"""Whoever waits hears the music of the house, also on a system that has never run before."""

from __future__ import annotations

import pytest

from agi.voice.prompts import music_folder
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from tests.faults.listening import beginning, listen

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


async def test_who_waits_hears_the_music(phones: Stage, expected: ExpectedPrompts) -> None:
    """Its first seconds, after the words about the key; the member's phone rings and nobody picks up."""
    member = await phones.agent("103")
    caller = await phones.caller("79165550401")
    await caller.dial("74950000007")
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 15)).monotonic
    busy = await listen(caller, expected.fixed("busy", "bilingual"), since=answered, limit=40)
    music = beginning(phones, music_folder(phones.settings) / "waiting.wav")
    await listen(caller, music, since=busy.ends - 0.1, limit=15)
    await member.wait_for(PhoneState.INCOMING, 10)
    await caller.hangup()
