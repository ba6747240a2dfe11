"""Calls, legs and notes: the contract of every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ami_bridge.adapters.store import NotStored, Store

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def record(call_id: str = "c1", **more: object) -> dict[str, object]:
    return {
        "id": call_id,
        "node": "fr1",
        "started_at": START.isoformat(),
        "ended_at": None,
        "caller_number": "+79161234567",
        "did": "74950000001",
        "department": "sales",
        "disposition": "answered",
        "answered_by": "101",
        "answered_on_ring": 3,
        "ring_verdict": "ideal",
        "hung_up_by": "caller",
        "uniqueids": ["fr1-1.1", "fr1-1.2"],
        "transfers": [],
        **more,
    }


async def test_a_call_comes_back_as_it_was_saved(store: Store) -> None:
    await store.save_call(record(ended_at=(START + timedelta(minutes=2)).isoformat()))
    call = await store.call("c1")
    assert call is not None
    assert (call.started_at, call.answered_on_ring, call.ring_verdict) == (START, 3, "ideal")
    assert call.ended_at == START + timedelta(minutes=2)
    assert call.record["uniqueids"] == ["fr1-1.1", "fr1-1.2"]
    assert await store.call("c2") is None


async def test_saving_twice_keeps_one_call_and_the_newer_words(store: Store) -> None:
    await store.save_call(record(disposition="ringing"))
    await store.save_call(record(disposition="answered"))
    (call,) = await store.calls()
    assert call.disposition == "answered"


async def test_a_late_copy_does_not_reopen_a_finished_call(store: Store) -> None:
    await store.save_call(record(ended_at=START.isoformat(), disposition="done"))
    seen = await store.last_change()
    await store.save_call(record(disposition="ringing"))
    call = await store.call("c1")
    assert call is not None
    assert (call.disposition, call.ended_at) == ("done", START)
    assert await store.last_change() == seen


async def test_a_strangers_characters_are_kept_out_and_the_call_is_not_lost(store: Store) -> None:
    await store.save_call(record(caller_number="1\x00\ud800'; DROP TABLE call;--", caller_name="\x00Иван"))
    call = await store.call("c1")
    assert call is not None
    assert call.caller_number == "1\ufffd?'; DROP TABLE call;--"
    assert call.record["caller_name"] == "\ufffdИван"
    assert await store.call("\x00") is None
    assert await store.find_call_by_uniqueid("\x00") is None


async def test_a_record_that_says_little_is_kept_all_the_same(store: Store) -> None:
    await store.save_call({"id": "c9", "answered_by": None, "answered_on_ring": "?", "legs": None})
    call = await store.call("c9")
    assert call is not None
    assert (call.answered_by, call.answered_on_ring, call.department) == ("", None, "")


async def test_the_records_of_our_own_core_are_understood(store: Store) -> None:
    caller = {"number": "+79161234567", "extension": "", "name": "Иван"}
    core_record = {
        "call_id": "fr1-abc",
        "caller": caller,
        "dialled": "74950000001",
        "answered_by": {"extension": "102", "number": "102"},
        "started_at": START.isoformat(timespec="milliseconds"),
        "legs": [{"uniqueid": "fr1-1.2", "extension": "102"}],
    }
    await store.save_call(core_record)
    call = await store.call("fr1-abc")
    assert call is not None
    assert (call.caller_number, call.did, call.answered_by) == ("+79161234567", "74950000001", "102")
    assert await store.find_call_by_uniqueid("fr1-1.2") == call


async def test_a_call_that_was_part_of_another_is_no_longer_listed_but_keeps_its_notes(store: Store) -> None:
    await store.save_call(record("part", uniqueids=["fr1-1.7"]))
    note = await store.add_note("part", "anna", {"text": "x"}, key="k")
    await store.save_call(record("whole", uniqueids=["fr1-1.7"], absorbed_call_ids=["part"]))
    await store.save_call(record("part", uniqueids=["fr1-1.7"]))
    assert [call.id for call in await store.calls()] == ["whole"]
    found = await store.find_call_by_uniqueid("fr1-1.7")
    assert found is not None
    assert found.id == "whole"
    part = await store.call("part")
    assert part is not None
    assert part.absorbed_into == "whole"
    assert await store.notes("part") == [note]


async def test_many_records_at_once(store: Store) -> None:
    await store.save_call(record("c1", ended_at=START.isoformat(), disposition="done"))
    many = [record(f"c{number}", uniqueids=[f"fr1-1.{number}"]) for number in range(450)]
    await store.save_calls([*many, record("c7", disposition="later")])
    await store.save_calls([])
    assert len(await store.calls(limit=1000)) == 450
    first, seventh = await store.call("c1"), await store.call("c7")
    assert first is not None
    assert seventh is not None
    assert (first.disposition, seventh.disposition) == ("done", "later")
    found = await store.find_call_by_uniqueid("fr1-1.449")
    assert found is not None
    assert found.id == "c449"
    subjects = {change.subject for change in await store.changes(1, limit=1000)}
    assert subjects == {f"c{number}" for number in range(450)} - {"c1"}


async def test_a_record_without_an_id_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="own id"):
        await store.save_call({"disposition": "answered"})


async def test_calls_are_listed_newest_first_and_filtered(store: Store) -> None:
    for minute in range(5):
        at = (START + timedelta(minutes=minute)).isoformat()
        department = "support" if minute == 3 else "sales"
        await store.save_call(
            record(f"c{minute}", started_at=at, department=department, caller_number=str(minute))
        )
    assert [call.id for call in await store.calls(limit=2)] == ["c4", "c3"]
    since, until = START + timedelta(minutes=1), START + timedelta(minutes=3)
    assert [call.id for call in await store.calls(since=since, until=until)] == ["c2", "c1"]
    assert [call.id for call in await store.calls(department="support")] == ["c3"]
    assert [call.id for call in await store.calls(caller_number="2")] == ["c2"]


async def test_calls_that_go_on(store: Store) -> None:
    ended = (START + timedelta(minutes=2)).isoformat()
    await store.save_call(record("going"))
    await store.save_call(record("over", ended_at=ended))
    await store.save_call(record("old", started_at=(START - timedelta(hours=3)).isoformat()))
    await store.save_call(record("part"))
    await store.save_call(record("whole", absorbed_call_ids=["part"], ended_at=ended))
    assert [call.id for call in await store.live_calls(START)] == ["going"]


async def test_an_instant_from_another_zone_is_the_same_instant(store: Store) -> None:
    moscow = timezone(timedelta(hours=3))
    await store.save_call(record(started_at=datetime(2026, 3, 2, 12, 0, tzinfo=moscow).isoformat()))
    (call,) = await store.calls(since=datetime(2026, 3, 2, 12, 0, tzinfo=moscow))
    assert call.started_at == START
    assert call.started_at.utcoffset() == timedelta(0)


async def test_an_instant_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        await store.save_call(record(started_at="2026-03-02T09:00:00"))


async def test_a_leg_finds_the_newest_call_that_had_it(store: Store) -> None:
    await store.save_call(record("old", uniqueids=["fr1-1.1"]))
    later = (START + timedelta(days=1)).isoformat()
    await store.save_call(record("new", started_at=later, uniqueids=[], legs=[{"uniqueid": "fr1-1.1"}]))
    found = await store.find_call_by_uniqueid("fr1-1.1")
    assert found is not None
    assert found.id == "new"
    assert await store.find_call_by_uniqueid("fr1-9.9") is None


async def test_notes_are_versions_and_none_is_overwritten(store: Store) -> None:
    await store.save_call(record())
    first = await store.add_note("c1", "anna", {"last_name": "Иванов"}, key="k1", at=START)
    second = await store.add_note("c1", "anna", {"last_name": "Петров"}, key="k2", at=START)
    again = await store.add_note("c1", "anna", {"last_name": "other"}, key="k1", at=START)
    assert (first.version, second.version, again) == (1, 2, first)
    assert await store.notes("c1") == [first, second]
    assert await store.notes("c2") == []


async def test_notes_of_two_people_at_once_become_two_versions(store: Store) -> None:
    await store.save_call(record())
    added = await asyncio.gather(*(store.add_note("c1", "a", {"n": str(n)}, key=f"k{n}") for n in range(8)))
    assert sorted(note.version for note in added) == list(range(1, 9))


async def test_a_note_needs_its_call(store: Store) -> None:
    with pytest.raises(NotStored, match="no call 'c7'"):
        await store.add_note("c7", "anna", {}, key="k")
