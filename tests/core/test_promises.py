"""The promise ledger: kept, broken, moved, withdrawn; and warned of in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge.core.callbacks import Callback, CallbackState, Consent
from ami_bridge.core.hours import Schedule, week_of
from ami_bridge.core.promises import (
    Happening,
    Promise,
    PromiseState,
    Standing,
    due_time,
    figures,
    look,
    moved,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WARN = timedelta(minutes=15)
NUMBER = "+79161234567"


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def asked(state: CallbackState = CallbackState.QUEUED, **more: object) -> Callback:
    plain = Callback(
        "cb1", "k", "sales", state, NOW, NOW, number=NUMBER, consent=Consent("1", "p", NOW, NUMBER)
    )
    return replace(plain, **more)  # type: ignore[arg-type]


PROMISE = Promise("cb1", "sales", "voice", NOW, NOW + minutes(60))


@pytest.mark.parametrize(
    ("callback", "promised"),
    [
        (asked(), True),
        (asked(CallbackState.PARTIAL), True),
        (asked(CallbackState.PARTIAL, number=None), False),
        (asked(CallbackState.CAPTURING), False),
        (asked(CallbackState.DIALING), True),
        (asked(CallbackState.CANCELLED), False),
    ],
)
def test_what_is_a_promise(callback: Callback, promised: bool) -> None:
    found = look(Standing(callback), NOW, due_at=NOW + minutes(60), warn=WARN)
    assert (found is not None) == promised
    if found:
        assert found == (replace(PROMISE, made_by="desk"), Happening.MADE)


def test_who_promised_and_what_the_caller_was_told() -> None:
    told = asked(channel_uniqueid="fr1-1.1", promised_at=NOW + minutes(20))
    promise, _ = look(Standing(told), NOW, due_at=NOW + minutes(60), warn=WARN) or (None, None)
    assert promise is not None
    assert (promise.made_by, promise.due_at) == ("voice", NOW + minutes(20))
    entered = asked(number_source="anna")
    assert look(Standing(entered), NOW, due_at=NOW, warn=WARN)[0].made_by == "anna"  # type: ignore[index]


# State of the callback, when it was rung (minutes), closed when, looked at when → what happened.
STORIES = [
    (CallbackState.QUEUED, [], None, 0, None),
    (CallbackState.QUEUED, [], None, 44.9, None),
    (CallbackState.QUEUED, [], None, 45, Happening.ESCALATED),
    (CallbackState.QUEUED, [], None, 60, Happening.ESCALATED),
    (CallbackState.QUEUED, [], None, 60.1, Happening.BROKEN),
    (CallbackState.QUEUED, [30], None, 31, Happening.KEPT),  # busy, but we rang as we said
    (CallbackState.QUEUED, [30], None, 300, Happening.KEPT),  # looked at late: nothing changes
    (CallbackState.QUEUED, [61], None, 62, Happening.BROKEN),
    (CallbackState.DONE, [10], 12, 12, Happening.KEPT),
    (CallbackState.DONE, [61], 70, 71, Happening.BROKEN),
    (CallbackState.DONE, [], 12, 12, Happening.KEPT),  # reached otherwise
    (CallbackState.CANCELLED, [], 12, 12, Happening.WITHDRAWN),
    (CallbackState.CANCELLED, [], 61, 62, Happening.BROKEN),
    (CallbackState.EXPIRED, [], 61, 62, Happening.BROKEN),
    (CallbackState.EXHAUSTED, [10, 20, 40], 40, 41, Happening.KEPT),
]


@pytest.mark.parametrize(("state", "rung", "closed", "now", "happening"), STORIES)
def test_what_becomes_of_it(
    state: CallbackState, rung: list[float], closed: float | None, now: float, happening: Happening | None
) -> None:
    callback = asked(state, closed_at=None if closed is None else NOW + minutes(closed))
    standing = Standing(callback, PROMISE, [NOW + minutes(at) for at in rung])
    found = look(standing, NOW + minutes(now), warn=WARN)
    assert (found[1] if found else None) == happening
    if found:
        after, _ = found
        assert after.revision == 1
        assert (after.settled_at is not None) == (happening is not Happening.ESCALATED)
        assert look(Standing(callback, after, standing.rung_at), NOW + minutes(60), warn=WARN) is None


def test_a_later_time_is_the_same_promise() -> None:
    """Reached, and asked to be rung tomorrow: only a call after that keeps it, and it is warned of anew."""
    first = replace(PROMISE, escalated_at=NOW, revision=1)
    later = moved(first, NOW + minutes(600), NOW + minutes(10))
    assert (later.state, later.moved, later.escalated_at) == (PromiseState.OPEN, 1, None)
    rung = [NOW + minutes(9)]
    assert look(Standing(asked(), later, rung), NOW + minutes(11), warn=WARN) is None
    assert look(Standing(asked(), later, rung), NOW + minutes(590), warn=WARN)[1] is Happening.ESCALATED  # type: ignore[index]
    kept = look(Standing(asked(), later, [*rung, NOW + minutes(599)]), NOW + minutes(601), warn=WARN)
    assert kept is not None
    assert kept[1] is Happening.KEPT
    assert look(Standing(asked(), later, rung), NOW + minutes(601), warn=WARN)[1] is Happening.BROKEN  # type: ignore[index]


def test_an_hour_means_an_hour_in_which_people_may_be_rung() -> None:
    office = Schedule(UTC, week_of(["mon-fri 09:00-18:00"]))
    decent = Schedule(UTC, week_of(["mon-sun 08:00-21:00"]))
    both, hour = (office, decent), timedelta(hours=1)

    def at(day: int, hours: int, mins: int = 0) -> datetime:
        return datetime(2026, 11, day, hours, mins, tzinfo=UTC)

    assert due_time(both, at(23, 10), hour) == at(23, 11)
    assert due_time(both, at(23, 17), hour) == at(23, 18)
    assert due_time(both, at(20, 17, 40), hour) == at(23, 9, 40), "Friday evening: the rest on Monday"
    assert due_time(both, at(23, 3), hour) == at(23, 10)
    assert due_time(both, at(23, 10), timedelta(hours=20)) == at(25, 12)
    never = Schedule(UTC, week=((),) * 7)
    assert due_time((office, never), at(23, 10), hour) == at(23, 11), (
        "it will break, and somebody hears of it"
    )
    assert due_time((), at(23, 10), hour) == at(23, 11)


def test_the_score() -> None:
    states = [PromiseState.KEPT] * 3 + [PromiseState.BROKEN, PromiseState.OPEN, PromiseState.WITHDRAWN]
    found = figures([replace(PROMISE, state=state) for state in states])
    assert (found.open, found.kept, found.broken, found.withdrawn, found.rate) == (1, 3, 1, 1, 0.75)
    assert figures([]).rate is None
    assert PROMISE.seconds_left(NOW + minutes(61)) == -60
