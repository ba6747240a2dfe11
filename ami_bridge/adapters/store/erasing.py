"""Taking people out of the store: one person by number, or everybody who is older than the house keeps them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import announce_all
from ami_bridge.adapters.store.rows import all_rows
from ami_bridge.adapters.store.sql import SqlStore
from ami_bridge.core.callbacks import HELD
from ami_bridge.errors import FourthRingError

_HELD = tuple(state.value for state in HELD)


class StillTalking(FourthRingError):
    """A callback to the number is being dialled or talked; erasing it now would lose sight of a call."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken out, or would be. ``recordings`` are the stored paths of sound that nothing names any more."""

    calls: int
    notes: int
    callbacks: int
    other: int
    recordings: tuple[str, ...]


async def erase_person(
    store: SqlStore, pattern: re.Pattern[str], hint: str, at: datetime, *, dry: bool
) -> Taken:
    """Take the person out whose number ``pattern`` finds; ``hint`` are digits that every form of it holds.

    Calls stay as figures without number, names and notes; callbacks go altogether, with consent and attempts.

    Raises:
        StillTalking: a callback to the number is in somebody's hands. Nothing was changed.
    """
    async with store.database.writing() as connection:
        await _leave_no_traces(connection)
        calls = await _calls_of(connection, pattern, hint)
        callbacks = [
            row
            for row in await all_rows(connection, sa.select(t.callback).where(_holds(t.callback.c, hint)))
            if pattern.search(row["number"] or "") or pattern.search(row["caller_id"])
        ]
        held = [row["id"] for row in callbacks if row["state"] in _HELD]
        if held:
            raise StillTalking(
                f"Callback '{held[0]}' is in somebody's hands; end it or call it off, then erase."
            )
        ids = [row["id"] for row in calls]
        notes = await _count(connection, sa.select(t.note.c.version).where(t.note.c.call_id.in_(ids)))
        other = await _scrub_others(connection, pattern, hint, dry=dry)
        if not dry:
            await _scrub_calls(connection, calls, pattern)
            for table in (t.note, t.call_mark, t.agreement):
                await connection.execute(sa.delete(table).where(table.c.call_id.in_(ids)))
            await _drop_callbacks(connection, [row["id"] for row in callbacks])
            await announce_all(connection, "call", ids, at)
            await announce_all(connection, "callback", [row["id"] for row in callbacks], at)
        return Taken(len(calls), notes, len(callbacks), other, _recordings(callbacks))


async def purge_before(store: SqlStore, before: datetime, *, dry: bool) -> Taken:
    """Take out calls that ended, and callbacks that were closed, before then; with all that hangs on them."""
    async with store.database.writing() as connection:
        await _leave_no_traces(connection)
        old_calls = t.call.c.ended_at < before
        old_callbacks = sa.and_(t.callback.c.closed_at < before, t.callback.c.state.not_in(_HELD))
        calls = await _count(connection, sa.select(t.call.c.id).where(old_calls))
        of_old = sa.select(t.note.c.version).join(t.call, t.call.c.id == t.note.c.call_id).where(old_calls)
        notes = await _count(connection, of_old)
        callbacks = await all_rows(connection, sa.select(t.callback).where(old_callbacks))
        sessions = t.conversation.c.updated_at < before
        other = await _count(connection, sa.select(t.conversation.c.key).where(sessions))
        if not dry:
            gone = sa.select(t.call.c.id).where(old_calls)
            await connection.execute(sa.delete(t.call_mark).where(t.call_mark.c.call_id.in_(gone)))
            await connection.execute(sa.delete(t.call).where(old_calls))
            await connection.execute(sa.delete(t.callback).where(old_callbacks))
            await connection.execute(sa.delete(t.conversation).where(sessions))
        return Taken(calls, notes, len(callbacks), other, _recordings(callbacks))


async def _leave_no_traces(connection: AsyncConnection) -> None:
    """SQLite leaves what is deleted in its free pages until they are used again; this has it written over.

    PostgreSQL does the like in its own time (autovacuum), and backups of either are the admin's.
    """
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("PRAGMA secure_delete=ON")


