"""The connection to SQLite or PostgreSQL: transactions, migrations, and faults as sentences.

SQLite: WAL with ``synchronous=FULL`` (a commit that has returned survives a power cut), foreign keys on, and
``BEGIN IMMEDIATE`` for every write, because a transaction that starts as a reader and then writes is refused
at once when another process wrote meanwhile, whatever the busy time-out says.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ami_bridge.adapters.store import on_the_spot
from ami_bridge.adapters.store.entries import StoreUnavailable
from ami_bridge.adapters.store.port import KEPT_CHANGES
from ami_bridge.adapters.store.tables import change

_MIGRATIONS = Path(__file__).with_name("migrations")
_BUSY_SECONDS = 10
_PRUNE_EVERY = 500
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
# Any two constants that nobody else uses in this database.
_FEED_LOCK, _MIGRATION_LOCK = 4_071_001, 4_071_002
_READING = "fourthring_reading"
# Our statement is at fault, not the database; whatever else a driver says is about the database.
_OURS = (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError, sa.exc.NotSupportedError)
_FAULTS = (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError, TimeoutError)
# The transaction that everything in this task takes part in; see Database.joined.
_joined: ContextVar[tuple[Database, AsyncConnection, bool] | None] = ContextVar("_joined", default=None)
# alembic keeps its running migration in module globals, so one at a time in this process.
_migrating: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class Database:
    """One engine with short transactions. Only ``store`` modules see it."""

    def __init__(self, url: str, *, at_once: bool = False) -> None:
        self._at_once = at_once
        self.url = _parse_url(url)
        self.shown_url = self.url.render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine: AsyncEngine | None = None
        # SQLite has one writer; queueing here is fair, its own busy handler is not.
        self._writer = asyncio.Lock() if self.is_sqlite else None

    async def open(self) -> None:
        """Connect and migrate to the newest schema. Raises StoreUnavailable."""
        if self._engine is not None:
            return
        engine = self._make_engine()
        try:
            async with self._faults():
                if self.is_sqlite:
                    await self._prepare_file(engine)
                await _migrate(engine, self.is_sqlite)
        except BaseException:
            await engine.dispose()
            raise
        self._engine = engine

    async def close(self) -> None:
        """Release the connections."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed at the end, rolled back by any exception."""
        if (joined := self._present(to_write=True)) is not None:
            async with self._faults():
                yield joined
            return
        async with self._faults(), self._turn(), self._opened().begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, so it waits for no writer."""
        if (joined := self._present()) is not None:
            async with self._faults():
                yield joined
            return
        async with self._faults(), self._opened().execution_options(**{_READING: True}).begin() as connection:
            yield connection

    @asynccontextmanager
    async def joined(self, *, only_read: bool) -> AsyncIterator[None]:
        """One transaction for everything that this task asks of the database inside."""
        async with self.reading() if only_read else self.writing() as connection:
            token = _joined.set((self, connection, only_read))
            try:
                yield
            finally:
                _joined.reset(token)

    def _present(self, *, to_write: bool = False) -> AsyncConnection | None:
        database, connection, only_read = _joined.get() or (None, None, False)
        if database is not self:
            return None
        if to_write and only_read:
            raise AssertionError("something is written where it was said that nothing would be")
        return connection

    def _turn(self) -> AbstractAsyncContextManager[Any]:
        return self._writer or nullcontext()

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise StoreUnavailable(f"The store {self.shown_url} is not open; call open() first.")
        return self._engine

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:
            # While connecting, asyncpg's own kinds arrive unwrapped.
            about_database = isinstance(error, _FAULTS) or type(error).__module__.startswith("asyncpg")
            if about_database and not isinstance(error, _OURS):
                raise StoreUnavailable(self._sentence(error)) from error
            raise

    def _sentence(self, error: Exception) -> str:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0] or type(error).__name__
        if not self.is_sqlite:
            remedy = "start PostgreSQL, or mend address and password in [store] url"
        elif "not a database" in reason or "malformed" in reason:
            remedy = "move the file away, or put a backup in its place"
        else:
            remedy = "make its folder writable and free some disk space"
        return f"The store {self.shown_url} does not work ({reason}); {remedy}."

    def _make_engine(self) -> AsyncEngine:
        options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}}
        if self.is_sqlite:
            options["connect_args"]["factory"] = _SqliteConnection
            if self._at_once:
                options["connect_args"]["async_creator_fn"] = on_the_spot.connect
        else:
            options |= {"pool_pre_ping": True, "pool_timeout": _BUSY_SECONDS}
            options["connect_args"]["command_timeout"] = 60
        engine = create_async_engine(
            self.url, json_serializer=lambda value: json.dumps(value, ensure_ascii=False), **options
        )
        if self.is_sqlite:
            sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine

    async def _prepare_file(self, engine: AsyncEngine) -> None:
        """Make folder and file readable by their owner only, and switch to WAL (the file remembers it)."""
        path = Path(self.url.database or "")
        await asyncio.to_thread(_create_private, path)
        deadline = asyncio.get_running_loop().time() + _BUSY_SECONDS
        while True:
            try:
                # The switch does not honour the busy time-out while another process opens the same new file.
                async with engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    await raw.driver_connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[union-attr]
                    return
            except Exception as error:
                if "locked" not in str(error) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.05)


class _SqliteConnection(sqlite3.Connection):
    """Rolls back before it closes.

    A write that is cancelled closes its connection. SQLite keeps a closed connection, its transaction and the
    write lock alive until the last cursor is collected, and every other writer would wait for that in vain.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


