"""Puts the words together: greeting and farewell by time of day, company, department and person.

Pure: phrase book, settings and an instant go in, a script comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agi.voice.occasions import PartOfDay, part_of_day, parting, wish_on
from agi.voice.opening import opening_words
from agi.voice.phrasebook import PhraseBook
from agi.voice.script import Marked, Script, cut
from ami_bridge.numbers import read_back_groups, zones_of_number
from ami_bridge.settings import Settings


class GreetingKind(StrEnum):
    """Where in a call a greeting is said; the first argument of the AGI step ``greeting``."""

    DIRECT = "direct"  # an agent has answered the direct call
    QUEUE_JOIN = "queue-join"  # the queue has answered; nobody to name yet
    QUEUE_ANSWER = "queue-answer"  # a member of the queue has answered
    CALLBACK = "callback"  # the customer has answered the call that we promised
    CALLBACK_FIRST = (
        "callback-first"  # the same before an agent is there: nobody to name yet, nothing to ask yet
    )
    CLOSED = "closed"  # nobody can answer; a callback is offered next
    MACHINE = "machine"  # a machine has answered the call that we promised; said whole after its tone (S19)


#: Kinds in which a person is named when known.
PERSONAL = frozenset(
    {GreetingKind.DIRECT, GreetingKind.QUEUE_ANSWER, GreetingKind.CALLBACK, GreetingKind.MACHINE}
)


#: Kinds that have a shorter form for whoever has heard the whole a short while ago.
SHORTER = frozenset({GreetingKind.DIRECT, GreetingKind.QUEUE_JOIN})


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a greeting depends on.

    Attributes:
        agent: an extension, or "" when nobody is known by name.
        wish: what is said after the salutation today, "" mostly.
        opens: when we open again, in words; "" when that is not why nobody answers.
        again: the caller has heard the whole greeting a short while ago.
    """

    kind: GreetingKind
    department: str
    agent: str
    part: PartOfDay
    wish: str = ""
    opens: str = ""
    again: bool = False


def occasion_at(
    book: PhraseBook,
    settings: Settings,
    kind: GreetingKind,
    department: str,
    *,
    agent: str,
    at: datetime,
    again: bool = False,
) -> Occasion:
    """The occasion at the instant ``at``.

    Raises:
        KeyError: the department is not configured.
    """
    local = at.astimezone(settings.zone_info_of(department))
    return Occasion(
        kind,
        department,
        agent,
        part_of_day(local),
        wish_on(book, settings, local.date()),
        _opens(book, settings, department, local) if kind is GreetingKind.CLOSED else "",
        again,
    )


def greeting_at(
    book: PhraseBook,
    settings: Settings,
    kind: GreetingKind,
    department: str,
    *,
    agent: str,
    at: datetime,
    again: bool = False,
) -> Script:
    """The whole greeting at the instant ``at``; raises as :func:`occasion_at` does."""
    occasion = occasion_at(book, settings, kind, department, agent=agent, at=at, again=again)
    return greeting(book, settings, occasion)


def greeting(book: PhraseBook, settings: Settings, occasion: Occasion) -> Script:
    """The whole greeting, in the words of ``book``.

    Raises:
        KeyError: the department is not configured.
    """
    salutation = book.say(f"salutations.{occasion.part}")
    person = person_of(settings, occasion.agent, book.language) if occasion.kind in PERSONAL else ""
    words = Marked(
        place_words(book, settings, occasion.department),
        salutation=f"{salutation}! {occasion.wish}" if occasion.wish else salutation,
        opens=occasion.opens,
    )
    phrase = book.phrases[_key(occasion, bool(person))].format_map(words)
    groups = _own_number(settings, occasion.department) if occasion.kind is GreetingKind.MACHINE else ()
    return cut(phrase, agent=occasion.agent, person=person, groups=groups)


def farewell_words(
    book: PhraseBook, settings: Settings, department: str, at: datetime, caller: str = ""
) -> str:
    """The parting (S13) by the wall clock of ``caller`` where the number tells it, else by the department's.

    A mobile number may be anywhere in a country of many zones: it tells only what is right in all of them.
    """
    zones = zones_of_number(caller, settings.company.country)
    words = {parting(book, settings, at.astimezone(zone)) for zone in zones}
    return (
        words.pop()
        if len(words) == 1
        else parting(book, settings, at.astimezone(settings.zone_info_of(department)))
    )


def _own_number(settings: Settings, department: str) -> tuple[str, ...]:
    """The department's first DID as it is dictated; one that is in no number plan digit by digit."""
    did = settings.departments[department].dids[0]
    try:
        return read_back_groups(f"+{did}", settings.company.country)
    except ValueError:
        return tuple(did)


def _key(occasion: Occasion, named: bool) -> str:
    key = f"greetings.{occasion.kind.replace('-', '_')}"
    if occasion.kind in PERSONAL and not named:
        return f"{key}_nameless"
    if occasion.again and occasion.kind in SHORTER:
        return f"{key}_again"
    return f"{key}_until" if occasion.opens else key


def _opens(book: PhraseBook, settings: Settings, department: str, local: datetime) -> str:
    schedule = settings.schedule_of(department)
    opens = None if schedule.is_open(local) else schedule.opens_at(local)
    return opening_words(book, local, opens.astimezone(schedule.zone)) if opens else ""


def person_of(settings: Settings, agent: str, language: str) -> str:
    """Position (when one is configured) and name of ``agent`` as they are said; "" for a stranger."""
    person = settings.agents.get(agent)
    if person is None or language not in person.names:
        return ""
    position = person.positions.get(language)
    return f"{position} {person.names[language]}" if position else person.names[language]


def fixed_text(book: PhraseBook, settings: Settings, department: str, name: str) -> str:
    """The words of the fixed prompt ``name`` of ``department`` (see :mod:`agi.voice.prompts`)."""
    key = book.say(f"digits.{settings.languages_by.key}")
    return book.say(f"fixed.{name}", key=key, **place_words(book, settings, department))


def place_words(book: PhraseBook, settings: Settings, department: str) -> dict[str, str]:
    """Company and department as they are said in the language of ``book``."""
    return {
        "company": settings.company.names[book.language],
        "department": settings.departments[department].names[book.language],
    }
