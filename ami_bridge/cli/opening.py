"""How commands open the store: for one question, then closed again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ami_bridge.adapters.store import Store, opened_store
from ami_bridge.settings import load_settings

T = TypeVar("T")


def with_store(config: Path | None, ask: Callable[[Store], Awaitable[T]]) -> T:
    """What ``ask`` finds out in the store of ``config``. Raises StoreUnavailable."""

    async def asking() -> T:
        async with opened_store(load_settings(config).store_url) as store:
            return await ask(store)

    return asyncio.run(asking())
