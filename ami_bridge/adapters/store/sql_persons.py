"""One open callback per person, and the people who are never rung, in SQL. Decisions are core.merging's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce
from ami_bridge.adapters.store.entries import DoNotCall, HistoryEntry, NotStored, clean, utc
from ami_bridge.adapters.store.fences import merged_by_hand, merged_entry, settled_by
from ami_bridge.adapters.store.rows import all_rows, columns_of, entry_of, insert_once
from ami_bridge.adapters.store.sql_callbacks import _locked as locked_callback
from ami_bridge.adapters.store.sql_callbacks import _write as write_callback
from ami_bridge.adapters.store.sql_callbacks import load_callbacks
from ami_bridge.core import callbacks as core
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackFields, CallbackState
from ami_bridge.core.merging import OPEN, merge


class SqlPersons:
    """The part of :class:`ami_bridge.adapters.store.port.CallbackStore` that knows people by their number."""

    _database: Database

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
        """Amend, apply, merge: one transaction."""
        at = utc(at)
        async with self._database.writing() as connection:
            before = await locked_callback(connection, callback_id)
            if before.state is CallbackState.MERGED and before.merged_into:
                return await locked_callback(connection, before.merged_into)
            after = settled_by(before, event, at, fields, by=by, reason=reason)
            if after is None:
                return before
            return await self._settle(connection, before, after, at)

    async def finish_capture(self, channel_uniqueid: str, *, at: datetime | None = None) -> Callback | None:
        """Keep what there is."""
        at = utc(at)
        c = t.callback.c
        query = sa.select(t.callback).where(c.channel_uniqueid == clean(channel_uniqueid))
        query = query.order_by(c.state != CallbackState.CAPTURING.value, c.created_at.desc()).limit(1)
        async with self._database.writing() as connection:
            found = await load_callbacks(connection, query.with_for_update())
            if not found or found[0].state is not CallbackState.CAPTURING:
                return found[0] if found else None
            after = core.advance(found[0], CallbackEvent.BROKEN_OFF, at)
            return await self._settle(connection, found[0], after, at)

    async def _settle(
        self, connection: AsyncConnection, before: Callback, after: Callback, at: datetime
    ) -> Callback:
        """Write ``after``, or make it part of the open callback of the same person."""
        rival = await self._rival(connection, after)
        if rival is None or after.state not in {CallbackState.PARTIAL, CallbackState.QUEUED}:
            return await write_callback(connection, before, after, at)
        goes_on, merged = merge(rival, after, at)
        await write_callback(connection, before, merged, at)
        kept = await write_callback(connection, rival, goes_on, at)
        detail = {"callback": merged.id, "department": merged.department, "origin": merged.origin}
        entry = HistoryEntry(f"merged:{merged.id}", kept.id, at, "merged", detail)
        await insert_once(connection, t.callback_history, columns_of(entry, t.callback_history))
        return kept

    async def merge_callbacks(
        self, goes_on: str, further: str, *, by: str, at: datetime | None = None
    ) -> Callback:
        """Both under lock, in one order for everybody."""
        at, wanted = utc(at), [clean(goes_on), clean(further)]
        query = sa.select(t.callback).where(t.callback.c.id.in_(wanted)).order_by(t.callback.c.id)
        async with self._database.writing() as connection:
            found = {each.id: each for each in await load_callbacks(connection, query.with_for_update())}
            for each in wanted:
                if each not in found:
                    raise NotStored("callback", each)
            kept, merged = merged_by_hand(found[wanted[0]], found[wanted[1]], at)
            await write_callback(connection, found[wanted[1]], merged, at)
            kept = await write_callback(connection, found[wanted[0]], kept, at)
            entry = merged_entry(kept, merged, at, by)
            await insert_once(connection, t.callback_history, columns_of(entry, t.callback_history))
            return kept

    async def _rival(self, connection: AsyncConnection, callback: Callback) -> Callback | None:
        c, waiting = t.callback.c, [state.value for state in OPEN]
        same: list[sa.ColumnElement[bool]] = []
        if callback.number:
            same.append(sa.and_(c.number == callback.number, c.state.in_(waiting)))
        if callback.channel_uniqueid:
            states = [CallbackState.CAPTURING.value, *waiting]
            same.append(sa.and_(c.channel_uniqueid == callback.channel_uniqueid, c.state.in_(states)))
        if not same:
            return None
        await _lock_person(connection, callback.number or callback.channel_uniqueid or "")
        query = sa.select(t.callback).where(c.id != callback.id, sa.or_(*same))
        # The one that waits longest; one that is in a worker's hands before all others.
        held = c.state.in_([state.value for state in core.HELD])
        query = query.order_by(sa.not_(held), c.created_at, c.id).limit(1).with_for_update()
        found = await load_callbacks(connection, query)
        return found[0] if found else None

    async def reached(
        self, number: str, *, key: str, at: datetime | None = None, detail: Mapping[str, Any] | None = None
    ) -> list[Callback]:
        """Close what is open, with the reason in its history."""
        at = utc(at)
        states = [
            state.value for state, event in core.TRANSITIONS if event is CallbackEvent.REACHED
        ]  # an attempt that is under way is the dialer's to end
        c = t.callback.c
        query = sa.select(t.callback).where(
            c.number == clean(number), c.state.in_(states), c.created_at <= at
        )
        closed = []
        async with self._database.writing() as connection:
            for before in await load_callbacks(connection, query.with_for_update()):
                after = core.advance(before, CallbackEvent.REACHED, at, by="call", reason="reached otherwise")
                closed.append(await write_callback(connection, before, after, at))
                entry = HistoryEntry(f"reached:{before.id}:{key}", before.id, at, "reached", detail or {})
                await insert_once(connection, t.callback_history, columns_of(entry, t.callback_history))
        return closed

    async def callbacks_of_number(self, number: str, *, since: datetime | None = None) -> list[Callback]:
        """Oldest first."""
        c = t.callback.c
        query = sa.select(t.callback).where(c.number == clean(number))
        if since is not None:
            query = query.where(c.created_at >= utc(since))
        async with self._database.reading() as connection:
            return await load_callbacks(connection, query.order_by(c.created_at, c.id).limit(1000))

    async def add_history(self, entry: HistoryEntry) -> None:
        """Once per key."""
        async with self._database.writing() as connection:
            if await insert_once(connection, t.callback_history, columns_of(entry, t.callback_history)):
                await announce(connection, "callback", entry.callback_id, entry.at)

    async def callback_history(self, callback_id: str) -> list[HistoryEntry]:
        """Oldest first."""
        table = t.callback_history
        query = sa.select(table).where(table.c.callback_id == clean(callback_id))
        async with self._database.reading() as connection:
            rows = await all_rows(connection, query.order_by(table.c.at, table.c.key))
        return [entry_of(HistoryEntry, row) for row in rows]

    async def forbid_calling(self, entry: DoNotCall) -> list[Callback]:
        """The number and its open callbacks in one transaction."""
        waiting = [
            state.value for state, event in core.TRANSITIONS if event is CallbackEvent.CANCELLED
        ]  # what is being dialled already is the dialer's to end
        c = t.callback.c
        query = sa.select(t.callback).where(c.number == entry.number, c.state.in_(waiting))
        async with self._database.writing() as connection:
            await insert_once(connection, t.do_not_call, columns_of(entry, t.do_not_call))
            ended = []
            for before in await load_callbacks(connection, query.with_for_update()):
                after = core.advance(
                    before, CallbackEvent.CANCELLED, utc(entry.at), by=entry.by, reason="do not call"
                )
                ended.append(await write_callback(connection, before, after, utc(entry.at)))
            return ended

    async def allow_calling(self, number: str) -> bool:
        """Says whether it was on the list."""
        statement = sa.delete(t.do_not_call).where(t.do_not_call.c.number == clean(number))
        async with self._database.writing() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def do_not_call(self, numbers: Collection[str] | None = None) -> list[DoNotCall]:
        """By number."""
        query = sa.select(t.do_not_call).order_by(t.do_not_call.c.number)
        if numbers is not None:
            query = query.where(t.do_not_call.c.number.in_([clean(number) for number in numbers]))
        async with self._database.reading() as connection:
            return [entry_of(DoNotCall, row) for row in await all_rows(connection, query)]


async def _lock_person(connection: AsyncConnection, person: str) -> None:
    """Two requests of one person at the same instant: the second sees the first.

    SQLite has one writer at a time anyway. The lock ends with the transaction.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:person, 0))"), {"person": person}
        )
