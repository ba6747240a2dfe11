"""The table of callbacks: what may happen, and that nothing else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core import callbacks as core
from ami_bridge.core.callbacks import (
    ATTEMPT_TRANSITIONS,
    FINAL,
    HELD,
    TRANSITIONS,
    Attempt,
    AttemptState,
    Callback,
    CallbackEvent,
    CallbackState,
    Consent,
    IllegalTransition,
    RetryPolicy,
)
from ami_bridge.core.sparing import agents_to_spare

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = RetryPolicy(max_attempts=3, delays_minutes=(5, 30))
CONSENT = Consent("1", "permission-ru-1", NOW, "+79161234567")


def made(state: CallbackState, **more: object) -> Callback:
    plain = Callback("cb1", "k", "sales", state, NOW, NOW, number="+79161234567", consent=CONSENT)
    return replace(plain, **more)  # type: ignore[arg-type]


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def tried(state: AttemptState = AttemptState.DIALING, connected_at: datetime | None = None) -> Attempt:
    return Attempt("cb1-1", "cb1", 1, "+79161234567", "chan", "101", state, NOW, connected_at)


@pytest.mark.parametrize("state", CallbackState)
@pytest.mark.parametrize("event", CallbackEvent)
def test_what_the_table_does_not_allow_is_refused_in_one_sentence(
    state: CallbackState, event: CallbackEvent
) -> None:
    callback = made(state)
    target = TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(IllegalTransition) as refused:
            core.advance(callback, event, NOW)
        assert f"'{state}'" in str(refused.value)
        assert f"'{event}'" in str(refused.value)
    else:
        assert core.advance(callback, event, NOW).state is target
    assert callback == made(state)


def test_nothing_leaves_a_final_state_and_everything_can_reach_one() -> None:
    leaves = {state for state, _ in TRANSITIONS}
    assert leaves == set(CallbackState) - FINAL
    for state in leaves:
        assert _reachable(state) & FINAL, state


def _reachable(state: CallbackState) -> set[CallbackState]:
    reached, frontier = {state}, {state}
    while frontier:
        frontier = {to for (origin, _), to in TRANSITIONS.items() if origin in frontier} - reached
        reached |= frontier
    return reached


def test_dialling_is_only_left_by_a_result_never_by_a_second_dial() -> None:
    assert (CallbackState.UNKNOWN, CallbackEvent.CLAIMED) not in TRANSITIONS
    assert {state for (state, event) in TRANSITIONS if event is CallbackEvent.DIALLED} == {
        CallbackState.CLAIMED
    }


@given(st.data())
def test_whatever_happens_a_callback_stays_sane(data: st.DataObject) -> None:
    callback = made(CallbackState.CAPTURING)
    for _ in range(25):
        possible = sorted(event for state, event in TRANSITIONS if state is callback.state)
        if not possible:
            break
        before, event = callback, data.draw(st.sampled_from(possible))
        callback = _happened(before, event)
        assert callback.revision == before.revision + 1
        assert (callback.lease_until is not None) == (callback.state in HELD)
        assert (callback.closed_at is not None) == (callback.state in FINAL)
        assert callback.fence == before.fence + (event is CallbackEvent.CLAIMED)
        assert callback.state is not CallbackState.QUEUED or callback.due_at is not None


def _happened(callback: Callback, event: CallbackEvent) -> Callback:
    if event is CallbackEvent.CLAIMED:
        return core.claim(callback, "w", NOW, 60)
    if event is CallbackEvent.CONNECTED:
        return core.connect(callback, tried(), NOW)
    if event is CallbackEvent.FOUND_RINGING:
        return core.regain(callback, tried(AttemptState.UNKNOWN), NOW)[0]
    return core.advance(callback, event, NOW)


def test_a_capture_is_complete_only_with_number_and_consent() -> None:
    for lacking in ({"number": None}, {"consent": None}):
        with pytest.raises(IllegalTransition, match="number or consent is missing"):
            core.advance(made(CallbackState.CAPTURING, **lacking), CallbackEvent.CAPTURED, NOW)


@pytest.mark.parametrize(
    "wrong", ["79161234567", "+7916123456x", "+٧٩١٦١٢٣٤٥٦٧", "+0123456789", "+79161234567\n", ""]
)
def test_only_e164_is_kept_as_a_number(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"E\.164"):
        core.amend(made(CallbackState.CAPTURING), NOW, number=wrong)


def test_a_consent_is_never_taken_out() -> None:
    with pytest.raises(ValueError, match="evidence"):
        core.amend(made(CallbackState.QUEUED), NOW, consent=None)


def test_only_known_fields_are_amended_and_only_in_time() -> None:
    with pytest.raises(ValueError, match="no field state"):
        core.amend(made(CallbackState.QUEUED), NOW, state="done")  # type: ignore[call-arg]
    for state in set(CallbackState) - core.AMENDABLE:
        with pytest.raises(IllegalTransition):
            core.amend(made(state), NOW, name_text="x")


@pytest.mark.parametrize(("attempts", "minutes"), [(0, 5), (1, 5), (2, 30), (3, None), (4, None)])
def test_when_to_try_again(attempts: int, minutes: int | None) -> None:
    expected = None if minutes is None else NOW + timedelta(minutes=minutes)
    assert core.retry_at(attempts, NOW, POLICY) == expected


def test_the_last_delay_serves_all_later_attempts() -> None:
    many = RetryPolicy(max_attempts=10, delays_minutes=(5, 30))
    assert core.retry_at(9, NOW, many) == NOW + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("result", "before", "state", "attempts"),
    [
        (AttemptState.ANSWERED, 0, CallbackState.DONE, 1),
        (AttemptState.NO_ANSWER, 0, CallbackState.QUEUED, 1),
        (AttemptState.BUSY, 2, CallbackState.EXHAUSTED, 3),
        (AttemptState.FAILED, 1, CallbackState.QUEUED, 2),
        (AttemptState.MACHINE, 2, CallbackState.EXHAUSTED, 3),
        (AttemptState.AGENT_DECLINED, 2, CallbackState.QUEUED, 2),
        (AttemptState.AGENT_NO_ANSWER, 2, CallbackState.QUEUED, 2),
        (AttemptState.UNKNOWN, 0, CallbackState.UNKNOWN, 0),
    ],
)
def test_what_follows_from_a_result(
    result: AttemptState, before: int, state: CallbackState, attempts: int
) -> None:
    after = core.settle(made(CallbackState.DIALING, attempts=before), tried(), result, NOW, POLICY)
    assert (after.state, after.attempts, after.last_result) == (state, attempts, result.value)
    assert (after.closed_at is not None) == (state in FINAL)


@pytest.mark.parametrize("result", sorted(core.AGENT_SIDE))
def test_the_caller_does_not_wait_because_one_agent_did_not_pick_up(result: AttemptState) -> None:
    after = core.settle(made(CallbackState.DIALING, due_at=NOW), tried(), result, NOW + minutes(1), POLICY)
    assert after.due_at == NOW + minutes(1)


def test_agents_who_have_just_not_taken_it_are_spared_for_the_first_delay() -> None:
    attempts = [
        replace(tried(AttemptState.AGENT_NO_ANSWER), agent="101", finished_at=NOW),
        replace(tried(AttemptState.AGENT_DECLINED), agent="102", finished_at=NOW + minutes(2)),
        replace(tried(AttemptState.NO_ANSWER), agent="103", finished_at=NOW + minutes(2)),
        replace(tried(AttemptState.DIALING), agent="104"),
    ]
    assert agents_to_spare(attempts, NOW + minutes(4.9), POLICY) == {"101", "102"}
    assert agents_to_spare(attempts, NOW + minutes(5), POLICY) == {"102"}
    assert agents_to_spare(attempts, NOW + minutes(7), POLICY) == frozenset()


def test_a_connected_attempt_is_counted_once() -> None:
    talking = core.connect(made(CallbackState.DIALING), tried(), NOW)
    attempt = tried(AttemptState.TALKING, NOW)
    assert core.settle(talking, attempt, AttemptState.ANSWERED, NOW, POLICY).attempts == 1
    assert core.settle(talking, attempt, AttemptState.MACHINE, NOW, POLICY).attempts == 1


@pytest.mark.parametrize("result", [AttemptState.DIALING, AttemptState.TALKING])
def test_an_attempt_does_not_end_while_it_goes_on(result: AttemptState) -> None:
    with pytest.raises(IllegalTransition):
        core.settle(made(CallbackState.DIALING), tried(), result, NOW, POLICY)


@pytest.mark.parametrize("state", AttemptState)
@pytest.mark.parametrize("target", AttemptState)
def test_attempts_keep_to_their_table(state: AttemptState, target: AttemptState) -> None:
    attempt = tried(state)
    if target in ATTEMPT_TRANSITIONS[state]:
        after = core.step_attempt(attempt, target, NOW)
        assert (after.finished_at is None) == (target in core.OPEN_ATTEMPT)
    else:
        with pytest.raises(IllegalTransition):
            core.step_attempt(attempt, target, NOW)


@pytest.mark.parametrize(
    ("state", "fields", "later", "expected"),
    [
        (CallbackState.CLAIMED, {"lease_until": NOW}, 0, CallbackState.QUEUED),
        (CallbackState.DIALING, {"lease_until": NOW}, 0, CallbackState.UNKNOWN),
        (CallbackState.TALKING, {"lease_until": NOW}, 0, CallbackState.UNKNOWN),
        (CallbackState.TALKING, {"lease_until": NOW}, -1, None),
        (CallbackState.QUEUED, {"expires_at": NOW}, 0, CallbackState.EXPIRED),
        (CallbackState.PARTIAL, {"expires_at": NOW}, -1, None),
        (CallbackState.CAPTURING, {}, 59, None),
        (CallbackState.CAPTURING, {}, 60, CallbackState.PARTIAL),
        (CallbackState.UNKNOWN, {"expires_at": NOW}, 60, None),
        (CallbackState.DONE, {"expires_at": NOW}, 60, None),
    ],
)
def test_what_time_alone_demands(
    state: CallbackState, fields: dict[str, object], later: int, expected: CallbackState | None
) -> None:
    after = core.overdue(made(state, **fields), NOW + timedelta(minutes=later))
    assert (after.state if after else None) is expected
