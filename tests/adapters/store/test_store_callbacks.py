"""Callbacks, claims and attempts: the contract of every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge.adapters.store import AgentTaken, NotStored, StaleFence, Store
from ami_bridge.core.callbacks import (
    AttemptState,
    Callback,
    CallbackEvent,
    CallbackState,
    Consent,
    IllegalTransition,
    RetryPolicy,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = RetryPolicy(max_attempts=3, delays_minutes=(5, 30, 120))
LEASE = 60.0


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def consent(at: datetime = NOW) -> Consent:
    return Consent(key="1", prompt_version="permission-ru-1", given_at=at, number="+79161234567")


async def queued(store: Store, name: str = "a", number: str = "+79161234567", at: datetime = NOW) -> Callback:
    return await store.create_callback(
        name, "sales", event=CallbackEvent.CAPTURED, at=at, number=number, consent=consent(at)
    )


async def dialling(store: Store, at: datetime = NOW) -> tuple[Callback, str]:
    (claimed,) = await store.claim_due(at, "w1", LEASE)
    attempt = await store.begin_attempt(
        claimed.id, claimed.fence, f"chan-{claimed.fence}", agent="101", at=at
    )
    return claimed, attempt.id


# Capture ----------------------------------------------------------------------------------


async def test_the_same_key_is_the_same_callback(store: Store) -> None:
    first = await store.create_callback("capture:1", "sales", channel_uniqueid="fr1-1.1", at=NOW)
    again = await store.create_callback("capture:1", "support", at=NOW + minutes(1), caller_id="x")
    assert again == first
    assert await store.callbacks() == [first]


async def test_what_the_caller_tells_is_kept_bit_by_bit(store: Store) -> None:
    made = await store.create_callback(
        "k", "sales", channel_uniqueid="fr1-1.1", at=NOW, caller_id="79161234567"
    )
    await store.update_callback(made.id, consent=consent(), at=NOW)
    await store.update_callback(made.id, number="+79161234567", number_confirmed=True, at=NOW)
    done = await store.update_callback(
        made.id, event=CallbackEvent.CAPTURED, name_recording="r/n.wav", name_text="Иван\x00", at=NOW
    )
    assert (done.state, done.due_at, done.name_text) == (CallbackState.QUEUED, NOW, "Иван\ufffd")
    assert await store.callback(done.id) == done
    assert await store.callback_of_channel("fr1-1.1") == done
    assert await store.consents(done.id) == [consent()]


async def test_hanging_up_half_way_keeps_what_there_is(store: Store) -> None:
    made = await store.create_callback(
        "k", "sales", channel_uniqueid="fr1-1.1", at=NOW, name_recording="r/n.wav"
    )
    partial = await store.finish_capture("fr1-1.1", at=NOW)
    assert partial is not None
    assert (partial.id, partial.state, partial.name_recording) == (made.id, CallbackState.PARTIAL, "r/n.wav")
    assert partial.due_at is None
    assert await store.finish_capture("fr1-1.1", at=NOW) == partial
    assert await store.finish_capture("fr1-9.9") is None


async def test_a_finished_capture_is_left_alone_by_the_hang_up(store: Store) -> None:
    made = await store.create_callback(
        "k",
        "sales",
        event=CallbackEvent.CAPTURED,
        channel_uniqueid="u",
        at=NOW,
        number="+79161234567",
        consent=consent(),
    )
    assert await store.finish_capture("u", at=NOW) == made


async def test_an_impossible_event_changes_nothing_not_even_its_fields(store: Store) -> None:
    made = await store.create_callback("k", "sales", at=NOW)
    with pytest.raises(IllegalTransition, match="number or consent is missing"):
        await store.update_callback(made.id, event=CallbackEvent.CAPTURED, name_text="Иван", at=NOW)
    assert await store.callback(made.id) == made


async def test_every_consent_is_kept_as_evidence(store: Store) -> None:
    made = await queued(store)
    later = consent(NOW + minutes(1))
    await store.update_callback(made.id, consent=later, at=NOW)
    assert await store.consents(made.id) == [consent(), later]
    assert (await store.callbacks())[0].consent == later


async def test_callbacks_are_listed_newest_first_and_filtered(store: Store) -> None:
    for number in range(4):
        await queued(store, f"k{number}", f"+7916123456{number}", NOW + minutes(number))
    listed = await store.callbacks(limit=3)
    assert [callback.key for callback in listed] == ["k3", "k2", "k1"]
    await store.update_callback(listed[0].id, event=CallbackEvent.CANCELLED, at=NOW)
    cancelled = await store.callbacks(states=[CallbackState.CANCELLED])
    assert [callback.key for callback in cancelled] == ["k3"]
    assert await store.count_callbacks() == {CallbackState.QUEUED: 3, CallbackState.CANCELLED: 1}
    between = await store.callbacks(since=NOW + minutes(1), until=NOW + minutes(2))
    assert [callback.key for callback in between] == ["k1"]
    assert await store.callbacks(department="support") == []


async def test_unknown_ids_are_said_so(store: Store) -> None:
    assert await store.callback("nope") is None
    assert await store.attempts("nope") == []
    with pytest.raises(NotStored, match="no callback 'nope'"):
        await store.update_callback("nope", name_text="x")
    with pytest.raises(NotStored, match="no attempt 'nope'"):
        await store.connect_attempt("nope")


# Claims -----------------------------------------------------------------------------------


async def test_the_longest_due_is_claimed_first_and_only_when_due(store: Store) -> None:
    await queued(store, "late", "+79161234561", NOW + minutes(1))
    await queued(store, "early", "+79161234562", NOW)
    await queued(store, "future", "+79161234563", NOW + minutes(90))
    claimed = await store.claim_due(NOW + minutes(5), "w1", LEASE, limit=10)
    assert [callback.key for callback in claimed] == ["early", "late"]
    assert {(c.worker, c.fence, c.state) for c in claimed} == {("w1", 1, CallbackState.CLAIMED)}
    assert claimed[0].lease_until == NOW + minutes(6)
    assert await store.callback(claimed[0].id) == claimed[0]


async def test_nobody_is_dialled_without_number_and_consent(store: Store) -> None:
    await store.create_callback(
        "k1", "sales", event=CallbackEvent.BROKEN_OFF, at=NOW, number="+79161234567", due_at=NOW
    )
    await store.create_callback(
        "k2", "sales", event=CallbackEvent.BROKEN_OFF, at=NOW, consent=consent(), due_at=NOW
    )
    assert await store.claim_due(NOW, "w1", LEASE, limit=10) == []


async def test_a_partial_capture_with_number_and_consent_is_dialled(store: Store) -> None:
    await store.create_callback(
        "k", "sales", event=CallbackEvent.BROKEN_OFF, at=NOW, number="+79161234567", consent=consent()
    )
    assert len(await store.claim_due(NOW, "w1", LEASE)) == 1


async def test_two_callbacks_of_one_number_are_never_in_two_hands(store: Store) -> None:
    await queued(store, "a", at=NOW - minutes(1))
    await queued(store, "b")
    (claimed,) = await store.claim_due(NOW, "w1", LEASE, limit=10)
    assert await store.claim_due(NOW, "w2", LEASE, limit=10) == []
    await store.release_claim(claimed.id, claimed.fence, due_at=NOW + minutes(5), at=NOW)
    (other,) = await store.claim_due(NOW, "w2", LEASE, limit=10)
    assert (claimed.key, other.key) == ("a", "b")


async def test_many_workers_at_once_take_each_callback_once(store: Store) -> None:
    for number in range(12):
        await queued(store, f"k{number}", f"+791612345{number // 2:02}")
    rounds = await asyncio.gather(*(store.claim_due(NOW, f"w{n}", LEASE, limit=2) for n in range(6)))
    claimed = [callback for batch in rounds for callback in batch]
    claimed += await store.claim_due(NOW, "last", LEASE, limit=10)
    assert len({callback.number for callback in claimed}) == len(claimed) == 6


async def test_a_lease_that_ran_out_before_dialling_goes_to_another_worker(store: Store) -> None:
    await queued(store)
    (first,) = await store.claim_due(NOW, "w1", LEASE)
    (second,) = await store.claim_due(NOW + minutes(1), "w2", LEASE)
    assert (second.id, second.fence, second.worker) == (first.id, 2, "w2")
    with pytest.raises(StaleFence):
        await store.begin_attempt(first.id, first.fence, "chan", agent="101", at=NOW + minutes(1))
    with pytest.raises(StaleFence):
        await store.renew_lease(first.id, first.fence, LEASE, now=NOW + minutes(1))
    assert await store.attempts(first.id) == []


async def test_a_renewed_lease_holds(store: Store) -> None:
    await queued(store)
    (claimed,) = await store.claim_due(NOW, "w1", LEASE)
    renewed = await store.renew_lease(claimed.id, claimed.fence, LEASE, now=NOW + timedelta(seconds=50))
    assert renewed.lease_until == NOW + timedelta(seconds=110)
    assert await store.claim_due(NOW + minutes(1.5), "w2", LEASE) == []


async def test_an_expired_lease_cannot_begin_even_when_nobody_has_swept(store: Store) -> None:
    await queued(store)
    (claimed,) = await store.claim_due(NOW, "w1", LEASE)
    with pytest.raises(StaleFence):
        await store.begin_attempt(claimed.id, claimed.fence, "chan", agent="101", at=NOW + minutes(2))


async def test_a_cancelled_claim_is_found_out_before_dialling(store: Store) -> None:
    await queued(store)
    (claimed,) = await store.claim_due(NOW, "w1", LEASE)
    gone = await store.update_callback(
        claimed.id, event=CallbackEvent.CANCELLED, by="anna", reason="rang us", at=NOW
    )
    assert (gone.state, gone.closed_by, gone.closed_reason) == (CallbackState.CANCELLED, "anna", "rang us")
    with pytest.raises(StaleFence):
        await store.begin_attempt(claimed.id, claimed.fence, "chan", agent="101", at=NOW)


# Attempts ---------------------------------------------------------------------------------


async def test_the_good_story(store: Store) -> None:
    await queued(store)
    claimed, attempt_id = await dialling(store)
    talking = await store.connect_attempt(attempt_id, at=NOW + minutes(0.5))
    assert (talking.state, talking.attempts) == (CallbackState.TALKING, 1)
    assert await store.connect_attempt(attempt_id, at=NOW + minutes(0.6)) == talking
    done = await store.finish_attempt(attempt_id, AttemptState.ANSWERED, policy=POLICY, at=NOW + minutes(3))
    assert (done.state, done.attempts, done.last_result) == (CallbackState.DONE, 1, "answered")
    assert done.lease_until is None
    (attempt,) = await store.attempts(claimed.id)
    assert (attempt.state, attempt.connected_at, attempt.finished_at) == (
        AttemptState.ANSWERED,
        NOW + minutes(0.5),
        NOW + minutes(3),
    )
    assert (attempt.number, attempt.agent, attempt.channel_id) == ("+79161234567", "101", "chan-1")


async def test_the_same_attempt_and_result_twice_change_nothing(store: Store) -> None:
    await queued(store)
    claimed, attempt_id = await dialling(store)
    again = await store.begin_attempt(claimed.id, claimed.fence, "chan-1", agent="101", at=NOW)
    assert again.id == attempt_id
    first = await store.finish_attempt(attempt_id, AttemptState.BUSY, policy=POLICY, at=NOW)
    second = await store.finish_attempt(attempt_id, AttemptState.BUSY, policy=POLICY, at=NOW + minutes(1))
    assert second == first
    assert len(await store.attempts(claimed.id)) == 1


async def test_one_claim_has_one_attempt(store: Store) -> None:
    await queued(store)
    claimed, _ = await dialling(store)
    with pytest.raises(IllegalTransition):
        await store.begin_attempt(claimed.id, claimed.fence, "another-channel", agent="101", at=NOW)
    assert len(await store.attempts(claimed.id)) == 1


async def test_tried_again_by_the_house_rules_and_then_exhausted(store: Store) -> None:
    await queued(store)
    at, waits = NOW, []
    for result in (AttemptState.NO_ANSWER, AttemptState.BUSY, AttemptState.FAILED):
        _, attempt_id = await dialling(store, at)
        after = await store.finish_attempt(attempt_id, result, policy=POLICY, at=at)
        if after.due_at:
            waits.append(after.due_at - at)
            assert await store.claim_due(after.due_at - minutes(0.1), "w1", LEASE) == []
            at = after.due_at
    assert waits == [minutes(5), minutes(30)]
    assert (after.state, after.attempts, after.closed_reason) == (CallbackState.EXHAUSTED, 3, "failed")


async def test_an_agent_who_declines_costs_the_customer_no_attempt(store: Store) -> None:
    await queued(store)
    at = NOW
    for _ in range(5):
        _, attempt_id = await dialling(store, at)
        after = await store.finish_attempt(attempt_id, AttemptState.AGENT_DECLINED, policy=POLICY, at=at)
        assert (after.state, after.attempts, after.due_at) == (CallbackState.QUEUED, 0, at)
        at += minutes(5)


async def test_only_departments_that_are_asked_for_are_claimed(store: Store) -> None:
    await queued(store, "a", at=NOW - minutes(1))
    assert await store.claim_due(NOW, "w1", LEASE, limit=10, departments={"support"}) == []
    assert await store.claim_due(NOW, "w1", LEASE, limit=10, departments=()) == []
    (claimed,) = await store.claim_due(NOW, "w1", LEASE, limit=10, departments=("support", "sales"))
    assert claimed.department == "sales"


async def test_what_is_under_way_is_told_with_its_present_attempt(store: Store) -> None:
    await queued(store)
    _, old = await dialling(store)
    await store.finish_attempt(old, AttemptState.BUSY, policy=POLICY, at=NOW)
    assert await store.open_attempts() == []
    claimed, attempt_id = await dialling(store, NOW + minutes(5))
    for state in (CallbackState.DIALING, CallbackState.TALKING, CallbackState.UNKNOWN):
        ((callback, attempt),) = await store.open_attempts()
        assert (callback.id, callback.state, attempt.id) == (claimed.id, state, attempt_id)
        if state is CallbackState.DIALING:
            await store.connect_attempt(attempt_id, at=NOW + minutes(5))
        await store.expire_overdue(NOW + minutes(5 if state is CallbackState.DIALING else 9))


async def test_an_agent_has_one_open_attempt(store: Store) -> None:
    """Whatever two dialers believe of him; but attempts that have no agent yet do not stand in each other's way."""
    for number in range(3):
        await queued(store, f"k{number}", f"+7916123456{number}")
    first, second, third = await store.claim_due(NOW, "w", LEASE, limit=3)
    begun = await store.begin_attempt(first.id, first.fence, "c1", agent="101", at=NOW)
    with pytest.raises(AgentTaken, match="101"):
        await store.begin_attempt(second.id, second.fence, "c2", agent="101", at=NOW)
    assert await store.attempts(second.id) == []
    still = await store.callback(second.id)
    assert still is not None
    assert (still.state, still.fence) == (CallbackState.CLAIMED, second.fence), "the claim is still ours"
    for callback in (second, third):
        await store.begin_attempt(callback.id, callback.fence, f"c-{callback.key}", agent="", at=NOW)
    await store.finish_attempt(begun.id, AttemptState.BUSY, policy=POLICY, at=NOW)
    await queued(store, "k4", "+79161234564")
    (fourth,) = await store.claim_due(NOW, "w", LEASE)
    assert (await store.begin_attempt(fourth.id, fourth.fence, "c4", agent="101", at=NOW)).agent == "101"


