"""Prompts on disk: ``<state>/prompts/<language>/<hash>.wav``, rendered once and found by their words.

Everything that the configured company can say is rendered ahead by :meth:`VoiceCache.prepare`. What is
missing all the same is rendered in the background while the caller hears something that exists: a caller
never waits for the voice.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

from agi.voice import compose, prompts, sound
from agi.voice.ahead import predictable, texts_of
from agi.voice.music import beep, hold_music
from agi.voice.phrasebook import PhraseBook, load_phrase_book, load_phrase_books, own_words
from agi.voice.prompts import say, wav_of
from agi.voice.render import RECIPE, EspeakRenderer, Renderer, RenderError, write_prompt
from agi.voice.script import Digits, Script, pause_after, text_of
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

__all__ = ["SAFE_PATH", "Progress", "VoiceCache", "greeting_text", "say"]

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (prompts done, prompts altogether)."""

# Between the digits of one group, and between two groups, of a number that is read back (S20).
_DIGIT_PAUSE_SECONDS = 0.12
_GROUP_PAUSE_SECONDS = 0.45
# A prompt that could not be rendered is not tried again for this long.
_RETRY_SECONDS = 30.0
#: What may stand in a file name that passes through dialplan functions and applications.
SAFE_PATH = re.compile(r"[\w./+@=~ -]+")


