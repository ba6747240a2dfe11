"""The store: calls, callbacks, notes and people, on SQLite, PostgreSQL or in memory.

>>> async with opened_store(settings.store_url) as store:
...     print(await store.calls(limit=1))
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ami_bridge.adapters.store.entries import (
    AgentEntry,
    AgentTaken,
    Agreement,
    AnsweredRequest,
    AuditEntry,
    CallMark,
    Change,
    Conversation,
    DeliveryEntry,
    DeliveryState,
    DepartmentEntry,
    DoNotCall,
    Halt,
    Heartbeat,
    HistoryEntry,
    Note,
    NotStored,
    PromptEntry,
    SessionEntry,
    StaleFence,
    StoredCall,
    StoreUnavailable,
    TokenEntry,
    UserEntry,
    WebhookEntry,
)
from ami_bridge.adapters.store.memory import MemoryStore
from ami_bridge.adapters.store.port import AccountStore, CallbackStore, CallStore, DeskStore, Store
from ami_bridge.adapters.store.sight import Place, Sight
from ami_bridge.adapters.store.sql import SqlStore


@asynccontextmanager
async def opened_store(url: str) -> AsyncIterator[Store]:
    """The store at ``url``, open and migrated, closed at the end. Raises StoreUnavailable."""
    store = SqlStore(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


#: mypy proves here that the fake keeps the contract, as ``opened_store`` proves it of ``SqlStore``.
_proved: type[Store] = MemoryStore

__all__ = [
    "AccountStore",
    "AgentEntry",
    "AgentTaken",
    "Agreement",
    "AnsweredRequest",
    "AuditEntry",
    "CallMark",
    "CallStore",
    "CallbackStore",
    "Change",
    "Conversation",
    "DeliveryEntry",
    "DeliveryState",
    "DepartmentEntry",
    "DeskStore",
    "DoNotCall",
    "Halt",
    "Heartbeat",
    "HistoryEntry",
    "MemoryStore",
    "NotStored",
    "Note",
    "Place",
    "PromptEntry",
    "SessionEntry",
    "Sight",
    "SqlStore",
    "StaleFence",
    "Store",
    "StoreUnavailable",
    "StoredCall",
    "TokenEntry",
    "UserEntry",
    "WebhookEntry",
    "opened_store",
]
