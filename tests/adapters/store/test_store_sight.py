"""What is seen, in which order, and requests that are answered once: the contract of every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge.adapters.store import AuditEntry, NotStored, Place, Sight, Store
from ami_bridge.core.callbacks import CallbackEvent, IllegalTransition

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


async def save(
    store: Store, call_id: str, minute: int, department: str = "", *rung: str, by: str = ""
) -> None:
    await store.save_call(
        {
            "call_id": call_id,
            "started_at": (NOW + timedelta(minutes=minute)).isoformat(),
            "department": department,
            "answered_by": {"extension": by} if by else None,
            "legs": [{"uniqueid": f"{call_id}-{phone}", "extension": phone} for phone in rung],
            "ring_verdict": "ideal" if by else "missed",
        }
    )


async def test_a_sight_covers_departments_and_the_own_phone(store: Store) -> None:
    await save(store, "sales", 1, "sales", "102")
    await save(store, "rung", 2, "support", "101", "103", by="103")
    await save(store, "answered", 3, "support", by="101")
    await save(store, "strange", 4, "support", "103", by="103")
    await save(store, "nobody's", 5)

    async def seen(**what: object) -> list[str]:
        return [call.id for call in await store.calls(**what)]  # type: ignore[arg-type]

    sight = Sight(frozenset({"sales"}), "101")
    assert await seen(sight=sight) == ["answered", "rung", "sales"]
    assert await seen(sight=Sight(frozenset())) == []
    assert await seen(sight=Sight(frozenset({"sales"}))) == ["sales"]
    assert await seen(extension="103") == ["strange", "rung"]
    assert await seen(extension="103", sight=sight) == ["rung"]
    assert await seen(ring_verdict="missed") == ["nobody's", "sales"]
    everything = await store.calls()
    assert [call.id for call in everything if sight.covers_call(call)] == await seen(sight=sight)


async def test_a_list_goes_on_where_the_reader_stands(store: Store) -> None:
    for name in ("b", "a", "d", "c"):
        await save(store, name, 0, "sales")
    await save(store, "older", -1, "sales")
    first = await store.calls(limit=2)
    assert [call.id for call in first] == ["d", "c"]
    await save(store, "newer", 5, "sales")
    rest = await store.calls(before=Place(first[-1].started_at, first[-1].id))
    assert [call.id for call in rest] == ["b", "a", "older"]


async def test_callbacks_and_the_audit_trail_are_read_the_same_way(store: Store) -> None:
    made = [
        await store.create_callback(f"k{number}", slug, at=NOW)
        for number, slug in enumerate(("sales", "support", "sales"))
    ]
    seen = await store.callbacks(sight=Sight(frozenset({"sales"})))
    assert {callback.id for callback in seen} == {made[0].id, made[2].id}
    rest = await store.callbacks(before=Place(seen[0].created_at, seen[0].id))
    assert seen[0].id not in {callback.id for callback in rest}
    for number in range(3):
        await store.audit(AuditEntry(f"a{number}", NOW, "anna" if number else "boss", "note", f"c{number}"))
    trail = await store.audits(limit=2)
    assert [entry.key for entry in trail] == ["a2", "a1"]
    assert [entry.key for entry in await store.audits(before=Place(NOW, "a1"))] == ["a0"]
    assert [entry.key for entry in await store.audits(actor="boss")] == ["a0"]
    assert [entry.key for entry in await store.audits(subject="c2", until=NOW + timedelta(1))] == ["a2"]
    assert await store.audits(until=NOW) == []


async def test_a_request_is_begun_once_and_its_answer_kept_a_day(store: Store) -> None:
    async def begin(after: timedelta = timedelta()) -> object:
        at = NOW + after
        return await store.begin_request("anna:k", "f", at, given_up=at - timedelta(minutes=1))

    begun = await asyncio.gather(*(begin() for _ in range(5)))
    assert sum(found is None for found in begun) == 1
    await store.answer_request("anna:k", 201, '{"a": "\u00e9"}')
    found = await store.begin_request("anna:k", "g", NOW, given_up=NOW)
    assert found is not None
    assert (found.fingerprint, found.status, found.body) == ("f", 201, '{"a": "\u00e9"}')
    assert await begin(timedelta(hours=25)) is None  # forgotten
    assert await begin(timedelta(hours=25, seconds=30)) is not None  # being worked on
    assert await begin(timedelta(hours=25, minutes=2)) is None  # given up: a crash kept the answer back
    await store.forget_request("anna:k")
    assert await begin(timedelta(hours=25, minutes=2)) is None


async def test_a_person_merges_two_requests_and_never_into_a_closed_one(store: Store) -> None:
    kept = await store.create_callback("k1", "sales", event=CallbackEvent.BROKEN_OFF, at=NOW)
    further = await store.create_callback(
        "k2", "sales", event=CallbackEvent.BROKEN_OFF, at=NOW, subject_text="доставка"
    )
    goes_on = await store.merge_callbacks(kept.id, further.id, by="anna", at=NOW)
    assert (goes_on.id, goes_on.subject_text) == (kept.id, "доставка")
    merged = await store.callback(further.id)
    assert merged is not None
    assert merged.merged_into == kept.id
    third = await store.create_callback("k3", "sales", event=CallbackEvent.BROKEN_OFF, at=NOW)
    for into in (further.id, "never"):
        with pytest.raises((IllegalTransition, NotStored)):
            await store.merge_callbacks(into, third.id, by="anna", at=NOW)
    assert await store.callback(third.id) == third
    (entry,) = await store.callback_history(kept.id)
    assert (entry.kind, entry.detail["callback"], entry.detail["by"]) == ("merged", further.id, "anna")
