"""From rows to frozen values and back; the statements that both databases spell alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ami_bridge.adapters.store.entries import clean
from ami_bridge.adapters.store.sight import Place

_Entry = TypeVar("_Entry")


def entry_of(kind: type[_Entry], row: Mapping[str, Any], **more: Any) -> _Entry:
    """Build the dataclass ``kind`` from the columns that bear its fields' names."""
    names = [field.name for field in fields(kind) if field.init]  # type: ignore[arg-type]
    return kind(**{name: row[name] for name in names if name in row}, **more)


def columns_of(entry: Any, table: sa.Table) -> dict[str, Any]:
    """The values of ``entry`` for the columns of ``table``, fit for a database."""
    names = {field.name for field in fields(entry)}
    return {column.name: clean(getattr(entry, column.name)) for column in table.c if column.name in names}


def insert_into(connection: AsyncConnection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, which both dialects have and SQLAlchemy's common form lacks."""
    postgres = connection.dialect.name == "postgresql"
    return postgresql.insert(table) if postgres else sqlite.insert(table)


async def insert_once(connection: AsyncConnection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Insert unless a key is taken; says whether it was new."""
    statement = insert_into(connection, table).values(**values).on_conflict_do_nothing()
    return bool((await connection.execute(statement)).rowcount)


async def put(connection: AsyncConnection, table: sa.Table, values: Mapping[str, Any]) -> None:
    """Insert, or replace the row of the same primary key."""
    await put_all(connection, table, [values])


async def put_all(
    connection: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]], where: Any = None
) -> list[tuple[Any, ...]]:
    """:func:`put` for many rows in one statement; gives the primary keys that were written.

    A row that is there already is replaced only where ``where`` holds. Two ``rows`` may not share a key.
    """
    if not rows:
        return []
    key = list(table.primary_key)
    statement = insert_into(connection, table).values([dict(row) for row in rows])
    replaced = {name: statement.excluded[name] for name in rows[0] if table.c[name] not in set(key)}
    statement = statement.on_conflict_do_update(index_elements=key, set_=replaced, where=where).returning(
        *key
    )
    return [tuple(row) for row in await connection.execute(statement)]


async def all_rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[Mapping[str, Any]]:
    """Every row of ``query`` as a mapping from column name to value."""
    return [row._mapping for row in await connection.execute(query)]


def within(column: sa.Column[Any], since: Any, until: Any) -> Collection[sa.ColumnElement[bool]]:
    """The conditions for ``since <= column < until``, either end open."""
    conditions = []
    if since is not None:
        conditions.append(column >= since)
    if until is not None:
        conditions.append(column < until)
    return conditions


def behind(
    place: Place | None, at: sa.Column[Any], key: sa.Column[Any]
) -> Collection[sa.ColumnElement[bool]]:
    """The condition for what comes after ``place`` in a list from the newest ``at`` (then ``key``) down."""
    if place is None:
        return []
    return [sa.or_(at < place.at, sa.and_(at == place.at, key < clean(place.id)))]
