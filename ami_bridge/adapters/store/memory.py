"""The store without a database: for tests, and for trying things out. Everything is lost at the end.

It keeps the same contract as ``SqlStore`` (one suite runs on both). No method awaits anything between
reading and writing, so each is as atomic as a transaction.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from ami_bridge.adapters.store.entries import (
    AgentEntry,
    AnsweredRequest,
    AuditEntry,
    Change,
    Conversation,
    DepartmentEntry,
    Heartbeat,
    Note,
    NotStored,
    PromptEntry,
    StoredCall,
    absorbed_ids_of,
    call_of_record,
    clean,
    uniqueids_of,
    utc,
)
from ami_bridge.adapters.store.memory_accounts import MemoryAccounts
from ami_bridge.adapters.store.memory_hooks import MemoryHooks
from ami_bridge.adapters.store.memory_marks import MemoryMarks
from ami_bridge.adapters.store.memory_outgoing import MemoryOutgoing
from ami_bridge.adapters.store.memory_persons import MemoryPersons
from ami_bridge.adapters.store.memory_promises import MemoryPromises
from ami_bridge.adapters.store.port import KEPT_CHANGES, KEPT_REQUESTS
from ami_bridge.adapters.store.sight import Place, Sight, extensions_of


class MemoryStore(MemoryMarks, MemoryOutgoing, MemoryAccounts, MemoryHooks, MemoryPromises, MemoryPersons):
    """:class:`ami_bridge.adapters.store.port.Store` in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, StoredCall] = {}
        self._notes: dict[str, list[Note]] = {}
        self._conversations: dict[str, Conversation] = {}
        self._departments: dict[str, DepartmentEntry] = {}
        self._agents: dict[str, AgentEntry] = {}
        self._prompts: dict[str, PromptEntry] = {}
        self._heartbeats: dict[tuple[str, str], Heartbeat] = {}
        self._audits: dict[str, AuditEntry] = {}
        self._requests: dict[str, AnsweredRequest] = {}
        self._changes: list[Change] = []
        self._seq = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to release; what was stored stays readable."""

    async def ping(self) -> None:
        """Always there."""

    def looking(self) -> AbstractAsyncContextManager[None]:
        """Reading here is always of one instant."""
        return nullcontext()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Everything as it was, after an exception."""
        before = copy.deepcopy(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _announce(self, kind: str, subject: str, at: datetime) -> None:
        self._seq += 1
        self._changes.append(Change(self._seq, kind, subject, at))
        del self._changes[:-KEPT_CHANGES]

    # Calls and notes ------------------------------------------------------------------

    async def save_call(self, record: Mapping[str, Any]) -> None:
        """Insert or replace; a finished call is never reopened."""
        stored = call_of_record(record)
        known = self._calls.get(stored.id)
        if known is not None and known.ended_at is not None and stored.ended_at is None:
            return
        self._calls[stored.id] = replace(stored, absorbed_into=known.absorbed_into if known else "")
        for part in self._calls.keys() & absorbed_ids_of(stored.record):
            self._calls[part] = replace(self._calls[part], absorbed_into=stored.id)
        self._announce("call", stored.id, utc(None))

    async def save_calls(self, records: Sequence[Mapping[str, Any]]) -> None:
        """One after the other."""
        for record in records:
            await self.save_call(record)

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
        found = [
            call
            for call in self._calls.values()
            if not call.absorbed_into
            and _in_time(call.started_at, since, until)
            and department in (None, call.department)
            and caller_number in (None, call.caller_number)
            and ring_verdict in (None, call.ring_verdict)
            and disposition in (None, call.disposition)
            and (extension is None or extension in extensions_of(call))
            and (sight is None or sight.covers_call(call))
            and (before is None or (call.started_at, call.id) < before)
        ]
        return sorted(found, key=lambda call: (call.started_at, call.id), reverse=True)[:limit]

    async def live_calls(self, since: datetime) -> list[StoredCall]:
        """In no order."""
        listed = [call for call in self._calls.values() if not call.absorbed_into]
        return [call for call in listed if call.started_at >= utc(since) and call.ended_at is None]

    async def call(self, call_id: str) -> StoredCall | None:
        """One call."""
        return self._calls.get(call_id)

    async def find_call_by_uniqueid(self, uniqueid: str) -> StoredCall | None:
        """The newest call with that leg."""
        listed = (call for call in self._calls.values() if not call.absorbed_into)
        found = [call for call in listed if uniqueid in uniqueids_of(call.record)]
        return max(found, key=lambda call: call.started_at, default=None)

    async def add_note(
        self, call_id: str, author: str, fields: Mapping[str, str], *, key: str, at: datetime | None = None
    ) -> Note:
        """The next version, or the one that ``key`` made before."""
        if call_id not in self._calls:
            raise NotStored("call", call_id)
        for note in (note for versions in self._notes.values() for note in versions):
            if note.key == clean(key):
                return note
        versions = self._notes.setdefault(call_id, [])
        added = Note(call_id, len(versions) + 1, clean(key), clean(author), utc(at), clean(fields))
        versions.append(added)
        self._announce("note", call_id, added.at)
        return added

    async def notes(self, call_id: str) -> list[Note]:
        """Oldest first."""
        return list(self._notes.get(call_id, ()))

    # Conversations, the directory, prompts -------------------------------------------

    async def put_conversation(
        self, key: str, state: Mapping[str, Any], *, at: datetime | None = None
    ) -> None:
        """Insert or replace."""
        self._conversations[key] = Conversation(key, clean(state), utc(at))

    async def get_conversation(self, key: str) -> Conversation | None:
        """One conversation."""
        return self._conversations.get(key)

    async def drop_conversations(self, before: datetime) -> int:
        """Delete the old."""
        old = [key for key, conversation in self._conversations.items() if conversation.updated_at < before]
        for key in old:
            del self._conversations[key]
        return len(old)

    async def save_directory(
        self, departments: Sequence[DepartmentEntry], agents: Sequence[AgentEntry]
    ) -> None:
        """Put those who are there, mark the others inactive."""
        self._departments = {slug: replace(gone, active=False) for slug, gone in self._departments.items()}
        self._agents = {extension: replace(gone, active=False) for extension, gone in self._agents.items()}
        self._departments |= {department.slug: department for department in departments}
        self._agents |= {agent.extension: agent for agent in agents}
        self._announce("directory", "", utc(None))

    async def agents(self) -> list[AgentEntry]:
        """By extension."""
        return [self._agents[extension] for extension in sorted(self._agents)]

    async def departments(self) -> list[DepartmentEntry]:
        """By slug."""
        return [self._departments[slug] for slug in sorted(self._departments)]

    async def save_prompt(self, prompt: PromptEntry) -> None:
        """The first text of a version stays."""
        self._prompts.setdefault(prompt.version, prompt)

    async def prompt(self, version: str) -> PromptEntry | None:
        """One version."""
        return self._prompts.get(version)

    # Heartbeats, audit, changes -------------------------------------------------------

    async def beat(
        self, service: str, node: str, detail: Mapping[str, Any], *, at: datetime | None = None
    ) -> None:
        """Insert or replace."""
        self._heartbeats[service, node] = Heartbeat(service, node, utc(at), clean(detail))

    async def heartbeats(self) -> list[Heartbeat]:
        """By service and node."""
        return [self._heartbeats[key] for key in sorted(self._heartbeats)]

    async def audit(self, entry: AuditEntry) -> None:
        """Once per key."""
        self._audits.setdefault(entry.key, entry)

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
        found = [
            entry
            for entry in self._audits.values()
            if _in_time(entry.at, since, until)
            and actor in (None, entry.actor)
            and subject in (None, entry.subject)
            and (before is None or (entry.at, entry.key) < before)
        ]
        return sorted(found, key=lambda entry: (entry.at, entry.key), reverse=True)[:limit]

    async def begin_request(
        self, key: str, fingerprint: str, at: datetime, *, given_up: datetime
    ) -> AnsweredRequest | None:
        """Insert, or look at who was first."""
        self._requests = {old: kept for old, kept in self._requests.items() if kept.at >= at - KEPT_REQUESTS}
        found = self._requests.get(key)
        if found is not None and (found.status is not None or found.at > given_up):
            return found
        self._requests[key] = AnsweredRequest(key, fingerprint, at)
        return None

    async def answer_request(self, key: str, status: int, body: str) -> None:
        """Keep the answer."""
        self._requests[key] = replace(self._requests[key], status=status, body=body)

    async def forget_request(self, key: str) -> None:
        """As if it had never come."""
        self._requests.pop(key, None)

    async def changes(self, after: int, limit: int = 500) -> list[Change]:
        """In order."""
        return [change for change in self._changes if change.seq > after][:limit]

    async def last_change(self) -> int:
        """The newest number."""
        return self._seq


def _in_time(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)
