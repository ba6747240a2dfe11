"""The store on SQLite and PostgreSQL."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import sqlalchemy as sa

from ami_bridge.adapters.store.database import Database
from ami_bridge.adapters.store.sql_accounts import SqlAccounts
from ami_bridge.adapters.store.sql_callbacks import SqlCallbacks
from ami_bridge.adapters.store.sql_calls import SqlCalls
from ami_bridge.adapters.store.sql_desk import SqlDesk
from ami_bridge.adapters.store.sql_hooks import SqlHooks
from ami_bridge.adapters.store.sql_marks import SqlMarks
from ami_bridge.adapters.store.sql_outgoing import SqlOutgoing
from ami_bridge.adapters.store.sql_persons import SqlPersons
from ami_bridge.adapters.store.sql_promises import SqlPromises


class SqlStore(
    SqlCalls, SqlCallbacks, SqlPersons, SqlPromises, SqlOutgoing, SqlDesk, SqlMarks, SqlAccounts, SqlHooks
):
    """:class:`ami_bridge.adapters.store.port.Store` on a database.

    ``url`` is SQLAlchemy's: ``sqlite+aiosqlite:////abs/path.db`` or ``postgresql+asyncpg://user@host/name``.
    One instance per process is enough; it may be used by many tasks at once. ``at_once``: SQLite's answers are
    waited for where they are asked for, see :mod:`ami_bridge.adapters.store.on_the_spot`.
    """

    def __init__(self, url: str, *, at_once: bool = False) -> None:
        self._database = Database(url, at_once=at_once)

    @property
    def database(self) -> Database:
        """For the modules of this folder that no service needs, such as ``erasing``."""
        return self._database

    async def open(self) -> None:
        """Connect and migrate. Raises StoreUnavailable with the remedy."""
        await self._database.open()

    async def close(self) -> None:
        """Release every connection."""
        await self._database.close()

    def looking(self) -> AbstractAsyncContextManager[None]:
        """One read transaction."""
        return self._database.joined(only_read=True)

    def together(self) -> AbstractAsyncContextManager[None]:
        """One write transaction: one wait for the other writers, one wait for the disk."""
        return self._database.joined(only_read=False)

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        async with self._database.reading() as connection:
            await connection.execute(sa.select(1))
