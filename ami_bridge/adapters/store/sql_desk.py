"""Conversations, the directory, prompts, heartbeats, the audit trail and the change feed in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce
from ami_bridge.adapters.store.entries import (
    AgentEntry,
    AnsweredRequest,
    AuditEntry,
    Change,
    Conversation,
    DepartmentEntry,
    Heartbeat,
    PromptEntry,
    clean,
    utc,
)
from ami_bridge.adapters.store.port import KEPT_REQUESTS
from ami_bridge.adapters.store.rows import all_rows, behind, columns_of, entry_of, insert_once, put, within
from ami_bridge.adapters.store.sight import Place


class SqlDesk:
    """See :class:`ami_bridge.adapters.store.port.DeskStore`."""

    _database: Database

    async def put_conversation(
        self, key: str, state: Mapping[str, Any], *, at: datetime | None = None
    ) -> None:
        """Insert or replace."""
        values = columns_of(Conversation(key, state, utc(at)), t.conversation)
        async with self._database.writing() as connection:
            await put(connection, t.conversation, values)

    async def get_conversation(self, key: str) -> Conversation | None:
        """One conversation."""
        rows = await self._rows(sa.select(t.conversation).where(t.conversation.c.key == clean(key)))
        return entry_of(Conversation, rows[0]) if rows else None

    async def drop_conversations(self, before: datetime) -> int:
        """Delete the old."""
        async with self._database.writing() as connection:
            statement = sa.delete(t.conversation).where(t.conversation.c.updated_at < before)
            return (await connection.execute(statement)).rowcount

    async def save_directory(
        self, departments: Sequence[DepartmentEntry], agents: Sequence[AgentEntry]
    ) -> None:
        """Put those who are there, mark the others inactive."""
        async with self._database.writing() as connection:
            for table, entries in ((t.department, departments), (t.agent, agents)):
                await connection.execute(sa.update(table).values(active=False))
                for entry in entries:
                    await put(connection, table, columns_of(entry, table))
            await announce(connection, "directory", "", utc(None))

    async def agents(self) -> list[AgentEntry]:
        """By extension."""
        rows = await self._rows(sa.select(t.agent).order_by(t.agent.c.extension))
        return [entry_of(AgentEntry, {**row, "departments": tuple(row["departments"])}) for row in rows]

    async def departments(self) -> list[DepartmentEntry]:
        """By slug."""
        rows = await self._rows(sa.select(t.department).order_by(t.department.c.slug))
        return [entry_of(DepartmentEntry, {**row, "dids": tuple(row["dids"])}) for row in rows]

    async def save_prompt(self, prompt: PromptEntry) -> None:
        """The first text of a version stays."""
        async with self._database.writing() as connection:
            await insert_once(connection, t.prompt, columns_of(prompt, t.prompt))

    async def prompt(self, version: str) -> PromptEntry | None:
        """One version."""
        rows = await self._rows(sa.select(t.prompt).where(t.prompt.c.version == clean(version)))
        return entry_of(PromptEntry, rows[0]) if rows else None

    async def beat(
        self, service: str, node: str, detail: Mapping[str, Any], *, at: datetime | None = None
    ) -> None:
        """Insert or replace."""
        values = columns_of(Heartbeat(service, node, utc(at), detail), t.heartbeat)
        async with self._database.writing() as connection:
            await put(connection, t.heartbeat, values)

    async def heartbeats(self) -> list[Heartbeat]:
        """By service and node."""
        rows = await self._rows(sa.select(t.heartbeat).order_by(t.heartbeat.c.service, t.heartbeat.c.node))
        return [entry_of(Heartbeat, row) for row in rows]

    async def audit(self, entry: AuditEntry) -> None:
        """Once per key."""
        async with self._database.writing() as connection:
            await insert_once(connection, t.audit_entry, columns_of(entry, t.audit_entry))

    async def audits(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        subject: str | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        """Newest first."""
        query = sa.select(t.audit_entry).where(*within(t.audit_entry.c.at, since, until))
        if actor is not None:
            query = query.where(t.audit_entry.c.actor == clean(actor))
        if subject is not None:
            query = query.where(t.audit_entry.c.subject == clean(subject))
        query = query.where(*behind(before, t.audit_entry.c.at, t.audit_entry.c.key))
        query = query.order_by(t.audit_entry.c.at.desc(), t.audit_entry.c.key.desc()).limit(limit)
        return [entry_of(AuditEntry, row) for row in await self._rows(query)]

    async def begin_request(
        self, key: str, fingerprint: str, at: datetime, *, given_up: datetime
    ) -> AnsweredRequest | None:
        """Insert, or look at who was first."""
        c = t.answered_request.c
        values = columns_of(AnsweredRequest(key, fingerprint, at), t.answered_request)
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(t.answered_request).where(c.at < at - KEPT_REQUESTS))
            if await insert_once(connection, t.answered_request, values):
                return None
            query = sa.select(t.answered_request).where(c.key == values["key"]).with_for_update()
            found = entry_of(AnsweredRequest, (await all_rows(connection, query))[0])
            if found.status is not None or found.at > given_up:
                return found
            await put(connection, t.answered_request, values)
            return None

    async def answer_request(self, key: str, status: int, body: str) -> None:
        """Keep the answer."""
        async with self._database.writing() as connection:
            mine = t.answered_request.c.key == clean(key)
            await connection.execute(
                sa.update(t.answered_request).where(mine).values(status=status, body=clean(body))
            )

    async def forget_request(self, key: str) -> None:
        """As if it had never come."""
        async with self._database.writing() as connection:
            await connection.execute(
                sa.delete(t.answered_request).where(t.answered_request.c.key == clean(key))
            )

    async def changes(self, after: int, limit: int = 500) -> list[Change]:
        """In order."""
        query = sa.select(t.change).where(t.change.c.seq > after).order_by(t.change.c.seq).limit(limit)
        return [entry_of(Change, row) for row in await self._rows(query)]

    async def last_change(self) -> int:
        """The newest number."""
        async with self._database.reading() as connection:
            return await connection.scalar(sa.select(sa.func.max(t.change.c.seq))) or 0

    async def _rows(self, query: sa.Select[Any]) -> list[Mapping[str, Any]]:
        async with self._database.reading() as connection:
            return await all_rows(connection, query)
