"""The voice breaks and what it had said is gone: callers hear the generic greeting, the admin reads why."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from ami_bridge import doctor
from ami_bridge.check import Finding
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from tests.disks import fill, small_disk
from tests.faults.conftest import VOICE, mend_voice
from tests.faults.listening import listen
from tests.faults.plant import Plant

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


async def voice_finding(plant: Plant) -> Finding:
    return next(each for each in await doctor.examine(plant.settings) if each.subject == "voice")


@contextmanager
def nothing_ready(prompts: Path) -> Iterator[None]:
    """All that the voice had said before is gone."""
    kept = prompts.with_name("kept")
    prompts.rename(kept)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", prompts], check=True)
        kept.rename(prompts)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """``folder`` is a disk of its own, on which not a byte is left."""
    with small_disk(folder, "64k"):
        fill(folder)
        yield


async def hears_the_generic_greeting(phones: Plant, expected: ExpectedPrompts, number: str) -> None:
    """104 answers ``number``; both hear the greeting that names nobody."""
    agent, caller = await phones.agent("104"), await phones.caller(number)
    await caller.dial("74950000031")
    await agent.wait_for(PhoneState.INCOMING, 10)
    await agent.answer()
    answered = time.monotonic()
    generic = expected.fixed("greeting", "hoarse")
    await listen(caller, generic, since=answered - 0.1, within=1.1)
    await Ear(agent).hears(generic, since=answered - 0.1)
    await caller.hangup()
    await caller.wait_for(PhoneState.CLOSED, 5)
    await phones.stop_phones()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        pytest.param("echo 'out of order' >&2; exit 1", "out of order", id="broken"),
        pytest.param("exec espeak-ng -v nowhere --stdin --stdout", "voice does not exist", id="missing"),
        pytest.param(None, "No space left", id="full-disk"),
    ],
)
async def test_a_broken_voice(
    phones: Plant, expected: ExpectedPrompts, state_folder: Path, script: str | None, told: str
) -> None:
    assert (await voice_finding(phones)).ok
    prompts = phones.settings.state_folder / "prompts" / "en"
    try:
        with nothing_ready(prompts), full_disk(prompts) if script is None else nullcontext():
            try:
                mend_voice(state_folder, script or VOICE)
                await hears_the_generic_greeting(phones, expected, "79165550701")
                finding = await voice_finding(phones)
            finally:
                # It tries no prompt again for half a minute, so a new one is to meet the next fault; and it must
                # write no prompt while the folder is put back.
                await phones.agi.stop()
        assert not finding.ok
        assert told in finding.message, finding
    finally:
        mend_voice(state_folder)
    assert await asyncio.to_thread(phones.voice.prepare) == 0
    assert (await voice_finding(phones)).ok
