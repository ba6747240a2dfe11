"""The whole system on this machine, set up and torn down: for the demo and for tests with real calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from agi.voice.cache import VoiceCache
from ami_bridge import doctor, secrets
from ami_bridge.check import Finding
from ami_bridge.configuring import restart_marker
from ami_bridge.demo.softphone import AnswerMode, Softphone
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.private_pbx import PrivatePbx
from ami_bridge.pbx.tree import ensure_asterisk
from ami_bridge.render import render_asterisk, spool_folder
from ami_bridge.settings import Settings, load_settings
from ami_bridge.supervisor import SERVICES, Supervisor

Say = Callable[[str], None]

READY_SECONDS = 45.0
# Phones take ports above the PBX's own, ten apart (a softphone also uses a few of the next ones).
_PHONE_OFFSET = 40
_PHONE_RTP = 1000


class StageError(FourthRingError):
    """Part of the system did not come up; the message says which and where its log is."""


class Stage:
    """Private PBX, services and softphones of one configuration.

    Use as ``async with Stage(config) as stage``; leaving ends everything that was started here.
    """

    def __init__(self, config: Path, say: Say = lambda _: None, services: tuple[str, ...] = SERVICES) -> None:
        self.config = config
        self.settings: Settings = load_settings(config)
        self.pbx = PrivatePbx.of(self.settings)
        self.voice = VoiceCache(self.settings)
        self.log_folder = self.settings.state_folder / "log"
        self.phones_folder = self.settings.state_folder / "phones"
        self.supervisor = self._new_supervisor(services)
        self._services = services
        self._say = say
        self._running: asyncio.Task[None] | None = None
        self._started_pbx = False
        self._phones: list[Softphone] = []

    async def __aenter__(self) -> Self:
        """Start everything."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        await self.stop()

    async def start(self) -> None:
        """Prompts, PBX, services; returns when all of them answer.

        Raises:
            FourthRingError: what could not be started, in one sentence.
        """
        # Before the PBX: Asterisk looks for its music when it starts, and only then; else whoever waits hears silence.
        self._say("Preparing what callers will hear …")
        if await asyncio.to_thread(self.voice.prepare):
            raise StageError(
                "Some prompts could not be rendered; is espeak-ng installed? Try: fourthring say hello"
            )
        await self.start_pbx()
        await self.start_services()

    async def start_pbx(self) -> None:
        """Render the configuration and start the private Asterisk."""
        await asyncio.to_thread(ensure_asterisk, self._say)
        spool_folder(self.settings).mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(render_asterisk, self.settings, self.pbx.paths)
        self._say("Starting the private Asterisk …")
        self._started_pbx = not self.pbx.status().running
        await asyncio.to_thread(self.pbx.start)
        if not self._started_pbx:
            # It runs with the configuration of whoever started it; ours may have changed since.
            await asyncio.to_thread(self.pbx.reload)

    async def start_services(self) -> None:
        """Start bridge, AGI, desk and dialer and wait until they answer."""
        self._say("Starting bridge, AGI, desk and dialer …")
        self._running = asyncio.create_task(self.supervisor.run())
        deadline = time.monotonic() + READY_SECONDS
        while ill := [finding for finding in await doctor.examine(self.settings) if self._matters(finding)]:
            if self._running.done():
                await self._running
            if time.monotonic() > deadline:
                told = "; ".join(f"{finding.subject}: {finding.message}" for finding in ill)
                raise StageError(f"Not ready after {READY_SECONDS:.0f} s: {told}. Logs: {self.log_folder}")
            await asyncio.sleep(0.2)

    def _new_supervisor(self, services: tuple[str, ...]) -> Supervisor:
        supervisor = Supervisor(self.config, services, self.log_folder)
        supervisor.marker = restart_marker(self.settings.state_folder)
        return supervisor

    def _matters(self, finding: Finding) -> bool:
        names = {"AGI": "agi"}
        service = names.get(finding.subject, finding.subject)
        return not finding.ok and (
            service in self._services or finding.subject in {"PBX", "prompts", "store"}
        )

    async def stop_services(self) -> None:
        """End the services; the PBX goes on alone."""
        self.supervisor.stop()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None
        self.supervisor = self._new_supervisor(self._services)

    async def stop(self) -> None:
        """End phones, services and the PBX, each only if it was started here."""
        await self.stop_phones()
        await self.stop_services()
        if self._started_pbx:
            await asyncio.to_thread(self.pbx.stop)
            self._started_pbx = False
        await asyncio.to_thread(self.voice.close)

    # Phones ----------------------------------------------------------------------------

    async def agent(self, extension: str, **options: Any) -> Softphone:
        """A registered phone of agent ``extension``, started."""
        network = self.settings.network
        index = 1 + sorted(self.settings.agents).index(extension)
        return await self._start(
            extension,
            str(network.address),
            index,
            registrar=f"{network.address}:{network.sip_port}",
            user=extension,
            password=secrets.read_secret(self.settings, secrets.sip_secret(extension)),
            **options,
        )

    async def caller(self, number: str, *, index: int = 0, **options: Any) -> Softphone:
        """A caller behind the carrier's trunk, started; ``number`` is the caller ID."""
        trunk = self.settings.trunks[self.settings.trunk_out()]
        network = self.settings.network
        peer = f"{network.address}:{network.sip_port}"
        return await self._start(
            f"caller{index}", str(trunk.address), 10 + index, peer=peer, user=number, **options
        )

    async def customer(self, **options: Any) -> Softphone:
        """The carrier's side of outgoing calls: takes calls to any number."""
        trunk = self.settings.trunks[self.settings.trunk_out()]
        options.setdefault("answer_mode", AnswerMode.MANUAL)
        return await self._start(
            "customer", str(trunk.address), 30, sip_port=trunk.port, any_user=True, **options
        )

    async def stop_phones(self) -> None:
        """End every phone that was started here."""
        phones, self._phones = self._phones, []
        await asyncio.gather(*(phone.stop() for phone in phones))

    async def _start(
        self, name: str, address: str, index: int, *, sip_port: int | None = None, **options: Any
    ) -> Softphone:
        network = self.settings.network
        port = sip_port or network.sip_port + _PHONE_OFFSET + 10 * index
        rtp = network.rtp_ports[1] + _PHONE_RTP + 40 * index
        folder = self.phones_folder / f"{name}-{time.time_ns():x}"
        phone = Softphone(name, address, port, folder, rtp_ports=(rtp, rtp + 38), **options)
        self._phones.append(phone)
        await phone.start()
        return phone
