"""The wait that is told to callers: honest against a simulated queue, or not told at all."""

from __future__ import annotations

import heapq
import random
from datetime import UTC, datetime, timedelta
from statistics import fmean

import pytest

from ami_bridge.core.callbacks import Callback, CallbackState
from ami_bridge.core.waiting import FEWEST_TALKS, PLACE_KEPT, estimate_seconds, old_place, spoken_minutes

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("agents", "ahead"), [(1, 0), (2, 3), (5, 1), (8, 20)])
def test_the_estimate_is_what_callers_wait_on_average(agents: int, ahead: int) -> None:
    """Everybody talks, ``ahead`` people wait: play it on until the newcomer is served, a thousand times."""
    chance = random.Random(agents * 100 + ahead)
    talks = [chance.expovariate(1 / 180) for _ in range(200)]
    waits = []
    for _ in range(1000):
        free_at = [chance.expovariate(1 / 180) for _ in range(agents)]
        heapq.heapify(free_at)
        for _ in range(ahead):
            heapq.heappush(free_at, heapq.heappop(free_at) + chance.choice(talks))
        waits.append(heapq.heappop(free_at))
    told = estimate_seconds(ahead, agents, talks)
    assert told is not None
    assert fmean(waits) == pytest.approx(told, rel=0.2)


def test_thin_data_and_an_empty_desk_tell_nothing() -> None:
    assert estimate_seconds(0, 2, [60.0] * (FEWEST_TALKS - 1)) is None
    assert estimate_seconds(0, 0, [60.0] * 100) is None


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(1, 1), (60, 1), (61, 2), (200, 5), (301, 10), (3600, 60), (3601, None)]
)
def test_minutes_are_rounded_up_as_people_say_them(seconds: float, minutes: int | None) -> None:
    assert spoken_minutes(seconds) == minutes


def callback(state: CallbackState, ago: timedelta, department: str = "sales") -> Callback:
    return Callback("a", "a", department, state, NOW, NOW, place_at=NOW - ago)


def test_who_rings_again_gets_the_earliest_open_place() -> None:
    hour = timedelta(hours=1)
    known = [
        callback(CallbackState.PARTIAL, hour),
        callback(CallbackState.QUEUED, 2 * hour),
        callback(CallbackState.DONE, 3 * hour),
        callback(CallbackState.QUEUED, 4 * hour, "support"),
        callback(CallbackState.QUEUED, PLACE_KEPT + hour),
    ]
    assert old_place(known, "sales", NOW) == NOW - 2 * hour
    assert old_place(known[2:3], "sales", NOW) is None
