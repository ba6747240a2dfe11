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
from datetime import datetime
from pathlib import Path

import numpy as np

from agi.voice import compose, prompts, sound
from agi.voice.music import beep, hold_music
from agi.voice.phrasebook import PhraseBook, load_phrase_book
from agi.voice.prompts import say, wav_of
from agi.voice.render import RECIPE, EspeakRenderer, Renderer, RenderError, write_prompt
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

__all__ = ["SAFE_PATH", "Progress", "VoiceCache", "greeting_text", "predictable", "say"]

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
        self.books = {language: load_phrase_book(language) for language in settings.languages}
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

    def book_of(self, department: str) -> PhraseBook:
        """The phrase book in which ``department`` speaks."""
        return self.books[self.settings.language_of(department)]

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

    def speak_number(self, groups: Sequence[str], book: PhraseBook, target: Path) -> Path:
        """Write ``groups`` of digits, as they are read aloud, to ``target``.wav; put together from the
        ten prompts that exist, so it takes a millisecond and no renderer.

        Raises:
            RenderError: a digit is not rendered yet, or the disk refuses.
        """
        write_prompt(wav_of(target), sound.wav_bytes(np.concatenate(list(self._number(groups, book)))))
        return target

    def prepare(self, progress: Progress | None = None) -> int:
        """Render ahead everything predictable, put the fixed prompts in their places, write the music.

        Returns how many prompts could not be rendered; each reason is logged. Blocks: call it in a thread.
        """
        self._write_tones()
        wanted = list(dict.fromkeys(predictable(self.settings, self.books)))
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

    def _number(self, groups: Sequence[str], book: PhraseBook) -> Iterator[sound.Samples]:
        for group in groups:
            for digit in group:
                yield self._digit(digit, book)
                yield np.zeros(int(_DIGIT_PAUSE_SECONDS * sound.RATE))
            yield np.zeros(int(_GROUP_PAUSE_SECONDS * sound.RATE))

    def _digit(self, digit: str, book: PhraseBook) -> sound.Samples:
        path = self.find(book.say(f"digits.{digit}"), book)
        if path is None:
            raise RenderError(f"The digit {digit} is not rendered yet; wait until the prompts are prepared.")
        return sound.read_wav(wav_of(path).read_bytes())[0]

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


def predictable(settings: Settings, books: dict[str, PhraseBook]) -> Iterator[tuple[str, str]]:
    """(language, text) of everything that this company can say, most urgent first: the fixed prompts."""
    for department in settings.departments:
        book = books[settings.language_of(department)]
        for name in prompts.FIXED_NAMES:
            yield book.language, compose.fixed_text(book, settings, department, name)
    for department in settings.departments:
        book = books[settings.language_of(department)]
        yield from ((book.language, text) for text in _greetings(settings, book, department))
        yield book.language, compose.briefing_intro(book, settings, department)
    for book in books.values():
        yield from ((book.language, text) for text in _plain(book))


def _greetings(settings: Settings, book: PhraseBook, department: str) -> Iterator[str]:
    members = settings.departments[department]
    for kind in compose.GreetingKind:
        agents = sorted({*members.direct, *members.queue}) if kind in compose.PERSONAL else []
        for part in compose.PartOfDay:
            for agent in (*agents, ""):
                yield compose.greeting(book, settings, compose.Occasion(kind, department, agent, part))


def _plain(book: PhraseBook) -> Iterator[str]:
    """Everything that does not depend on company, department or person."""
    partings = [text for key, text in book.phrases.items() if key.startswith("partings.")]
    for key, text in book.phrases.items():
        if not key.startswith(("capture.", "briefing.", "digits.")) or key == "briefing.intro":
            continue
        if "{parting}" in text:
            yield from (text.format(parting=parting) for parting in partings)
        else:
            yield book.say(key)


def greeting_text(settings: Settings, kind: str, department: str, agent: str, at: datetime) -> str:
    """What ``fourthring say --greeting`` and the rehearsal show: the greeting said at the instant ``at``.

    Raises:
        ConfigError: the phrase book is wrong.
        ValueError: no such kind of greeting.
        KeyError: no such department.
    """
    part = compose.part_of_day(at.astimezone(settings.zone_info_of(department)))
    book = load_phrase_book(settings.language_of(department))
    return compose.greeting(
        book, settings, compose.Occasion(compose.GreetingKind(kind), department, agent, part)
    )
