"""Users of the desk, their sessions and tokens in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

import sqlalchemy as sa

from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.database import Database
from ami_bridge.adapters.store.entries import (
    NotStored,
    SessionEntry,
    TokenEntry,
    UserEntry,
    UserFields,
    clean,
)
from ami_bridge.adapters.store.rows import all_rows, columns_of, entry_of, insert_once, put


class SqlAccounts:
    """See :class:`ami_bridge.adapters.store.port.AccountStore`."""

    _database: Database

    async def add_user(self, user: UserEntry) -> bool:
        """Insert unless the name is taken."""
        async with self._database.writing() as connection:
            return await insert_once(connection, t.user, columns_of(user, t.user))

    async def amend_user(self, name: str, **fields: Unpack[UserFields]) -> UserEntry:
        """Only these columns: a login that uses up a code meanwhile is not undone."""
        if fields:
            async with self._database.writing() as connection:
                values = {column: clean(value) for column, value in fields.items()}
                await connection.execute(
                    sa.update(t.user).where(t.user.c.name == clean(name)).values(**values)
                )
        user = await self.user(name)
        if user is None:
            raise NotStored("user", name)
        return user

    async def user(self, name: str) -> UserEntry | None:
        """One user."""
        rows = await self._found(sa.select(t.user).where(t.user.c.name == clean(name)))
        return _user_of(rows[0]) if rows else None

    async def users(self) -> list[UserEntry]:
        """By name."""
        return [_user_of(row) for row in await self._found(sa.select(t.user).order_by(t.user.c.name))]

    async def take_totp_step(self, name: str, step: int) -> bool:
        """One statement, so that two logins at once cannot both use it."""
        unused = (t.user.c.name == clean(name), t.user.c.totp_step < step)
        async with self._database.writing() as connection:
            statement = sa.update(t.user).where(*unused).values(totp_step=step)
            return bool((await connection.execute(statement)).rowcount)

    async def save_token(self, token: TokenEntry) -> None:
        """Insert or replace."""
        async with self._database.writing() as connection:
            await put(connection, t.token, columns_of(token, t.token))

    async def tokens(self, user: str | None = None) -> list[TokenEntry]:
        """Newest first."""
        query = sa.select(t.token).order_by(t.token.c.created_at.desc(), t.token.c.id)
        if user is not None:
            query = query.where(t.token.c.user == clean(user))
        return [_token_of(row) for row in await self._found(query)]

    async def user_of_token(self, token_hash: str, now: datetime) -> tuple[UserEntry, TokenEntry] | None:
        """Two short looks instead of a join whose columns would have to be told apart."""
        good = (
            t.token.c.token_hash == clean(token_hash),
            t.token.c.revoked_at.is_(None),
            sa.or_(t.token.c.expires_at.is_(None), t.token.c.expires_at > now),
        )
        rows = await self._found(sa.select(t.token).where(*good))
        user = await self._active(rows[0]["user"]) if rows else None
        return (user, _token_of(rows[0])) if user is not None else None

    async def open_session(self, session: SessionEntry) -> None:
        """And forget those that are over."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(t.session).where(t.session.c.expires_at <= session.created_at))
            await put(connection, t.session, columns_of(session, t.session))

    async def user_of_session(self, cookie_hash: str, now: datetime) -> tuple[UserEntry, SessionEntry] | None:
        """Looked up by hash: what could be timed is the comparison of hashes that nobody can steer."""
        good = (t.session.c.cookie_hash == clean(cookie_hash), t.session.c.expires_at > now)
        rows = await self._found(sa.select(t.session).where(*good))
        user = await self._active(rows[0]["user"]) if rows else None
        return (user, entry_of(SessionEntry, rows[0])) if user is not None else None

    async def sessions(self, user: str, now: datetime) -> list[SessionEntry]:
        """Newest first."""
        good = (t.session.c.user == clean(user), t.session.c.expires_at > now)
        query = sa.select(t.session).where(*good).order_by(t.session.c.created_at.desc(), t.session.c.id)
        return [entry_of(SessionEntry, row) for row in await self._found(query)]

    async def end_sessions(self, user: str, *, only: str | None = None, but: str | None = None) -> int:
        """One, or all but one."""
        statement = sa.delete(t.session).where(t.session.c.user == clean(user))
        if only is not None:
            statement = statement.where(t.session.c.id == clean(only))
        if but is not None:
            statement = statement.where(t.session.c.id != clean(but))
        async with self._database.writing() as connection:
            return (await connection.execute(statement)).rowcount

    async def _active(self, name: str) -> UserEntry | None:
        user = await self.user(name)
        return user if user is not None and user.active else None

    async def _found(self, query: sa.Select[Any]) -> list[Mapping[str, Any]]:
        async with self._database.reading() as connection:
            return await all_rows(connection, query)


def _user_of(row: Mapping[str, Any]) -> UserEntry:
    return entry_of(UserEntry, {**row, "departments": tuple(row["departments"])})


def _token_of(row: Mapping[str, Any]) -> TokenEntry:
    return entry_of(TokenEntry, {**row, "scopes": tuple(row["scopes"])})
