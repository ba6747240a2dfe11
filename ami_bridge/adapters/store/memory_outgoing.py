"""Outgoing calls of :class:`ami_bridge.adapters.store.memory.MemoryStore`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ami_bridge.adapters.store.entries import Halt, clean, utc
from ami_bridge.core.callbacks import Attempt


class MemoryOutgoing:
    """See :class:`ami_bridge.adapters.store.port.OutgoingStore`."""

    _attempts: dict[str, Attempt]

    def __init__(self) -> None:
        super().__init__()
        self._halt: Halt | None = None

    def _announce(self, kind: str, subject: str, at: datetime) -> None:
        raise NotImplementedError

    async def attempts_since(self, at: datetime) -> list[Attempt]:
        """Oldest first."""
        found = [each for each in self._attempts.values() if each.started_at >= utc(at)]
        return sorted(found, key=lambda each: (each.started_at, each.id))

    async def halt(self, halt: Halt) -> bool:
        """The first reason stands."""
        if self._halt is not None:
            return False
        self._halt = replace(halt, at=utc(halt.at), by=clean(halt.by), reason=clean(halt.reason))
        self._announce("halt", "callbacks", utc(halt.at))
        return True

    async def halted(self) -> Halt | None:
        """The switch."""
        return self._halt

    async def go_on(self) -> bool:
        """Off."""
        was, self._halt = self._halt, None
        if was is not None:
            self._announce("halt", "callbacks", utc(None))
        return was is not None