async def test_a_call_that_was_not_dialled_is_repeated_soon_and_not_counted(store: Store) -> None:
    await queued(store)
    _, attempt_id = await dialling(store)
    after = await store.finish_attempt(attempt_id, AttemptState.NOT_DIALLED, policy=POLICY, at=NOW)
    assert (after.state, after.attempts, after.due_at) == (CallbackState.QUEUED, 0, NOW + minutes(0.25))


async def test_a_worker_lost_while_dialling_leaves_an_unknown_that_is_not_dialled(store: Store) -> None:
    await queued(store, "a", at=NOW - minutes(1))
    await queued(store, "b")
    claimed, attempt_id = await dialling(store)
    later = NOW + minutes(2)
    (lost,) = await store.expire_overdue(later)
    assert (lost.id, lost.state) == (claimed.id, CallbackState.UNKNOWN)
    (attempt,) = await store.attempts(claimed.id)
    assert attempt.state is AttemptState.UNKNOWN
    assert await store.claim_due(later, "w2", LEASE, limit=10) == [], "the lost call may still be going on"
    found_out = await store.finish_attempt(attempt_id, AttemptState.NO_ANSWER, policy=POLICY, at=later)
    assert (found_out.state, found_out.attempts) == (CallbackState.QUEUED, 1)
    (other,) = await store.claim_due(later, "w2", LEASE, limit=10)
    assert other.key == "b"


