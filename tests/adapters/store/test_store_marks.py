"""Marks of calls and agents' agreements, on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge.adapters.store import Agreement, CallMark, NotStored, Store

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def mark(key: str, kind: str = "dispute", call_id: str = "c1", minutes: int = 0) -> CallMark:
    return CallMark(key, call_id, kind, "anna", NOW + timedelta(minutes=minutes), {"rule": "S2"})


def agreement(call_id: str, agent: str = "101", hours: int = 0) -> Agreement:
    due = NOW + timedelta(hours=hours)
    return Agreement(call_id, agent, "sales", "+79161234567", "Иванов", "смета", "Москва", due, "anna", NOW)


@pytest.fixture
async def stored(store: Store) -> Store:
    for call_id in ("c1", "c2"):
        await store.save_call({"call_id": call_id, "started_at": NOW.isoformat()})
    return store


async def test_a_mark_is_kept_once_and_told_to_the_feed(stored: Store) -> None:
    before = await stored.last_change()
    assert await stored.add_mark(mark("k1"))
    assert not await stored.add_mark(replace(mark("k1"), by="boss"))
    await stored.add_mark(mark("k2", "settlement", minutes=1))
    await stored.add_mark(mark("k3", "card", "c2"))
    assert [each.key for each in await stored.marks(["c1"])] == ["k1", "k2"]
    assert [each.key for each in await stored.marks(kinds=["card", "dispute"])] == ["k1", "k3"]
    assert [each.key for each in await stored.marks(since=NOW + timedelta(seconds=1))] == ["k2"]
    assert [each.key for each in await stored.marks(limit=1)] == ["k1"]
    assert (await stored.marks(["c1"]))[0] == mark("k1")
    told = [(change.kind, change.subject) for change in await stored.changes(before)]
    assert told == [("mark", "c1"), ("mark", "c1"), ("mark", "c2")]


async def test_a_mark_may_come_before_its_call_and_an_agreement_may_not(stored: Store) -> None:
    await stored.add_mark(mark("k1", "card", call_id="coming"))
    assert [each.key for each in await stored.marks(["coming"])] == ["k1"]
    with pytest.raises(NotStored):
        await stored.save_agreement(agreement("none"))


async def test_an_agreement_is_amended_and_found_by_when_it_is_due(stored: Store) -> None:
    await stored.save_agreement(agreement("c1", hours=5))
    await stored.save_agreement(agreement("c2", "102", hours=1))
    assert [each.call_id for each in await stored.agreements()] == ["c2", "c1"]
    assert [each.call_id for each in await stored.agreements(agent="101")] == ["c1"]
    assert [each.call_id for each in await stored.agreements(until=NOW + timedelta(hours=5))] == ["c2"]
    done = replace(agreement("c1", hours=6), state="done", settled_by="anna", settled_at=NOW)
    await stored.save_agreement(done)
    assert await stored.agreement("c1") == done
    assert [each.call_id for each in await stored.agreements(state="open")] == ["c2"]
    assert await stored.agreement("none") is None


async def test_the_notes_of_many_calls_come_at_once(stored: Store) -> None:
    for key, call_id in (("a", "c1"), ("b", "c1"), ("c", "c2")):
        await stored.add_note(call_id, "anna", {"text": key}, key=key, at=NOW)
    found = await stored.notes_of(["c1", "none"])
    assert {call_id: [note.fields["text"] for note in notes] for call_id, notes in found.items()} == {
        "c1": ["a", "b"]
    }
    assert await stored.notes_of([]) == {}
