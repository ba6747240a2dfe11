"""A PostgreSQL of our own for a while: from the distribution's package, in a temporary folder, on a unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from ami_bridge.errors import FourthRingError

_READY_TRIES = 600
_numbers = count(1)


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where PostgreSQL is not installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return packaged[-1].parent if packaged else None


@contextmanager
def temporary_postgres(*, durable: bool = True) -> Iterator[Path]:
    """The folder of a running cluster's socket; user ``fr``, no password, gone at the end.

    ``durable`` False leaves out fsync, for tests whose data nobody needs after a power cut.

    Raises:
        FourthRingError: PostgreSQL is not installed or does not start.
    """
    found = binaries()
    if found is None:
        raise FourthRingError(
            "PostgreSQL is not installed; install the package 'postgresql', or give --store."
        )
    # The socket's path must be short, and the folder readable for the user who runs the server.
    folder = Path(tempfile.mkdtemp(prefix="fr-pg-", dir="/tmp"))
    # PostgreSQL refuses to run as root, so root lends it to the ordinary user "nobody".
    owner: dict[str, Any] = (
        {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    )
    if owner:
        shutil.chown(folder, "nobody", "nogroup")
    data = str(folder / "data")
    new: list[str | Path] = [
        found / "initdb",
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
    subprocess.run(new, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, **owner)
    options = ["-c", "listen_addresses=", "-c", "max_connections=80", "-k", str(folder)]
    options += [] if durable else ["-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [found / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder, **owner
        )
    try:
        _wait_until_ready(found, folder, server)
        yield folder
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(found: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(_READY_TRIES):
        ready: list[str | Path] = [found / "pg_isready", "-q", "-h", folder]
        if subprocess.run(ready, check=False).returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise FourthRingError(f"PostgreSQL does not start: {(folder / 'log').read_text()[-500:]}")


def create_database(socket: Path, options: Sequence[str] = ()) -> str:
    """A new database in the cluster at ``socket``; returns its store URL. ``options`` are createdb's."""
    name = f"t{next(_numbers)}"
    createdb = (binaries() or Path()) / "createdb"
    subprocess.run([createdb, "-h", socket, "-U", "fr", *options, name], check=True)
    return f"postgresql+asyncpg://fr@/{name}?host={socket}"
