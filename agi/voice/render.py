"""Turns words into a prompt: espeak-ng speaks, :mod:`agi.voice.sound` makes it fit for the telephone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

from agi.voice import sound
from agi.voice.phrasebook import PhraseBook
from ami_bridge.errors import FourthRingError

#: Part of every prompt's address in the cache: raise it when the same words come out sounding different.
RECIPE = "1"
_TIMEOUT_SECONDS = 20.0


class RenderError(FourthRingError):
    """A prompt could not be spoken or written; the message says why and what to do."""


def write_prompt(path: Path, content: bytes) -> None:
    """Write the WAV file ``path`` whole or not at all.

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


class Renderer(Protocol):
    """Speaks; ships as :class:`EspeakRenderer`."""

    def render(self, text: str, book: PhraseBook) -> bytes:
        """The WAV file (8 kHz, mono, 16 bit) of ``text``. Raises RenderError."""


class EspeakRenderer:
    """Speaks with espeak-ng, which is free, small, offline and knows Russian."""

    def __init__(self, program: str = "espeak-ng") -> None:
        self._program = program

    def render(self, text: str, book: PhraseBook) -> bytes:
        """See :class:`Renderer`. The text goes in by standard input: nothing in it can be an option."""
        raw = self._speak(text, book)
        try:
            samples, rate = sound.read_wav(raw)
        except ValueError as error:
            raise RenderError(
                f"{self._program} did not answer with sound: {error} Install it again."
            ) from None
        spoken = sound.normalise(sound.trim(sound.resample(samples, rate)))
        if not len(spoken):
            raise RenderError(
                f"{self._program} said nothing for '{text}'; change these words in the phrase book."
            )
        return sound.wav_bytes(spoken)

    def _speak(self, text: str, book: PhraseBook) -> bytes:
        program = shutil.which(self._program)
        if program is None:
            raise RenderError(f"The program {self._program} is missing; install the package espeak-ng.")
        # -b 1: the input is UTF-8, whatever the locale of the service.
        options = ["-b", "1", "-v", book.voice, "-s", str(book.words_per_minute), "--stdin", "--stdout"]
        try:
            done = subprocess.run(
                [program, *options],
                input=text.encode(),
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RenderError(f"{self._program} could not speak: {error}. Try it in a terminal.") from None
        if done.returncode != 0:
            reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise RenderError(
                f"{self._program} refused the voice '{book.voice}' ({reason}); "
                "change voice.name in the phrase book."
            )
        return done.stdout
