"""Marks of calls and agents' agreements of :class:`ami_bridge.adapters.store.memory.MemoryStore`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ami_bridge.adapters.store.entries import Agreement, CallMark, Note, NotStored, clean, utc


class MemoryMarks:
    """See :class:`ami_bridge.adapters.store.port.MarkStore`."""

    _calls: Mapping[str, Any]
    _notes: Mapping[str, list[Note]]

    def __init__(self) -> None:
        super().__init__()
        self._marks: dict[str, CallMark] = {}
        self._agreements: dict[str, Agreement] = {}

    def _announce(self, kind: str, subject: str, at: datetime) -> None:
        raise NotImplementedError

    async def add_mark(self, mark: CallMark) -> bool:
        """Once per key."""
        if clean(mark.key) in self._marks:
            return False
        self._marks[clean(mark.key)] = replace(
            mark, key=clean(mark.key), by=clean(mark.by), at=utc(mark.at), detail=clean(mark.detail)
        )
        self._announce("mark", mark.call_id, utc(mark.at))
        return True

    async def marks(
        self,
        call_ids: Collection[str] | None = None,
        *,
        kinds: Collection[str] | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> list[CallMark]:
        """Oldest first."""
        found = [
            mark
            for mark in sorted(self._marks.values(), key=lambda each: (each.at, each.key))
            if (call_ids is None or mark.call_id in call_ids)
            and (kinds is None or mark.kind in kinds)
            and (since is None or mark.at >= since)
        ]
        return found[:limit]

    async def notes_of(self, call_ids: Collection[str]) -> dict[str, list[Note]]:
        """Oldest first."""
        return {each: list(self._notes[each]) for each in call_ids if self._notes.get(each)}

    async def save_agreement(self, agreement: Agreement) -> None:
        """Insert or replace."""
        if agreement.call_id not in self._calls:
            raise NotStored("call", agreement.call_id)
        self._agreements[agreement.call_id] = agreement
        self._announce("agreement", agreement.call_id, utc(None))

    async def agreement(self, call_id: str) -> Agreement | None:
        """One."""
        return self._agreements.get(call_id)

    async def agreements(
        self,
        *,
        agent: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 500,
    ) -> list[Agreement]:
        """Soonest due first."""
        found = [
            each
            for each in sorted(self._agreements.values(), key=lambda each: (each.due_at, each.call_id))
            if agent in {None, each.agent}
            and state in {None, each.state}
            and (since is None or each.due_at >= since)
            and (until is None or each.due_at < until)
        ]
        return found[:limit]
