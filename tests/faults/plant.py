"""The running system, each service to be stopped, frozen and killed on its own; and what is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from ami_bridge.adapters.journal import JournalEntry, read_journal
from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.stage import Stage
from ami_bridge.supervisor import Supervisor


class Service:
    """One service under a supervisor of its own."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self._stage = stage
        self._supervisor: Supervisor | None = None
        self._task: asyncio.Task[None] | None = None
        self._killed: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._supervisor.process_id(self.name) if self._supervisor is not None else None

    async def start(self) -> None:
        """Start it, unless it runs, and wait until it works."""
        if self._task is None:
            self._supervisor = Supervisor(self._stage.config, (self.name,), self._stage.log_folder)
            self._task = asyncio.create_task(self._supervisor.run())
            await self.wait_ready(datetime.now(UTC))

    async def wait_ready(self, since: datetime, seconds: float = 20.0) -> None:
        """It answers (AGI), or has said that it lives after ``since``."""
        deadline = time.monotonic() + seconds
        while not await (self._listens() if self.name == "agi" else self._beats(since)):
            assert time.monotonic() < deadline, f"{self.name} is not ready after {seconds} s"
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End it politely."""
        if self._supervisor is not None and self._task is not None:
            self._supervisor.stop()
            await asyncio.gather(self._task, return_exceptions=True)
        self._supervisor = self._task = None

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self.pid is not None, f"{self.name} does not run"
        if number is signal.SIGKILL:
            self._killed = self.pid
        os.kill(self.pid, number)

    async def _listens(self) -> bool:
        network = self._stage.settings.network
        try:
            _, writer = await asyncio.open_connection(str(network.address), network.agi_port)
        except OSError:
            return False
        writer.close()
        # The kernel accepts for one that was killed until that has come through.
        return self.pid not in (None, self._killed)

    async def _beats(self, since: datetime) -> bool:
        store = SqlStore(self._stage.settings.store_url)
        try:
            await store.open()
            return any(
                beat.service == self.name and beat.at >= since and beat.detail.get("link") == "ready"
                for beat in await store.heartbeats()
            )
        finally:
            await store.close()


class Plant(Stage):
    """A stage whose services are told apart: ``bridge``, ``agi`` and ``dialer`` (there is no desk)."""

    def __init__(self, config: Path) -> None:
        super().__init__(config, services=())
        self.agi, self.bridge, self.dialer = (Service(self, name) for name in ("agi", "bridge", "dialer"))

    async def start_services(self) -> None:
        """Bridge and AGI; whoever wants the dialer starts it."""
        await asyncio.gather(self.bridge.start(), self.agi.start())

    async def stop_services(self) -> None:
        """End all of them."""
        await asyncio.gather(self.agi.stop(), self.bridge.stop(), self.dialer.stop())

    def journal(self, since: datetime) -> list[JournalEntry]:
        """What the bridge believed since then."""
        folder = self.settings.state_folder / "journal"
        return list(read_journal(folder, since, node=self.settings.node.name))

    def log_of(self, service: str) -> str:
        """What the service has said so far."""
        path = self.log_folder / f"{service}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def processes_of(folder: Path) -> dict[int, str]:
    """Every live process that was started with a path in ``folder`` or works in it: id → command."""
    mark, found = os.fsencode(folder), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            works_in = os.fsencode((entry / "cwd").readlink())
        except OSError:
            continue
        if mark in command or works_in.startswith(mark):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found
