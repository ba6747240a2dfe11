"""Where prompts lie and what they are called. Paths are without extension, as Asterisk wants them.

Asterisk picks the format by itself (``.wav``: 8 kHz, ``.wav16``: 16 kHz), so a path of ours never ends in one.
"""

from __future__ import annotations

from pathlib import Path

from agi.voice import sound
from agi.voice.phrasebook import load_phrase_book
from agi.voice.render import EspeakRenderer, finished, write_prompt
from agi.voice.sound_files import wav_of, wide_of
from ami_bridge.settings import Settings

__all__ = ["FIXED_NAMES", "fixed_prompt", "say", "wav_of", "wide_of"]

#: Prompts that the dialplan knows by name, one set per department, in the department's language. They
#: exist before the first call and serve the caller when the AGI does not answer.
FIXED_NAMES = (
    "greeting",  # instead of any greeting that names nobody in particular; ends with the open question
    "greeting-join",  # the same before the queue: nobody is there yet who could be asked anything
    "busy",
    "callback-offer",
    "leave-message",
    "message-thanks",
    "farewell",
    "customer-not-reached",
    "customer-machine",  # what the agent hears instead of a customer
    "customer-refused",
    "connecting",  # heard by a customer who was rung first, while the agent's phone begins to ring
    "talk-ends-soon",  # heard by both in a talk that has become too long
    "talk-ends",
    "position",  # before the number that the PBX says
    "closing",  # at closing time, for those who still wait
    "language-offer",  # heard by who is served in another language
)


def prompts_folder(settings: Settings) -> Path:
    """The folder of all prompts of this node."""
    return settings.state_folder / "prompts"


def music_folder(settings: Settings) -> Path:
    """The folder of the music on hold."""
    return prompts_folder(settings) / "music"


def recordings_folder(settings: Settings) -> Path:
    """The folder of what callers recorded: one folder per callback in it."""
    return settings.state_folder / "recordings"


def beep_prompt(settings: Settings) -> Path:
    """The path (without extension) of the tone after which callers speak; the same in every language."""
    return prompts_folder(settings) / "fixed" / "beep"


def quiet_prompt(settings: Settings) -> Path:
    """The path (without extension) of a moment of quiet: what is played where nothing is to be said."""
    return prompts_folder(settings) / "fixed" / "quiet"


def say(text: str, language: str, path: Path) -> None:
    """Render any ``text`` to the WAV file ``path`` (for ``fourthring say``).

    Raises:
        ConfigError: there is no phrase book for ``language``.
        RenderError: the voice or the disk refuses.
    """
    prompt = finished(text, EspeakRenderer(load_phrase_book(language)))
    write_prompt(path, sound.wav_bytes(prompt[sound.RATE]))


def fixed_prompt(settings: Settings, department: str, name: str) -> Path:
    """The path (without extension) of a fixed prompt.

    Raises:
        KeyError: no such department, or ``name`` is not one of :data:`FIXED_NAMES`.
    """
    if name not in FIXED_NAMES or department not in settings.departments:
        raise KeyError(f"{department}/{name}")
    return prompts_folder(settings) / "fixed" / department / name
