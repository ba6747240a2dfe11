"""Mixed calls as real as SIPp makes them: the records and the PBX's own log tell the same.

With ``FOURTHRING_LOAD=1`` sixty of them; ``FOURTHRING_AUDITED_CALLS=1000`` makes it a thousand (some minutes).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from ami_bridge.cel_keeper import CelKeeper
from ami_bridge.settings import ChannelEventSettings
from tests.load.conftest import Exchange
from tests.load.crowd import Kind, kinds

CALLS = int(os.environ.get("FOURTHRING_AUDITED_CALLS", "60"))
PER_SECOND = 6.0 if CALLS > 60 else 4.0

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120 + CALLS)]


@asynccontextmanager
async def rotating(exchange: Exchange) -> AsyncIterator[None]:
    """The log is moved aside every second, and Asterisk is told to rotate and to read its files again."""

    async def rotate() -> None:
        keeper = CelKeeper(exchange.log, ChannelEventSettings())
        while True:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(keeper.rotate)
            if len(exchange.log.segments()) % 5 == 0:
                for command in ("logger rotate", "module reload cel_custom.so", "module reload cel"):
                    await asyncio.to_thread(exchange.pbx.cli, command)

    task = asyncio.create_task(rotate())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def records_since(exchange: Exchange, since: datetime) -> list[dict[str, Any]]:
    """Every record of a call that began since then."""
    return [dict(call.record) for call in await exchange.store.calls(since=since, limit=100_000)]


async def test_records_and_log_tell_the_same(exchange: Exchange) -> None:
    """Answered, hung up by either side, given up, abandoned, queued, transferred, busy, refused, internal."""
    since = datetime.now(UTC)

    async def make(number: int, kind: Kind) -> None:
        share = kind.share / 100
        await exchange.crowd.call(kind, max(1, round(CALLS * share)), PER_SECOND * share, number)

    async with rotating(exchange):
        await asyncio.gather(*(make(number, kind) for number, kind in enumerate(kinds())))
        await exchange.calls_end()
    report = await exchange.audited(since)
    records = await records_since(exchange, since)
    told = Counter(record["disposition"] for record in records)
    assert report.unexplained == ()
    assert report.differences == (), "nobody was deaf, nothing goes on"
    assert report.unreadable == 0
    assert report.calls == len(records)
    assert report.calls >= CALLS * 0.95
    assert len(exchange.log.segments()) > 5
    assert {"ANSWERED", "BUSY", "CANCELLED", "NO_ANSWER"} <= told.keys(), told
    assert any(record["transfers"] for record in records)
    assert any(record["queue"] for record in records)
    assert {"caller", "agent", "system"} <= {record["hung_up_by"] for record in records}