async def announce(connection: AsyncConnection, kind: str, subject: str, at: datetime) -> None:
    """Add to the change feed; call it last in a transaction. See :func:`announce_all`."""
    await announce_all(connection, kind, [subject], at)


async def announce_all(connection: AsyncConnection, kind: str, subjects: Sequence[str], at: datetime) -> None:
    """Add ``subjects`` to the change feed; call it last in a transaction.

    PostgreSQL gives out sequence numbers before the commit, so a reader could see 6 before 5 and never see 5.
    The lock lasts until the commit and keeps numbers and commits in the same order.
    """
    if not subjects:
        return
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FEED_LOCK)))
    rows = [{"kind": kind, "subject": subject, "at": at} for subject in subjects]
    seqs = (await connection.execute(sa.insert(change).values(rows).returning(change.c.seq))).scalars().all()
    if max(seqs) // _PRUNE_EVERY != (min(seqs) - 1) // _PRUNE_EVERY:
        await connection.execute(sa.delete(change).where(change.c.seq <= max(seqs) - KEPT_CHANGES))


def _parse_url(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise StoreUnavailable(
            "[store] url is not a database URL; write one such as 'sqlite+aiosqlite:///{state}/fourthring.db'."
        ) from None
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in _DRIVERS.values():
        raise StoreUnavailable(
            f"[store] url names the driver '{parsed.drivername}'; use sqlite+aiosqlite or postgresql+asyncpg."
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise StoreUnavailable(
            "[store] url names no file; write 'sqlite+aiosqlite:///' and an absolute path."
        )
    return parsed


def _create_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.touch(mode=0o600)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def _migrate(engine: AsyncEngine, is_sqlite: bool) -> None:
    """Upgrade inside one transaction that only one process can hold; the others then find nothing to do."""
    lock = _migrating.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with lock, engine.begin() as connection:
        if not is_sqlite:  # SQLite: BEGIN IMMEDIATE has taken the only write lock
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    config = _alembic()
    newest = ScriptDirectory.from_config(config).get_current_head()
    if MigrationContext.configure(connection).get_current_revision() == newest:
        return
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"The store's tables are not of this program's version ({error}); install the newer fourthring."
        ) from None
