"""What callers do when they leave a callback: the table that ``test_capture_stories`` plays with real phones.

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


def _begun(*rest: tuple[str, str | Say | Act]) -> tuple[Script, ...]:
    return ((*YES, *rest),)


def _filled(language: str, *rest: tuple[str, str | Say | Act]) -> tuple[Script, ...]:
    return _begun(*told(language), *rest)


_WHOLE = (
    Story(
        "as read back, everything heard",
        "ru",
        (
            (
                ("greeting:closed", LISTEN),
                ("permission!", "1"),
                ("number_intro!", LISTEN),
                ("number:caller!", LISTEN),
                ("number_confirm!", "1"),
                *told("ru"),
                ("suits!", LISTEN),
                ("suits_today!", LISTEN),
                ("suits_day!", "1"),
                ("summary_number!", LISTEN),
                ("number:caller!", LISTEN),
                ("summary_name!", LISTEN),
                (f"said:{NAME['ru']}", LISTEN),
                ("summary_subject!", LISTEN),
                (f"said:{SUBJECT['ru']}", LISTEN),
                ("summary_soon!", LISTEN),
                ("summary_confirm!", LISTEN),
                ("summary_change!", "1"),
                ("accepted!", HANG_UP),
            ),
        ),
        Kept(**SPOKEN["ru"], due=soon),
        seconds=90,
    ),
    Story("as read back, in English", "en", _filled("en", *SUMMED_UP), Kept(**SPOKEN["en"], due=soon)),
    Story(
        "from closed, a day and hour",
        "closed-en",
        (
            (
                ("greeting:closed", LISTEN),
                *YES,
                *told("en"),
                ("suits", "2"),  # nothing of today is left: not one of the choices
                ("wrong_key", "3"),
                ("suits_which_day", "1"),
                ("hour_type", "10"),
                ("summary_number", LISTEN),
                ("summary_day", "1"),
                ("accepted", HANG_UP),
            ),
        ),
        Kept(**SPOKEN["en"], due=on_day(3, 10)),
        seconds=55,
    ),
)

_NUMBERS = (
    Story(
        "another number, read back",
        "ru",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "84951234567#"),
                ("number:84951234567!", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL, **TYPED),
    ),
    Story(
        "a star starts the number anew",
        "en",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "8800*84951234568#"),
                ("number:84951234568!", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL, number="+74951234568", source="typed"),
    ),
    Story(
        "a number too short, then too long, then right",
        "en",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "849512#"),
                ("number_incomplete", "849512345678#"),
                ("number_incomplete", "84951234569#"),
                ("number_intro", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL, number="+74951234569", source="typed"),
        refused={"849512": "short", "849512345678": "invalid"},
    ),
    Story(
        "the own number, typed",
        "en",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "{caller}#"),
                ("number_intro", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL),
    ),
    Story(
        "premium, emergency and foreign, then a message",
        "ru",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "88091234567#"),
                ("number_refused", "112#"),
                ("number_refused", "810442071838750#"),
                ("message!", Say(SUBJECT["ru"])),
                ("message_kept", HANG_UP),
            ),
        ),
        Kept(confirmed=False, consents=("1", "recorded"), subject=SUBJECT["ru"], due=soon),
        refused={
            "88091234567": "not_callable_type",
            "112": "emergency",
            "810442071838750": "not_allowed_region",
        },
        seconds=55,
    ),
    Story(
        "satellite, star codes and forty digits, then a message",
        "en",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "89541234567#"),
                ("number_refused", "*21*112#"),
                ("number_refused", "8" * 40),
                ("message!", Say(SUBJECT["en"], end=None)),
            ),
        ),
        Kept(confirmed=False, consents=("1",), subject=SUBJECT["en"], due=soon),
        refused={"89541234567": "not_callable_type", "112": "emergency", "8" * 40: "not_digits"},
        seconds=60,
    ),
    Story(
        "our own number, then who asked never to be rung, then another",
        "ru",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "84950000002#"),
                ("number_refused", "89161112233#"),
                ("number_refused", "84951234561#"),
                ("number_intro", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL, number="+74951234561", source="typed"),
        refused={"84950000002": "own_number", "89161112233": "do_not_call"},
        forbidden="+79161112233",
    ),
    Story(
        "a caller who asked never to be rung names another number",
        "en",
        (
            (
                ("permission", "1"),
                ("number_type", "84951234562#"),
                ("number_intro", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL, number="+74951234562", source="typed"),
        caller="79165554444",
        forbidden="+79165554444",
        refused={"+79165554444": "do_not_call"},
    ),
    Story(
        "three times no number at all, then a message",
        "en",
        (
            (
                ("permission", "1"),
                ("number_intro", "2"),
                ("number_type", "#"),
                ("silence", "*#"),
                ("silence", "#"),
                ("message!", Say(SUBJECT["en"])),
                ("message_kept!", HANG_UP),
            ),
        ),
        Kept(confirmed=False, consents=("1", "recorded"), subject=SUBJECT["en"], due=soon),
        seconds=50,
    ),
)

_WITHHELD = (
    Story(
        "withheld: a number is asked for",
        "en",
        (
            (
                ("permission", "1"),
                ("number_type", "89165553401#"),
                ("number_intro", "1"),
                *told("en"),
                *SUMMED_UP,
            ),
        ),
        Kept(**SPOKEN["en"], number="+79165553401", source="typed", due=soon),
        caller="anonymous",
    ),
    Story(
        "withheld: hung up while the number was asked for",
        "ru",
        ((("permission", "1"), ("number_type", HANG_UP)),),
        Kept(_S.PARTIAL, number=None, source="", confirmed=False, consents=("1",)),
        caller="anonymous",
    ),
    Story(
        "withheld: a message without a number is kept for people",
        "closed-ru",
        (
            (
                ("permission", "5"),
                ("wrong_key", "6"),
                ("wrong_key", "7"),
                ("message!", Say(SUBJECT["ru"])),
                ("message_kept!", HANG_UP),
            ),
        ),
        Kept(
            _S.PARTIAL,
            number=None,
            source="",
            confirmed=False,
            consents=("recorded",),
            subject=SUBJECT["ru"],
        ),
        caller="anonymous",
        seconds=45,
    ),
)

_PERMISSION = (
    Story(
        "no: back to the queue, and asked anew",
        "en",
        (
            (
                ("permission", "2"),
                ("back_to_queue", LISTEN),
                ("permission", "1"),
                ("number_intro", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL),
    ),
    Story(
        "wrong key, hash and star before the yes",
        "ru",
        (
            (
                ("permission", "7"),
                ("wrong_key", "#"),
                ("silence", "*"),
                ("permission", "1"),
                ("number_intro", "*"),
                ("number_intro", "4"),
                ("wrong_key", "1"),
                ("name", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL),
    ),
    Story(
        "silent all the way: nothing is kept but that he called",
        "en",
        (
            (
                ("permission", LISTEN),
                ("silence", LISTEN),
                ("silence", LISTEN),
                ("message!", Say(NOTHING, end="")),
                ("not_heard", LISTEN),
                ("message!", Say(NOTHING)),
                ("nothing_kept!", HANG_UP),
            ),
        ),
        Kept(_S.PARTIAL, confirmed=False, consents=(), origin="missed"),
        seconds=100,
    ),
    Story(
        "three wrong keys, then a message, hung up behind it",
        "ru",
        (
            (
                ("permission", "9"),
                ("wrong_key", "0"),
                ("wrong_key", "3"),
                ("message!", Say(SUBJECT["ru"], end=None)),
            ),
        ),
        Kept(confirmed=False, consents=("recorded",), subject=SUBJECT["ru"], due=soon),
        seconds=45,
    ),
    Story(
        "three wrong keys at the number, then a message",
        "en",
        (
            (
                ("permission", "1"),
                ("number_intro", "9"),
                ("wrong_key", "8"),
                ("wrong_key", "7"),
                ("message!", Say(SUBJECT["en"])),
                ("message_kept", HANG_UP),
            ),
        ),
        Kept(confirmed=False, consents=("1", "recorded"), subject=SUBJECT["en"], due=soon),
        seconds=45,
    ),
)

_WORDS = (
    Story(
        "a cough is no name; said again",
        "en",
        _begun(
            ("name!", Say(COUGH)),
            ("not_heard", LISTEN),
            ("name!", Say(NAME["en"])),
            ("subject!", HANG_UP),
        ),
        Kept(_S.PARTIAL, name=NAME["en"]),
        seconds=40,
    ),
    Story(
        "neither name nor question: silence, noticed and by hash",
        "ru",
        _begun(
            ("name!", Say(NOTHING)),
            ("not_heard", LISTEN),
            ("name!", Say(NOTHING)),
            ("subject!", Say(NOTHING, end="")),
            ("not_heard", LISTEN),
            ("subject!", Say(NOTHING)),
            *SUMMED_UP,
        ),
        Kept(due=soon),
        seconds=70,
    ),
    Story(
        "the end of the words is noticed without a key",
        "en",
        _begun(
            ("name!", Say(NAME["en"], end="")), ("subject!", Say(SUBJECT["en"], end="")), ("suits", HANG_UP)
        ),
        Kept(_S.PARTIAL, **SPOKEN["en"]),
        seconds=45,
    ),
)

_TIMES = (
    Story(
        "a part of today",
        "ru",
        _filled(
            "ru",
            ("suits", "2"),
            ("suits_which_part", "{part}"),
            ("summary_number", LISTEN),
            ("summary_today", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["ru"], due=today),
        caller="today",
        seconds=50,
    ),
    Story(
        "tomorrow afternoon",
        "en",
        _filled(
            "en", ("suits", "3"), ("suits_which_day", "1"), ("hour_type", "14"), ("summary_number", HANG_UP)
        ),
        Kept(_S.PARTIAL, **SPOKEN["en"], due=on_day(1, 14)),
        seconds=45,
    ),
    Story(
        "a wrong day, the fifth, at eight, by the caller's own clock",
        "en",
        _filled(
            "en",
            ("suits", "3"),
            ("suits_which_day", "9"),
            ("wrong_key", "5"),
            ("hour_type", LISTEN),
            ("clock_yours", "08"),
            ("summary_number", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["en"], due=on_day(5, 8)),
        caller="74152421234",
        seconds=55,
    ),
    Story(
        "an hour at which nobody rings, and nonsense: as soon as possible",
        "closed-ru",
        _filled(
            "ru",
            ("suits", "3"),
            ("suits_which_day", "1"),
            ("hour_type", "03"),
            ("hour_closed", "99"),
            ("hour_closed", "*#"),
            ("summary_number", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["ru"], due=soon),
        seconds=60,
    ),
    Story(
        "three wrong keys at the time: as soon as possible",
        "ru",
        _filled(
            "ru",
            ("suits", "7"),
            ("wrong_key", "*"),
            ("suits", "8"),
            ("wrong_key", "#"),
            ("summary_number", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["ru"], due=soon),
        seconds=50,
    ),
)

_SUMMARY = (
    Story(
        "the summary's number is changed",
        "en",
        _filled(
            "en",
            ("suits", "1"),
            ("summary_number", "2"),
            ("number_intro", "2"),
            ("number_type", "84951234563#"),
            ("number_intro", "1"),
            ("summary_number!", LISTEN),
            ("number:84951234563!", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["en"], number="+74951234563", source="typed", consents=("1", "1", "1"), due=soon),
        seconds=60,
    ),
    Story(
        "the summary's name is said anew",
        "ru",
        _filled(
            "ru",
            ("suits", "1"),
            ("summary_number", "3"),
            ("name!", Say(OTHER["ru"])),
            ("summary_number", LISTEN),
            (f"said:{OTHER['ru']}", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(name=OTHER["ru"], subject=SUBJECT["ru"], due=soon),
        seconds=60,
    ),
    Story(
        "the summary's question is said anew",
        "en",
        _filled(
            "en",
            ("suits", "1"),
            ("summary_number", "4"),
            ("subject!", Say(OTHER["en"])),
            ("summary_number", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(name=NAME["en"], subject=OTHER["en"], due=soon),
        seconds=50,
    ),
    Story(
        "the summary's time is changed",
        "ru",
        _filled(
            "ru",
            ("suits", "1"),
            ("summary_number", "5"),
            ("suits", "3"),
            ("suits_which_day", "2"),
            ("hour_type", "20"),
            ("summary_number", "1"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["ru"], due=on_day(2, 20)),
        seconds=55,
    ),
    Story(
        "the summary again, then three wrong keys: what was agreed holds",
        "en",
        _filled(
            "en",
            ("suits", "1"),
            ("summary_number", "*"),
            ("summary_number", "9"),
            ("wrong_key", "8"),
            ("wrong_key", "#"),
            ("accepted", HANG_UP),
        ),
        Kept(**SPOKEN["en"], due=soon),
        seconds=50,
    ),
)

_HUNG_UP = (
    Story(
        "hung up at the permission",
        "ru",
        ((("permission", HANG_UP),),),
        Kept(_S.PARTIAL, confirmed=False, consents=(), origin="missed"),
    ),
    Story(
        "hung up at the number",
        "en",
        ((("permission", "1"), ("number_intro", HANG_UP)),),
        Kept(_S.PARTIAL, confirmed=False, consents=("1",)),
    ),
    Story(
        "hung up while another number was typed",
        "ru",
        ((("permission", "1"), ("number_intro", "2"), ("number_type", "8495"), ("*", HANG_UP)),),
        Kept(_S.PARTIAL, number=None, source="", confirmed=False, consents=("1",)),
    ),
    Story(
        "hung up while saying the name",
        "en",
        _begun(("name!", Say(NAME["en"], end=None))),
        Kept(_S.PARTIAL, name=NAME["en"]),
    ),
    Story(
        "hung up while saying the question",
        "ru",
        _begun(("name!", Say(NAME["ru"])), ("subject!", Say(SUBJECT["ru"], end=None))),
        Kept(_S.PARTIAL, **SPOKEN["ru"]),
        seconds=40,
    ),
    Story(
        "hung up while the time was asked for",
        "closed-en",
        _filled("en", ("suits", "3"), ("suits_which_day", HANG_UP)),
        Kept(_S.PARTIAL, **SPOKEN["en"]),
        seconds=40,
    ),
    Story(
        "hung up at the hour",
        "ru",
        _filled("ru", ("suits", "3"), ("suits_which_day", "1"), ("hour_type", HANG_UP)),
        Kept(_S.PARTIAL, **SPOKEN["ru"]),
        seconds=45,
    ),
    Story(
        "hung up at the summary",
        "en",
        _filled("en", ("suits", "1"), ("summary_number", HANG_UP)),
        Kept(_S.PARTIAL, **SPOKEN["en"], due=soon),
        seconds=40,
    ),
)

_AGAIN = (
    Story(
        "rings again: one callback, the old place, the newest words",
        "en",
        (
            (*YES, ("name!", Say(NAME["en"], end=None))),
            (*YES, ("name!", Say(OTHER["en"])), ("subject!", Say(SUBJECT["en"])), *SUMMED_UP),
        ),
        Kept(name=OTHER["en"], subject=SUBJECT["en"], consents=("1", "1", "1"), due=soon, merged=1),
        seconds=60,
    ),
    Story(
        "missed, then asks to be rung: one callback",
        "closed-ru",
        (
            (("permission", HANG_UP),),
            (*YES, ("name!", Say(NAME["ru"])), ("subject!", Say(SUBJECT["ru"])), *SUMMED_UP),
        ),
        Kept(**SPOKEN["ru"], consents=("1",), due=soon, origin="missed", merged=1),
        seconds=60,
    ),
    Story(
        "a fourth time on one day: noted already",
        "ru",
        (
            (("permission", "1"), ("number_intro", "1"), ("name", HANG_UP)),
            (("permission", "1"), ("number_intro", HANG_UP)),
            (("permission", "1"), ("number_intro", HANG_UP)),
            (("permission", "1"), ("noted!", HANG_UP)),
        ),
        Kept(merged=2, consents=("1", "1", "1", "1")),
        refused={"+{caller}": "too_many"},
        seconds=75,
    ),
)

STORIES: tuple[Story, ...] = (
    *_WHOLE,
    *_NUMBERS,
    *_WITHHELD,
    *_PERMISSION,
    *_WORDS,
    *_TIMES,
    *_SUMMARY,
    *_HUNG_UP,
    *_AGAIN,
)
