"""Many desks on the live feed while calls run: is any update missed, and what does it cost the bridge?

Three processes, as in life: a bridge that reads a synthetic AMI stream at a steady pace (reader, journal, tracker,
store, wire), the desk's real server, and the browsers' end of every connection. The bridge runs twice, without and
with the desk, and the figure is the ratio of its processor times; wall-clock speeds say nothing on a shared machine.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import multiprocessing
import re
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ami_bridge.adapters.ami import AmiReader, FakeAmiLink, RawEvent
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.journal import Journal
from ami_bridge.adapters.live_wire import LiveWire
from ami_bridge.adapters.store import SqlStore
from ami_bridge.bench.stream import NODE, ami_events
from ami_bridge.bridge import Bridge
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.desk import create_app, serving
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

_TOKEN = "a-token-of-the-bench"  # noqa: S105 - the desk of a bench lives for seconds, on loopback, with no data
_TICK_SECONDS = 0.05
_SETTLE_SECONDS = 1.5
_ID = re.compile(rb"^id: \d+\.(\w+)\.(\d+)\nevent: (\w+)$", re.MULTILINE)
_ENDED = re.compile(rb'"phase":"ended"')
_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Load:
    """``desks`` browsers; ``calls`` a second for ``seconds``."""

    desks: int
    calls_per_second: float
    seconds: float

    @property
    def calls(self) -> int:
        """How many calls run in all."""
        return max(1, round(self.calls_per_second * self.seconds))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one browser saw: how many frames, how many numbers were missing, how many calls ended."""

    frames: int
    missed: int
    ended: int


def measure(load: Load, rounds: int = 1) -> dict[str, Any]:
    """Run both halves in turns and compare the cheapest of each: what else runs on the machine only adds.

    Takes a little more than ``2 * rounds * load.seconds``.
    """
    alone, watched, within, seen = math.inf, math.inf, math.inf, list[Seen]()
    for _ in range(rounds):
        alone = min(alone, _round(load, desks=0)[0])
        cpu, wire, these = _round(load, desks=load.desks)
        watched, within, seen = min(watched, cpu), min(within, cpu / (cpu - wire)), seen + these
    return {
        "desks": load.desks,
        "calls": load.calls,
        "frames_per_desk": max((each.frames for each in seen), default=0),
        "missed_updates": sum(each.missed for each in seen),
        "desks_that_missed_an_end": sum(each.ended != load.calls for each in seen),
        "bridge_cpu_seconds_alone": alone,
        "bridge_cpu_seconds_watched": watched,
        "bridge_cpu_ratio": watched / alone,
        "bridge_cpu_ratio_within": within,
    }


def _round(load: Load, *, desks: int) -> tuple[float, float, list[Seen]]:
    """Processor seconds of the bridge, those of its wire among them, and what the browsers saw."""
    with TemporaryDirectory(prefix="fr-") as folder:
        seen: list[Seen] = []
        if desks:
            server = _Part(_serve, folder)
            port = server.told()
        bridge = _Part(_bridge, folder, load)
        bridge.told()  # the wire is there
        if desks:
            browsers = _Part(_browse, port, desks)
            browsers.told()  # every browser sees that the bridge is heard
        bridge.go()
        cpu, wire = bridge.told()
        if desks:
            browsers.go()
            seen = browsers.told()
            browsers.end()
            server.go()
            server.end()
        bridge.end()
        return cpu, wire, seen