async def test_an_unknown_that_nobody_settles_does_not_block_its_number_for_ever(store: Store) -> None:
    await queued(store, "a", at=NOW - minutes(1))
    await queued(store, "b")
    await dialling(store)
    await store.expire_overdue(NOW + minutes(2))
    (other,) = await store.claim_due(NOW + minutes(63), "w2", LEASE, limit=10)
    assert other.key == "b"


async def test_a_worker_that_lived_on_may_still_say_how_it_ended(store: Store) -> None:
    await queued(store)
    _, attempt_id = await dialling(store)
    await store.connect_attempt(attempt_id, at=NOW)
    await store.expire_overdue(NOW + minutes(2))
    done = await store.finish_attempt(attempt_id, AttemptState.ANSWERED, policy=POLICY, at=NOW + minutes(3))
    assert (done.state, done.attempts) == (CallbackState.DONE, 1)


async def test_a_worker_that_is_late_regains_its_attempt_by_renewing(store: Store) -> None:
    await queued(store)
    claimed, attempt_id = await dialling(store)
    await store.expire_overdue(NOW + minutes(2))
    found = await store.renew_lease(claimed.id, claimed.fence, LEASE, now=NOW + minutes(2))
    assert (found.state, found.lease_until) == (CallbackState.DIALING, NOW + minutes(3))
    await store.connect_attempt(attempt_id, at=NOW + minutes(2.5))
    await store.expire_overdue(NOW + minutes(5))
    talking = await store.renew_lease(claimed.id, claimed.fence, LEASE, now=NOW + minutes(5))
    assert (talking.state, talking.attempts) == (CallbackState.TALKING, 1)
    assert await store.callback(claimed.id) == talking
    (attempt,) = await store.attempts(claimed.id)
    assert attempt.state is AttemptState.TALKING


