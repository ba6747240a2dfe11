"""Suits: when may we ring? Soon, a part of today, a day and its hour.

Only what can be kept is offered: hours in which the department is open and it is a decent time of day where
the caller is. Who makes no choice is rung as soon as possible, which is what he came for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from agi.turns import (
    DIGIT_SECONDS,
    KEY_SECONDS,
    Answer,
    CaptureFacts,
    CaptureState,
    Do,
    Keep,
    Move,
    Part,
    Phrase,
    Stage,
    Turn,
    missed,
    onward,
    to,
)
from ami_bridge.core.callbacks import CallbackFields
from ami_bridge.core.suiting import DayPart, Window, days_ahead, hour_window, hours_of, part_left

QUESTION = "capture.suits"
#: Days that one question can offer and a person can remember.
MOST_DAYS = 5
_PART_KEYS = {"1": DayPart.MORNING, "2": DayPart.AFTERNOON, "3": DayPart.EVENING}


def ask(_state: CaptureState, facts: CaptureFacts) -> Turn:
    """As soon as possible, later today, another day; what nobody can keep is left out."""
    says = [Phrase(QUESTION)]
    if _parts(facts):
        says.append(Phrase("capture.suits_today"))
    if _days(facts):
        says.append(Phrase("capture.suits_day"))
    return _keys(*says)


def plan(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """1: as soon as possible. 2: today. 3: another day."""
    if answer.text == "1":
        return _soon(state)
    if answer.text == "2" and _parts(facts):
        return Move(to(state, Stage.SUITS_TODAY))
    if answer.text == "3" and _days(facts):
        return Move(to(state, Stage.SUITS_DAY))
    return missed(state, answer, give_up=_soon(state))


def ask_today(_state: CaptureState, facts: CaptureFacts) -> Turn:
    """Morning, afternoon, evening: as many of them as are left of today."""
    return _keys(
        Phrase("capture.suits_which_part"), *(Phrase(f"capture.part_{part}") for part in _parts(facts))
    )


def plan_today(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """The key's part of today, if some of it is still left."""
    part = _PART_KEYS.get(answer.text)
    window = part_left(facts.windows, facts.zone, facts.local_time, part) if part else None
    if window is not None:
        return _agreed(state, facts, window)
    return missed(state, answer, give_up=_soon(state))


def ask_day(_state: CaptureState, facts: CaptureFacts) -> Turn:
    """The next days on which we may ring, each with its key."""
    says: list[Part] = [Phrase("capture.suits_which_day")]
    for key, day in enumerate(_days(facts), start=1):
        says += [Phrase(f"weekdays.{day.isoweekday()}"), Phrase(f"capture.press_{key}")]
    return _keys(*says)


def plan_day(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """The key's day; next its hour."""
    days = _days(facts)
    if answer.text.isdecimal() and 1 <= int(answer.text) <= len(days):
        return Move(to(state, Stage.SUITS_HOUR, suits_day=days[int(answer.text) - 1].isoformat()))
    return missed(state, answer, give_up=_soon(state))


def ask_hour(state: CaptureState, facts: CaptureFacts) -> Turn:
    """The hour by two keys, after saying from when to when, and by whose clock."""
    hours = hours_of(facts.windows, facts.zone, date.fromisoformat(state.suits_day)) or (0,)
    clock = "capture.clock_yours" if facts.zone_is_callers else "capture.clock_ours"
    says = (
        Phrase("capture.hour_type"),
        Phrase(clock),
        Phrase("capture.hour_earliest"),
        Phrase(f"hours.{hours[0]}"),
        Phrase("capture.hour_latest"),
        Phrase(f"hours.{hours[-1]}"),
    )
    return Turn(Do.DIGITS, says, digits=2, wait_seconds=DIGIT_SECONDS)


def plan_hour(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """The hour when we may ring in it; else it is asked for again, and in the end it is as soon as possible."""
    day = date.fromisoformat(state.suits_day)
    if answer.text.isdecimal():
        window = hour_window(facts.windows, facts.zone, day, int(answer.text))
        if window is not None:
            return _agreed(state, facts, window)
        again = missed(state, answer, give_up=_soon(state))
        return replace(again, before=(Phrase("capture.hour_closed"),)) if again.before else again
    return missed(state, answer, give_up=_soon(state))


def agreed(state: CaptureState, facts: CaptureFacts) -> tuple[Part, ...]:
    """How the summary says what was agreed."""
    if not state.suits_from:
        return (Phrase("capture.summary_soon"),)
    begins = datetime.fromisoformat(state.suits_from).astimezone(facts.zone)
    if begins.date() == facts.local_time.astimezone(facts.zone).date():
        return (Phrase("capture.summary_today"), Phrase(f"hours.{begins.hour}"))
    return (
        Phrase("capture.summary_day"),
        Phrase(f"weekdays.{begins.isoweekday()}"),
        Phrase("capture.summary_hour"),
        Phrase(f"hours.{begins.hour}"),
    )


def _soon(state: CaptureState) -> Move:
    """As soon as possible: nothing else is stored than that nothing was agreed."""
    keep = Keep(CallbackFields(suits_text="", due_at=None, suits_until=None, time_zone=""))
    return Move(onward(state, Stage.SUMMARY, suits_from="", suits_until=""), keep=keep)


def _agreed(state: CaptureState, facts: CaptureFacts, window: Window) -> Move:
    local = window.begins.astimezone(facts.zone), window.ends.astimezone(facts.zone)
    words = f"{local[0]:%Y-%m-%d %H:%M}–{local[1]:%H:%M} {facts.zone.key}"
    keep = Keep(
        CallbackFields(
            suits_text=words, due_at=window.begins, suits_until=window.ends, time_zone=facts.zone.key
        )
    )
    after = onward(
        state,
        Stage.SUMMARY,
        suits_from=window.begins.isoformat(),
        suits_until=window.ends.isoformat(),
    )
    return Move(after, keep=keep)


def _parts(facts: CaptureFacts) -> tuple[DayPart, ...]:
    left = (part_left(facts.windows, facts.zone, facts.local_time, part) for part in DayPart)
    return tuple(part for part, window in zip(DayPart, left, strict=True) if window)


def _days(facts: CaptureFacts) -> tuple[date, ...]:
    return days_ahead(facts.windows, facts.zone, facts.local_time, MOST_DAYS)


def _keys(*says: Part) -> Turn:
    return Turn(Do.KEY, says, digits=1, wait_seconds=KEY_SECONDS)
