"""The audit trail: who changed or heard what, when, and in which session."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from ami_bridge.adapters.store import AuditEntry, Store
from ami_bridge.desk.rights import Account


async def trace(
    store: Store, account: Account, action: str, subject: str, *, key: str = "", **detail: Any
) -> None:
    """Write that ``account`` did ``action`` to ``subject``. The same ``key`` is written once.

    ``detail`` never holds a secret. Raises StoreUnavailable: what cannot be traced is told as failed.
    """
    by = f"{account.by} {account.key}".strip()
    entry = AuditEntry(
        key or secrets.token_hex(16), datetime.now(UTC), account.name, action, subject, {"by": by, **detail}
    )
    await store.audit(entry)
