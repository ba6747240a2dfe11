"""What holds back outgoing calls, on every store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ami_bridge.adapters.store import Halt, Store
from ami_bridge.core.callbacks import CallbackEvent, Consent

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


async def begun(store: Store, name: str, at: datetime) -> str:
    number = f"+7916123456{name}"
    callback = await store.create_callback(
        name,
        "sales",
        event=CallbackEvent.CAPTURED,
        number=number,
        consent=Consent("1", "p", at, number),
        at=at,
    )
    (claimed,) = await store.claim_due(at, "w", 60, only=[callback.id])
    return (await store.begin_attempt(callback.id, claimed.fence, f"c{name}", agent=name, at=at)).id


async def test_attempts_of_late(store: Store) -> None:
    ids = [await begun(store, str(minute), NOW + timedelta(minutes=minute)) for minute in (0, 1, 2)]
    assert [each.id for each in await store.attempts_since(NOW)] == ids
    assert [each.id for each in await store.attempts_since(NOW + timedelta(minutes=1))] == ids[1:]
    assert await store.attempts_since(NOW + timedelta(minutes=3)) == []


async def test_the_switch_is_told_to_the_feed_and_keeps_its_first_reason(store: Store) -> None:
    assert await store.halted() is None
    before = await store.last_change()
    assert await store.halt(Halt(NOW, "boss", "fraud"))
    assert not await store.halt(Halt(NOW + timedelta(hours=1), "other", "too"))
    assert await store.halted() == Halt(NOW, "boss", "fraud")
    assert await store.go_on()
    assert not await store.go_on()
    assert await store.halted() is None
    assert [change.kind for change in await store.changes(before)] == ["halt", "halt"]


async def test_a_callback_is_kept_for_one_agent(store: Store) -> None:
    number = "+79161234567"
    callback = await store.create_callback(
        "k",
        "sales",
        event=CallbackEvent.CAPTURED,
        number=number,
        consent=Consent("1", "p", NOW, number),
        at=NOW,
    )
    after = await store.update_callback(callback.id, assigned_to="102", at=NOW)
    assert after.assigned_to == "102"
    again = await store.callback(callback.id)
    assert again is not None
    assert again.assigned_to == "102"
