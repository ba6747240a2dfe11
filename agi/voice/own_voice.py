"""What people have recorded themselves: ``<state>/voices/<extension>/name`` and ``greeting-<language>``.

A recording by its owner always wins over a synthetic voice. It is kept fit for the telephone (trimmed, at the loudness
of all prompts, both rates), so that a call costs nothing more with it than without.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agi.voice import sound
from agi.voice.prompts import wav_of, wide_of
from agi.voice.render import RenderError, write_sound
from ami_bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class OwnVoice:
    """A recording by a person; ``address`` changes whenever it is recorded again."""

    path: Path
    address: str


def voices_folder(settings: Settings) -> Path:
    """The folder of what people recorded: one folder an agent in it."""
    return settings.state_folder / "voices"


def name_of(settings: Settings, agent: str) -> OwnVoice | None:
    """The name of ``agent`` in the own voice; None when there is none."""
    return _found(voices_folder(settings) / agent / "name") if agent in settings.agents else None


def greeting_of(settings: Settings, agent: str, language: str) -> OwnVoice | None:
    """The whole greeting of ``agent`` in the own voice; None when there is none."""
    if agent not in settings.agents:
        return None
    return _found(voices_folder(settings) / agent / f"greeting-{language}")


def keep(settings: Settings, agent: str, content: bytes, *, greeting: str = "") -> None:
    """Make the WAV ``content`` the name of ``agent``, or the whole greeting in the language ``greeting``.

    Raises:
        RenderError: it is no such file, nobody speaks in it, or the disk refuses.
    """
    try:
        prompt = sound.fit_for_telephone(*sound.read_wav(content))
    except ValueError as error:
        raise RenderError(f"{error} Record a WAV file, mono, 16 bit.") from None
    if not len(prompt[sound.RATE]):
        raise RenderError("Nobody speaks in this recording; record it again.")
    name = f"greeting-{greeting}" if greeting else "name"
    write_sound(voices_folder(settings) / agent / name, prompt)


def forget(settings: Settings, agent: str) -> None:
    """Remove everything that ``agent`` has recorded: the voice of the house says the name again."""
    for file in (voices_folder(settings) / agent).glob("*"):
        file.unlink(missing_ok=True)


def drop(settings: Settings, agent: str, part: str) -> None:
    """Remove one recording of ``agent``: "name", or "greeting-" and the language."""
    if agent in settings.agents:
        for file_of in (wav_of, wide_of):
            file_of(voices_folder(settings) / agent / part).unlink(missing_ok=True)


def _found(path: Path) -> OwnVoice | None:
    try:
        stat = wav_of(path).stat()
    except OSError:
        return None
    return OwnVoice(path, f"{path.parent.name}/{path.name}/{stat.st_mtime_ns}/{stat.st_size}")
