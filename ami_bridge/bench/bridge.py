"""``fourthring bench bridge``: is the fourth ring on time while thousands of calls live and events flood in?

The whole loop of the bridge runs here: journal on disk, tracker, ring policy, records to a store, on the machine's
own clock. Only the PBX is the fake link that ships, since a PBX with 10,000 calls would be what is measured. In
the same run, and as the baseline, the same callers ring first with no other call alive and no flood.

``late_ms`` is from the instant at which a caller's last ring tone ends to the ``Redirect`` that leaves for the PBX.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ami_bridge.adapters.ami import ActionResult, FakeAmiLink, raw_event
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.journal import Journal
from ami_bridge.adapters.store import MemoryStore
from ami_bridge.bench.alive import headers_of
from ami_bridge.bench.machine import machine
from ami_bridge.bench.stream import NODE, ami_events
from ami_bridge.bridge import Bridge
from ami_bridge.full_collections import collect_when_quiet
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

WANTED = {"late_ms_median": "<= 20", "late_ms_p99": "<= 100", "moved": "= callers"}
"""What is to be reached, in words, by the name of the figure."""

# One ring of the Russian cadence: its tone ends a second after the phone began to ring.
_RING = {"zone": "ru", "answer_by_ring": 1}
_RING_SECONDS = 1.0
_CALLERS_PER_SECOND = 25
_AT_ONCE = 100  # events emitted before the loop gets its turn, as one read of the socket would bring them


def measure(*, alive: int = 10_000, events_per_second: int = 1_500, seconds: float = 15.0) -> dict[str, Any]:
    """Lateness of the ring clock: quiet, and with ``alive`` calls and a flood of events.

    Args:
        alive: calls in which people talk meanwhile.
        events_per_second: events of other calls that begin and end; 50 calls a second make about 1,200.
        seconds: how long callers keep coming, in each of the two measurements.
    """
    return asyncio.run(_measure(alive, events_per_second, seconds))


async def _measure(alive: int, events_per_second: int, seconds: float) -> dict[str, Any]:
    figures: dict[str, Any] = {"machine": machine(), "calls_alive": alive}
    with tempfile.TemporaryDirectory(prefix="fr-") as folder:
        async with _running(_settings(Path(folder))) as (bridge, link):
            quiet = await _let_ring(link, seconds, first=0)
            await _bring_up(link, bridge, alive)
            flood = asyncio.create_task(_flood(link, events_per_second))
            callers = await _let_ring(link, seconds, first=len(quiet))
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            figures["faults"] = bridge.tracker.counters.get("fault", 0)
            figures["records_waiting"] = bridge.writer.waiting
    for name, late in (("_quiet", quiet), ("", callers)):
        figures |= {f"{key}{name}": value for key, value in _summed_up(late).items()}
    return figures


def _summed_up(late: dict[str, float | None]) -> dict[str, Any]:
    known = sorted(1000 * value for value in late.values() if value is not None)
    return {
        "callers": len(late),
        "moved": len(known),
        "late_ms_median": statistics.median(known) if known else None,
        "late_ms_p99": known[min(len(known) - 1, len(known) * 99 // 100)] if known else None,
        "late_ms_most": known[-1] if known else None,
    }


def _settings(folder: Path) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"] |= {"name": NODE, "state_folder": str(folder)}
    document["ring"] = dict(_RING)
    return parse_settings(document)


class _TimedLink(FakeAmiLink):
    """The fake that ships, and when it was told to move whom."""

    def __init__(self) -> None:
        super().__init__(NODE)
        self.moved: dict[str, datetime] = {}

    async def redirect(self, channel: str, context: str, exten: str, priority: int = 1) -> ActionResult:
        self.moved[channel] = datetime.now(UTC)
        return await super().redirect(channel, context, exten, priority)


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[tuple[Bridge, _TimedLink]]:
    link = _TimedLink()
    journal = Journal(settings.state_folder / "journal", NODE)
    bridge = Bridge(settings, link, journal, MemoryStore(), SystemClock())
    running = asyncio.create_task(bridge.run())
    collecting = asyncio.create_task(collect_when_quiet(bridge.counts_rings))  # as the service does
    link.restore()
    try:
        yield bridge, link
    finally:
        running.cancel()
        collecting.cancel()
        await asyncio.gather(running, collecting, return_exceptions=True)
        await journal.close()


def _emit(link: FakeAmiLink, headers: dict[str, str]) -> None:
    link.emit(raw_event(headers["Event"], headers))


async def _bring_up(link: FakeAmiLink, bridge: Bridge, alive: int) -> None:
    """``alive`` calls begin, are answered and go on; returns when the bridge has heard of all of them."""
    last = ""
    for number in range(alive):
        # Every fifth story is one that is answered; the numbers are far from those of other calls.
        for block in ami_events(1, alive=1, detail="account", first=(1_000_000 + number) * 5):
            headers = headers_of(block)
            if headers["Event"] == "HangupRequest":
                break
            _emit(link, headers)
            last = headers.get("Uniqueid", last)
        if number % 10 == 0:
            await asyncio.sleep(0)
    while last and bridge.tracker.call_id_of(last) is None:  # noqa: ASYNC110 - the tracker has no event to wait for
        await asyncio.sleep(0.05)


async def _flood(link: FakeAmiLink, events_per_second: int) -> None:
    """Other calls begin and end, at this rate, until cancelled."""
    blocks = _endless_blocks()
    while True:
        began = asyncio.get_running_loop().time()
        for _ in range(_AT_ONCE):
            _emit(link, headers_of(next(blocks)))
        spent = asyncio.get_running_loop().time() - began
        await asyncio.sleep(max(0.0, _AT_ONCE / events_per_second - spent))


def _endless_blocks() -> Iterator[bytes]:
    first = 100_000
    while True:
        yield from ami_events(500, alive=20, detail="account", first=first)
        first += 500


async def _let_ring(link: _TimedLink, seconds: float, first: int) -> dict[str, float | None]:
    """Callers ring and nobody answers: by caller, how many seconds after the last tone he was moved."""
    due: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    number = first
    while loop.time() < end:
        channel, rang_at = _ring(link, number)
        due[channel] = rang_at + _RING_SECONDS
        number += 1
        await asyncio.sleep(1 / _CALLERS_PER_SECOND)
    await asyncio.sleep(3 * _RING_SECONDS)
    return {
        channel: link.moved[channel].timestamp() - at if channel in link.moved else None
        for channel, at in due.items()
    }


def _ring(link: FakeAmiLink, number: int) -> tuple[str, float]:
    """One caller comes in and a phone rings; his channel, and when it began to ring."""
    now = datetime.now(UTC).timestamp()
    caller, phone = _channel(f"ring-{number}", "PJSIP/carrier-r"), _channel(f"phone-{number}", "PJSIP/101-r")
    phone["Linkedid"] = caller["Uniqueid"]

    def tell(event: str, *parts: dict[str, str]) -> None:
        headers = {"Event": event, "Timestamp": f"{now:.6f}", "SystemName": NODE}
        for part in parts:
            headers |= part
        _emit(link, headers)

    tell("Newchannel", caller | {"Context": "from-carrier", "Exten": "74950000001"}, {"ChannelState": "4"})
    tell("Newchannel", phone, {"ChannelState": "0"})
    tell(
        "DialBegin",
        caller,
        {f"Dest{name}": value for name, value in phone.items()},
        {"DialString": "101"},
    )
    tell("Newstate", phone, {"ChannelState": "5"})
    return caller["Channel"], now


def _channel(uniqueid: str, name: str) -> dict[str, str]:
    return {
        "Channel": f"{name}{uniqueid}",
        "CallerIDNum": "79161234567",
        "CallerIDName": "<unknown>",
        "Context": "direct",
        "Exten": "sales",
        "Uniqueid": f"{NODE}-{uniqueid}",
        "Linkedid": f"{NODE}-{uniqueid}",
    }
