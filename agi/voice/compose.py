"""Puts the words together: greeting and farewell by time of day, company, department and person.

Pure: phrase book, settings and an instant go in, text comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agi.voice.phrasebook import PhraseBook
from ami_bridge.settings import Settings


class GreetingKind(StrEnum):
    """Where in a call a greeting is said; the first argument of the AGI step ``greeting``."""

    DIRECT = "direct"  # an agent has answered the direct call
    QUEUE_JOIN = "queue-join"  # the queue has answered; nobody to name yet
    QUEUE_ANSWER = "queue-answer"  # a member of the queue has answered
    CALLBACK = "callback"  # the customer has answered the call that we promised
    CLOSED = "closed"  # nobody can answer; a callback is offered next


#: Kinds that end in a person, who is named when known, and in the open question (S3).
PERSONAL = frozenset({GreetingKind.DIRECT, GreetingKind.QUEUE_ANSWER, GreetingKind.CALLBACK})


class PartOfDay(StrEnum):
    """Which salutation is right. Each part lasts until the next begins; see :func:`part_of_day`."""

    MORNING = "morning"
    DAY = "day"
    EVENING = "evening"
    NIGHT = "night"


# The hour at which each part begins, latest first.
_BEGINS = (
    (23, PartOfDay.NIGHT),
    (18, PartOfDay.EVENING),
    (12, PartOfDay.DAY),
    (6, PartOfDay.MORNING),
)
_FRIDAY, _SATURDAY = 4, 5


def part_of_day(local: datetime) -> PartOfDay:
    """The part of day at ``local`` (wall clock of the department): from 06:00, 12:00, 18:00, 23:00."""
    return next((part for hour, part in _BEGINS if local.hour >= hour), PartOfDay.NIGHT)


def parting_key(local: datetime) -> str:
    """Which parting suits ``local``: a good weekend from Friday noon to Saturday evening."""
    weekend = local.weekday() == _FRIDAY and local.hour >= 12
    weekend = weekend or (local.weekday() == _SATURDAY and 6 <= local.hour < 18)
    return "partings.weekend" if weekend else f"partings.{part_of_day(local)}"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a greeting depends on; ``agent`` is an extension, or "" when nobody is known by name."""

    kind: GreetingKind
    department: str
    agent: str
    part: PartOfDay


def greeting(book: PhraseBook, settings: Settings, occasion: Occasion) -> str:
    """The whole greeting, in the words of ``book``.

    Raises:
        KeyError: the department is not configured.
    """
    words = {
        "salutation": book.say(f"salutations.{occasion.part}"),
        **place_words(book, settings, occasion.department),
    }
    key = f"greetings.{occasion.kind.replace('-', '_')}"
    if occasion.kind not in PERSONAL:
        return book.say(key, **words)
    person = person_of(settings, occasion.agent, book.language)
    return book.say(key, person=person, **words) if person else book.say(f"{key}_nameless", **words)


def person_of(settings: Settings, agent: str, language: str) -> str:
    """Position (when one is configured) and name of ``agent`` as they are said; "" for a stranger."""
    person = settings.agents.get(agent)
    if person is None or language not in person.names:
        return ""
    position = person.positions.get(language)
    return f"{position} {person.names[language]}" if position else person.names[language]


def fixed_text(book: PhraseBook, settings: Settings, department: str, name: str) -> str:
    """The words of the fixed prompt ``name`` of ``department`` (see :mod:`agi.voice.prompts`)."""
    return book.say(f"fixed.{name}", **place_words(book, settings, department))


def briefing_intro(book: PhraseBook, settings: Settings, department: str) -> str:
    """What an agent hears first when a callback is due."""
    return book.say("briefing.intro", **place_words(book, settings, department))


def place_words(book: PhraseBook, settings: Settings, department: str) -> dict[str, str]:
    """Company and department as they are said in the language of ``book``."""
    return {
        "company": settings.company.names[book.language],
        "department": settings.departments[department].names[book.language],
    }