class _Part:
    """One process of a round: it tells things, and goes on when it is told to."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=work, args=(theirs, *arguments), daemon=True)
        self._process.start()

    def told(self) -> Any:
        if not self._pipe.poll(300):
            raise TimeoutError(f"{self._process.name} of the bench says nothing")
        return self._pipe.recv()

    def go(self) -> None:
        self._pipe.send("go")

    def end(self) -> None:
        self._process.join(30)
        self._process.kill()


def _settings(folder: str) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"] |= {"name": NODE, "state_folder": str(Path(folder) / "state")}
    return parse_settings(document)


# The bridge ---------------------------------------------------------------------------------


def _bridge(pipe: Connection, folder: str, load: Load) -> None:
    asyncio.run(_run_bridge(pipe, _settings(folder), load))


async def _run_bridge(pipe: Connection, settings: Settings, load: Load) -> None:
    store = SqlStore(settings.store_url)
    await store.open()
    journal = Journal(settings.state_folder / "journal", settings.node.name)
    link = FakeAmiLink(NODE)
    bridge = Bridge(settings, link, journal, store, SystemClock())
    spent = _watch(bridge.wire)
    running = [asyncio.create_task(work) for work in (bridge.run(), bridge.wire.run())]
    await link.connect()
    await asyncio.sleep(0.5)
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    before, spent[0] = time.process_time(), 0.0
    await _play(link, load)
    await asyncio.sleep(_SETTLE_SECONDS)  # the last batch of records
    pipe.send((time.process_time() - before, spent[0]))
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await journal.close()
    await store.close()


def _watch(wire: LiveWire) -> list[float]:
    """Count the processor time of what the bridge does for its desks: one number, which grows.

    Both figures of such a ratio come from the same seconds of the same process, so a busy machine does not bend it.
    """
    spent = [0.0]

    def counted(work: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            began = time.thread_time()
            try:
                work(*arguments)
            finally:
                spent[0] += time.thread_time() - began

        return call

    for name in ("changed", "ended", "_flush"):  # none of them calls another
        setattr(wire, name, counted(getattr(wire, name)))
    return spent


async def _play(link: FakeAmiLink, load: Load) -> None:
    """The stream at its pace, through the real reader."""
    blocks = list(ami_events(load.calls, alive=max(2, round(load.calls_per_second)), detail="account"))
    reader = AmiReader(NODE, wanted=READ_EVENTS)
    per_tick = len(blocks) / load.seconds * _TICK_SECONDS
    sent, due, began = 0, 0.0, time.monotonic()
    while sent < len(blocks):
        due += per_tick
        upto = min(len(blocks), int(due))
        for item in reader.feed(b"".join(blocks[sent:upto]), datetime.now(UTC)):
            if isinstance(item, RawEvent):
                link.emit(item)
        sent = upto
        began += _TICK_SECONDS
        await asyncio.sleep(max(0.0, began - time.monotonic()))


# The desk and its browsers ------------------------------------------------------------------


def _serve(pipe: Connection, folder: str) -> None:
    asyncio.run(_run_desk(pipe, _settings(folder)))


async def _run_desk(pipe: Connection, settings: Settings) -> None:
    store = SqlStore(settings.store_url)
    await store.open()
    async with serving(create_app(store, settings, _TOKEN), "127.0.0.1", 0) as port:
        pipe.send(port)
        await asyncio.to_thread(pipe.recv)
    await store.close()


def _browse(pipe: Connection, port: int, desks: int) -> None:
    asyncio.run(_run_browsers(pipe, port, desks))


async def _run_browsers(pipe: Connection, port: int, desks: int) -> None:
    heard: list[bytearray] = [bytearray() for _ in range(desks)]
    opened = [asyncio.Event() for _ in range(desks)]
    listening = [asyncio.create_task(_listen(port, heard[place], opened[place])) for place in range(desks)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(each.wait() for each in opened))
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    await asyncio.sleep(_SETTLE_SECONDS)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    pipe.send([seen_in(bytes(text)) for text in heard])


async def _listen(port: int, heard: bytearray, opened: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {_TOKEN}\r\n\r\n"
    writer.write(head.encode())
    try:
        while block := await reader.read(65536):
            heard += block
            if not opened.is_set() and b'"linked":true' in heard:
                opened.set()
    finally:
        writer.close()


def seen_in(text: bytes) -> Seen:
    """What a browser's stream told. The chunks' own lengths between the events do no harm to the patterns."""
    plain = re.sub(rb"\r\n[0-9a-fA-F]+\r\n", b"", text)
    numbers = [int(number) for _, number, kind in _ID.findall(plain) if kind != b"picture"]
    missed = sum(later - earlier - 1 for earlier, later in itertools.pairwise(numbers))
    return Seen(len(numbers), missed, len(_ENDED.findall(plain)))
