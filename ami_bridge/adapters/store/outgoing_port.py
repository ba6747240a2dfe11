"""The part of :mod:`ami_bridge.adapters.store.port` that holds back outgoing calls."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ami_bridge.adapters.store.entries import Halt
from ami_bridge.core.callbacks import Attempt


class OutgoingStore(Protocol):
    """How much was rung of late, and the switch that stops all of it."""

    async def attempts_since(self, at: datetime) -> list[Attempt]:
        """Attempts that began at ``at`` or later, oldest first, whatever became of them."""

    async def halt(self, halt: Halt) -> bool:
        """No callback is dialled from now on; False: it was so already, and the first reason stands."""

    async def halted(self) -> Halt | None:
        """Since when and why no callback is dialled; None: they are."""

    async def go_on(self) -> bool:
        """Callbacks are dialled again; False: they were."""
