"""The three stores on which the contract is proved: memory, SQLite, and a PostgreSQL of our own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ami_bridge.adapters.store import MemoryStore, SqlStore, Store, opened_store

_numbers = count(1)


def _postgres_binaries() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return packaged[-1].parent if packaged else None


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """A cluster in a folder of its own, on a unix socket only, gone after the tests."""
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip(
            "PostgreSQL is not installed (package 'postgresql'); its half of the contract is not proved"
        )
    folder = Path(tempfile.mkdtemp(prefix="fr-pg-", dir="/tmp"))
    # PostgreSQL refuses to run as root, so root lends it to the ordinary user "nobody".
    owner = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    if owner:
        shutil.chown(folder, "nobody", "nogroup")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": folder, **owner}
    data = str(folder / "data")
    initdb = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "fr",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, **quiet)
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60", "-k", str(folder)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder, **owner
        )
    try:
        _wait_until_ready(binaries, folder, server)
        yield folder
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(folder)


def _wait_until_ready(binaries: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        ready = [binaries / "pg_isready", "-q", "-h", folder]
        if subprocess.run(ready, check=False).returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError((folder / "log").read_text())


def _create_database(socket: Path, *options: str) -> str:
    name = f"t{next(_numbers)}"
    createdb = _postgres_binaries() or Path()
    subprocess.run([createdb / "createdb", "-h", socket, "-U", "fr", *options, name], check=True)
    return f"postgresql+asyncpg://fr@/{name}?host={socket}"


@pytest.fixture
def postgres_url(postgres_socket: Path) -> str:
    """An empty database of its own for each test."""
    return _create_database(postgres_socket)


async def _migrate(url: str) -> None:
    async with opened_store(url):
        pass


@pytest.fixture(scope="session")
def postgres_template(postgres_socket: Path) -> str:
    """The name of a migrated database: copying it is quicker than migrating for every test."""
    url = _create_database(postgres_socket)
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
    return SqlStore(_create_database(request.getfixturevalue("postgres_socket"), "-T", template))


@pytest.fixture
async def store(unopened: Store) -> AsyncIterator[Store]:
    await unopened.open()
    yield unopened
    await unopened.close()