async def test_a_lost_attempt_is_not_regained_once_its_number_is_in_other_hands(store: Store) -> None:
    await queued(store, "a", at=NOW - minutes(1))
    await queued(store, "b")
    claimed, _ = await dialling(store)
    await store.expire_overdue(NOW + minutes(2))
    assert len(await store.claim_due(NOW + minutes(63), "w2", LEASE)) == 1
    with pytest.raises(StaleFence):
        await store.renew_lease(claimed.id, claimed.fence, LEASE, now=NOW + minutes(63))
    kept = await store.callback(claimed.id)
    assert kept is not None
    assert kept.state is CallbackState.UNKNOWN


async def test_the_old_worker_cannot_write_over_the_new_ones_attempt(store: Store) -> None:
    await queued(store)
    _, old = await dialling(store)
    await store.finish_attempt(old, AttemptState.UNKNOWN, policy=POLICY, at=NOW)
    await store.finish_attempt(old, AttemptState.NO_ANSWER, policy=POLICY, at=NOW)
    await dialling(store, NOW + minutes(5))
    with pytest.raises(StaleFence):
        await store.finish_attempt(old, AttemptState.ANSWERED, policy=POLICY, at=NOW + minutes(5))
    with pytest.raises(StaleFence):
        await store.connect_attempt(old, at=NOW + minutes(5))


