"""Webhooks and their outbox: the contract of every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ami_bridge.adapters.store import DeliveryState, Store, WebhookEntry

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOLD = timedelta(minutes=1)
HOOK = WebhookEntry("wh1", "https://example.com", ("call",), "whsec_x", "root", NOW)


async def test_each_change_is_filed_once_for_each_webhook_from_its_beginning(store: Store) -> None:
    await store.save_call({"call_id": "before"})
    await store.save_webhook(HOOK)
    await store.save_webhook(replace(HOOK, id="wh2", kinds=("callback", "call")))
    await store.save_webhook(replace(HOOK, id="wh3", active=False))
    await store.save_call({"call_id": "c1"})
    await store.create_callback("k", "sales")
    filed = await asyncio.gather(*(store.file_deliveries(NOW) for _ in range(4)))
    assert sum(filed) == 3
    assert [entry.subject for entry in await store.deliveries("wh1")] == ["c1"]
    assert [entry.kind for entry in await store.deliveries("wh2")] == ["callback", "call"]
    assert await store.deliveries("wh3") == []
    assert await store.file_deliveries(NOW) == 0
    await store.save_webhook(replace(HOOK, url="https://other.example"))  # keeps how far it is
    assert await store.file_deliveries(NOW) == 0
    assert [webhook.id for webhook in await store.webhooks()] == ["wh1", "wh2", "wh3"]


async def test_a_delivery_is_in_one_hand_and_comes_back_when_that_dies(store: Store) -> None:
    await store.save_webhook(HOOK)
    for number in range(3):
        await store.save_call({"call_id": f"c{number}"})
    await store.file_deliveries(NOW)
    taken = await asyncio.gather(*(store.take_deliveries(NOW, HOLD, 2) for _ in range(3)))
    assert sorted(entry.subject for each in taken for entry in each) == ["c0", "c1", "c2"]
    assert await store.take_deliveries(NOW, HOLD, 9) == []
    again = await store.take_deliveries(NOW + HOLD, HOLD, 9)
    assert [entry.subject for entry in again] == ["c0", "c1", "c2"]
    done = replace(again[0], state=DeliveryState.ARRIVED, attempts=1, status=200, due_at=NOW)
    await store.save_delivery(done)
    assert await store.deliveries("wh1", states=[DeliveryState.ARRIVED]) == [done]
    assert len(await store.take_deliveries(NOW + 2 * HOLD, HOLD, 9)) == 2
    assert await store.drop_deliveries(NOW) == 0
    assert await store.drop_deliveries(NOW + timedelta(days=1)) == 1
    assert len(await store.deliveries("wh1")) == 2


async def test_a_paused_webhook_sends_nothing_and_a_removed_one_is_gone(store: Store) -> None:
    await store.save_webhook(HOOK)
    await store.save_call({"call_id": "c1"})
    await store.file_deliveries(NOW)
    (delivery,) = await store.deliveries("wh1")
    await store.save_webhook(replace(HOOK, active=False))
    assert await store.take_deliveries(NOW, HOLD, 9) == []
    await store.save_webhook(HOOK)
    assert await store.take_deliveries(NOW, HOLD, 9) == [delivery]
    assert await store.drop_webhook("wh1")
    assert not await store.drop_webhook("wh1")
    await store.save_delivery(delivery)
    assert await store.deliveries("wh1") == []
