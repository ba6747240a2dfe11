"""The promise ledger of :class:`ami_bridge.adapters.store.memory.MemoryStore`."""

from __future__ import annotations

from datetime import UTC, datetime

from ami_bridge.adapters.store.entries import utc
from ami_bridge.adapters.store.memory_callbacks import MemoryCallbacks
from ami_bridge.core import callbacks as core
from ami_bridge.core.promises import Promise, PromiseState, Standing

_SHOULD_HAVE_ONE = core.CLAIMABLE | core.HELD | core.DIALLED
_NOT_RUNG = core.UNRUNG | {core.AttemptState.UNKNOWN, core.AttemptState.DIALING}


class MemoryPromises(MemoryCallbacks):
    """See :class:`ami_bridge.adapters.store.port.PromiseStore`."""

    def __init__(self) -> None:
        super().__init__()
        self._promises: dict[str, Promise] = {}

    async def promises(
        self,
        *,
        state: PromiseState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[Promise]:
        """Soonest due first."""
        found = [
            promise
            for promise in sorted(self._promises.values(), key=lambda each: (each.due_at, each.callback_id))
            if state in {None, promise.state}
            and (since is None or promise.due_at >= since)
            and (until is None or promise.due_at < until)
        ]
        return found[:limit]

    async def promise(self, callback_id: str) -> Promise | None:
        """One line."""
        return self._promises.get(callback_id)

    async def standings(self, limit: int = 1000) -> list[Standing]:
        """Open promises, and what should have one."""
        found = []
        latest = datetime.max.replace(tzinfo=UTC)
        for each in sorted(self._callbacks.values(), key=lambda each: (each.due_at or latest, each.id)):
            promise = self._promises.get(each.id)
            wanted = each.state in _SHOULD_HAVE_ONE if promise is None else promise.state is PromiseState.OPEN
            if wanted:
                tries = [one for one in await self.attempts(each.id) if one.state not in _NOT_RUNG]
                found.append(Standing(each, promise, tuple(one.started_at for one in tries)))
        return found[:limit]

    async def write_promise(self, promise: Promise, *, at: datetime | None = None) -> bool:
        """Compare and set."""
        known = self._promises.get(promise.callback_id)
        if promise.revision != (0 if known is None else known.revision + 1):
            return False
        self._promises[promise.callback_id] = promise
        self._announce("promise", promise.callback_id, utc(at))
        return True
