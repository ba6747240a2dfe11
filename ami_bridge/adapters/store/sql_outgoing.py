"""How much was rung of late, and the switch that stops it, in SQL."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce
from ami_bridge.adapters.store.entries import Halt, clean, utc
from ami_bridge.adapters.store.rows import all_rows, columns_of, entry_of, insert_once
from ami_bridge.core.callbacks import Attempt, AttemptState

#: The table's only row.
_KEY = "callbacks"


class SqlOutgoing:
    """See :class:`ami_bridge.adapters.store.port.OutgoingStore`."""

    _database: Database

    async def attempts_since(self, at: datetime) -> list[Attempt]:
        """Oldest first."""
        c = t.attempt.c
        query = sa.select(t.attempt).where(c.started_at >= utc(at)).order_by(c.started_at, c.id)
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query)
        return [entry_of(Attempt, {**row, "state": AttemptState(row["state"])}) for row in rows]

    async def halt(self, halt: Halt) -> bool:
        """The first reason stands."""
        values = columns_of(halt, t.halt) | {"key": _KEY, "by": clean(halt.by), "reason": clean(halt.reason)}
        async with self._database.writing() as connection:
            written = await insert_once(connection, t.halt, values)
            if written:
                await announce(connection, "halt", _KEY, utc(halt.at))
            return written

    async def halted(self) -> Halt | None:
        """The row."""
        query = sa.select(t.halt.c.at, t.halt.c.by, t.halt.c.reason)
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query)
        return entry_of(Halt, rows[0]) if rows else None

    async def go_on(self) -> bool:
        """Without the row."""
        async with self._database.writing() as connection:
            removed = (await connection.execute(sa.delete(t.halt))).rowcount > 0
            if removed:
                await announce(connection, "halt", _KEY, utc(None))
            return removed
