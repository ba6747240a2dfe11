"""What this company can say within the next days: everything that is rendered before anybody calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from agi.voice import compose, prompts
from agi.voice.occasions import all_partings
from agi.voice.phrasebook import PhraseBook
from agi.voice.script import Digits, Named, Script, spoken
from ami_bridge.settings import Settings

#: (department, language, agent) → the book in whose words they speak.
BookOf = Callable[[str, str, str], PhraseBook]

# Two days: whoever prepares at least once a day never meets a salutation, wish or opening time that is not ready.
_AHEAD_HOURS = 48
# Phrases that a caller or an agent hears as they stand in the book.
_SECTIONS = frozenset(
    {"capture", "briefing", "outcome", "confirm", "convenient", "own_name", "digits", "weekdays", "hours"}
    | {"queue", "waits"}
)
# These name company and department.
_OF_A_PLACE = ("briefing.intro", "confirm.ask")


def predictable(settings: Settings, book_of: BookOf, at: datetime) -> Iterator[tuple[str, str]]:
    """(language, text) of every piece that can be needed within two days of ``at``; the most urgent come first."""
    tongues = [
        (department, language)
        for department in settings.departments
        for language in settings.languages_of(department)
    ]
    for department, language in tongues:
        book = book_of(department, language, "")
        for name in prompts.FIXED_NAMES:
            yield language, compose.fixed_text(book, settings, department, name)
    for department, language in tongues:
        for script in _greetings(settings, book_of, department, language, at):
            yield from ((language, text) for text in texts_of(script, book_of(department, language, "")))
    for department, language in tongues:
        book = book_of(department, language, "")
        words = compose.place_words(book, settings, department)
        yield from ((language, book.say(key, **words)) for key in _OF_A_PLACE)
        yield from ((language, text) for text in _plain(book, settings))


def texts_of(script: Script, book: PhraseBook) -> Iterator[str]:
    """The texts that must be rendered so that ``script`` can be put together."""
    for piece in script:
        if isinstance(piece, Digits):
            yield from (book.say(f"digits.{digit}") for digit in "".join(piece.groups))
        else:
            yield piece.text
        if isinstance(piece, Named):
            # For the day on which the owner records the name.
            yield from filter(spoken, (piece.before, piece.after))


def _greetings(
    settings: Settings, book_of: BookOf, department: str, language: str, at: datetime
) -> Iterator[Script]:
    own = settings.departments[department]
    agents = sorted({*own.direct, *own.queue})
    plain = book_of(department, language, "")
    for kind in compose.GreetingKind:
        moments = (at + timedelta(hours=hour) for hour in range(_AHEAD_HOURS))
        occasions = dict.fromkeys(
            compose.occasion_at(plain, settings, kind, department, agent="", at=moment) for moment in moments
        )
        for occasion in occasions:
            for agent in (*agents, "") if kind in compose.PERSONAL else ("",):
                book = book_of(department, language, agent)
                yield compose.greeting(book, settings, replace(occasion, agent=agent))
                yield compose.greeting(book, settings, replace(occasion, agent=agent, again=True))


def _plain(book: PhraseBook, settings: Settings) -> Iterator[str]:
    """Everything that does not depend on department or person."""
    partings = list(all_partings(book, settings))
    sections = _SECTIONS | ({"letters"} if settings.callback.spell_names else set())
    for key, text in book.phrases.items():
        if key.partition(".")[0] not in sections or key in _OF_A_PLACE:
            continue
        if "{parting}" in text:
            yield from (text.format(parting=parting) for parting in partings)
        else:
            yield book.say(key)
