"""A company with many agents, whose bridge runs in this process and hears its PBX through a line that can be cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from ami_bridge import secrets
from ami_bridge.adapters.ami import AmiLink, LinkTimings
from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.journal import Journal
from ami_bridge.adapters.store import SqlStore
from ami_bridge.auditing import AuditReport, audit
from ami_bridge.bridge import Bridge
from ami_bridge.core.channels import is_stand_in
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.render import cel_file
from tests.faults.plant import Plant
from tests.faults.proxy import CuttingProxy
from tests.load.crowd import Crowd, crowded_configuration
from tests.pbx.calls import eventually
from tests.pbx.conftest import free_block, write_configuration

FIRST_PORT = 29060


class Exchange(Plant):
    """The PBX and the AGI as services, the bridge here behind ``proxy``, and every agent's phone in ``crowd``."""

    def __init__(self, config: Path) -> None:
        super().__init__(config)
        self.log = ChannelEventLog(cel_file(self.settings))
        self.journal_folder = self.settings.state_folder / "journal"
        self.store = SqlStore(self.settings.store_url)
        network = self.settings.network
        self.proxy = CuttingProxy((str(network.address), network.ami_port), "Originate")
        self.crowd = Crowd(self.settings, self.settings.state_folder / "sipp", network.rtp_ports[1] + 200)
        self._own = AsyncExitStack()

    async def start_services(self) -> None:
        """The AGI, the bridge, and the phones."""
        await self.agi.start()
        await self.store.open()
        self._own.push_async_callback(self.store.close)
        await self._own.enter_async_context(self.proxy)
        await self._start_bridge()
        self._own.push_async_callback(self.crowd.stop)
        await self.crowd.phones()

    async def _start_bridge(self) -> None:
        node = self.settings.node.name
        journal = Journal(self.journal_folder, node)
        self._own.push_async_callback(journal.close)
        link = AmiLink(node, wanted=READ_EVENTS, timings=LinkTimings(backoff_most=0.5))
        secret = secrets.read_secret(self.settings, secrets.AMI_BRIDGE)
        await link.connect("127.0.0.1", self.proxy.port, "fourthring-bridge", secret, timeout_seconds=20)
        self._own.push_async_callback(link.close)
        bridge = Bridge(self.settings, link, journal, self.store, SystemClock())
        running = asyncio.create_task(bridge.run())

        async def end() -> None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        self._own.push_async_callback(end)

    async def stop_services(self) -> None:
        """End all of them."""
        await self._own.aclose()
        await self.agi.stop()

    async def audited(self, since: datetime) -> AuditReport:
        """Our records since then against the PBX's own log."""
        node, now = self.settings.node.name, datetime.now(UTC)
        await self.store.beat("bridge", node, {"link": "ready"})
        return await audit(self.store, self.log, self.journal_folder, node, since=since, until=now)

    async def calls_end(self, within: float = 60.0) -> None:
        """Wait until no channel is left and the store has all that the bridge told.

        But for stand-ins, which Asterisk may leave in its list after they were hung up (see ``is_stand_in``).
        With ``-s`` pytest prints them, so that one sees whether the log tells the same in spite of them.
        """

        shown: list[str] = []
        passed_over: list[str] = []

        async def ended() -> bool | None:
            nonlocal shown, passed_over
            lines = (await asyncio.to_thread(self.pbx.cli, "core show channels concise")).splitlines()
            shown = [line for line in lines if line.strip() and not is_stand_in(line)]
            passed_over = [line for line in lines if is_stand_in(line)]
            return None if shown else True

        try:
            await eventually(ended, "an end of all calls", within)
        except AssertionError as still:
            raise AssertionError(f"{still}; there are still {shown}") from still
        print(f"\nstand-ins that stay: {passed_over}")
        await asyncio.sleep(1.0)  # the writer's batch, and the log's last lines


@pytest.fixture(scope="session")
def load_folder() -> Iterator[Path]:
    """A short path: Asterisk's control socket lies in it."""
    with TemporaryDirectory(prefix="fl-") as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def exchange(load_folder: Path) -> AsyncIterator[Exchange]:
    """The running company; only when asked for: two minutes of real calls at full load."""
    if not os.environ.get("FOURTHRING_LOAD"):
        pytest.skip("set FOURTHRING_LOAD=1 to run the calls under load")
    document = crowded_configuration(load_folder / "s", free_block(FIRST_PORT))
    async with Exchange(write_configuration(load_folder, document)) as running:
        yield running
