"""Webhooks and their outbox in dictionaries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from ami_bridge.adapters.store.entries import Change, DeliveryEntry, DeliveryState, WebhookEntry


class MemoryHooks:
    """See :class:`ami_bridge.adapters.store.port.HookStore`."""

    _changes: list[Change]
    _seq: int

    def __init__(self) -> None:
        super().__init__()
        self._webhooks: dict[str, WebhookEntry] = {}
        self._deliveries: dict[tuple[str, int], DeliveryEntry] = {}

    async def save_webhook(self, webhook: WebhookEntry) -> None:
        """A new one starts behind the newest change."""
        known = self._webhooks.get(webhook.id)
        self._webhooks[webhook.id] = replace(webhook, after=known.after if known else self._seq)

    async def webhooks(self) -> list[WebhookEntry]:
        """Oldest first."""
        return sorted(self._webhooks.values(), key=lambda webhook: (webhook.created_at, webhook.id))

    async def drop_webhook(self, webhook_id: str) -> bool:
        """The outbox goes with it."""
        self._deliveries = {key: kept for key, kept in self._deliveries.items() if key[0] != webhook_id}
        return self._webhooks.pop(webhook_id, None) is not None

    async def file_deliveries(self, now: datetime) -> int:
        """Each change once."""
        filed = 0
        for webhook in [each for each in self._webhooks.values() if each.active]:
            for change in self._changes:
                if change.seq > webhook.after and change.kind in webhook.kinds:
                    filed += 1
                    self._deliveries[webhook.id, change.seq] = DeliveryEntry(
                        webhook.id,
                        change.seq,
                        change.kind,
                        change.subject,
                        change.at,
                        DeliveryState.WAITING,
                        0,
                        now,
                    )
            self._webhooks[webhook.id] = replace(webhook, after=self._seq)
        return filed

    async def take_deliveries(self, now: datetime, hold: timedelta, limit: int) -> list[DeliveryEntry]:
        """Longest due first."""
        due = [
            entry
            for entry in self._deliveries.values()
            if entry.state is DeliveryState.WAITING
            and entry.due_at <= now
            and self._webhooks[entry.webhook].active
        ]
        taken = sorted(due, key=lambda entry: (entry.due_at, entry.seq))[:limit]
        for entry in taken:
            self._deliveries[entry.webhook, entry.seq] = replace(entry, due_at=now + hold)
        return taken

    async def save_delivery(self, delivery: DeliveryEntry) -> None:
        """What is gone stays gone."""
        key = (delivery.webhook, delivery.seq)
        if key in self._deliveries:
            self._deliveries[key] = delivery

    async def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] | None = None, limit: int = 100
    ) -> list[DeliveryEntry]:
        """Newest first."""
        found = [
            entry
            for entry in self._deliveries.values()
            if entry.webhook == webhook_id and (states is None or entry.state in states)
        ]
        return sorted(found, key=lambda entry: entry.seq, reverse=True)[:limit]

    async def drop_deliveries(self, before: datetime) -> int:
        """Never one that still waits."""
        over = [
            key
            for key, entry in self._deliveries.items()
            if entry.state is not DeliveryState.WAITING and entry.due_at < before
        ]
        for key in over:
            del self._deliveries[key]
        return len(over)
