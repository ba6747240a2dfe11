"""Which file a caller must have heard: the same words that the AGI composes, found in the same cache."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from agi.speech import Speech
from agi.voice.cache import VoiceCache
from agi.voice.compose import GreetingKind
from agi.voice.prompts import fixed_prompt
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings


class ExpectedPrompts:
    """The prompts of one company as WAV files."""

    def __init__(self, settings: Settings, voice: VoiceCache) -> None:
        self._settings = settings
        self._voice = voice

    def greeting(
        self,
        kind: str,
        department: str,
        agent: str = "",
        *,
        at: datetime | None = None,
        language: str = "",
        again: bool = False,
    ) -> Path:
        """The greeting of ``kind`` as it sounds at ``at`` (now); ``again``: for who has heard it lately."""
        when = at or datetime.now().astimezone()
        found = self._voice.find_greeting(
            GreetingKind(kind), department, language=language, agent=agent, at=when, again=again
        )
        if found is None:
            raise FourthRingError(
                f"The greeting {kind} of {department} is not rendered; prepare the prompts first."
            )
        return found.with_suffix(".wav")

    def phrase(self, key: str, department: str, *, caller: str = "", language: str = "") -> Path:
        """A phrase of the book, such as ``capture.permission``; a farewell as ``caller`` hears it."""
        local = datetime.now(self._settings.zone_info_of(department))
        speech = Speech(self._settings, self._voice, department, local, language=language, caller=caller)
        return self._wav(speech.text(key), department, language)

    def fixed(self, name: str, department: str) -> Path:
        """A prompt that the dialplan knows by name."""
        return fixed_prompt(self._settings, department, name).with_suffix(".wav")

    def _wav(self, text: str, department: str, language: str) -> Path:
        return self._voice.path_of(text, self._voice.book_of(department, language)).with_suffix(".wav")
