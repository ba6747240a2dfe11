"""Marks of calls and agents' agreements in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce
from ami_bridge.adapters.store.entries import Agreement, CallMark, Note, NotStored, clean, utc
from ami_bridge.adapters.store.rows import all_rows, columns_of, entry_of, insert_once, put, within


class SqlMarks:
    """See :class:`ami_bridge.adapters.store.port.MarkStore`."""

    _database: Database

    async def add_mark(self, mark: CallMark) -> bool:
        """Once per key."""
        async with self._database.writing() as connection:
            written = await insert_once(connection, t.call_mark, columns_of(mark, t.call_mark))
            if written:
                await announce(connection, "mark", mark.call_id, utc(mark.at))
            return written

    async def marks(
        self,
        call_ids: Collection[str] | None = None,
        *,
        kinds: Collection[str] | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> list[CallMark]:
        """Oldest first."""
        c = t.call_mark.c
        query = sa.select(t.call_mark).where(*within(c.at, since, None))
        if call_ids is not None:
            query = query.where(c.call_id.in_([clean(each) for each in call_ids]))
        if kinds is not None:
            query = query.where(c.kind.in_(kinds))
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query.order_by(c.at, c.key).limit(limit))
        return [entry_of(CallMark, row) for row in rows]

    async def notes_of(self, call_ids: Collection[str]) -> dict[str, list[Note]]:
        """Oldest first."""
        wanted = [clean(each) for each in call_ids]
        query = sa.select(t.note).where(t.note.c.call_id.in_(wanted)).order_by(t.note.c.version)
        found: dict[str, list[Note]] = defaultdict(list)
        async with self._database.reading() as connection:
            for row in await all_rows(connection, query):
                found[row["call_id"]].append(entry_of(Note, row))
        return dict(found)

    async def save_agreement(self, agreement: Agreement) -> None:
        """Insert or replace."""
        async with self._database.writing() as connection:
            known = sa.select(t.call.c.id).where(t.call.c.id == clean(agreement.call_id))
            if await connection.scalar(known) is None:
                raise NotStored("call", agreement.call_id)
            await put(connection, t.agreement, columns_of(agreement, t.agreement))
            await announce(connection, "agreement", agreement.call_id, utc(None))

    async def agreement(self, call_id: str) -> Agreement | None:
        """One."""
        query = sa.select(t.agreement).where(t.agreement.c.call_id == clean(call_id))
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query)
        return entry_of(Agreement, rows[0]) if rows else None

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
        c = t.agreement.c
        query = sa.select(t.agreement).where(*within(c.due_at, since, until))
        for column, value in ((c.agent, agent), (c.state, state)):
            if value is not None:
                query = query.where(column == clean(value))
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query.order_by(c.due_at, c.call_id).limit(limit))
        return [entry_of(Agreement, row) for row in rows]
