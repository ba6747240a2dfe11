"""Starts each service from the settings: opens what it needs, runs it, closes it again in order."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from agi.voice.prompts import recordings_folder
from ami_bridge import secrets
from ami_bridge.adapters.ami import AmiError, AmiLink, AmiNotReady
from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.journal import Journal
from ami_bridge.adapters.store import SqlStore, Store, StoreUnavailable
from ami_bridge.bridge import Bridge
from ami_bridge.cel_keeper import CelKeeper
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.desk import create_app, serving
from ami_bridge.dialer.dialer import Dialer
from ami_bridge.dialer.ledger import Ledger
from ami_bridge.dialer.line import RINGING_EVENTS, guard_holds
from ami_bridge.dialer.messengers import messengers_of
from ami_bridge.directory import save_directory
from ami_bridge.errors import FourthRingError
from ami_bridge.full_collections import collect_when_quiet
from ami_bridge.pbx.ports import Port, require_free
from ami_bridge.render import cel_file, spool_folder
from ami_bridge.settings import Settings
from ami_bridge.spool import SpoolFiler

log = logging.getLogger(__name__)

_STORE_RETRY_SECONDS = 2.0
_BEAT_SECONDS = 5.0
_FIRST_LINK_SECONDS = 5.0


async def until_terminated(service: Awaitable[None]) -> None:
    """Run ``service`` until it ends by itself, Ctrl-C or SIGTERM.

    Raises:
        FourthRingError: why the service cannot run; the first one when several parts failed together.
    """
    task = asyncio.ensure_future(service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        with first_sentence():
            await task
    except asyncio.CancelledError:
        log.info("stopped")


@contextmanager
def first_sentence() -> Iterator[None]:
    """Turn a group of failures into its first :class:`FourthRingError`, which is what a person needs to read."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours = group.subgroup(FourthRingError)
        if ours is None:
            raise
        failure: BaseException = ours
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from None


async def run_bridge(settings: Settings) -> None:
    """The AMI bridge, with the spool filer beside it."""
    clock = SystemClock()
    async with _store(settings) as store:
        journal = Journal(settings.state_folder / "journal", settings.node.name)
        link = await _linked(settings, "fourthring-bridge", secrets.AMI_BRIDGE)
        caller = AmiLink(settings.node.name, wanted=())
        try:
            bridge = Bridge(settings, link, journal, store, clock)
            bridge.supervising.caller = caller
            filer = SpoolFiler(settings, store, spool_folder(settings), recordings_folder(settings))
            async with asyncio.TaskGroup() as group:
                group.create_task(bridge.run())
                group.create_task(_connect_supervisors(settings, caller))
                group.create_task(bridge.wire.run())
                group.create_task(collect_when_quiet(bridge.counts_rings))
                group.create_task(bridge.members.run())
                group.create_task(bridge.trunks.run())
                group.create_task(filer.run())
                group.create_task(
                    CelKeeper(ChannelEventLog(cel_file(settings)), settings.channel_events).run()
                )
                group.create_task(guard_holds(link, store, settings.node.name, clock))
                told = functools.partial(_bridge_detail, link, bridge)
                group.create_task(_beat(store, "bridge", settings, told))
        finally:
            await caller.close()
            await link.close()
            await journal.close()


async def _connect_supervisors(settings: Settings, link: AmiLink) -> None:
    """The account that rings supervisors' phones. The ring clock does not end because it is refused."""
    network, secret = settings.network, secrets.read_secret(settings, secrets.AMI_SUPERVISOR)
    try:
        await link.connect(str(network.address), network.ami_port, "fourthring-supervisor", secret)
    except AmiError as error:
        log.warning("Supervisors cannot listen in: %s", error)


def _bridge_detail(link: AmiLink, bridge: Bridge) -> dict[str, Any]:
    """What the bridge says of itself: besides the link, what it did not believe and which races it saw."""
    return {
        "link": link.state.value,
        "refused": dict(link.reader.refused),
        "repaired": link.reader.repaired,
        "races": bridge.policy.races,
    }


def _dialer_detail(link: AmiLink, dialer: Dialer) -> dict[str, Any]:
    """What the dialer says of itself: besides the link, whether anybody was served before one who came earlier."""
    return {"link": link.state.value, **dialer.watch.as_detail()}


async def run_dialer(settings: Settings) -> None:
    """The dialer, on an AMI account of its own."""
    async with _store(settings) as store:
        link = await _linked(settings, "fourthring-dialer", secrets.AMI_DIALER, more=RINGING_EVENTS)
        try:
            dialer = Dialer(settings, link, store, SystemClock(), cel_file(settings))
            async with asyncio.TaskGroup() as group:
                group.create_task(dialer.run())
                group.create_task(Ledger(settings, store, SystemClock(), messengers_of(settings)).run())
                told = functools.partial(_dialer_detail, link, dialer)
                group.create_task(_beat(store, "dialer", settings, told))
        finally:
            await link.close()


async def run_desk(settings: Settings, config: Path | None = None) -> None:
    """The desk's HTTP server; admins change the file ``config`` from its pages."""
    address, port = str(settings.network.address), settings.network.desk_port
    require_free([Port("tcp", address, port, "network.desk_port")])
    async with _store(settings) as store:
        await save_directory(settings, store)
        app = create_app(store, settings, secrets.read_secret(settings, secrets.DESK_TOKEN), config=config)
        async with serving(app, address, port):
            log.info("the desk is at http://%s:%d", address, port)
            await asyncio.Event().wait()


async def _linked(
    settings: Settings, account: str, secret: str, *, more: frozenset[str] = frozenset()
) -> AmiLink:
    """An AMI link that keeps connecting by itself; a refused account ends the service with its sentence.

    ``more``: names of events that this service reads besides those of the call records.
    """
    link = AmiLink(settings.node.name, wanted=READ_EVENTS | more)
    network = settings.network
    password = secrets.read_secret(settings, secret)
    try:
        await link.connect(
            str(network.address), network.ami_port, account, password, timeout_seconds=_FIRST_LINK_SECONDS
        )
    except AmiNotReady as error:
        # The PBX may come later; what does not need it (filing messages, beating) starts now.
        log.warning("%s", error)
    return link


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """The store, opened; while it is away at the start this waits for it instead of giving up."""
    store = SqlStore(settings.store_url)
    while True:
        try:
            await store.open()
            break
        except StoreUnavailable as error:
            log.warning("%s Trying again in %.0f s.", error, _STORE_RETRY_SECONDS)
            await asyncio.sleep(_STORE_RETRY_SECONDS)
    try:
        yield store
    finally:
        await store.close()


async def _beat(store: Store, service: str, settings: Settings, detail: Any) -> None:
    """Say every few seconds that this service lives, for /readyz and the doctor."""
    while True:
        try:
            await store.beat(service, settings.node.name, detail())
        except StoreUnavailable as error:
            log.warning("%s", error)
        await asyncio.sleep(_BEAT_SECONDS)