class VoiceCache:
    """Finds prompts, renders what is missing. Thread-safe; one per process."""

    def __init__(self, settings: Settings, renderer: Renderer | None = None) -> None:
        """Load the phrase book of every configured language.

        Raises:
            ConfigError: a book is missing or wrong, or the state folder's path would upset the dialplan.
        """
        self.settings = settings
        self.folder = prompts.prompts_folder(settings)
        self.books = load_phrase_books(settings)
        self._book_in_words_of = lru_cache(maxsize=None)(self._own_book)
        self._renderer = renderer or EspeakRenderer()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._pending: set[Path] = set()
        self._broken_until: dict[Path, float] = {}
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")
        if not SAFE_PATH.fullmatch(str(self.folder)):
            raise ConfigError(
                [
                    f"node.state_folder = '{settings.state_folder}' has characters Asterisk would misread; "
                    "use letters, digits, '/', '.', '_' and '-'."
                ]
            )

    def book_of(self, department: str, language: str = "", agent: str = "") -> PhraseBook:
        """The phrase book in whose words ``department`` and ``agent`` speak; ``language`` "": the department's first.

        A language that the department does not speak is its first one, too.
        """
        return self._book_in_words_of(department, language, agent)

    def _own_book(self, department: str, language: str, agent: str) -> PhraseBook:
        spoken = self.settings.languages_of(department)
        language = language if language in spoken else spoken[0]
        return self.books[language].in_words_of(own_words(self.settings, language, department, agent))

    def path_of(self, text: str, book: PhraseBook) -> Path:
        """Where the prompt ``text`` lies once it is rendered, without extension."""
        recipe = "\0".join((RECIPE, book.voice, str(book.words_per_minute), text))
        return self.folder / book.language / hashlib.sha256(recipe.encode()).hexdigest()[:20]

    def find(self, text: str, book: PhraseBook) -> Path | None:
        """The prompt ``text`` without extension; None when it is not there yet (it is on its way)."""
        path = self.path_of(text, book)
        if wav_of(path).is_file():
            return path
        self._render_later(path, text, book)
        return None

    def render(self, text: str, book: PhraseBook) -> Path:
        """Render ``text`` now unless it is there; its path without extension.

        Raises:
            RenderError: the voice or the disk refuses.
        """
        path = self.path_of(text, book)
        if not wav_of(path).is_file():
            write_prompt(wav_of(path), self._renderer.render(text, book))
        return path

    def script_path(self, script: Script, book: PhraseBook) -> Path:
        """Where ``script`` lies once it is put together, without extension."""
        parts = [f"{path.name}+{pause}" for path, pause in self._parts(script, book)]
        address = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
        return self.folder / book.language / "joined" / address

    def find_script(self, script: Script, book: PhraseBook) -> Path | None:
        """The whole ``script`` without extension, put together in about a millisecond when it is not there yet.

        None when a piece of it is not rendered yet (it is on its way).

        Raises:
            RenderError: the disk refuses.
        """
        path = self.script_path(script, book)
        if wav_of(path).is_file():
            return path
        missing = [text for text in texts_of(script, book) if self.find(text, book) is None]
        return None if missing else self._join(script, book, path)

    def render_script(self, script: Script, book: PhraseBook) -> Path:
        """The whole ``script`` without extension; what is missing is rendered now.

        Raises:
            RenderError: the voice or the disk refuses.
        """
        for text in texts_of(script, book):
            self.render(text, book)
        return self._join(script, book, self.script_path(script, book))

    def speak_number(self, groups: Sequence[str], book: PhraseBook, target: Path) -> Path:
        """Write ``groups`` of digits, as they are read aloud, to ``target``.wav; put together from the
        ten prompts that exist, so it takes a millisecond and no renderer.

        Raises:
            RenderError: a digit is not rendered yet, or the disk refuses.
        """
        number = (Digits(tuple(groups)),)
        if any(self.find(text, book) is None for text in texts_of(number, book)):
            raise RenderError("The digits are not rendered yet; wait until the prompts are prepared.")
        return self._join(number, book, target)

    def wanted(self, at: datetime) -> list[tuple[str, str]]:
        """(language, text) of every prompt that may be needed within two days of ``at``."""
        return list(dict.fromkeys(predictable(self.settings, self.book_of, at)))

    def prepare(self, progress: Progress | None = None, at: datetime | None = None) -> int:
        """Render ahead everything predictable, put the fixed prompts in their places, write the music.

        Returns how many prompts could not be rendered; each reason is logged. Blocks: call it in a thread.
        """
        self._write_tones()
        wanted = self.wanted(at or datetime.now(UTC))
        failed = 0
        for done, (language, text) in enumerate(wanted, start=1):
            if self._closing.is_set():
                return failed
            failed += not self._render_logged(text, self.books[language])
            if progress:
                progress(done, len(wanted))
        for department in self.settings.departments:
            for name in prompts.FIXED_NAMES:
                self._place_fixed(department, name)
        return failed

    def close(self) -> None:
        """Stop rendering, ahead and in the background; the prompt that has begun is finished."""
        self._closing.set()
        self._background.shutdown(wait=True, cancel_futures=True)

    def _join(self, script: Script, book: PhraseBook, target: Path) -> Path:
        row: list[sound.Samples] = []
        for path, pause in self._parts(script, book):
            row += [sound.read_wav(wav_of(path).read_bytes())[0], np.zeros(int(pause * sound.RATE))]
        write_prompt(wav_of(target), sound.wav_bytes(np.concatenate(row)))
        return target

    def _parts(self, script: Script, book: PhraseBook) -> Iterator[tuple[Path, float]]:
        """The prompts of ``script`` in order, each with the seconds of quiet after it."""
        for piece in script:
            if isinstance(piece, Digits):
                yield from self._digits(piece, book)
            else:
                last = piece is script[-1]
                yield self.path_of(piece.text, book), 0.0 if last else pause_after(piece.text)

    def _digits(self, number: Digits, book: PhraseBook) -> Iterator[tuple[Path, float]]:
        for group in number.groups:
            for place, digit in enumerate(group, start=1):
                pause = _GROUP_PAUSE_SECONDS if place == len(group) else _DIGIT_PAUSE_SECONDS
                yield self.path_of(book.say(f"digits.{digit}"), book), pause

    def _render_later(self, path: Path, text: str, book: PhraseBook) -> None:
        with self._lock:
            if path in self._pending or self._broken_until.get(path, 0.0) > time.monotonic():
                return
            self._pending.add(path)
        _log.info("The prompt %s is not there yet; rendering it in the background", path)
        try:
            self._background.submit(self._render_pending, path, text, book)
        except RuntimeError:  # closing down
            self._pending.discard(path)

    def _render_pending(self, path: Path, text: str, book: PhraseBook) -> None:
        done = self._render_logged(text, book)
        with self._lock:
            self._pending.discard(path)
            if not done:
                self._broken_until[path] = time.monotonic() + _RETRY_SECONDS

    def _render_logged(self, text: str, book: PhraseBook) -> bool:
        try:
            self.render(text, book)
        except RenderError as error:
            _log.error(
                "No prompt for '%s' (%s), a generic one is played instead: %s", text, book.language, error
            )
            return False
        return True

    def _place_fixed(self, department: str, name: str) -> None:
        """Give the rendered prompt its fixed name: a hard link, put in place in one step."""
        book = self.book_of(department)
        source = wav_of(self.path_of(compose.fixed_text(book, self.settings, department, name), book))
        target = wav_of(prompts.fixed_prompt(self.settings, department, name))
        if not source.is_file() or (target.is_file() and target.samefile(source)):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            staged.unlink(missing_ok=True)
            os.link(source, staged)
            staged.replace(target)
        except OSError as error:
            _log.error("Cannot put the fixed prompt %s in its place: %s", target, error.strerror)

    def _write_tones(self) -> None:
        """The music of the queue and the beep: sounds without words."""
        music = prompts.music_folder(self.settings) / "waiting"
        for path, samples in ((prompts.beep_prompt(self.settings), beep), (music, hold_music)):
            if wav_of(path).is_file():
                continue
            try:
                write_prompt(wav_of(path), sound.wav_bytes(samples()))
            except RenderError as error:
                _log.error("A tone is missing: %s", error)


def greeting_text(
    settings: Settings, kind: str, department: str, agent: str, at: datetime, *, language: str = ""
) -> str:
    """What ``fourthring say --greeting`` and the rehearsal show: the greeting said at the instant ``at``.

    Raises:
        ConfigError: the phrase book is wrong.
        ValueError: no such kind of greeting.
        KeyError: no such department.
    """
    tongue = language or settings.language_of(department)
    book = load_phrase_book(tongue).in_words_of(own_words(settings, tongue, department, agent))
    wanted = compose.GreetingKind(kind)
    return text_of(compose.greeting_at(book, settings, wanted, department, agent=agent, at=at))
