"""The promise ledger in SQL."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce
from ami_bridge.adapters.store.entries import clean, utc
from ami_bridge.adapters.store.rows import all_rows, columns_of, entry_of, insert_once, within
from ami_bridge.adapters.store.sql_callbacks import load_callbacks
from ami_bridge.core import callbacks as core
from ami_bridge.core.promises import Promise, PromiseState, Standing


class SqlPromises:
    """See :class:`ami_bridge.adapters.store.port.PromiseStore`."""

    _database: Database

    async def promises(
        self,
        *,
        state: PromiseState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[Promise]:
        """Soonest due first."""
        query = sa.select(t.promise).where(*within(t.promise.c.due_at, since, until))
        if state is not None:
            query = query.where(t.promise.c.state == state.value)
        async with self._database.reading() as connection:
            rows = await all_rows(
                connection, query.order_by(t.promise.c.due_at, t.promise.c.callback_id).limit(limit)
            )
        return [_promise_of(row) for row in rows]

    async def promise(self, callback_id: str) -> Promise | None:
        """One line."""
        query = sa.select(t.promise).where(t.promise.c.callback_id == clean(callback_id))
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query)
        return _promise_of(rows[0]) if rows else None

    async def standings(self, limit: int = 1000) -> list[Standing]:
        """Open promises, and what should have one."""
        c, p = t.callback.c, t.promise.c
        lacking = sa.and_(
            ~sa.exists().where(p.callback_id == c.id),
            t.in_states(c.state, core.CLAIMABLE | core.HELD | core.DIALLED),
        )
        open_ones = sa.exists().where(p.callback_id == c.id, p.state == PromiseState.OPEN.value)
        query = sa.select(t.callback).where(sa.or_(lacking, open_ones)).order_by(c.due_at, c.id).limit(limit)
        async with self._database.reading() as connection:
            found = await load_callbacks(connection, query)
            ids = [callback.id for callback in found]
            lines = await all_rows(connection, sa.select(t.promise).where(p.callback_id.in_(ids)))
            rung = await _rung(connection, ids)
        kept = {line["callback_id"]: _promise_of(line) for line in lines}
        return [Standing(each, kept.get(each.id), tuple(rung[each.id])) for each in found]

    async def write_promise(self, promise: Promise, *, at: datetime | None = None) -> bool:
        """Compare and set."""
        values = columns_of(promise, t.promise)
        async with self._database.writing() as connection:
            if promise.revision == 0:
                written = await insert_once(connection, t.promise, values)
            else:
                same = (
                    t.promise.c.callback_id == promise.callback_id,
                    t.promise.c.revision == promise.revision - 1,
                )
                statement = sa.update(t.promise).where(*same).values(**values)
                written = (await connection.execute(statement)).rowcount == 1
            if written:
                await announce(connection, "promise", promise.callback_id, utc(at))
            return written


def _promise_of(row: Any) -> Promise:
    return entry_of(Promise, {**row, "state": PromiseState(row["state"])})


async def _rung(connection: AsyncConnection, ids: list[str]) -> dict[str, list[datetime]]:
    a = t.attempt.c
    not_rung = [state.value for state in core.UNRUNG | {core.AttemptState.UNKNOWN, core.AttemptState.DIALING}]
    query = sa.select(a.callback_id, a.started_at).where(a.callback_id.in_(ids), a.state.not_in(not_rung))
    found: dict[str, list[datetime]] = defaultdict(list)
    for row in await all_rows(connection, query.order_by(a.started_at)):
        found[row["callback_id"]].append(row["started_at"])
    return found
