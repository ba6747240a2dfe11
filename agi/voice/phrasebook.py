"""Loads the phrase books (``config/phrases/<language>.toml``) and proves that each is whole.

A book is words only. Every phrase must exist in every language, may use only its own placeholders,
and may not ask the caller to ring another time (etiquette S8): that is checked when it is loaded,
so no caller ever meets a gap.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agi.voice.never_later import call_later_phrases
from agi.voice.phrases import AGENTS_OWN, PHRASES, placeholders_of
from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings

__all__ = [
    "PHRASES",
    "PhraseBook",
    "call_later_phrases",
    "load_phrase_book",
    "load_phrase_books",
    "own_words",
]


@dataclass(frozen=True, slots=True)
class PhraseBook:
    """The words of one language and the espeak-ng voice that says them."""

    language: str
    voice: str
    words_per_minute: int
    phrases: Mapping[str, str]

    def say(self, key: str, /, **filled: str) -> str:
        """The phrase ``key`` ("section.name") with its placeholders filled in.

        Raises:
            KeyError: no such phrase, or a placeholder was not given: a mistake in our code, since
                the book was checked when it was loaded.
        """
        return self.phrases[key].format_map(filled)

    def wish(self, occasion: str) -> str:
        """What this language says on ``occasion`` (a weekday or the English name of a holiday); "" when nothing."""
        return self.phrases.get(f"wishes.{occasion}", "")

    def in_words_of(self, own: Mapping[str, str]) -> PhraseBook:
        """This book with the phrases ``own`` (checked by :func:`own_words`) in place of its own."""
        return replace(self, phrases={**self.phrases, **own}) if own else self


def load_phrase_book(language: str, folder: Path | None = None) -> PhraseBook:
    """Read ``<folder>/<language>.toml`` (default: the books that ship).

    Raises:
        ConfigError: the file is missing, unreadable or incomplete; one sentence per fault, all at once.
    """
    path = (folder or shipped_folder("config") / "phrases") / f"{language}.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"There is no phrase book for the language '{language}'; write {path}."]) from None
    except OSError as error:
        raise ConfigError(
            [f"Cannot read the phrase book {path}: {error.strerror}; let this user read it."]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"The phrase book {path} is not valid TOML: {error}. Mend that line."]) from None
    return parse_phrase_book(document, language, origin=path.name)


def load_phrase_books(settings: Settings) -> dict[str, PhraseBook]:
    """The books of every configured language; the words of departments and agents are checked, too.

    Raises:
        ConfigError: as for :func:`load_phrase_book`; every fault of every book at once.
    """
    books, problems = {}, [*_own_problems(settings)]
    for language in settings.languages:
        try:
            books[language] = load_phrase_book(language)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return books


def own_words(settings: Settings, language: str, department: str, agent: str = "") -> dict[str, str]:
    """The phrases that ``department``, and before it ``agent``, say in words of their own."""
    person = settings.agents.get(agent)
    return {
        **settings.departments[department].phrases.get(language, {}),
        **(person.phrases.get(language, {}) if person else {}),
    }


def parse_phrase_book(document: Mapping[str, Any], language: str, origin: str) -> PhraseBook:
    """Check a parsed book; ``origin`` opens each error sentence.

    Raises:
        ConfigError: as for :func:`load_phrase_book`.
    """
    voice = document.get("voice")
    phrases = {
        f"{section}.{key}": value
        for section, table in document.items()
        if section != "voice" and isinstance(table, Mapping)
        for key, value in table.items()
    }
    problems = [f"{origin}: {key} is missing; add it." for key in PHRASES if key not in phrases]
    problems = [*_voice_problems(voice, origin), *problems, *_phrase_problems(phrases, origin)]
    if problems or not isinstance(voice, Mapping):
        raise ConfigError(problems)
    return PhraseBook(language, voice["name"], voice["words_per_minute"], phrases)


def _voice_problems(voice: object, origin: str) -> list[str]:
    if not isinstance(voice, Mapping):
        return [f"{origin}: [voice] is missing; add it with 'name' and 'words_per_minute'."]
    problems = []
    name, pace = voice.get("name"), voice.get("words_per_minute")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9+-]{1,40}", name):
        problems.append(
            f"{origin}: voice.name = {name!r} is no name of an espeak-ng voice; write one such as 'ru'."
        )
    if not isinstance(pace, int) or not 80 <= pace <= 300:
        problems.append(f"{origin}: voice.words_per_minute = {pace!r} must be a number from 80 to 300.")
    return problems


def _own_problems(settings: Settings) -> Iterator[str]:
    for key, department in settings.departments.items():
        for language, phrases in department.phrases.items():
            yield from _phrase_problems(phrases, f"departments.{key}.phrases.{language}")
    for extension, agent in settings.agents.items():
        for language, phrases in agent.phrases.items():
            origin = f"agents.{extension}.phrases.{language}"
            yield from _phrase_problems(phrases, origin)
            for other in sorted(set(phrases) & set(PHRASES) - AGENTS_OWN):
                yield f"{origin}: {other} is not said by an agent; those that are: {', '.join(sorted(AGENTS_OWN))}."


def _phrase_problems(phrases: Mapping[str, Any], origin: str) -> Iterator[str]:
    for key, text in phrases.items():
        if placeholders_of(key) is None:
            yield f"{origin}: {key} is not a known phrase; remove it or mend its spelling."
        elif not isinstance(text, str) or not text.strip():
            yield f"{origin}: {key} must be a sentence in quotes."
        else:
            yield from _text_problems(key, text, origin)


def _text_problems(key: str, text: str, origin: str) -> Iterator[str]:
    for found in call_later_phrases(text):
        yield f"{origin}: {key} asks the caller to ring again ('{found}', rule S8); offer our own call instead."
    if not text.isprintable():
        yield f"{origin}: {key} holds a control character or a line end; write it on one line."
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        yield f"{origin}: {key} has a stray brace ({error}); write placeholders as {{company}}."
        return
    known = placeholders_of(key) or frozenset()
    if unknown := used - known:
        allowed = ", ".join(sorted(known)) or "none"
        yield f"{origin}: {key} uses {{{sorted(unknown)[0]}}}; the placeholders it may use: {allowed}."
