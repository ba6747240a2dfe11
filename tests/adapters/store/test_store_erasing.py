"""People leave the store: one by number, all by age. On both databases, with other people's records beside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from ami_bridge.adapters.store import AuditEntry, SqlStore, Store, opened_store
from ami_bridge.adapters.store.erasing import StillTalking, Taken, erase_person, purge_before
from ami_bridge.adapters.store.tables import metadata
from ami_bridge.core.callbacks import CallbackEvent, Consent

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HINT = "9161234567"
PATTERN = re.compile(rf"(?<![0-9])(?:\+?7|8)?{HINT}(?![0-9])")
OTHERS = "+79161234568"


async def fill(store: Store) -> None:
    for call_id, number in (("c1", "+79161234567"), ("c2", OTHERS), ("c3", "89161234567")):
        party = {"number": number, "name": f"name of {number}", "extension": ""}
        leg = {"uniqueid": f"u-{call_id}", "extension": "101", "number": "101", "name": "Анна"}
        await store.save_call(
            {
                "call_id": call_id,
                "started_at": NOW.isoformat(),
                "ended_at": (NOW + timedelta(minutes=1)).isoformat(),
                "caller": party,
                "caller_number": number,
                "legs": [leg, {**party, "uniqueid": f"v-{call_id}", "channel": f"Local/{number}@out-1"}],
                "answered_by": {"extension": "101", "name": "Анна", "number": "101"},
                "talk_seconds": 9,
            }
        )
        await store.add_note(call_id, "anna", {"last_name": f"Иванов {number}"}, key=call_id)
        consent = Consent("1", "p1", NOW, f"+7{number[-10:]}")
        await store.create_callback(
            call_id, "sales", event=CallbackEvent.CAPTURED, at=NOW, caller_id=number, name_recording=f"{call_id}.wav",
            number=f"+7{number[-10:]}", consent=consent, name_text="Иван",
        )  # fmt: skip
        await store.put_conversation(f"u-{call_id}", {"caller": number}, at=NOW)
    # In nobody's own call, but spoken of in a note.
    await store.save_call({"call_id": "c4", "started_at": NOW.isoformat(), "department": "sales"})
    await store.add_note("c4", "anna", {"text": "перезвонить 8 и +79161234567"}, key="c4")
    await store.audit(AuditEntry("a1", NOW, "anna", "callback.cancel", "x", {"reason": "79161234567 rang"}))


async def everything(store: SqlStore) -> str:
    """Every row of every table, as text."""
    rows = []
    async with store.database.reading() as connection:
        for table in metadata.sorted_tables:
            rows += [str(tuple(row)) for row in await connection.execute(sa.select(table))]
    return "\n".join(rows)


@pytest.fixture
def wanted() -> Taken:
    return Taken(3, 3, 2, 3, ("c1.wav", "c3.wav"))


async def test_a_person_is_nowhere_any_more_and_others_stay(url: str, wanted: Taken) -> None:
    async with opened_store(url) as store:
        assert isinstance(store, SqlStore)
        await fill(store)
        before = await everything(store)
        counted = await erase_person(store, PATTERN, HINT, NOW, dry=True)
        assert await everything(store) == before
        done = await erase_person(store, PATTERN, HINT, NOW, dry=False)
        for taken in (counted, done):
            assert (taken.calls, taken.notes, taken.callbacks, taken.other) == (3, 3, 2, 3)
            assert sorted(taken.recordings) == sorted(wanted.recordings)
        after = await everything(store)
        assert HINT not in after
        assert "name of +79161234567" not in after
        call = await store.call("c1")
        assert call is not None
        assert (call.caller_number, call.answered_by, call.record["talk_seconds"]) == ("erased", "101", 9)
        assert call.record["legs"][0]["name"] == "Анна"
        assert [entry.id for entry in await store.calls()] == ["c4", "c3", "c2", "c1"]
        others = await store.call("c2")
        assert others is not None
        assert others.caller_number == OTHERS
        assert len(await store.notes("c2")) == 1
        (kept,) = await store.callbacks()
        assert (kept.number, kept.name_text) == (OTHERS, "Иван")
        again = await erase_person(store, PATTERN, HINT, NOW, dry=False)
        assert again == Taken(0, 0, 0, 0, ())


async def test_nobody_is_erased_while_being_rung(url: str) -> None:
    async with opened_store(url) as store:
        assert isinstance(store, SqlStore)
        await fill(store)
        found = await store.callbacks()
        mine = next(callback for callback in found if callback.key == "c1")
        await store.claim_callback(mine.id, "dialer", 60, at=NOW)
        before = await everything(store)
        with pytest.raises(StillTalking, match=mine.id):
            await erase_person(store, PATTERN, HINT, NOW, dry=False)
        assert await everything(store) == before


async def test_what_is_old_goes_with_all_that_hangs_on_it(url: str) -> None:
    async with opened_store(url) as store:
        assert isinstance(store, SqlStore)
        await fill(store)
        (first, *_) = [callback for callback in await store.callbacks() if callback.key == "c1"]
        await store.update_callback(first.id, event=CallbackEvent.CANCELLED, at=NOW)
        await store.save_call(
            {"call_id": "new", "started_at": NOW.isoformat(), "ended_at": (NOW + timedelta(9)).isoformat()}
        )
        before = NOW + timedelta(days=1)
        counted = await purge_before(store, before, dry=True)
        done = await purge_before(store, before, dry=False)
        assert counted == done == Taken(3, 3, 1, 3, ("c1.wav",))
        assert {call.id for call in await store.calls()} == {"new", "c4"}  # one that never ended is not old
        assert len(await store.callbacks()) == 2
        assert await store.callback(first.id) is None
        assert await store.consents(first.id) == []
