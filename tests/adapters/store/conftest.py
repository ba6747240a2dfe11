"""The three stores on which the contract is proved: memory, SQLite, and a PostgreSQL of our own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ami_bridge.adapters.store import MemoryStore, SqlStore, Store, opened_store
from ami_bridge.bench.postgres import binaries, create_database, temporary_postgres


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """A cluster in a folder of its own, on a unix socket only, gone after the tests."""
    if binaries() is None:
        pytest.skip(
            "PostgreSQL is not installed (package 'postgresql'); its half of the contract is not proved"
        )
    with temporary_postgres(durable=False) as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres_socket: Path) -> str:
    """An empty database of its own for each test."""
    return create_database(postgres_socket)


async def _migrate(url: str) -> None:
    async with opened_store(url):
        pass


@pytest.fixture(scope="session")
def postgres_template(postgres_socket: Path) -> str:
    """The name of a migrated database: copying it is quicker than migrating for every test."""
    url = create_database(postgres_socket)
    asyncio.run(_migrate(url))
    return str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file."""
    path = tmp_path_factory.mktemp("template") / "fourthring.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/state/fourthring.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def unopened(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        path = tmp_path / "fourthring.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return SqlStore(f"sqlite:///{path}")
    template = request.getfixturevalue("postgres_template")
    return SqlStore(create_database(request.getfixturevalue("postgres_socket"), ("-T", template)))


@pytest.fixture
async def store(unopened: Store) -> AsyncIterator[Store]:
    await unopened.open()
    yield unopened
    await unopened.close()
