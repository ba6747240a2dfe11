"""Prompts on disk: ``<state>/prompts/<language>/<hash>.wav``, found by their words, put together to scripts.

Each prompt is two files: ``.wav`` (8 kHz) and ``.wav16`` (16 kHz, for calls in wide band), of which Asterisk
takes the one that suits the call. The first is written last, so where it is, both are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from agi.voice import own_voice, prompts, sound
from agi.voice.ahead import texts_of
from agi.voice.phrasebook import PhraseBook, load_phrase_books, own_words
from agi.voice.prompts import wav_of, wide_of
from agi.voice.render import RECIPE, EspeakRenderer, Renderer, RenderError, finished, write_data, write_sound
from agi.voice.script import Digits, Named, Script, pause_after, spoken
from agi.voice.speakers import renderer_for
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

# Between the digits of one group, and between two groups, of a number that is read back (S20).
_DIGIT_PAUSE_SECONDS = 0.12
_GROUP_PAUSE_SECONDS = 0.45
_NAME_PAUSE_SECONDS = 0.05
#: What may stand in a file name that passes through dialplan functions and applications.
SAFE_PATH = re.compile(r"[\w./+@=~ -]+")


class PromptShelf:
    """Where each prompt lies, and how it comes there. Thread-safe."""

    def __init__(self, settings: Settings, renderer: Renderer | None = None) -> None:
        """Load the phrase book of every configured language; ``renderer`` speaks instead of the configured ones.

        Raises:
            ConfigError: a book is missing or wrong, or the state folder's path would upset the dialplan.
        """
        self.settings = settings
        self.folder = prompts.prompts_folder(settings)
        self.books = load_phrase_books(settings)
        self.renderers = {
            language: renderer or renderer_for(settings, book) for language, book in self.books.items()
        }
        self._book_in_words_of = lru_cache(maxsize=None)(self._own_book)
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
        spoken_here = self.settings.languages_of(department)
        language = language if language in spoken_here else spoken_here[0]
        return self.books[language].in_words_of(own_words(self.settings, language, department, agent))

    # Single prompts -----------------------------------------------------------------------------

    def path_of(self, text: str, book: PhraseBook) -> Path:
        """Where the prompt ``text`` lies once it is rendered, without extension."""
        return self._path(text, book, self.renderers[book.language])

    def render(self, text: str, book: PhraseBook) -> Path:
        """Render ``text`` now unless it is there; its path without extension.

        Raises:
            RenderError: the voice or the disk refuses.
        """
        return self._rendered(text, book, self.renderers[book.language])

    def render_plainly(self, text: str, book: PhraseBook) -> Path:
        """As :meth:`render`, by espeak-ng: for what must be heard although the configured voice is broken."""
        return self._rendered(text, book, EspeakRenderer(book))

    def _path(self, text: str, book: PhraseBook, renderer: Renderer) -> Path:
        recipe = "\0".join((RECIPE, renderer.recipe, text))
        return self.folder / book.language / hashlib.sha256(recipe.encode()).hexdigest()[:20]

    def _rendered(self, text: str, book: PhraseBook, renderer: Renderer) -> Path:
        path = self._path(text, book, renderer)
        if not wav_of(path).is_file():
            write_sound(path, finished(text, renderer))
        return path

    # Scripts ------------------------------------------------------------------------------------

    def script_path(self, script: Script, book: PhraseBook) -> Path:
        """Where ``script`` lies once it is put together, without extension."""
        parts = [f"{address}+{pause}" for _, address, pause in self._parts(script, book)]
        address = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
        return self.folder / book.language / "joined" / address

    def render_script(self, script: Script, book: PhraseBook) -> Path:
        """The whole ``script`` without extension; what is missing is rendered now.

        Raises:
            RenderError: the voice or the disk refuses.
        """
        for text in texts_of(script, book):
            self.render(text, book)
        return self.join(script, book, self.script_path(script, book))

    def speak_number(self, groups: Sequence[str], book: PhraseBook, target: Path) -> Path:
        """Write ``groups`` of digits, as they are read aloud, to ``target``.wav; put together from the
        ten prompts that exist, so it takes a millisecond and no renderer.

        Raises:
            RenderError: a digit is not rendered yet, or the disk refuses.
        """
        return self.join((Digits(tuple(groups)),), book, target)

    def join(self, script: Script, book: PhraseBook, target: Path) -> Path:
        """Put the prompts of ``script`` together, with the pauses of its punctuation, to ``target``.

        Raises:
            RenderError: one of them is not rendered yet, or the disk refuses.
        """
        parts = list(self._parts(script, book))
        try:
            joined = {
                rate: b"".join(_with_pause(file_of(path), pause, rate) for path, _, pause in parts)
                for rate, file_of in ((sound.RATE, wav_of), (sound.WIDE_RATE, wide_of))
            }
        except (OSError, ValueError) as error:
            raise RenderError(
                f"A prompt is not rendered yet ({error}); wait until they are prepared."
            ) from None
        write_data(target, joined)
        return target

    def _parts(self, script: Script, book: PhraseBook) -> Iterator[tuple[Path, str, float]]:
        """The prompts of ``script`` in order: path, what tells it from others, seconds of quiet after it."""
        for piece in script:
            last = piece is script[-1]
            if isinstance(piece, Digits):
                yield from self._digits(piece, book)
            elif isinstance(piece, Named) and (own := own_voice.name_of(self.settings, piece.agent)):
                yield from self._said(piece.before, book)
                pause = _NAME_PAUSE_SECONDS if spoken(piece.after) else pause_after(piece.text)
                yield own.path, own.address, 0.0 if last else pause
                yield from self._said(piece.after, book)
            else:
                yield from self._said(piece.text, book, last=last)

    def _said(self, text: str, book: PhraseBook, *, last: bool = False) -> Iterator[tuple[Path, str, float]]:
        if spoken(text):
            path = self.path_of(text, book)
            yield path, path.name, 0.0 if last else pause_after(text)

    def _digits(self, number: Digits, book: PhraseBook) -> Iterator[tuple[Path, str, float]]:
        for group in number.groups:
            for place, digit in enumerate(group, start=1):
                path = self.path_of(book.say(f"digits.{digit}"), book)
                yield path, path.name, _GROUP_PAUSE_SECONDS if place == len(group) else _DIGIT_PAUSE_SECONDS


def _with_pause(file: Path, seconds: float, rate: int) -> bytes:
    """The samples of ``file`` as they are: a join in the middle of a call takes a millisecond."""
    raw, found = sound.data_of(file.read_bytes())
    if found != rate:
        raise ValueError(f"{file} has {found} samples a second")
    return raw + bytes(2 * int(seconds * rate))
