"""SQLite answers small questions at once, where they are asked.

aiosqlite hands every step of every statement (cursor, execute, fetch, close) to a thread and waits for it to come back.
On a busy machine each of these two changes waits for the processor, and a caller waits for some forty of them in
one turn of a conversation. What waits for nobody is therefore done on the spot; what may wait for the disk or for
another writer (BEGIN, COMMIT, many rows at once) still has the thread. For a service that asks little: whoever reads
thousands of rows this way holds up its own loop.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import aiosqlite

_Execute = Callable[..., Awaitable[Any]]
# What a cursor is asked for; the connection itself always has the thread (its close ends that).
_AT_ONCE = frozenset({"execute", "fetchone", "fetchmany", "fetchall", "close"})
_MAY_WAIT = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "VACUUM")


def connect(*args: Any, **options: Any) -> aiosqlite.Connection:
    """As :func:`aiosqlite.connect`; give it to SQLAlchemy as ``async_creator_fn``."""
    connection = aiosqlite.connect(*args, **{**options, "check_same_thread": False})
    connection._thread.daemon = True  # as SQLAlchemy does with the connections that it makes itself
    execute: _Execute = connection._execute
    connection._execute = functools.partial(_executed, connection, execute)  # type: ignore[method-assign]
    return connection


async def _executed(
    connection: aiosqlite.Connection, execute: _Execute, step: Callable[..., Any], *args: Any, **options: Any
) -> Any:
    database = connection._connection
    if database is None or _may_wait(step, args) or getattr(step, "__self__", None) is database:
        return await execute(step, *args, **options)
    return step(*args, **options)


def _may_wait(step: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    statement = args[0].lstrip().upper() if args and isinstance(args[0], str) else ""
    return step.__name__ not in _AT_ONCE or statement.startswith(_MAY_WAIT)
