"""One open callback per person, and people who are never rung: the contract of every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from ami_bridge.adapters.store import DoNotCall, HistoryEntry, Store
from ami_bridge.core.callbacks import (
    AttemptState,
    Callback,
    CallbackEvent,
    CallbackState,
    Consent,
    RetryPolicy,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NUMBER = "+79161234567"


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


async def capture(store: Store, name: str, at: datetime = NOW, number: str = NUMBER) -> Callback:
    """Somebody leaves a callback; what goes on."""
    made = await store.create_callback(
        name, "sales", channel_uniqueid=f"u-{name}", at=at, number=number, place_at=at, caller_id=number
    )
    given = Consent("1", "v", at, number)
    return await store.settle_capture(made.id, event=CallbackEvent.CAPTURED, at=at, consent=given)


async def test_a_second_request_becomes_part_of_the_first(store: Store) -> None:
    first = await capture(store, "a")
    goes_on = await capture(store, "b", NOW + minutes(5))
    assert (goes_on.id, goes_on.place_at, goes_on.state) == (first.id, NOW, CallbackState.QUEUED)
    both = await store.callbacks_of_number(NUMBER)
    assert [(each.key, each.state, each.merged_into) for each in both] == [
        ("a", CallbackState.QUEUED, None),
        ("b", CallbackState.MERGED, first.id),
    ]
    assert [each.key for each in await store.callbacks_of_number(NUMBER, since=NOW + minutes(1))] == ["b"]
    (told,) = await store.callback_history(first.id)
    assert (told.kind, told.detail["callback"]) == ("merged", both[1].id)
    assert len(await store.consents(both[1].id)) == 1
    assert [each.id for each in await store.claim_due(NOW + minutes(9), "w", 60, 10)] == [first.id]


async def test_other_people_are_other_people(store: Store) -> None:
    first, second = await capture(store, "a"), await capture(store, "b", number="+79161234568")
    assert first.id != second.id
    assert second.state is CallbackState.QUEUED


async def test_settling_twice_changes_nothing(store: Store) -> None:
    first = await capture(store, "a")
    second = await capture(store, "b", NOW + minutes(5))
    (merged,) = [each for each in await store.callbacks_of_number(NUMBER) if each.key == "b"]
    for callback in (first, merged):
        again = await store.settle_capture(callback.id, event=CallbackEvent.CAPTURED, at=NOW + minutes(9))
        assert again == second


async def test_a_done_callback_takes_nothing_up(store: Store) -> None:
    first = await capture(store, "a")
    await store.update_callback(first.id, event=CallbackEvent.CANCELLED, at=NOW)
    assert (await capture(store, "b", NOW + minutes(5))).key == "b"


async def test_a_broken_off_capture_joins_the_open_one(store: Store) -> None:
    first = await capture(store, "a")
    made = await store.create_callback("b", "sales", channel_uniqueid="u-b", at=NOW, number=NUMBER)
    assert (await store.finish_capture("u-b", at=NOW + minutes(1))).id == first.id  # type: ignore[union-attr]
    assert (await store.callback(made.id)).state is CallbackState.MERGED  # type: ignore[union-attr]


async def test_a_message_joins_the_capture_of_its_own_channel(store: Store) -> None:
    """The AGI went away in the middle: the caller said yes to one and spoke to the other."""
    made = await store.create_callback(
        "a", "sales", channel_uniqueid="u", at=NOW, number="+74951234567", consent=Consent("1", "v", NOW, "")
    )
    message = await store.create_callback("spool:1", "sales", channel_uniqueid="u", at=NOW, number=NUMBER)
    given = Consent("recorded", "fixed", NOW, NUMBER)
    goes_on = await store.settle_capture(
        message.id, event=CallbackEvent.CAPTURED, at=NOW, subject_recording="s.wav", consent=given
    )
    assert (goes_on.id, goes_on.state, goes_on.subject_recording) == (made.id, CallbackState.QUEUED, "s.wav")
    assert goes_on.number == "+74951234567", "what he typed counts, not what the network said"
    assert goes_on.consent is not None
    assert goes_on.consent.key == "1"
    assert await store.finish_capture("u", at=NOW) is not None
    assert len(await store.claim_due(NOW + minutes(1), "w", 60, 10)) == 1


async def test_nobody_without_a_number_is_somebody_else(store: Store) -> None:
    for name in ("a", "b"):
        made = await store.create_callback(name, "sales", at=NOW)
        after = await store.settle_capture(made.id, event=CallbackEvent.BROKEN_OFF, at=NOW)
        assert (after.id, after.state) == (made.id, CallbackState.PARTIAL)


async def test_a_flood_at_one_instant_leaves_one_open_callback(store: Store) -> None:
    found = await asyncio.gather(*(capture(store, f"k{number}", NOW) for number in range(40)))
    everyone = await store.callbacks_of_number(NUMBER)
    queued = [each for each in everyone if each.state is CallbackState.QUEUED]
    assert len(everyone) == 40
    assert len(queued) == 1
    assert {each.id for each in found} <= {each.id for each in everyone}
    assert {each.merged_into for each in everyone if each.state is CallbackState.MERGED} == {queued[0].id}
    assert len(await store.claim_due(NOW, "w", 60, 50)) == 1


async def test_who_was_reached_in_another_call_is_not_rung(store: Store) -> None:
    open_one = await capture(store, "a")
    later = await capture(store, "z", NOW + minutes(20), number="+79161234568")
    (closed,) = await store.reached(NUMBER, key="call1", at=NOW + minutes(10), detail={"call": "call1"})
    assert (closed.id, closed.state, closed.closed_reason) == (
        open_one.id,
        CallbackState.DONE,
        "reached otherwise",
    )
    assert await store.reached(NUMBER, key="call1", at=NOW + minutes(10)) == []
    assert [each.kind for each in await store.callback_history(open_one.id)] == ["reached"]
    assert [each.id for each in await store.claim_due(NOW + minutes(30), "w", 60, 10)] == [later.id]


async def test_a_talk_closes_nothing_that_was_asked_for_after_it(store: Store) -> None:
    await capture(store, "a", NOW + minutes(5))
    assert await store.reached(NUMBER, key="call1", at=NOW) == []


async def test_a_worker_loses_the_callback_of_somebody_who_was_reached(store: Store) -> None:
    made = await capture(store, "a")
    await store.claim_due(NOW, "w", 60)
    assert [each.id for each in await store.reached(NUMBER, key="c", at=NOW + minutes(1))] == [made.id]


async def test_history_is_told_once(store: Store) -> None:
    made = await capture(store, "a")
    for _ in range(2):
        await store.add_history(HistoryEntry("missed:1", made.id, NOW, "missed_call", {"why": "in_queue"}))
    (told,) = await store.callback_history(made.id)
    assert told == HistoryEntry("missed:1", made.id, NOW, "missed_call", {"why": "in_queue"})


async def test_the_do_not_call_list(store: Store) -> None:
    made = await capture(store, "a")
    other = await capture(store, "b", number="+79161234568")
    entry = DoNotCall(NUMBER, NOW + minutes(1), "anna", "asked us never to ring")
    (ended,) = await store.forbid_calling(entry)
    assert (ended.id, ended.state, ended.closed_by, ended.closed_reason) == (
        made.id,
        CallbackState.CANCELLED,
        "anna",
        "do not call",
    )
    assert await store.forbid_calling(DoNotCall(NUMBER, NOW + minutes(2), "b")) == []
    assert await store.do_not_call() == [entry], "the first word stands"
    assert await store.do_not_call([NUMBER, "+70000000000"]) == [entry]
    assert await store.do_not_call(["+79161234568"]) == []
    assert (await store.callback(other.id)).state is CallbackState.QUEUED  # type: ignore[union-attr]
    assert await store.allow_calling(NUMBER)
    assert not await store.allow_calling(NUMBER)
    assert await store.do_not_call() == []


async def test_what_was_being_dialled_is_not_dialled_again(store: Store) -> None:
    """He says so while his phone rings for the first time; that attempt fails, and no other follows."""
    made = await capture(store, "a")
    (claimed,) = await store.claim_due(NOW, "w", 60)
    attempt = await store.begin_attempt(made.id, claimed.fence, "chan", agent="101", at=NOW)
    assert await store.forbid_calling(DoNotCall(NUMBER, NOW, "anna")) == []
    policy = RetryPolicy(3, (5.0,))
    after = await store.finish_attempt(attempt.id, AttemptState.NO_ANSWER, policy=policy, at=NOW + minutes(1))
    assert after.state is CallbackState.QUEUED
    assert await store.claim_due(NOW + minutes(60), "w", 60) == []
