"""Callbacks, consents and attempts in SQL. Decisions are the core's; here is only who may write when."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database, announce, announce_all
from ami_bridge.adapters.store.entries import AgentTaken, NotStored, StaleFence, callback_id, clean, utc
from ami_bridge.adapters.store.fences import (
    changed_by,
    check_claim,
    check_dialling,
    check_renewal,
    claimed_by,
)
from ami_bridge.adapters.store.rows import all_rows, behind, columns_of, entry_of, insert_once, within
from ami_bridge.adapters.store.sight import Place, Sight
from ami_bridge.core import callbacks as core
from ami_bridge.core.callbacks import (
    Attempt,
    AttemptState,
    Callback,
    CallbackEvent,
    CallbackFields,
    CallbackState,
    Consent,
    RetryPolicy,
)

_CLAIM_TRIES = 5


class SqlCallbacks:
    """See :class:`ami_bridge.adapters.store.port.CallbackStore`."""

    _database: Database

    async def create_callback(
        self,
        key: str,
        department: str,
        *,
        event: CallbackEvent | None = None,
        channel_uniqueid: str | None = None,
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Insert once per ``key``."""
        at = utc(at)
        key, department, channel_uniqueid = clean(key), clean(department), clean(channel_uniqueid)
        blank = Callback(
            callback_id(key, at),
            key,
            department,
            CallbackState.CAPTURING,
            at,
            at,
            channel_uniqueid=channel_uniqueid,
        )
        after = changed_by(blank, event, at, fields)
        async with self._database.writing() as connection:
            if await insert_once(connection, t.callback, columns_of(after, t.callback)):
                await _keep_consent(connection, blank, after)
                await announce(connection, "callback", after.id, at)
                return after
            (existing,) = await load_callbacks(
                connection, sa.select(t.callback).where(t.callback.c.key == key)
            )
            return existing

    async def update_callback(
        self,
        callback_id: str,
        *,
        event: CallbackEvent | None = None,
        by: str = "",
        reason: str = "",
        department: str | None = None,
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Fields first, then the event."""
        at = utc(at)
        async with self._database.writing() as connection:
            before = await _locked(connection, callback_id)
            after = changed_by(before, event, at, fields, by=by, reason=reason, department=department)
            return await _write(connection, before, after, at)

    async def callback(self, callback_id: str) -> Callback | None:
        """One callback."""
        found = await self._read(sa.select(t.callback).where(t.callback.c.id == clean(callback_id)))
        return found[0] if found else None

    async def callback_of_channel(self, channel_uniqueid: str) -> Callback | None:
        """The newest, should a channel ever have had two."""
        found = await self._read(_of_channel(channel_uniqueid))
        return found[0] if found else None

    async def callbacks(
        self,
        *,
        states: Collection[CallbackState] | None = None,
        department: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        sight: Sight | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[Callback]:
        """Newest first."""
        query = sa.select(t.callback).where(*within(t.callback.c.created_at, since, until))
        if states is not None:
            query = query.where(t.callback.c.state.in_([state.value for state in states]))
        if department is not None:
            query = query.where(t.callback.c.department == clean(department))
        if sight is not None:
            query = query.where(t.callback.c.department.in_(sight.departments))
        query = query.where(*behind(before, t.callback.c.created_at, t.callback.c.id))
        return await self._read(
            query.order_by(t.callback.c.created_at.desc(), t.callback.c.id.desc()).limit(limit)
        )

    async def _read(self, query: sa.Select[Any]) -> list[Callback]:
        async with self._database.reading() as connection:
            return await load_callbacks(connection, query)

    async def count_callbacks(self) -> dict[CallbackState, int]:
        """By state."""
        query = sa.select(t.callback.c.state, sa.func.count().label("number")).group_by(t.callback.c.state)
        async with self._database.reading() as connection:
            return {CallbackState(row["state"]): row["number"] for row in await all_rows(connection, query)}

    async def consents(self, callback_id: str) -> list[Consent]:
        """Oldest first."""
        async with self._database.reading() as connection:
            rows = await _consent_rows(connection, [clean(callback_id)])
        return [entry_of(Consent, row) for row in rows]

    async def claim_due(
        self,
        now: datetime,
        worker: str,
        lease_seconds: float,
        limit: int = 1,
        *,
        departments: Collection[str] | None = None,
        only: Collection[str] | None = None,
    ) -> list[Callback]:
        """Rows that another worker is just claiming are skipped, not waited for."""
        now = utc(now)
        await self.expire_overdue(now)
        for tried in range(_CLAIM_TRIES):
            try:
                async with self._database.writing() as connection:
                    due = await load_callbacks(connection, _claimable(now, limit, departments, only))
                    claimed = [core.claim(callback, worker, now, lease_seconds) for callback in due]
                    await _update_claimed(connection, claimed)
                    await announce_all(connection, "callback", [after.id for after in claimed], now)
                    return claimed
            except sa.exc.IntegrityError:
                # In the same instant another worker took another callback of one of these numbers, and the
                # unique index refused ours. It has committed by now, so the next look does not offer it.
                if tried == _CLAIM_TRIES - 1:
                    raise
        return []

    async def claim_callback(
        self, callback_id: str, worker: str, lease_seconds: float, *, at: datetime | None = None
    ) -> Callback:
        """The unique index refuses a number that somebody else has."""
        at = utc(at)
        try:
            async with self._database.writing() as connection:
                before = await _locked(connection, callback_id)
                return await _write(
                    connection, before, claimed_by(before, clean(worker), at, lease_seconds), at
                )
        except sa.exc.IntegrityError:
            raise core.IllegalTransition(
                f"callback {callback_id}", "queued", "claim", "its number is in other hands"
            ) from None

    async def due_callbacks(
        self, now: datetime, *, departments: Collection[str] | None = None, limit: int = 200
    ) -> list[Callback]:
        """Longest kept place first."""
        c = t.callback.c
        came_at = sa.func.coalesce(c.place_at, c.created_at)
        return await self._read(_due(utc(now), departments).order_by(came_at, c.id).limit(limit))

    async def renew_lease(
        self, callback_id: str, fence: int, lease_seconds: float, *, now: datetime | None = None
    ) -> Callback:
        """Only the holder may."""
        now = utc(now)
        until = now + timedelta(seconds=lease_seconds)
        try:
            async with self._database.writing() as connection:
                before = await _locked(connection, callback_id)
                check_renewal(before, fence, now)
                if before.state is CallbackState.UNKNOWN:
                    before = await _regain(connection, before, now)
                after = replace(before, lease_until=until, revision=before.revision + 1)
                await _update(connection, before, after)  # nothing that a desk would show
                return after
        except sa.exc.IntegrityError:  # its number is in another worker's hands by now
            raise StaleFence(callback_id, fence) from None

    async def release_claim(
        self, callback_id: str, fence: int, *, due_at: datetime | None = None, at: datetime | None = None
    ) -> Callback:
        """Back to the queue, due at once or at ``due_at``."""
        at = utc(at)
        async with self._database.writing() as connection:
            before = await _locked(connection, callback_id)
            check_claim(before, fence, at)
            after = core.advance(before, CallbackEvent.RELEASED, at)
            return await _write(connection, before, replace(after, due_at=due_at or before.due_at), at)

    async def begin_attempt(
        self, callback_id: str, fence: int, channel_id: str, *, agent: str, at: datetime | None = None
    ) -> Attempt:
        """Committed when it returns."""
        at = utc(at)
        async with self._database.writing() as connection:
            before = await _locked(connection, callback_id)
            known = await _attempts(connection, t.attempt.c.channel_id == channel_id)
            if known and (known[0].callback_id, known[0].fence) == (before.id, fence):
                return known[0]
            check_claim(before, fence, at)
            after, attempt = core.dial(before, channel_id, agent, at)
            try:
                await connection.execute(sa.insert(t.attempt).values(**columns_of(attempt, t.attempt)))
            except sa.exc.IntegrityError as refused:
                if not _taken(refused):
                    raise
                raise AgentTaken(agent) from None
            await _write(connection, before, after, at)
            return attempt

    async def connect_attempt(self, attempt_id: str, *, at: datetime | None = None) -> Callback:
        """Talking."""
        at = utc(at)
        async with self._database.writing() as connection:
            before, attempt = await _locked_attempt(connection, attempt_id)
            if attempt.state is AttemptState.TALKING:
                return before
            check_dialling(before, attempt)
            after = core.connect(before, attempt, at)
            await _update_attempt(connection, core.step_attempt(attempt, AttemptState.TALKING, at))
            return await _write(connection, before, after, at)

    async def finish_attempt(
        self,
        attempt_id: str,
        result: AttemptState,
        *,
        policy: RetryPolicy,
        detail: str = "",
        at: datetime | None = None,
    ) -> Callback:
        """Result and consequence in one transaction."""
        at = utc(at)
        async with self._database.writing() as connection:
            before, attempt = await _locked_attempt(connection, attempt_id)
            if attempt.state is result:
                return before
            check_dialling(before, attempt)
            ended = core.step_attempt(attempt, result, at, clean(detail))
            after = core.settle(before, attempt, result, at, policy)
            await _update_attempt(connection, ended)
            return await _write(connection, before, after, at)

    async def attempts(self, callback_id: str) -> list[Attempt]:
        """Oldest first."""
        async with self._database.reading() as connection:
            return await _attempts(connection, t.attempt.c.callback_id == clean(callback_id))

    async def open_attempts(self) -> list[tuple[Callback, Attempt]]:
        """Oldest first."""
        c, a = t.callback.c, t.attempt.c
        dialled = t.in_states(c.state, core.DIALLED)
        async with self._database.reading() as connection:
            found = {
                callback.id: callback
                for callback in await load_callbacks(connection, sa.select(t.callback).where(dialled))
            }
            present = sa.exists().where(c.id == a.callback_id, c.fence == a.fence, dialled)
            attempts = await _attempts(connection, present) if found else []
        return [(found[each.callback_id], each) for each in attempts if each.callback_id in found]

    async def expire_overdue(self, now: datetime) -> list[Callback]:
        """Skips what another worker is just working on."""
        now = utc(now)
        async with self._database.reading() as connection:  # most of the time there is nothing to do
            if (await connection.execute(_maybe_overdue(now, t.callback.c.id).limit(1))).first() is None:
                return []
        async with self._database.writing() as connection:
            changed = []
            for before in await load_callbacks(
                connection, _maybe_overdue(now, t.callback).with_for_update(skip_locked=True)
            ):
                after = core.overdue(before, now)
                if after is not None:
                    changed.append(after)
                    await _update(connection, before, after)
                    await _lose_attempt(connection, after, now)
            for after in changed:
                await announce(connection, "callback", after.id, now)
            return changed


def _of_channel(channel_uniqueid: str) -> sa.Select[Any]:
    query = sa.select(t.callback).where(t.callback.c.channel_uniqueid == clean(channel_uniqueid))
    return query.order_by(t.callback.c.created_at.desc()).limit(1)


def _claimable(
    now: datetime, limit: int, departments: Collection[str] | None, only: Collection[str] | None
) -> sa.Select[Any]:
    mine = t.callback.c
    query = _due(now, departments)
    if only is not None:
        query = query.where(mine.id.in_([clean(each) for each in only]))
    # For a row that changed meanwhile PostgreSQL asks the conditions on the row itself once more.
    return (
        query.order_by(mine.due_at, mine.created_at, mine.id).limit(limit).with_for_update(skip_locked=True)
    )


def _due(now: datetime, departments: Collection[str] | None) -> sa.Select[Any]:
    """Due callbacks, at most one per number, none of a number that is in somebody's hands.

    Written so that the index of turns is read from its beginning and left after as many rows as are wanted: the
    cost does not grow with how many are due. (Numbering the rows of each telephone number by a window function
    says the same and reads all of them.)
    """
    mine, other = t.callback.c, t.callback.alias("other").c
    held = t.in_states(other.state, core.HELD)
    lost = sa.and_(other.state == CallbackState.UNKNOWN.value, other.updated_at > now - core.UNKNOWN_HOLD)
    turn = sa.tuple_(mine.due_at, mine.created_at, mine.id)
    before = sa.tuple_(other.due_at, other.created_at, other.id) < turn
    earlier = sa.and_(*_ready(other, now, departments), before)
    rival = sa.exists().where(other.number == mine.number, sa.or_(held, lost, earlier))
    return sa.select(t.callback).where(*_ready(mine, now, departments), ~rival)


def _ready(c: Any, now: datetime, departments: Collection[str] | None) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        t.in_states(c.state, core.CLAIMABLE),
        c.due_at <= now,
        c.number.is_not(None),
        sa.exists().where(t.callback_consent.c.callback_id == c.id),
        ~sa.exists().where(t.do_not_call.c.number == c.number),
        *(() if departments is None else (c.department.in_(departments),)),
    )


def _maybe_overdue(now: datetime, *columns: Any) -> sa.Select[Any]:
    c = t.callback.c
    return sa.select(*columns).where(
        sa.or_(
            c.lease_until <= now,
            sa.and_(t.in_states(c.state, core.CLAIMABLE), c.expires_at <= now),
            sa.and_(
                t.in_states(c.state, {CallbackState.CAPTURING}), c.updated_at <= now - core.CAPTURE_LIMIT
            ),
        )
    )


async def load_callbacks(connection: AsyncConnection, query: sa.Select[Any]) -> list[Callback]:
    """The callbacks that ``query`` selects, each with its newest consent."""
    rows = await all_rows(connection, query)
    consents: dict[str, Consent] = {}
    for consent in await _consent_rows(connection, [row["id"] for row in rows]):
        consents[consent["callback_id"]] = entry_of(Consent, consent)
    return [_callback_of(row, consents.get(row["id"])) for row in rows]


def _callback_of(row: Mapping[str, Any], consent: Consent | None) -> Callback:
    return entry_of(Callback, {**row, "state": CallbackState(row["state"])}, consent=consent)


async def _consent_rows(connection: AsyncConnection, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    if not ids:
        return []
    query = sa.select(t.callback_consent).where(t.callback_consent.c.callback_id.in_(ids))
    return await all_rows(connection, query.order_by(t.callback_consent.c.given_at))


async def _locked(connection: AsyncConnection, callback_id: str) -> Callback:
    query = sa.select(t.callback).where(t.callback.c.id == clean(callback_id)).with_for_update()
    found = await load_callbacks(connection, query)
    if not found:
        raise NotStored("callback", callback_id)
    return found[0]


async def _attempts(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> list[Attempt]:
    query = sa.select(t.attempt).where(condition).order_by(t.attempt.c.started_at, t.attempt.c.fence)
    rows = await all_rows(connection, query)
    return [entry_of(Attempt, {**row, "state": AttemptState(row["state"])}) for row in rows]


async def _locked_attempt(connection: AsyncConnection, attempt_id: str) -> tuple[Callback, Attempt]:
    condition = t.attempt.c.id == clean(attempt_id)
    found = await _attempts(connection, condition)
    if not found:
        raise NotStored("attempt", attempt_id)
    callback = await _locked(connection, found[0].callback_id)
    (attempt,) = await _attempts(
        connection, condition
    )  # again: it may have changed while we waited for the lock
    return callback, attempt


async def _write(connection: AsyncConnection, before: Callback, after: Callback, at: datetime) -> Callback:
    if after is not before:
        await _update(connection, before, after)
        await _keep_consent(connection, before, after)
        await announce(connection, "callback", after.id, at)
    return after


async def _update(connection: AsyncConnection, before: Callback, after: Callback) -> None:
    same = (t.callback.c.id == before.id, t.callback.c.revision == before.revision)
    statement = sa.update(t.callback).where(*same).values(**columns_of(after, t.callback))
    if (await connection.execute(statement)).rowcount != 1:
        raise AssertionError(f"callback {before.id} changed under its lock")


async def _update_claimed(connection: AsyncConnection, claimed: Sequence[Callback]) -> None:
    """One statement for all: a claim gives each of them the same worker and counts its fence up by one."""
    if not claimed:
        return
    c, first = t.callback.c, claimed[0]
    statement = sa.update(t.callback).where(c.id.in_([callback.id for callback in claimed]))
    statement = statement.values(
        state=first.state.value,
        worker=clean(first.worker),
        lease_until=first.lease_until,
        updated_at=first.updated_at,
        fence=c.fence + 1,
        revision=c.revision + 1,
    )
    if (await connection.execute(statement)).rowcount != len(claimed):
        raise AssertionError("callbacks changed under their lock")


def _taken(refused: sa.exc.IntegrityError) -> bool:
    """Whether it was the index of one attempt an agent. SQLite names the columns, PostgreSQL the index."""
    reason = str(refused.orig)
    return "uq_attempt_agent_open" in reason or "attempt.agent" in reason


async def _keep_consent(connection: AsyncConnection, before: Callback, after: Callback) -> None:
    if after.consent is not None and after.consent != before.consent:
        values = columns_of(after.consent, t.callback_consent) | {"callback_id": after.id}
        await insert_once(connection, t.callback_consent, values)


async def _update_attempt(connection: AsyncConnection, attempt: Attempt) -> None:
    statement = sa.update(t.attempt).where(t.attempt.c.id == attempt.id)
    await connection.execute(statement.values(**columns_of(attempt, t.attempt)))


async def _lose_attempt(connection: AsyncConnection, callback: Callback, now: datetime) -> None:
    if callback.state is CallbackState.UNKNOWN:
        for attempt in await _attempts(connection, t.attempt.c.callback_id == callback.id):
            if attempt.state in core.OPEN_ATTEMPT:
                await _update_attempt(connection, core.step_attempt(attempt, AttemptState.UNKNOWN, now))


async def _regain(connection: AsyncConnection, lost: Callback, now: datetime) -> Callback:
    ours = (t.attempt.c.callback_id == lost.id) & (t.attempt.c.fence == lost.fence)
    (attempt,) = await _attempts(connection, ours)
    after, found = core.regain(lost, attempt, now)
    await _update_attempt(connection, found)
    return await _write(connection, lost, after, now)
