"""What a department says at an instant, in words and in sound, for whoever looks before a caller listens."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from agi.voice import compose
from agi.voice.cache import VoiceCache
from agi.voice.prompts import wav_of
from agi.voice.render import write_prompt
from agi.voice.script import Script, Words, text_of
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings


def preview_of(
    settings: Settings,
    department: str,
    *,
    agent: str,
    language: str,
    at: datetime,
    caller: str,
    out: Path | None,
) -> list[dict[str, str]]:
    """One row for each greeting and the farewell: ``what``, ``words`` and, with ``out``, the file ``sound``.

    Raises:
        FourthRingError: the department does not speak the language; the voice or the disk refuses.
    """
    spoken = settings.languages_of(department)
    if language and language not in spoken:
        raise FourthRingError(f"'{department}' does not speak '{language}'; it speaks {', '.join(spoken)}.")
    voice = VoiceCache(settings)
    try:
        book = voice.book_of(department, language, agent)
        scripts: dict[str, Script] = {
            kind: compose.greeting_at(book, settings, kind, department, agent=agent, at=at)
            for kind in compose.GreetingKind
        }
        parting = compose.farewell_words(book, settings, department, at, caller)
        scripts["farewell"] = (Words(book.say("capture.accepted", parting=parting)),)
        rows = []
        for what, script in scripts.items():
            row = {"what": str(what), "words": text_of(script)}
            if out is not None:
                target = out / f"{what}.wav"
                write_prompt(target, wav_of(voice.render_script(script, book)).read_bytes())
                row["sound"] = str(target)
            rows.append(row)
        return rows
    finally:
        voice.close()
