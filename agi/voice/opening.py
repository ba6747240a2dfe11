"""When we open, in words: "on Monday at 9 AM", «во вторник в 9 часов 30 минут».

Grammar is data: cases stand in the phrase book («во вторник», «второго января»), which plural form goes with a
number is asked of babel (CLDR), and digits are left to the voice, which reads them in the book's language.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from babel import Locale, UnknownLocaleError
from babel.dates import format_date

from agi.voice.phrasebook import PhraseBook
from agi.voice.phrases import WEEKDAYS

_WEEK = timedelta(days=7)


def opening_words(book: PhraseBook, now: datetime, opens: datetime) -> str:
    """When ``opens`` is, said at ``now``; both on the department's wall clock."""
    said = {"time": _clock_words(book, opens)}
    days = (opens.date() - now.date()).days
    if days in {0, 1}:
        return book.say("opening.today" if days == 0 else "opening.tomorrow", **said)
    if opens.date() - now.date() < _WEEK:
        return book.say(f"opening.{WEEKDAYS[opens.weekday()]}", **said)
    day = book.phrases.get(f"ordinals.{opens.day}", str(opens.day))
    return book.say("opening.date", day=day, month=_month(opens, book.language), **said)


def _clock_words(book: PhraseBook, at: datetime) -> str:
    said = {
        "hour": str(at.hour),
        "hour12": str((at.hour - 1) % 12 + 1),
        "minute": f"{at.minute:02}",
        "half": "AM" if at.hour < 12 else "PM",
    }
    if at.minute:
        return book.say("clock.hour_and_minute", **said)
    form = f"clock.full_hour_{_plural_category(at.hour, book.language)}"
    return book.say(form if form in book.phrases else "clock.full_hour", **said)


def _plural_category(number: int, language: str) -> str:
    try:
        return str(Locale.parse(language).plural_form(number))
    except (UnknownLocaleError, ValueError):
        return "other"


def _month(day: datetime, language: str) -> str:
    """The month's name in the form that stands beside a day: «января», not «январь»."""
    try:
        return format_date(day.date(), "MMMM", locale=language)
    except (UnknownLocaleError, ValueError):
        return str(day.month)
