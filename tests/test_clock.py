"""The clock port: the machine's clock and the fake keep the same contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.adapters.clock import Clock, FakeClock, SystemClock

Pass = Callable[[float], Awaitable[None]]


@pytest.fixture(params=["system", "fake"])
async def clock(request: pytest.FixtureRequest) -> tuple[Clock, Pass]:
    """A clock and how to let seconds pass on it."""
    if request.param == "system":
        return SystemClock(), asyncio.sleep

    fake = FakeClock(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))

    async def advance(seconds: float) -> None:
        fake.advance(timedelta(seconds=seconds))

    return fake, advance


def after(clock: Clock, seconds: float) -> datetime:
    return clock.now() + timedelta(seconds=seconds)


async def test_it_knows_its_zone_and_goes_forward(clock: Any) -> None:
    time, let_pass = clock
    before = time.now()
    assert before.utcoffset() == timedelta(0)
    await let_pass(0.02)
    assert time.now() > before


async def test_it_wakes_at_the_time_and_not_before(clock: Any) -> None:
    time, let_pass = clock
    woken: list[datetime] = []
    due = after(time, 0.1)
    time.call_at(due, lambda: woken.append(time.now()))
    await let_pass(0.02)
    assert woken == []
    await let_pass(0.2)
    assert len(woken) == 1
    assert woken[0] >= due - timedelta(milliseconds=5)


async def test_wake_up_calls_come_in_order(clock: Any) -> None:
    time, let_pass = clock
    woken: list[str] = []
    time.call_at(after(time, 0.06), lambda: woken.append("late"))
    time.call_at(after(time, 0.02), lambda: woken.append("early"))
    await let_pass(0.15)
    assert woken == ["early", "late"]


async def test_what_was_called_off_does_not_wake(clock: Any) -> None:
    time, let_pass = clock
    woken: list[str] = []
    timer = time.call_at(after(time, 0.02), lambda: woken.append("off"))
    time.call_at(after(time, 0.02), lambda: woken.append("on"))
    timer.cancel()
    timer.cancel()
    await let_pass(0.1)
    assert woken == ["on"]
    timer.cancel()


async def test_a_time_that_has_passed_wakes_at_once(clock: Any) -> None:
    time, let_pass = clock
    woken: list[str] = []
    time.call_at(after(time, -60), lambda: woken.append("past"))
    assert woken == [], "not before the caller of call_at has gone on"
    await let_pass(0.02)
    assert woken == ["past"]


async def test_a_wake_up_call_may_set_another(clock: Any) -> None:
    time, let_pass = clock
    woken: list[str] = []

    def first() -> None:
        woken.append("first")
        time.call_at(after(time, 0.02), lambda: woken.append("second"))

    time.call_at(after(time, 0.02), first)
    await let_pass(0.02)
    await let_pass(0.1)
    assert woken == ["first", "second"]


def test_the_fake_stands_still_and_tells_each_wake_up_its_own_time() -> None:
    fake = FakeClock(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    start, seen = fake.now(), []
    for seconds in (3, 1, 2):
        fake.call_at(start + timedelta(seconds=seconds), lambda: seen.append(fake.now() - start))
    assert fake.now() == start
    fake.advance(timedelta(seconds=5))
    assert seen == [timedelta(seconds=seconds) for seconds in (1, 2, 3)]
    assert fake.now() == start + timedelta(seconds=5)