@pytest.mark.parametrize("result", [AttemptState.REFUSED, AttemptState.WRONG_NUMBER])
async def test_who_refuses_is_never_rung_again(store: Store, result: AttemptState) -> None:
    await queued(store)
    _, attempt_id = await dialling(store)
    await store.connect_attempt(attempt_id, at=NOW)
    after = await store.finish_attempt(attempt_id, result, policy=POLICY, at=NOW)
    assert (after.state, after.closed_by, after.closed_reason) == (
        CallbackState.CANCELLED,
        "customer",
        result.value,
    )
    assert await store.claim_due(NOW + minutes(9999), "w", LEASE) == []


async def test_who_asks_for_another_time_is_waited_for_anew(store: Store) -> None:
    await queued(store)
    at = NOW
    for result in (AttemptState.BUSY, AttemptState.BUSY, AttemptState.LATER):
        _, attempt_id = await dialling(store, at)
        later = RetryPolicy(3, (5,), {AttemptState.LATER: (180,)})
        after = await store.finish_attempt(attempt_id, result, policy=later, at=at)
        assert after.due_at is not None
        at, before = after.due_at, at
    assert (after.state, after.attempts, after.last_result) == (CallbackState.QUEUED, 0, "later")
    assert at - before == minutes(180)


async def test_a_machine_is_tried_again_and_counted_once(store: Store) -> None:
    await queued(store)
    _, attempt_id = await dialling(store)
    await store.connect_attempt(attempt_id, at=NOW)
    after = await store.finish_attempt(attempt_id, AttemptState.MACHINE, policy=POLICY, at=NOW)
    assert (after.state, after.attempts, after.due_at) == (CallbackState.QUEUED, 1, NOW + minutes(5))


async def test_what_is_being_dialled_cannot_be_cancelled_or_amended(store: Store) -> None:
    await queued(store)
    claimed, _ = await dialling(store)
    with pytest.raises(IllegalTransition):
        await store.update_callback(claimed.id, event=CallbackEvent.CANCELLED, at=NOW)
    with pytest.raises(IllegalTransition):
        await store.update_callback(claimed.id, number="+79160000000", at=NOW)


async def test_time_closes_what_is_over(store: Store) -> None:
    made = await queued(store)
    await store.update_callback(made.id, expires_at=NOW + minutes(10), at=NOW)
    await store.create_callback("left", "sales", at=NOW)
    assert await store.expire_overdue(NOW + minutes(9)) == []
    expired, broken = sorted(await store.expire_overdue(NOW + minutes(61)), key=lambda callback: callback.key)
    assert (expired.state, broken.state) == (CallbackState.EXPIRED, CallbackState.PARTIAL)
    assert await store.claim_due(NOW + minutes(61), "w1", LEASE) == []