def scrubbed(value: Any, pattern: re.Pattern[str]) -> Any:
    """``value`` without the number, and without the name of whoever bears it."""
    if isinstance(value, str):
        return pattern.sub("erased", value)
    if isinstance(value, Mapping):
        theirs = any(isinstance(item, str) and pattern.search(item) for item in value.values())
        return {
            key: "" if theirs and key in {"name", "name_text"} else scrubbed(item, pattern)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [scrubbed(item, pattern) for item in value]
    return value


def _holds(columns: Any, hint: str) -> sa.ColumnElement[bool]:
    return sa.or_(columns.number.contains(hint), columns.caller_id.contains(hint))


async def _calls_of(
    connection: AsyncConnection, pattern: re.Pattern[str], hint: str
) -> list[Mapping[str, Any]]:
    by_leg = sa.exists().where(
        t.leg.c.call_id == t.call.c.id, sa.cast(t.leg.c.record, sa.Text).contains(hint)
    )
    noted = sa.exists().where(
        t.note.c.call_id == t.call.c.id, sa.cast(t.note.c.fields, sa.Text).contains(hint)
    )
    whole = sa.cast(t.call.c.record, sa.Text).contains(hint)
    query = sa.select(t.call).where(sa.or_(t.call.c.caller_number.contains(hint), whole, by_leg, noted))
    rows = await all_rows(connection, query)
    return [row for row in rows if await _is_theirs(connection, row, pattern)]


async def _is_theirs(connection: AsyncConnection, row: Mapping[str, Any], pattern: re.Pattern[str]) -> bool:
    if pattern.search(row["caller_number"]) or pattern.search(json.dumps(row["record"])):
        return True
    notes = await all_rows(connection, sa.select(t.note.c.fields).where(t.note.c.call_id == row["id"]))
    legs = await all_rows(connection, sa.select(t.leg.c.record).where(t.leg.c.call_id == row["id"]))
    return any(pattern.search(json.dumps(list(each.values()))) for each in (*notes, *legs))


async def _scrub_calls(
    connection: AsyncConnection, calls: Collection[Mapping[str, Any]], pattern: re.Pattern[str]
) -> None:
    for row in calls:
        values = {"record": scrubbed(row["record"], pattern)}
        values["caller_number"] = scrubbed(row["caller_number"], pattern)
        await connection.execute(sa.update(t.call).where(t.call.c.id == row["id"]).values(**values))
        for leg in await all_rows(connection, sa.select(t.leg).where(t.leg.c.call_id == row["id"])):
            mine = (t.leg.c.call_id == leg["call_id"], t.leg.c.uniqueid == leg["uniqueid"])
            record = scrubbed(leg["record"], pattern)
            await connection.execute(sa.update(t.leg).where(*mine).values(record=record))


async def _drop_callbacks(connection: AsyncConnection, ids: Collection[str]) -> None:
    # Consents, attempts, history and promises go with it: the tables say so.
    await connection.execute(sa.delete(t.callback).where(t.callback.c.id.in_(ids)))


async def _scrub_others(
    connection: AsyncConnection, pattern: re.Pattern[str], hint: str, *, dry: bool
) -> int:
    """Half-finished conversations, kept answers of the API, the detail of the audit trail."""
    found = 0
    for table, column in (
        (t.conversation, t.conversation.c.state),
        (t.answered_request, t.answered_request.c.body),
    ):
        query = sa.select(table.c.key, sa.cast(column, sa.Text).label("text"))
        rows = await all_rows(connection, query.where(sa.cast(column, sa.Text).contains(hint)))
        theirs = [row["key"] for row in rows if pattern.search(row["text"])]
        found += len(theirs)
        if not dry:
            await connection.execute(sa.delete(table).where(table.c.key.in_(theirs)))
    c = t.audit_entry.c
    for row in await all_rows(
        connection, sa.select(t.audit_entry).where(sa.cast(c.detail, sa.Text).contains(hint))
    ):
        if not pattern.search(json.dumps(row["detail"])):
            continue
        found += 1
        if not dry:
            detail = scrubbed(row["detail"], pattern)
            await connection.execute(
                sa.update(t.audit_entry).where(c.key == row["key"]).values(detail=detail)
            )
    return found


async def _count(connection: AsyncConnection, query: sa.Select[Any]) -> int:
    return await connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def _recordings(callbacks: Collection[Mapping[str, Any]]) -> tuple[str, ...]:
    paths = (row[column] for row in callbacks for column in ("name_recording", "subject_recording"))
    return tuple(path for path in paths if path)
