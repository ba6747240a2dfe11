"""Loads the phrase books (``config/phrases/<language>.toml``) and proves that each is whole.

A book is words only. Every phrase must exist in every language, may use only its own placeholders,
and may not ask the caller to ring another time (etiquette S8): that is checked when it is loaded,
so no caller ever meets a gap.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder

_GREETING = frozenset({"salutation", "company", "department"})
_PERSONAL = _GREETING | {"person"}
_PLACE = frozenset({"company", "department"})
_PARTING = frozenset({"parting"})
_PLAIN: frozenset[str] = frozenset()

#: Every phrase that a book must have: ``section.key`` → the placeholders that it may use.
PHRASES: dict[str, frozenset[str]] = {
    **dict.fromkeys((f"salutations.{part}" for part in ("morning", "day", "evening", "night")), _PLAIN),
    **dict.fromkeys(
        (f"partings.{part}" for part in ("morning", "day", "evening", "night", "weekend")), _PLAIN
    ),
    **dict.fromkeys(("greetings.direct", "greetings.queue_answer", "greetings.callback"), _PERSONAL),
    **dict.fromkeys(
        (
            "greetings.direct_nameless",
            "greetings.queue_answer_nameless",
            "greetings.callback_nameless",
            "greetings.queue_join",
            "greetings.closed",
        ),
        _GREETING,
    ),
    **dict.fromkeys(
        (
            f"fixed.{name}"
            for name in (
                "greeting",
                "greeting-join",
                "busy",
                "callback-offer",
                "leave-message",
                "message-thanks",
                "farewell",
                "customer-not-reached",
            )
        ),
        _PLACE,
    ),
    **dict.fromkeys(
        (
            f"capture.{name}"
            for name in (
                "permission",
                "back_to_queue",
                "number_intro",
                "number_confirm",
                "number_type",
                "number_incomplete",
                "number_refused",
                "name",
                "subject",
                "message",
                "wrong_key",
                "silence",
                "not_heard",
                "summary_number",
                "summary_name",
                "summary_subject",
                "summary_confirm",
            )
        ),
        _PLAIN,
    ),
    **dict.fromkeys(("capture.accepted", "capture.message_kept", "capture.nothing_kept"), _PARTING),
    "briefing.intro": _PLACE,
    **dict.fromkeys(
        (f"briefing.{name}" for name in ("name", "subject", "number", "choose", "declined", "withdrawn")),
        _PLAIN,
    ),
    **dict.fromkeys((f"digits.{digit}" for digit in string.digits), _PLAIN),
}

# Asking the caller to do the ringing, in the words that people really use. Whole words, any case.
_CALL_LATER = (
    re.compile(r"\b(?:пере|по)?звоните\b", re.IGNORECASE),
    re.compile(r"\b(?:пере|по)звонить\s+(?:нам\s+)?(?:позже|позднее|попозже|завтра)\b", re.IGNORECASE),
    re.compile(r"\bпопробуйте\s+(?:ещё|еще|позже|позднее)\b", re.IGNORECASE),
    re.compile(
        r"\b(?:call|ring|phone|try)\s+(?:us\s+)?(?:back\s+|again\s*)?(?:later|another time)\b", re.IGNORECASE
    ),
    re.compile(r"\b(?:call|ring|phone)\s+us\s+(?:back|again)\b", re.IGNORECASE),
    re.compile(r"\btry\s+again\b", re.IGNORECASE),
)


@dataclass(frozen=True, slots=True)
class PhraseBook:
    """The words of one language and the espeak-ng voice that says them."""

    language: str
    voice: str
    words_per_minute: int
    phrases: Mapping[str, str]

    def say(self, key: str, **filled: str) -> str:
        """The phrase ``key`` ("section.name") with its placeholders filled in.

        Raises:
            KeyError: no such phrase, or a placeholder was not given: a mistake in our code, since
                the book was checked when it was loaded.
        """
        return self.phrases[key].format_map(filled)


def call_later_phrases(text: str) -> list[str]:
    """What in ``text`` asks the caller to ring another time (S8); empty when nothing does."""
    return [match.group(0) for pattern in _CALL_LATER for match in pattern.finditer(text)]


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
    problems = [*_voice_problems(voice, origin), *_phrase_problems(phrases, origin)]
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


def _phrase_problems(phrases: Mapping[str, Any], origin: str) -> list[str]:
    problems = [f"{origin}: {key} is missing; add it." for key in PHRASES if key not in phrases]
    for key, text in phrases.items():
        if key not in PHRASES:
            problems.append(f"{origin}: {key} is not a known phrase; remove it or mend its spelling.")
        elif not isinstance(text, str) or not text.strip():
            problems.append(f"{origin}: {key} must be a sentence in quotes.")
        else:
            problems += _text_problems(key, text, origin)
    return problems


def _text_problems(key: str, text: str, origin: str) -> list[str]:
    problems = [
        f"{origin}: {key} asks the caller to ring again ('{found}', rule S8); offer our own call instead."
        for found in call_later_phrases(text)
    ]
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        return [*problems, f"{origin}: {key} has a stray brace ({error}); write placeholders as {{company}}."]
    unknown = used - PHRASES[key]
    if unknown:
        allowed = ", ".join(sorted(PHRASES[key])) or "none"
        problems.append(
            f"{origin}: {key} uses {{{sorted(unknown)[0]}}}; the placeholders it may use: {allowed}."
        )
    return problems
