"""*My voice* in a real browser, in both languages: found from the prompts, a WAV goes up, is heard, is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi.voice import own_voice
from ami_bridge.desk import words
from tests.desk.story_desk import LANGUAGES, WAIT_MS, Place, everything, place, presses, sees
from tests.desk.test_voice import said
from tests.pbx.browser import Screen

__all__ = ["everything", "place"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def records_hears_and_removes(screen: Screen, place: Place, language: str, sound: Path) -> None:
    """The name of 101, on the page that is open."""
    t = words.of(language)
    form = screen.page.locator("form[data-voice$='/101/voice/name']")
    await form.locator("input[type=file]").set_input_files(sound)
    await form.get_by_role("button", name=t["voice_upload"]).click()
    await form.locator("audio").wait_for(timeout=WAIT_MS)
    assert own_voice.name_of(place.settings, "101") is not None
    await screen.is_accessible("v1-recorded")
    await screen.page.evaluate("document.querySelector('form[data-voice] audio').play()")
    await screen.until("document.querySelector('form[data-voice] audio').currentTime > 0")
    await screen.page.evaluate("document.querySelector('form[data-voice] audio').pause()")
    await presses(screen, t["voice_forget"])
    await form.locator("audio").wait_for(state="detached", timeout=WAIT_MS)
    assert own_voice.name_of(place.settings, "101") is None
    screen.is_clean()


@LANGUAGES
async def test_an_agent_gives_the_own_voice(place: Place, language: str, tmp_path: Path) -> None:
    sound = tmp_path / "name.wav"
    sound.write_bytes(said())
    anna = await place.screens.log_in("anna", language=language)
    await anna.page.click("nav a[href='/voice']")
    await sees(anna, words.of(language)["voice_text"])
    (tmp_path / "noise.wav").write_bytes(b"RIFF....WAVE")
    form = anna.page.locator("form[data-voice$='/name']")
    await form.locator("input[type=file]").set_input_files(tmp_path / "noise.wav")
    await form.locator("button.main").click()
    await anna.page.locator("#voice-fault").wait_for(timeout=WAIT_MS)
    await records_hears_and_removes(anna, place, language, sound)


@LANGUAGES
async def test_the_prompts_lead_to_an_agents_voice(place: Place, language: str, tmp_path: Path) -> None:
    sound = tmp_path / "name.wav"
    sound.write_bytes(said())
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin/prompts?department=sales&agent=101")
    await root.page.click("a[href='/voice/101']")
    await records_hears_and_removes(root, place, language, sound)
