"""The clock port: what time it is, and waking up later. The core never asks; adapters and services do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Timer(Protocol):
    """A wake-up call that can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Wall-clock time with a zone, and wake-up calls at such a time."""

    def now(self) -> datetime: ...

    def call_at(self, when: datetime, wake: Callable[[], None]) -> Timer: ...


class SystemClock:
    """The machine's clock; wake-up calls come from the running asyncio loop."""

    def now(self) -> datetime:
        """The current instant, in UTC."""
        return datetime.now(UTC)

    def call_at(self, when: datetime, wake: Callable[[], None]) -> Timer:
        """Call ``wake`` at ``when``, or at once when that has passed.

        The delay is measured once on the wall clock and then kept on the monotonic one, so a jump
        of the wall clock during a ring does not stretch the ring.
        """
        delay = max(0.0, (when - self.now()).total_seconds())
        return asyncio.get_running_loop().call_later(delay, wake)


class _FakeTimer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """A clock that stands still until :meth:`advance`; ships for tests and rehearsals."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._due: list[tuple[datetime, int, _FakeTimer, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """The instant at which the clock stands."""
        return self._now

    def call_at(self, when: datetime, wake: Callable[[], None]) -> Timer:
        """Call ``wake`` once :meth:`advance` reaches ``when``."""
        timer = _FakeTimer()
        heapq.heappush(self._due, (when, next(self._order), timer, wake))
        return timer

    def advance(self, span: timedelta) -> None:
        """Move time on by ``span`` and make every wake-up call that falls due, in order."""
        end = self._now + span
        while self._due and self._due[0][0] <= end:
            when, _, timer, wake = heapq.heappop(self._due)
            self._now = max(self._now, when)
            if not timer.cancelled:
                wake()
        self._now = end
