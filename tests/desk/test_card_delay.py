"""From the AMI event of a ringing phone to the frame that opens the card: all of it real but the PBX and the browser.

The browser comes with tests/pbx/test_card_on_screen.py, by hand. What else runs on the machine
only adds, so the best of a few rounds counts.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from ami_bridge.adapters.ami import FakeAmiLink
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.memory_journal import MemoryJournal
from ami_bridge.adapters.store import Store
from ami_bridge.bridge import Bridge
from ami_bridge.desk.live import FEED
from ami_bridge.settings import Settings

from .conftest import add_user, browser_at, token_of

P95_SECONDS = 0.25
CALLS, ROUNDS = 20, 4


@pytest.fixture
async def link(settings: Settings, store: Store) -> AsyncIterator[FakeAmiLink]:
    """A bridge at work on a scripted PBX; its live wire is a socket in the state folder, as in life."""
    made = FakeAmiLink()
    bridge = Bridge(settings, made, MemoryJournal(), store, SystemClock())
    made.restore()
    tasks = [asyncio.create_task(bridge.run()), asyncio.create_task(bridge.wire.run())]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def ring(link: FakeAmiLink, number: int) -> str:
    """A call comes in and the phone 101 rings; returns the caller's number."""
    at, call = f"{time.time():.6f}", f"c{number}"
    caller = {"Channel": f"PJSIP/carrier-{number:08x}", "Uniqueid": call, "Linkedid": call}
    caller |= {"CallerIDNum": f"7916{number:07}", "Context": "direct", "Exten": "sales"}
    phone = {
        "Channel": f"PJSIP/101-{number:08x}",
        "Uniqueid": f"p{call}",
        "Linkedid": call,
        "Context": "from-agents",
    }
    dest = {f"Dest{name}": value for name, value in phone.items()}
    came = {**caller, "Context": "from-carrier", "Exten": "74950000001"}
    link.emit("Newchannel", **came, ChannelState="4", Timestamp=at)
    link.emit("Newchannel", **phone, ChannelState="0", Timestamp=at)
    link.emit("DialBegin", **caller, **dest, DialString="101", Timestamp=at)
    link.emit("Newstate", **phone, ChannelState="5", ChannelStateDesc="Ringing", Timestamp=at)
    return caller["CallerIDNum"]


async def told(feed: ClientResponse, number: str) -> None:
    """Until the feed says that ``number`` rings at 101."""
    while True:
        line = await feed.content.readline()
        assert line, "the feed ended"
        if line.startswith(b"data: "):
            call = json.loads(line[6:])
            if call.get("number") == number and "101" in call.get("ringing", ()):
                return


async def one_round(link: FakeAmiLink, feed: ClientResponse, first: int) -> float:
    delays = []
    for number in range(first, first + CALLS):
        began = time.monotonic()
        async with asyncio.timeout(10):
            await told(feed, ring(link, number))
        delays.append(time.monotonic() - began)
        await asyncio.sleep(0.02)
    return sorted(delays)[int(0.95 * CALLS) - 1]


async def until_linked(client: TestClient) -> None:
    board = client.app[FEED].board  # type: ignore[index]
    async with asyncio.timeout(20):
        while not board.linked:  # noqa: ASYNC110 - the board has no event
            await asyncio.sleep(0.02)


async def test_the_card_is_there_within_a_quarter_of_a_second(
    link: FakeAmiLink, store: Store, settings: Settings
) -> None:
    await add_user(store, "anna", "agent", "101")
    async with browser_at(store, settings) as client:
        await until_linked(client)
        async with client.get("/api/v1/live", headers=await token_of(store, "anna")) as feed:
            best = 10.0
            for each in range(ROUNDS):
                best = min(best, await one_round(link, feed, 1 + each * CALLS))
                if best < P95_SECONDS:
                    break
    assert best < P95_SECONDS, f"95 of 100 cards within {best:.3f} s"
