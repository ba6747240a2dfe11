"""The voice of a company in one process: finds what is to be played, renders ahead, never lets a caller wait.

Everything that the configured company can say is rendered ahead by :meth:`VoiceCache.prepare`. What is
missing all the same is rendered in the background while the caller hears something that exists.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from agi.voice import compose, own_voice, prompts, sound, upkeep
from agi.voice.ahead import predictable, texts_of
from agi.voice.music import beep, hold_music, nothing, tones_around
from agi.voice.phrasebook import PhraseBook, load_phrase_book, own_words
from agi.voice.prompts import say, wav_of, wide_of
from agi.voice.render import Renderer, RenderError, write_prompt, write_sound
from agi.voice.script import Script, text_of
from agi.voice.shelf import SAFE_PATH, PromptShelf
from ami_bridge.settings import Settings

__all__ = ["SAFE_PATH", "Progress", "VoiceCache", "greeting_text", "say"]

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (prompts done, prompts altogether)."""

# A prompt that could not be rendered is not tried again for this long.
_RETRY_SECONDS = 30.0
# espeak-ng is a process of its own: a second one while the first one's sound is being levelled.
_AT_ONCE = 2
#: Kinds of greeting whose words a person may record whole.
OWN_GREETINGS = frozenset({compose.GreetingKind.DIRECT, compose.GreetingKind.QUEUE_ANSWER})


