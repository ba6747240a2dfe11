"""People by their number, in memory; see :class:`ami_bridge.adapters.store.port.CallbackStore`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Unpack

from ami_bridge.adapters.store.entries import DoNotCall, HistoryEntry, clean, utc
from ami_bridge.adapters.store.fences import merged_by_hand, merged_entry, settled_by
from ami_bridge.adapters.store.memory_callbacks import MemoryCallbacks
from ami_bridge.core import callbacks as core
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackFields, CallbackState
from ami_bridge.core.merging import OPEN, merge


class MemoryPersons(MemoryCallbacks):
    """Merging, history and the do-not-call list."""

    def __init__(self) -> None:
        super().__init__()
        self._history: dict[str, HistoryEntry] = {}

    async def settle_capture(
        self,
        callback_id: str,
        *,
        event: CallbackEvent,
        by: str = "",
        reason: str = "",
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Amend, apply, merge."""
        before = self._known(callback_id)
        if before.state is CallbackState.MERGED and before.merged_into:
            return self._known(before.merged_into)
        after = settled_by(before, event, utc(at), fields, by=by, reason=reason)
        return before if after is None else self._settle(after, utc(at))

    async def finish_capture(self, channel_uniqueid: str, *, at: datetime | None = None) -> Callback | None:
        """Keep what there is."""
        found = [known for known in self._newest_first() if known.channel_uniqueid == channel_uniqueid]
        capturing = [known for known in found if known.state is CallbackState.CAPTURING]
        if not capturing:
            return found[0] if found else None
        return self._settle(core.advance(capturing[0], CallbackEvent.BROKEN_OFF, utc(at)), utc(at))

    def _settle(self, after: Callback, at: datetime) -> Callback:
        rival = self._rival(after)
        if rival is None or after.state not in {CallbackState.PARTIAL, CallbackState.QUEUED}:
            return self._keep(after, at)
        goes_on, merged = merge(rival, after, at)
        self._keep(merged, at)
        detail = {"callback": merged.id, "department": merged.department, "origin": merged.origin}
        self._remember(HistoryEntry(f"merged:{merged.id}", goes_on.id, at, "merged", detail))
        return goes_on if goes_on is rival else self._keep(goes_on, at)

    async def merge_callbacks(
        self, goes_on: str, further: str, *, by: str, at: datetime | None = None
    ) -> Callback:
        """Both or neither."""
        kept, merged = merged_by_hand(self._known(goes_on), self._known(further), utc(at))
        self._keep(merged, utc(at))
        self._remember(merged_entry(kept, merged, utc(at), by))
        return self._keep(kept, utc(at))

    def _rival(self, callback: Callback) -> Callback | None:
        rivals = [
            other for other in self._callbacks.values() if other.id != callback.id and _same(other, callback)
        ]
        return min(
            rivals, key=lambda rival: (rival.state not in core.HELD, rival.created_at, rival.id), default=None
        )

    async def reached(
        self, number: str, *, key: str, at: datetime | None = None, detail: Mapping[str, Any] | None = None
    ) -> list[Callback]:
        """Close what is open."""
        closed = []
        for before in await self.callbacks_of_number(number):
            if (before.state, CallbackEvent.REACHED) in core.TRANSITIONS and before.created_at <= utc(at):
                after = core.advance(
                    before, CallbackEvent.REACHED, utc(at), by="call", reason="reached otherwise"
                )
                closed.append(self._keep(after, utc(at)))
                name = f"reached:{before.id}:{key}"
                self._remember(HistoryEntry(name, before.id, utc(at), "reached", detail or {}))
        return closed

    async def callbacks_of_number(self, number: str, *, since: datetime | None = None) -> list[Callback]:
        """Oldest first."""
        return [
            known
            for known in reversed(self._newest_first())
            if known.number == number and (since is None or known.created_at >= since)
        ]

    async def add_history(self, entry: HistoryEntry) -> None:
        """Once per key."""
        self._known(entry.callback_id)
        if entry.key not in self._history:
            self._remember(entry)
            self._announce("callback", entry.callback_id, entry.at)

    def _remember(self, entry: HistoryEntry) -> None:
        self._history.setdefault(entry.key, HistoryEntry(**clean(_fields(entry))))

    async def callback_history(self, callback_id: str) -> list[HistoryEntry]:
        """Oldest first."""
        found = [entry for entry in self._history.values() if entry.callback_id == callback_id]
        return sorted(found, key=lambda entry: (entry.at, entry.key))

    async def forbid_calling(self, entry: DoNotCall) -> list[Callback]:
        """The number and its open callbacks."""
        self._forbidden.setdefault(entry.number, entry)
        ended = []
        for before in await self.callbacks_of_number(entry.number):
            if (before.state, CallbackEvent.CANCELLED) in core.TRANSITIONS:
                after = core.advance(
                    before, CallbackEvent.CANCELLED, utc(entry.at), by=entry.by, reason="do not call"
                )
                ended.append(self._keep(after, utc(entry.at)))
        return ended

    async def allow_calling(self, number: str) -> bool:
        """Says whether it was on the list."""
        return self._forbidden.pop(number, None) is not None

    async def do_not_call(self, numbers: Collection[str] | None = None) -> list[DoNotCall]:
        """By number."""
        return [
            self._forbidden[number]
            for number in sorted(self._forbidden)
            if numbers is None or number in numbers
        ]


def _same(other: Callback, callback: Callback) -> bool:
    """Whether ``other`` is an open callback of the same person."""
    open_or_capturing = other.state in OPEN or other.state is CallbackState.CAPTURING
    if callback.channel_uniqueid and other.channel_uniqueid == callback.channel_uniqueid:
        return open_or_capturing
    return callback.number is not None and other.number == callback.number and other.state in OPEN


def _fields(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "callback_id": entry.callback_id,
        "at": entry.at,
        "kind": entry.kind,
        "detail": entry.detail,
    }
