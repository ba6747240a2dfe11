"""Full runs of Python's cycle collector: when nobody's ring is counted, not when the collector likes.

With 10,000 calls alive a full run looks at half a million objects and stops everything for 0.2 to 1.3 s (measured):
somebody's fourth ring would end that much late. Hardly anything waits for it, because the tracker takes the circles
of a finished call apart itself, and young rubbish is still collected as ever.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

EVERY_SECONDS = 60.0
AT_MOST_SECONDS = 900.0
_NEVER = 1_000_000_000


async def collect_when_quiet(
    busy: Callable[[], bool],
    *,
    every_seconds: float = EVERY_SECONDS,
    at_most_seconds: float = AT_MOST_SECONDS,
) -> None:
    """Until cancelled: a full run every minute in which nobody is ``busy``, and after a quarter of an hour anyway."""
    young, middle, old = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what a service has loaded at its start stays until its end
    gc.set_threshold(young, middle, _NEVER)
    waited = 0.0
    try:
        while True:
            await asyncio.sleep(every_seconds)
            waited += every_seconds
            if waited >= at_most_seconds or not busy():
                gc.collect()
                waited = 0.0
    finally:
        gc.set_threshold(young, middle, old)
        gc.unfreeze()
