"""Webhooks and their outbox in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database
from ami_bridge.adapters.store.entries import DeliveryEntry, DeliveryState, WebhookEntry, clean
from ami_bridge.adapters.store.rows import all_rows, columns_of, entry_of, insert_into

_FILED_AT_ONCE = 500


class SqlHooks:
    """See :class:`ami_bridge.adapters.store.port.HookStore`."""

    _database: Database

    async def save_webhook(self, webhook: WebhookEntry) -> None:
        """A new one starts behind the newest change."""
        values = columns_of(webhook, t.webhook)
        async with self._database.writing() as connection:
            newest = await connection.scalar(sa.select(sa.func.max(t.change.c.seq))) or 0
            statement = insert_into(connection, t.webhook).values({**values, "after": newest})
            kept = {name: value for name, value in values.items() if name not in {"id", "after"}}
            await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=kept))

    async def webhooks(self) -> list[WebhookEntry]:
        """Oldest first."""
        async with self._database.reading() as connection:
            return await _webhooks(connection, sa.select(t.webhook))

    async def drop_webhook(self, webhook_id: str) -> bool:
        """The outbox goes with it."""
        async with self._database.writing() as connection:
            statement = sa.delete(t.webhook).where(t.webhook.c.id == clean(webhook_id))
            return bool((await connection.execute(statement)).rowcount)

    async def file_deliveries(self, now: datetime) -> int:
        """What is read and what is filed is one transaction, so each change is filed once."""
        async with self._database.reading() as connection:  # most of the time there is nothing to do
            if not await all_rows(connection, _behind().limit(1)):
                return 0
        async with self._database.writing() as connection:
            behind = await _webhooks(connection, _behind().with_for_update(skip_locked=True))
            return sum([await _file(connection, webhook, now) for webhook in behind])

    async def take_deliveries(self, now: datetime, hold: timedelta, limit: int) -> list[DeliveryEntry]:
        """Their time is put off while they are being sent; who sends them says later how it went."""
        c = t.delivery.c
        ready = (
            c.state == DeliveryState.WAITING.value,
            c.due_at <= now,
            sa.exists().where(t.webhook.c.id == c.webhook, t.webhook.c.active),
        )
        query = sa.select(t.delivery).where(*ready).order_by(c.due_at, c.seq).limit(limit)
        async with self._database.reading() as connection:
            if not await all_rows(connection, query.limit(1)):
                return []
        async with self._database.writing() as connection:
            rows = await all_rows(connection, query.with_for_update(skip_locked=True))
            for row in rows:
                mine = (c.webhook == row["webhook"], c.seq == row["seq"])
                await connection.execute(sa.update(t.delivery).where(*mine).values(due_at=now + hold))
            return [_delivery_of(row) for row in rows]

    async def save_delivery(self, delivery: DeliveryEntry) -> None:
        """An update alone: what is gone stays gone."""
        values = columns_of(delivery, t.delivery) | {"state": delivery.state.value}
        mine = (t.delivery.c.webhook == delivery.webhook, t.delivery.c.seq == delivery.seq)
        async with self._database.writing() as connection:
            await connection.execute(sa.update(t.delivery).where(*mine).values(**values))

    async def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] | None = None, limit: int = 100
    ) -> list[DeliveryEntry]:
        """Newest first."""
        query = sa.select(t.delivery).where(t.delivery.c.webhook == clean(webhook_id))
        if states is not None:
            query = query.where(t.delivery.c.state.in_([state.value for state in states]))
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query.order_by(t.delivery.c.seq.desc()).limit(limit))
        return [_delivery_of(row) for row in rows]

    async def drop_deliveries(self, before: datetime) -> int:
        """Never one that still waits."""
        c = t.delivery.c
        over = (c.state != DeliveryState.WAITING.value, c.due_at < before)
        async with self._database.writing() as connection:
            return (await connection.execute(sa.delete(t.delivery).where(*over))).rowcount


def _behind() -> sa.Select[Any]:
    newer = sa.exists().where(t.change.c.seq > t.webhook.c.after)
    return sa.select(t.webhook).where(t.webhook.c.active, newer)


async def _webhooks(connection: AsyncConnection, query: sa.Select[Any]) -> list[WebhookEntry]:
    rows = await all_rows(connection, query.order_by(t.webhook.c.created_at, t.webhook.c.id))
    return [entry_of(WebhookEntry, {**row, "kinds": tuple(row["kinds"])}) for row in rows]


async def _file(connection: AsyncConnection, webhook: WebhookEntry, now: datetime) -> int:
    query = sa.select(t.change).where(t.change.c.seq > webhook.after)
    changes = await all_rows(connection, query.order_by(t.change.c.seq).limit(_FILED_AT_ONCE))
    filed = [
        columns_of(delivery_of_change(webhook, change, now), t.delivery) | {"state": "waiting"}
        for change in changes
        if change["kind"] in webhook.kinds
    ]
    if filed:
        await connection.execute(sa.insert(t.delivery).values(filed))
    last = changes[-1]["seq"] if changes else webhook.after
    mine = t.webhook.c.id == webhook.id
    await connection.execute(sa.update(t.webhook).where(mine).values(after=last))
    return len(filed)


def delivery_of_change(webhook: WebhookEntry, change: Mapping[str, Any], now: datetime) -> DeliveryEntry:
    """The delivery of ``change`` to ``webhook``, due at once."""
    return DeliveryEntry(
        webhook.id,
        change["seq"],
        change["kind"],
        change["subject"],
        change["at"],
        DeliveryState.WAITING,
        0,
        now,
    )


def _delivery_of(row: Mapping[str, Any]) -> DeliveryEntry:
    return entry_of(DeliveryEntry, {**row, "state": DeliveryState(row["state"])})
