"""The part of :mod:`ami_bridge.adapters.store.port` that speaks of marks and agreements."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from ami_bridge.adapters.store.entries import Agreement, CallMark, Note


class MarkStore(Protocol):
    """What people did at the desk about calls, and what agents promised in their notes."""

    async def add_mark(self, mark: CallMark) -> bool:
        """Keep it once per ``mark.key``; False: it was there. The call may be stored later."""

    async def marks(
        self,
        call_ids: Collection[str] | None = None,
        *,
        kinds: Collection[str] | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> list[CallMark]:
        """Marks of these calls (or of all), of these kinds, oldest first."""

    async def notes_of(self, call_ids: Collection[str]) -> dict[str, list[Note]]:
        """Every version of the notes of these calls, oldest first; calls without a note are left out."""

    async def save_agreement(self, agreement: Agreement) -> None:
        """Insert, or replace the one of the same call. Raises NotStored for an unknown call."""

    async def agreement(self, call_id: str) -> Agreement | None:
        """What was promised in one call."""

    async def agreements(
        self,
        *,
        agent: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 500,
    ) -> list[Agreement]:
        """Those that are due in ``[since, until)``, soonest first."""
