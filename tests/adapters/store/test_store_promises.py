"""The promise ledger: the contract of every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ami_bridge.adapters.store import Store
from ami_bridge.core.callbacks import AttemptState, Callback, CallbackEvent, Consent, RetryPolicy
from ami_bridge.core.promises import Promise, PromiseState

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


async def asked(store: Store, name: str = "a", digit: int = 1) -> Callback:
    number = f"+7916123456{digit}"
    return await store.create_callback(
        name,
        "sales",
        event=CallbackEvent.CAPTURED,
        at=NOW,
        number=number,
        consent=Consent("1", "p", NOW, number),
    )


def promise_of(callback: Callback, due: float = 60) -> Promise:
    return Promise(callback.id, callback.department, "voice", NOW, NOW + timedelta(minutes=due))


async def test_what_waits_stands_in_the_ledger_until_it_is_settled(store: Store) -> None:
    callback = await asked(store)
    (lacking,) = await store.standings()
    assert (lacking.callback, lacking.promise, tuple(lacking.rung_at)) == (callback, None, ())
    promise = promise_of(callback)
    assert await store.write_promise(promise, at=NOW)
    (standing,) = await store.standings()
    assert standing.promise == promise
    settled = replace(promise, state=PromiseState.KEPT, settled_at=NOW, rung_at=NOW, revision=1)
    assert await store.write_promise(settled, at=NOW)
    assert await store.standings() == []
    assert await store.promise(callback.id) == settled
    assert await store.promise("nope") is None
    assert [change.subject for change in await store.changes(0) if change.kind == "promise"] == [
        callback.id
    ] * 2


async def test_when_the_customer_was_rung_is_told_and_an_agents_ring_is_not(store: Store) -> None:
    await asked(store)
    at = NOW
    for result in (AttemptState.AGENT_DECLINED, AttemptState.BUSY, AttemptState.NOT_DIALLED):
        (claimed,) = await store.claim_due(at, "w", 60)
        begun = await store.begin_attempt(claimed.id, claimed.fence, f"c{claimed.fence}", agent="101", at=at)
        (standing,) = await store.standings()
        assert at not in standing.rung_at, "only the agent's phone rings so far"
        await store.finish_attempt(begun.id, result, policy=RetryPolicy(9, (1,)), at=at)
        at += timedelta(minutes=1)
    (standing,) = await store.standings()
    assert tuple(standing.rung_at) == (NOW + timedelta(minutes=1),)


async def test_of_several_who_write_at_once_one_is_told_that_it_wrote(store: Store) -> None:
    promise = promise_of(await asked(store))
    assert sum(await asyncio.gather(*(store.write_promise(promise, at=NOW) for _ in range(5)))) == 1
    later = replace(promise, escalated_at=NOW, revision=1)
    assert sum(await asyncio.gather(*(store.write_promise(later, at=NOW) for _ in range(5)))) == 1
    assert not await store.write_promise(replace(promise, revision=3), at=NOW)
    assert await store.promise(promise.callback_id) == later


async def test_promises_are_listed_by_when_they_are_due(store: Store) -> None:
    for digit, due in ((1, 30), (2, 10), (3, 20)):
        await store.write_promise(promise_of(await asked(store, f"k{digit}", digit), due), at=NOW)
    listed = await store.promises()
    assert [(each.due_at - NOW).total_seconds() / 60 for each in listed] == [10, 20, 30]
    assert len(await store.promises(limit=2)) == 2
    between = await store.promises(since=NOW + timedelta(minutes=20), until=NOW + timedelta(minutes=30))
    assert between == [listed[1]]
    assert await store.promises(state=PromiseState.KEPT) == []


async def test_a_promise_on_a_closed_request_is_still_settled(store: Store) -> None:
    callback = await asked(store)
    await store.write_promise(promise_of(callback), at=NOW)
    await store.update_callback(callback.id, event=CallbackEvent.CANCELLED, at=NOW)
    (standing,) = await store.standings()
    assert standing.callback.closed_at == NOW
