"""What callers do when they leave a callback: the table that ``test_capture_stories`` plays with real phones."""

from __future__ import annotations

from ami_bridge.core.callbacks import CallbackState
from tests.pbx.capture_numbers import NUMBERS, WHOLE, WITHHELD
from tests.pbx.capture_story import (
    COUGH,
    HANG_UP,
    LISTEN,
    NAME,
    NOTHING,
    OTHER,
    SPOKEN,
    SUBJECT,
    SUMMED_UP,
    YES,
    Kept,
    Say,
    Story,
    begun,
    filled,
    on_day,
    soon,
    today,
)

_S = CallbackState

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
        begun(
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
        begun(
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
        begun(
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
        filled(
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
        filled(
            "en", ("suits", "3"), ("suits_which_day", "1"), ("hour_type", "14"), ("summary_number", HANG_UP)
        ),
        Kept(_S.PARTIAL, **SPOKEN["en"], due=on_day(1, 14)),
        seconds=45,
    ),
    Story(
        "a wrong day, the fifth, at eight, by the caller's own clock",
        "en",
        filled(
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
        filled(
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
        filled(
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
        filled(
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
        filled(
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
        filled(
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
        filled(
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
        filled(
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
        begun(("name!", Say(NAME["en"], end=None))),
        Kept(_S.PARTIAL, name=NAME["en"]),
    ),
    Story(
        "hung up while saying the question",
        "ru",
        begun(("name!", Say(NAME["ru"])), ("subject!", Say(SUBJECT["ru"], end=None))),
        Kept(_S.PARTIAL, **SPOKEN["ru"]),
        seconds=40,
    ),
    Story(
        "hung up while the time was asked for",
        "closed-en",
        filled("en", ("suits", "3"), ("suits_which_day", HANG_UP)),
        Kept(_S.PARTIAL, **SPOKEN["en"]),
        seconds=40,
    ),
    Story(
        "hung up at the hour",
        "ru",
        filled("ru", ("suits", "3"), ("suits_which_day", "1"), ("hour_type", HANG_UP)),
        Kept(_S.PARTIAL, **SPOKEN["ru"]),
        seconds=45,
    ),
    Story(
        "hung up at the summary",
        "en",
        filled("en", ("suits", "1"), ("summary_number", HANG_UP)),
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
    *WHOLE,
    *NUMBERS,
    *WITHHELD,
    *_PERMISSION,
    *_WORDS,
    *_TIMES,
    *_SUMMARY,
    *_HUNG_UP,
    *_AGAIN,
)
