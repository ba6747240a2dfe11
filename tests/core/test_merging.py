"""One open callback per person: what a further request adds, and when it is one too many."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge.core.callbacks import Callback, CallbackState, Consent, IllegalTransition
from ami_bridge.core.merging import OPEN, RequestLimits, Standing, merge, standing

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NUMBER = "+79161234567"
_S = CallbackState


def consent(at: datetime = NOW) -> Consent:
    return Consent("1", "v", at, NUMBER)


def callback(name: str, state: CallbackState = _S.QUEUED, minute: int = 0, **fields: object) -> Callback:
    at = NOW + timedelta(minutes=minute)
    plain = Callback(
        name, name, "sales", state, at, at, number=NUMBER, place_at=at, consent=consent(at), due_at=at
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def test_the_first_goes_on_with_the_newest_words_and_the_oldest_place() -> None:
    old = callback("a", name_recording="a/name.wav", subject_recording="a/subject.wav")
    new = callback("b", minute=10, subject_recording="b/subject.wav", department="support")
    goes_on, closed = merge(old, new, NOW + timedelta(minutes=11))
    assert (goes_on.id, goes_on.place_at, goes_on.department) == ("a", NOW, "sales")
    assert (goes_on.name_recording, goes_on.subject_recording) == ("a/name.wav", "b/subject.wav")
    assert (closed.state, closed.merged_into, closed.subject_recording) == (_S.MERGED, "a", "b/subject.wav")
    assert closed.consent == consent(NOW + timedelta(minutes=10)), "evidence stays where it was given"


def test_a_missed_call_becomes_a_callback_when_the_caller_asks_for_one() -> None:
    missed = callback("a", _S.PARTIAL, consent=None, due_at=None, origin="missed")
    goes_on, _ = merge(missed, callback("b", minute=5), NOW + timedelta(minutes=5))
    assert goes_on.state is _S.QUEUED
    assert goes_on.dialable
    assert (goes_on.place_at, goes_on.due_at) == (NOW, NOW + timedelta(minutes=5))


@pytest.mark.parametrize(("asked_by", "needs"), [("caller_id", False), ("typed", True)])
def test_a_number_that_calls_us_itself_needs_no_confirmation_any_more(asked_by: str, needs: bool) -> None:
    typed = callback("a", number_source="typed")
    assert typed.needs_confirmation
    goes_on, _ = merge(typed, callback("b", minute=5, number_source=asked_by), NOW)
    assert goes_on.needs_confirmation is needs
    own = callback("a", number_source="caller_id")
    assert not merge(own, callback("b", minute=5, number_source="typed"), NOW)[0].needs_confirmation


def test_a_number_that_was_confirmed_once_is_confirmed() -> None:
    missed = callback("a", _S.PARTIAL, consent=None, due_at=None, origin="missed")
    assert merge(missed, callback("b", minute=5, number_confirmed=True), NOW)[0].number_confirmed
    confirmed = callback("a", number_confirmed=True)
    assert merge(confirmed, callback("b", minute=5), NOW)[0].number_confirmed


def test_a_missed_call_moves_no_agreed_time() -> None:
    agreed = callback("a", suits_text="2026-03-03 14:00", due_at=NOW + timedelta(days=1))
    missed = callback("b", _S.PARTIAL, 5, consent=None, due_at=None)
    goes_on, _ = merge(agreed, missed, NOW + timedelta(minutes=5))
    assert (goes_on.due_at, goes_on.suits_text) == (NOW + timedelta(days=1), "2026-03-03 14:00")


def test_the_newest_wish_for_a_time_counts() -> None:
    soon, later = (
        callback("a"),
        callback("b", minute=5, suits_text="tomorrow", due_at=NOW + timedelta(days=1)),
    )
    assert merge(soon, later, NOW)[0].due_at == NOW + timedelta(days=1)
    back = merge(
        replace(soon, suits_text="tomorrow", due_at=NOW + timedelta(days=1)), callback("c", minute=9), NOW
    )[0]
    assert (back.due_at, back.suits_text) == (NOW + timedelta(minutes=9), "")


def test_asking_again_rings_nobody_sooner_who_was_rung_in_vain() -> None:
    retried = callback("a", attempts=1, due_at=NOW + timedelta(minutes=30))
    assert merge(retried, callback("b", minute=1), NOW)[0].due_at == NOW + timedelta(minutes=30)


@pytest.mark.parametrize("state", [_S.CLAIMED, _S.DIALING, _S.TALKING, _S.UNKNOWN])
def test_what_a_worker_holds_is_left_as_it_is(state: CallbackState) -> None:
    held = callback("a", state)
    goes_on, closed = merge(held, callback("b", minute=1), NOW)
    assert goes_on is held
    assert closed.merged_into == "a"


@pytest.mark.parametrize("state", sorted(set(_S) - {_S.PARTIAL, _S.QUEUED}))
def test_only_a_request_that_waits_can_be_merged_away(state: CallbackState) -> None:
    with pytest.raises(IllegalTransition):
        merge(callback("a"), callback("b", state, 1), NOW)


def test_a_message_completes_the_capture_that_was_broken_off_on_the_same_channel() -> None:
    capturing = callback("a", _S.CAPTURING, consent=None, number=None, due_at=None)
    goes_on, _ = merge(capturing, callback("b", minute=1, subject_recording="s.wav"), NOW)
    assert (goes_on.state, goes_on.number, goes_on.subject_recording) == (_S.QUEUED, NUMBER, "s.wav")
    silent = callback("c", _S.PARTIAL, 1, consent=None, number=None, due_at=None)
    assert merge(capturing, silent, NOW)[0].state is _S.PARTIAL


def test_what_is_open() -> None:
    assert {_S.PARTIAL, _S.QUEUED, _S.CLAIMED, _S.DIALING, _S.TALKING, _S.UNKNOWN} == OPEN


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], Standing()),
        ([callback("a", _S.CAPTURING)], Standing()),
        ([callback("a", _S.PARTIAL, consent=None)], Standing()),  # a missed call asks for nothing
        ([callback("a")], Standing(noted=True)),
        (
            [callback("a"), callback("b", _S.MERGED), callback("c", _S.MERGED)],
            Standing(noted=True, too_many=True),
        ),
        (
            [callback("a", _S.DONE, closed_at=NOW - timedelta(minutes=5))],
            Standing(not_before=NOW + timedelta(minutes=25)),
        ),
        ([callback("a", _S.DONE, closed_at=NOW - timedelta(minutes=31))], Standing()),
    ],
)
def test_the_standing_of_a_number(known: list[Callback], expected: Standing) -> None:
    assert standing(known, NOW, RequestLimits()) == expected


def test_the_newest_consent_for_the_number_that_stays() -> None:
    old, new = callback("a"), callback("b", minute=1)
    assert merge(old, new, NOW)[0].consent == new.consent
    typed = replace(old, number="+74951234567")
    assert merge(typed, new, NOW)[0].consent == old.consent, "the message was for another number"
    assert merge(old, replace(new, consent=None), NOW)[0].consent == old.consent
