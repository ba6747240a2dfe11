"""What a story of the table in ``capture_stories`` is: one caller who leaves a callback.

A story is a department, the way in, and for each call what is heard and what the caller does about it. A line of a
script names a phrase of the book (``capture.`` is left out), ``fixed:NAME``, ``greeting:KIND``, ``number:DIGITS``
(a number read aloud) or ``said:WORDS`` (the caller's own voice, played back); ``!`` behind it: heard to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum, auto
from zoneinfo import ZoneInfo

from ami_bridge.core.callbacks import Callback, CallbackState


class Act(Enum):
    """What a caller does who neither presses a key nor says a word."""

    LISTEN = auto()
    HANG_UP = auto()


@dataclass(frozen=True, slots=True)
class Say:
    """Speak after the tone; then press ``end`` ("": wait for the silence to be noticed; None: hang up)."""

    words: str
    end: str | None = "#"


LISTEN, HANG_UP = Act.LISTEN, Act.HANG_UP
COUGH = "*cough*"  # too short to be words
NOTHING = "*nothing*"
Script = tuple[tuple[str, str | Say | Act], ...]
Due = Callable[[Callback], bool]
_S = CallbackState


def soon(kept: Callback) -> bool:
    """Due at once; nothing was agreed."""
    return kept.suits_text == "" and kept.suits_until is None and kept.due_at is not None


def today(kept: Callback) -> bool:
    """In a part of today, by the clock that the caller heard of."""
    if kept.due_at is None or kept.suits_until is None:
        return False
    zone = ZoneInfo(kept.time_zone)
    return kept.due_at.astimezone(zone).date() == kept.created_at.astimezone(zone).date()


def on_day(ahead: int, hour: int) -> Due:
    """In this hour of the day that lies so far ahead."""

    def due(kept: Callback) -> bool:
        zone = ZoneInfo(kept.time_zone)
        day: date = kept.created_at.astimezone(zone).date() + timedelta(days=ahead)
        wanted = datetime.combine(day, datetime.min.time(), zone) + timedelta(hours=hour)
        return kept.due_at == wanted and kept.suits_until == wanted + timedelta(hours=1)

    return due


@dataclass(frozen=True, slots=True)
class Kept:
    """What must be in the store afterwards. ``number`` "": the number that the network told."""

    state: CallbackState = _S.QUEUED
    number: str | None = ""
    source: str = "caller_id"
    confirmed: bool = True
    consents: tuple[str, ...] = ("1", "1")
    name: str | None = None
    subject: str | None = None
    due: Due | None = None
    origin: str = "capture"
    merged: int = 0  # how many earlier requests and missed calls became part of it


@dataclass(frozen=True, slots=True)
class Story:
    """``way``: the department and language, see WAYS. ``calls``: one script a call, one after another."""

    name: str
    way: str
    calls: tuple[Script, ...]
    kept: Kept
    caller: str = ""  # a number of the story's own; "anonymous": withheld
    refused: Mapping[str, str] = field(default_factory=dict)  # what was typed, and why it is not rung
    forbidden: str = ""  # on the do-not-call list before the call
    seconds: int = 30  # about how long it lasts: long ones are begun first


#: (DID, department, language): nobody logged in (after the queue's own question), or outside opening hours.
WAYS = {
    "ru": ("74950000007", "bilingual", "ru"),
    "en": ("74950000004", "britain", "en"),
    "closed-ru": ("74950000009", "shut", "ru"),
    "closed-en": ("74950000010", "shut", "en"),
    "quick": ("74950000005", "quick", "ru"),  # one member; the words before the queue
}
NAME = {"ru": "Петрова Мария Ивановна", "en": "John Peter Smith"}
SUBJECT = {"ru": "Когда привезут мой заказ", "en": "When does my order arrive"}
OTHER = {"ru": "Сидоров Алексей", "en": "Mary Jane Brown"}
YES = (("permission", "1"), ("number_intro", "1"))


def told(language: str) -> Script:
    """Name and subject, spoken after the tone."""
    return (("name!", Say(NAME[language])), ("subject!", Say(SUBJECT[language])))


SUMMED_UP = (("suits", "1"), ("summary_number", "1"), ("accepted", HANG_UP))
SPOKEN = {language: {"name": NAME[language], "subject": SUBJECT[language]} for language in ("ru", "en")}
TYPED = {"number": "+74951234567", "source": "typed"}


def begun(*rest: tuple[str, str | Say | Act]) -> tuple[Script, ...]:
    return ((*YES, *rest),)


def filled(language: str, *rest: tuple[str, str | Say | Act]) -> tuple[Script, ...]:
    return begun(*told(language), *rest)
