"""Turns words into sound: who can speak, and the one that is always there, espeak-ng."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agi.voice import sound
from agi.voice.phrasebook import PhraseBook
from agi.voice.sound_files import wav_of, wide_of
from ami_bridge.errors import FourthRingError
from ami_bridge.voice_settings import Voice

#: Part of every prompt's address in the cache: raise it when the same words come out sounding different.
RECIPE = "2"
SPEAK_SECONDS = 20.0


class RenderError(FourthRingError):
    """A prompt could not be spoken or written; the message says why and what to do."""


class Renderer(Protocol):
    """Speaks one language; ships as espeak-ng, Piper and any command."""

    @property
    def recipe(self) -> str:
        """What makes its sound different from another's: part of a prompt's address."""

    def speak(self, text: str) -> tuple[sound.Samples, int]:
        """The sound of ``text``, as it came, and its rate. Raises RenderError."""

    def close(self) -> None:
        """End what runs for it."""


def write_prompt(path: Path, content: bytes) -> None:
    """Write the file ``path`` whole or not at all.

    Raises:
        RenderError: the disk refuses.
    """
    try:
        sound.write_atomically(path, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RenderError(
            f"Cannot write the prompt {path}: {reason}; make room or let this user write."
        ) from None


def write_data(path: Path, joined: dict[int, bytes]) -> None:
    """As :func:`write_sound`, for samples as they lie in files. Raises RenderError."""
    for rate, file in ((sound.WIDE_RATE, wide_of(path)), (sound.RATE, wav_of(path))):
        write_prompt(file, sound.wav_of_data(joined[rate], rate))


def write_sound(path: Path, prompt: dict[int, sound.Samples]) -> None:
    """Write both files of the prompt ``path`` (without extension), the narrow one last: where it is, both are.

    Raises:
        RenderError: the disk refuses.
    """
    for rate, file in ((sound.WIDE_RATE, wide_of(path)), (sound.RATE, wav_of(path))):
        write_prompt(file, sound.wav_bytes(prompt[rate], rate))


def finished(text: str, renderer: Renderer) -> dict[int, sound.Samples]:
    """Rate → the prompt ``text``, fit for the telephone.

    Raises:
        RenderError: nothing was said.
    """
    samples, rate = renderer.speak(text)
    prompt = sound.fit_for_telephone(samples, rate)
    if not len(prompt[sound.RATE]):
        raise RenderError(f"The voice said nothing for '{text}'; change these words in the phrase book.")
    return prompt


class EspeakRenderer:
    """Speaks with espeak-ng, which is free, small, offline and knows Russian."""

    def __init__(self, book: PhraseBook, voice: Voice | None = None, program: str = "espeak-ng") -> None:
        chosen = voice or Voice()
        self._voice = chosen.voice or book.voice
        self._pace = chosen.words_per_minute or book.words_per_minute
        self._program = program

    @property
    def recipe(self) -> str:
        """See :class:`Renderer`."""
        return f"espeak\0{self._voice}\0{self._pace}"

    def speak(self, text: str) -> tuple[sound.Samples, int]:
        """See :class:`Renderer`. The text goes in by standard input: nothing in it can be an option."""
        # -b 1: the input is UTF-8, whatever the locale of the service.
        options = ["-b", "1", "-v", self._voice, "-s", str(self._pace), "--stdin", "--stdout"]
        return sound_of(
            run_speaker([self._program, *options], text, "install the package espeak-ng"), self._program
        )

    def close(self) -> None:
        """Nothing runs on."""


def run_speaker(command: Sequence[str], text: str, remedy: str) -> bytes:
    """What ``command`` writes to standard output when it reads ``text``.

    Raises:
        RenderError: it is missing (then ``remedy`` says what to do), refuses or takes too long.
    """
    program = shutil.which(command[0])
    if program is None:
        raise RenderError(f"The program {command[0]} is missing; {remedy}.")
    try:
        done = subprocess.run(
            [program, *command[1:]],
            input=text.encode(),
            capture_output=True,
            timeout=SPEAK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RenderError(f"{command[0]} could not speak: {error}. Try it in a terminal.") from None
    if done.returncode != 0:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise RenderError(
            f"{command[0]} refused ({reason}); change its voice in [voices] or in the phrase book."
        )
    return done.stdout


def sound_of(raw: bytes, program: str) -> tuple[sound.Samples, int]:
    """The sound in the WAV file ``raw``.

    Raises:
        RenderError: it is none.
    """
    try:
        return sound.read_wav(raw)
    except ValueError as error:
        raise RenderError(f"{program} did not answer with sound: {error} Install it again.") from None
