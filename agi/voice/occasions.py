"""What today is: part of day, weekday, holiday, a day of the company's own; and so which wish and which parting.

Pure: an instant on somebody's wall clock goes in, words come out of the phrase book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum

from agi.voice.phrasebook import PhraseBook
from agi.voice.phrases import WEEKDAYS
from ami_bridge.holiday_calendar import holiday_names
from ami_bridge.hours_settings import SpecialDay
from ami_bridge.settings import Settings


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


def wish_on(book: PhraseBook, settings: Settings, day: date) -> str:
    """What is said after the salutation on ``day``: the company's own words, a holiday's, the weekday's; "" mostly."""
    own = _own_words(settings, day, book.language, lambda each: each.greeting)
    return own or _holiday_wish(book, settings, day) or book.wish(WEEKDAYS[day.weekday()])


def parting(book: PhraseBook, settings: Settings, local: datetime) -> str:
    """The farewell's last words (S13) at ``local``, the wall clock of whoever is on the line."""
    own = _own_words(settings, local.date(), book.language, lambda each: each.parting)
    return own or book.say(parting_key(book, settings, local))


def parting_key(book: PhraseBook, settings: Settings, local: datetime) -> str:
    """Which parting suits ``local``.

    A good holiday on a holiday that has a wish, and from noon of its eve; a good weekend from Friday noon to
    Saturday evening; else by the part of day.
    """
    tomorrow = local.date() + timedelta(days=1)
    eve = local.hour >= 12 and _holiday_wish(book, settings, tomorrow)
    if eve or _holiday_wish(book, settings, local.date()):
        return "partings.holiday"
    weekend = local.weekday() == _FRIDAY and local.hour >= 12
    weekend = weekend or (local.weekday() == _SATURDAY and 6 <= local.hour < 18)
    return "partings.weekend" if weekend else f"partings.{part_of_day(local)}"


def all_partings(book: PhraseBook, settings: Settings) -> Iterator[str]:
    """Every parting that this company can say in the language of ``book``."""
    yield from (text for key, text in book.phrases.items() if key.startswith("partings."))
    yield from (day.parting[book.language] for day in settings.calendar.days if book.language in day.parting)


def _holiday_wish(book: PhraseBook, settings: Settings, day: date) -> str:
    names = holiday_names(day, settings.company.country, settings.calendar.subdivision)
    return next((wish for name in names if (wish := book.wish(name))), "")


def _own_words(
    settings: Settings, day: date, language: str, words_of: Callable[[SpecialDay], dict[str, str]]
) -> str:
    """What the company has configured to be said on ``day``; a day of one year comes before one of every year."""
    for name in (day.isoformat(), f"{day:%m-%d}"):
        for each in settings.calendar.days:
            if each.date == name and language in words_of(each):
                return words_of(each)[language]
    return ""
