"""The store: calls, callbacks, notes and people, on SQLite, PostgreSQL or in memory.

>>> store = SqlStore(settings.store_url)
>>> await store.open()
"""

from __future__ import annotations

from ami_bridge.adapters.store.entries import (
    AgentEntry,
    AuditEntry,
    Change,
    Conversation,
    DepartmentEntry,
    Heartbeat,
    Note,
    NotStored,
    PromptEntry,
    StaleFence,
    StoredCall,
    StoreUnavailable,
    UserEntry,
)
from ami_bridge.adapters.store.memory import MemoryStore
from ami_bridge.adapters.store.port import CallbackStore, CallStore, DeskStore, Store
from ami_bridge.adapters.store.sql import SqlStore

__all__ = [
    "AgentEntry",
    "AuditEntry",
    "CallStore",
    "CallbackStore",
    "Change",
    "Conversation",
    "DepartmentEntry",
    "DeskStore",
    "Heartbeat",
    "MemoryStore",
    "NotStored",
    "Note",
    "PromptEntry",
    "SqlStore",
    "StaleFence",
    "Store",
    "StoreUnavailable",
    "StoredCall",
    "UserEntry",
]
