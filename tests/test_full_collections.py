"""The cycle collector's full runs wait until nobody's ring is counted, but not for ever."""

from __future__ import annotations

import asyncio
import gc
import weakref

from ami_bridge.full_collections import collect_when_quiet


class Ring:
    """Something that points at itself, so that only the collector can take it away."""

    def __init__(self) -> None:
        self.itself = self


def _old_rubbish() -> weakref.ref[Ring]:
    """Unreachable, and so old that only a full run looks at it."""
    ring = Ring()
    found = weakref.ref(ring)
    gc.collect(1)
    gc.collect(1)
    del ring
    return found


async def _gone_within(found: weakref.ref[Ring], seconds: float) -> bool:
    async with asyncio.timeout(30):
        for _ in range(max(1, int(seconds / 0.01))):
            await asyncio.sleep(0.01)
            if found() is None:
                return True
    return False


async def test_rubbish_waits_while_it_rings_and_goes_when_it_is_quiet() -> None:
    before, busy = gc.get_threshold(), True
    running = asyncio.create_task(collect_when_quiet(lambda: busy, every_seconds=0.02, at_most_seconds=3600))
    await asyncio.sleep(0.05)
    found = _old_rubbish()
    assert not await _gone_within(found, 0.3)
    busy = False
    assert await _gone_within(found, 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gc.get_threshold() == before


async def test_where_it_always_rings_there_is_an_end_to_waiting() -> None:
    running = asyncio.create_task(collect_when_quiet(lambda: True, every_seconds=0.02, at_most_seconds=0.1))
    await asyncio.sleep(0.01)
    assert await _gone_within(_old_rubbish(), 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
