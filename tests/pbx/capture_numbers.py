"""Stories of the whole conversation, and of numbers: as read back, typed, refused, withheld."""

from __future__ import annotations

from ami_bridge.core.callbacks import CallbackState
from tests.pbx.capture_story import (
    HANG_UP,
    LISTEN,
    NAME,
    SPOKEN,
    SUBJECT,
    SUMMED_UP,
    TYPED,
    YES,
    Kept,
    Say,
    Story,
    filled,
    on_day,
    soon,
    told,
)

_S = CallbackState

WHOLE = (
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
    Story("as read back, in English", "en", filled("en", *SUMMED_UP), Kept(**SPOKEN["en"], due=soon)),
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

NUMBERS = (
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

WITHHELD = (
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
