"""The three stores on which the contract is proved: memory, SQLite, and a PostgreSQL of our own."""

from __future__ import annotations

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

from ami_bridge.adapters.store import MemoryStore, SqlStore, Store

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


@pytest.fixture
def postgres_url(postgres_socket: Path) -> str:
    """A database of its own for each test."""
    name = f"t{next(_numbers)}"
    createdb = _postgres_binaries() or Path()
    subprocess.run([createdb / "createdb", "-h", postgres_socket, "-U", "fr", name], check=True)
    return f"postgresql+asyncpg://fr@/{name}?host={postgres_socket}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/state/fourthring.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def unopened(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    return SqlStore(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def store(unopened: Store) -> AsyncIterator[Store]:
    await unopened.open()
    yield unopened
    await unopened.close()
