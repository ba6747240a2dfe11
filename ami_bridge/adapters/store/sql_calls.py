"""Calls, legs and notes in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce, announce_all
from ami_bridge.adapters.store.entries import (
    Note,
    NotStored,
    StoredCall,
    absorbed_ids_of,
    call_of_record,
    clean,
    uniqueids_of,
    utc,
)
from ami_bridge.adapters.store.rows import (
    all_rows,
    behind,
    columns_of,
    entry_of,
    insert_once,
    put_all,
    within,
)
from ami_bridge.adapters.store.sight import Place, Sight, extension_of_leg

# SQLite takes 32,766 values in a statement; a call has 15, and its legs four each.
_BATCH = 200
_listed = t.call.c.absorbed_into == ""


class SqlCalls:
    """See :class:`ami_bridge.adapters.store.port.CallStore`."""

    _database: Database

    async def save_call(self, record: Mapping[str, Any]) -> None:
        """Insert or replace; a finished call is never reopened."""
        await self.save_calls([record])

    async def save_calls(self, records: Sequence[Mapping[str, Any]]) -> None:
        """One transaction for every :data:`_BATCH` records."""
        newest = list({call.id: call for call in map(call_of_record, records)}.values())
        for first in range(0, len(newest), _BATCH):
            async with self._database.writing() as connection:
                await self._save_batch(connection, newest[first : first + _BATCH])

    async def _save_batch(self, connection: AsyncConnection, batch: list[StoredCall]) -> None:
        rows = [columns_of(call, t.call) for call in batch]
        for row in rows:
            del row["absorbed_into"]  # known from the other call's record, not from this one
        fresh = sa.or_(t.call.c.ended_at.is_(None), sa.literal_column("excluded.ended_at").is_not(None))
        written = {key for (key,) in await put_all(connection, t.call, rows, where=fresh)}
        saved = [call for call in batch if call.id in written]
        legs = [
            {
                "call_id": call.id,
                "uniqueid": uniqueid,
                "extension": extension_of_leg(leg),
                "record": dict(leg),
            }
            for call in saved
            for uniqueid, leg in uniqueids_of(call.record).items()
        ]
        await put_all(connection, t.leg, legs)
        for call in saved:
            absorbed = absorbed_ids_of(call.record)
            if absorbed:
                part = sa.update(t.call).where(t.call.c.id.in_(absorbed))
                await connection.execute(part.values(absorbed_into=call.id))
        await announce_all(connection, "call", [call.id for call in saved], utc(None))

    async def calls(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        department: str | None = None,
        caller_number: str | None = None,
        extension: str | None = None,
        ring_verdict: str | None = None,
        disposition: str | None = None,
        sight: Sight | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[StoredCall]:
        """Newest first."""
        query = sa.select(t.call).where(_listed, *within(t.call.c.started_at, since, until))
        wanted = {
            t.call.c.department: department,
            t.call.c.caller_number: caller_number,
            t.call.c.ring_verdict: ring_verdict,
            t.call.c.disposition: disposition,
        }
        query = query.where(
            *(column == clean(value) for column, value in wanted.items() if value is not None)
        )
        if extension is not None:
            query = query.where(_took_part(extension))
        if sight is not None:
            own = [_took_part(sight.extension)] if sight.extension else []
            query = query.where(sa.or_(t.call.c.department.in_(sight.departments), *own))
        query = (
            query.where(*behind(before, t.call.c.started_at, t.call.c.id))
            .order_by(t.call.c.started_at.desc(), t.call.c.id.desc())
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [entry_of(StoredCall, row) for row in await all_rows(connection, query)]

    async def live_calls(self, since: datetime) -> list[StoredCall]:
        """In no order."""
        c = t.call.c
        query = sa.select(t.call).where(_listed, c.started_at >= utc(since), c.ended_at.is_(None))
        async with self._database.reading() as connection:
            return [entry_of(StoredCall, row) for row in await all_rows(connection, query)]

    async def call(self, call_id: str) -> StoredCall | None:
        """One call."""
        return await self._one(sa.select(t.call).where(t.call.c.id == clean(call_id)))

    async def find_call_by_uniqueid(self, uniqueid: str) -> StoredCall | None:
        """The newest call with that leg."""
        query = sa.select(t.call).join(t.leg).where(t.leg.c.uniqueid == clean(uniqueid), _listed)
        return await self._one(query.order_by(t.call.c.started_at.desc()).limit(1))

    async def _one(self, query: sa.Select[Any]) -> StoredCall | None:
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query)
        return entry_of(StoredCall, rows[0]) if rows else None

    async def add_note(
        self, call_id: str, author: str, fields: Mapping[str, str], *, key: str, at: datetime | None = None
    ) -> Note:
        """The next version, or the one that ``key`` made before."""
        at = utc(at)
        async with self._database.writing() as connection:
            await self._lock_call(connection, call_id)
            version = await connection.scalar(_next_version(call_id)) or 1
            note = Note(call_id, version, clean(key), clean(author), at, clean(fields))
            if await insert_once(connection, t.note, columns_of(note, t.note)):
                await announce(connection, "note", call_id, at)
                return note
            (row,) = await all_rows(connection, sa.select(t.note).where(t.note.c.key == note.key))
            return entry_of(Note, row)

    async def _lock_call(self, connection: AsyncConnection, call_id: str) -> None:
        """Two people who add a note at once get two versions, not one error."""
        query = sa.select(t.call.c.id).where(t.call.c.id == clean(call_id)).with_for_update()
        if (await connection.execute(query)).scalar_one_or_none() is None:
            raise NotStored("call", call_id)

    async def notes(self, call_id: str) -> list[Note]:
        """Oldest first."""
        query = sa.select(t.note).where(t.note.c.call_id == clean(call_id)).order_by(t.note.c.version)
        async with self._database.reading() as connection:
            return [entry_of(Note, row) for row in await all_rows(connection, query)]


def _took_part(extension: str) -> sa.ColumnElement[bool]:
    rang = sa.exists().where(t.leg.c.call_id == t.call.c.id, t.leg.c.extension == clean(extension))
    return sa.or_(t.call.c.answered_by == clean(extension), rang)


def _next_version(call_id: str) -> sa.Select[Any]:
    return sa.select(sa.func.max(t.note.c.version) + 1).where(t.note.c.call_id == clean(call_id))
