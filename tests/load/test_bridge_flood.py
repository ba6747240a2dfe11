"""The ring clock in a flood of events. Only that everybody is moved is asserted: how late is the machine's business."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ami_bridge.adapters.ami import FakeAmiLink
from ami_bridge.bench import bridge as bench


def test_every_caller_is_moved_while_calls_live_and_events_flood() -> None:
    figures = bench.measure(alive=60, events_per_second=500, seconds=1.5)
    assert figures["faults"] == 0
    for suffix in ("", "_quiet"):
        assert figures[f"callers{suffix}"] > 0
        assert figures[f"moved{suffix}"] == figures[f"callers{suffix}"]
        assert figures[f"late_ms_median{suffix}"] >= 0  # never before the tone has ended


def test_the_loop_gives_clocks_a_turn_though_its_inbox_is_full(tmp_path: Path) -> None:
    """As many events at once as take the loop half a second or more: a timer fires long before they are through."""

    async def flooded() -> tuple[int, int]:
        async with bench._running(bench._settings(tmp_path)) as (bridge, link):
            assert isinstance(link, FakeAmiLink)
            await asyncio.sleep(0.3)
            for number in range(4_000):
                bench._ring(link, number)
            left = -1

            def look() -> None:
                nonlocal left
                left = bridge._inbox.qsize()

            bench.SystemClock().call_at(datetime.now(UTC) + timedelta(milliseconds=50), look)
            while bridge._inbox.qsize() or not bridge.tracker.calls():  # noqa: ASYNC110 - it has no event for this
                await asyncio.sleep(0)
            return left, 4_000

    left, calls = asyncio.run(flooded())
    assert 0 < left <= calls * 4
