"""Which phrases a book must have, and which words may be filled into each.

This is the contract between the code, which asks for a phrase by its key, and the books, which hold the
words: a book that lacks one is refused when it is loaded, so no caller ever meets a gap.
"""

from __future__ import annotations

import string

_PLAIN: frozenset[str] = frozenset()
_PLACE = frozenset({"company", "department"})
_GREETING = _PLACE | {"salutation"}
_PERSONAL = _GREETING | {"person"}
_MACHINE = _PERSONAL | {"number"}
_PARTING = frozenset({"parting"})
_CLOCK = frozenset({"hour", "hour12", "minute", "half"})

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_GROUPS: dict[frozenset[str], dict[str, str]] = {
    _PLAIN: {
        "salutations": "morning day evening night",
        "partings": "morning day evening night weekend holiday",
        "capture": "permission back_to_queue number_intro number_confirm number_type number_incomplete "
        "number_refused name subject message wrong_key silence not_heard summary_number summary_name "
        "summary_subject summary_soon summary_today summary_day summary_hour summary_confirm summary_change "
        "suits suits_today suits_day suits_which_part part_morning part_afternoon part_evening "
        "suits_which_day press_1 press_2 press_3 press_4 press_5 "
        "hour_type clock_ours clock_yours hour_earliest hour_latest hour_closed to_person spell",
        "queue": "offer",
        "waits": "1 2 3 5 10 15 20 30 45 60 more",
        "briefing": "name subject number choose declined withdrawn",
        "own_name": "ask ask_greeting sounds choose accepted left",
        "outcome": "ask hours noted",
        "confirm": "refused silent",
        "convenient": "ask hours later refused wrong_number silent",
        "digits": " ".join(string.digits),
        "weekdays": " ".join(str(day) for day in range(1, 8)),
        "hours": " ".join(str(hour) for hour in range(24)),
    },
    _PLACE: {
        "fixed": "greeting greeting-join busy callback-offer leave-message message-thanks farewell "
        "customer-not-reached customer-machine customer-refused talk-ends-soon talk-ends position closing "
        "connecting",
        "briefing": "intro",
        "confirm": "ask",
    },
    _GREETING: {
        "greetings": "direct_nameless queue_answer_nameless callback_nameless queue_join queue_join_again "
        "callback_first closed"
    },
    _GREETING | {"opens"}: {"greetings": "closed_until"},
    _PERSONAL: {"greetings": "direct direct_again queue_answer callback"},
    _MACHINE - {"person"}: {"greetings": "machine_nameless"},
    _MACHINE: {"greetings": "machine"},
    _PARTING: {"capture": "accepted noted message_kept nothing_kept served"},
    frozenset({"key"}): {"fixed": "language-offer"},
    frozenset({"time"}): {"opening": f"today tomorrow {' '.join(WEEKDAYS)}"},
    frozenset({"time", "day", "month"}): {"opening": "date"},
    _CLOCK: {"clock": "full_hour hour_and_minute"},
}

#: ``section.key`` → the placeholders that the phrase may use.
PHRASES: dict[str, frozenset[str]] = {
    f"{section}.{key}": placeholders
    for placeholders, sections in _GROUPS.items()
    for section, keys in sections.items()
    for key in keys.split()
}

#: ``clock.full_hour`` may come in a form of its own for each plural category of the language (CLDR): in Russian
#: "1 час", "2 часа", "5 часов".
PLURAL_FORMS = frozenset(f"clock.full_hour_{category}" for category in ("zero", "one", "two", "few", "many"))

#: Sections whose keys the book chooses: words that are said on a weekday or holiday, how a day of the month
#: is read, and how a letter is called.
FREE_SECTIONS = frozenset({"wishes", "ordinals", "letters"})

#: What an agent may say in words of his own.
AGENTS_OWN = frozenset(
    {"greetings.direct", "greetings.direct_again", "greetings.queue_answer", "greetings.callback"}
)


def placeholders_of(key: str) -> frozenset[str] | None:
    """The placeholders that the phrase ``key`` may use; None when there is no such phrase."""
    if key in PLURAL_FORMS:
        return _CLOCK
    if key.partition(".")[0] in FREE_SECTIONS:
        return _PLAIN
    return PHRASES.get(key)