class VoiceCache(PromptShelf):
    """Finds prompts, renders what is missing. Thread-safe; one per process."""

    def __init__(self, settings: Settings, renderer: Renderer | None = None) -> None:
        """As for :class:`agi.voice.shelf.PromptShelf`."""
        super().__init__(settings, renderer)
        self._usage = upkeep.Usage()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._pending: set[Path] = set()
        self._broken_until: dict[Path, float] = {}
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voice")

    # While callers wait -------------------------------------------------------------------------

    def find(self, text: str, book: PhraseBook) -> Path | None:
        """The prompt ``text`` without extension; None when it is not there yet (it is on its way)."""
        path = self.path_of(text, book)
        if wav_of(path).is_file():
            self._usage.mark(path)
            return path
        self._render_later(path, text, book)
        return None

    def find_script(self, script: Script, book: PhraseBook) -> Path | None:
        """The whole ``script`` without extension, put together in some milliseconds when it is not there yet.

        None when a piece of it is not rendered yet (it is on its way).

        Raises:
            RenderError: the disk refuses.
        """
        path = self.script_path(script, book)
        if wav_of(path).is_file():
            self._usage.mark(path)
            return path
        missing = [text for text in texts_of(script, book) if self.find(text, book) is None]
        return None if missing else self.join(script, book, path)

    def find_greeting(
        self,
        kind: compose.GreetingKind,
        department: str,
        *,
        language: str = "",
        agent: str = "",
        at: datetime,
        again: bool = False,
    ) -> Path | None:
        """The greeting that is right at the instant ``at``; None and RenderError as for :meth:`find_script`.

        A greeting that the agent has recorded whole wins over the composed one. ``again``: the caller has heard it
        a short while ago, and is told less where there is less to be told.
        """
        book = self.book_of(department, language, agent)
        if kind in OWN_GREETINGS and (own := own_voice.greeting_of(self.settings, agent, book.language)):
            return own.path
        script = compose.greeting_at(book, self.settings, kind, department, agent=agent, at=at, again=again)
        return self.find_script(script, book)

    def find_tone(self, greeting: Path) -> Path:
        """What an agent hears in the place of ``greeting`` (without extension), as long as that but for a tenth.

        Raises:
            RenderError: the disk refuses, or ``greeting`` is not there.
        """
        try:
            tenths = max(1, wav_of(greeting).stat().st_size * 10 // (2 * sound.RATE))
        except OSError as error:
            raise RenderError(f"The greeting is not there ({error.strerror}); prepare the prompts.") from None
        path = self.folder / "fixed" / "tones" / str(tenths)
        if not wav_of(path).is_file():
            write_sound(
                path, {rate: tones_around(tenths / 10, rate) for rate in (sound.RATE, sound.WIDE_RATE)}
            )
        return path

    # Before they call ---------------------------------------------------------------------------

    def wanted(self, at: datetime) -> list[tuple[str, str]]:
        """(language, text) of every prompt that may be needed within two days of ``at``."""
        return list(dict.fromkeys(predictable(self.settings, self.book_of, at)))

    def missing(self, at: datetime) -> int:
        """How many of the :meth:`wanted` prompts are not there."""
        wanted = self.wanted(at)
        return sum(
            not wav_of(self.path_of(text, self.books[language])).is_file() for language, text in wanted
        )

    def prepare(self, progress: Progress | None = None, at: datetime | None = None) -> int:
        """Render ahead everything predictable, put the fixed prompts in their places, write the music, sweep.

        Returns how many prompts could not be rendered; each reason is logged, and told by ``fourthring doctor``.
        Blocks: call it in a thread.
        """
        now = at or datetime.now(UTC)
        self._write_tones()
        wanted = self.wanted(now)
        reasons: list[str] = []
        with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="voice-ahead") as workers:
            results = workers.map(lambda each: self._ahead(each[1], self.books[each[0]]), wanted)
            for done, reason in enumerate(results, start=1):
                reasons += [reason] if reason else []
                if progress:
                    progress(done, len(wanted))
        if self._closing.is_set():
            return len(reasons)
        self._place_all_fixed()
        upkeep.note_trouble(self.settings, reasons, len(reasons), datetime.now(UTC))
        kept = {self.path_of(text, self.books[language]) for language, text in wanted}
        upkeep.sweep(self.settings, self.books, kept)
        return len(reasons)

    def close(self) -> None:
        """Stop rendering, ahead and in the background; the prompt that has begun is finished."""
        self._closing.set()
        self._background.shutdown(wait=True, cancel_futures=True)
        for renderer in self.renderers.values():
            renderer.close()

    def _ahead(self, text: str, book: PhraseBook) -> str:
        """Render ``text``; why not, or ""."""
        return "" if self._closing.is_set() else self._render_logged(text, book)

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
        reason = self._render_logged(text, book)
        with self._lock:
            self._pending.discard(path)
            if reason:
                self._broken_until[path] = time.monotonic() + _RETRY_SECONDS
        if reason:
            upkeep.note_trouble(self.settings, [reason], 1, datetime.now(UTC))

    def _render_logged(self, text: str, book: PhraseBook) -> str:
        try:
            self.render(text, book)
        except RenderError as error:
            _log.error(
                "No prompt for '%s' (%s), a generic one is played instead: %s", text, book.language, error
            )
            return str(error)
        return ""

    def _place_all_fixed(self) -> None:
        """Each department's fixed prompts: its first language at the name, each of several in a folder of its own.

        Asterisk looks into the folder named like the channel's language first.
        """
        for department in self.settings.departments:
            spoken = self.settings.languages_of(department)
            for name in prompts.FIXED_NAMES:
                target = prompts.fixed_prompt(self.settings, department, name)
                self._place_fixed(department, spoken[0], name, target)
                for language in spoken if len(spoken) > 1 else ():
                    self._place_fixed(department, language, name, target.parent / language / name)

    def _place_fixed(self, department: str, language: str, name: str, target: Path) -> None:
        """Give the rendered prompt its fixed name: hard links, each put in place in one step."""
        book = self.book_of(department, language)
        text = compose.fixed_text(book, self.settings, department, name)
        source = self.path_of(text, book)
        try:
            if not wav_of(source).is_file():
                if wav_of(target).is_file():
                    return  # an older one is better than none
                source = self.render_plainly(text, book)
            for file_of in (wide_of, wav_of):
                _link(file_of(source), file_of(target))
        except (OSError, RenderError) as error:
            _log.error("Cannot put the fixed prompt %s in its place: %s", target, error)

    def _write_tones(self) -> None:
        """The music of the queue and the beep: sounds without words."""
        music = prompts.music_folder(self.settings) / "waiting"
        quiet = prompts.quiet_prompt(self.settings)
        for path, samples in (
            (prompts.beep_prompt(self.settings), beep),
            (quiet, nothing),
            (music, hold_music),
        ):
            if wav_of(path).is_file():
                continue
            try:
                write_prompt(wav_of(path), sound.wav_bytes(samples()))
            except RenderError as error:
                _log.error("A tone is missing: %s", error)


def _link(source: Path, target: Path) -> None:
    if target.is_file() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    os.link(source, staged)
    staged.replace(target)


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
