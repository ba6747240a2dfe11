"""Calls alive and calls gone: what one costs in memory, and whether anything of it stays."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ami_bridge.bench.rounds import in_turns
from ami_bridge.bench.stream import NODE, ami_events
from ami_bridge.core.event_types import Event, HangupRequested
from ami_bridge.core.events import parse
from ami_bridge.core.tracker import CallTracker

_AT = datetime(2026, 11, 23, tzinfo=UTC)
_FEW, _MANY = 10, 10_000
_BATCH = 500  # calls; 1,300 channels
_WARM_UP = 20  # batches: the memory of late events (8192 channels) is full after seven of them


def headers_of(block: bytes) -> dict[str, str]:
    """The headers of one event of our own stream, which holds nothing hostile."""
    return dict([line.split(": ", 1) for line in block.decode().rstrip("\r\n").split("\r\n")])


def typed(blocks: Iterable[bytes]) -> Iterator[Event]:
    """What the core would hear of ``blocks``."""
    for block in blocks:
        event = parse(headers_of(block), _AT, NODE)
        if event is not None:
            yield event


def begin_calls(tracker: CallTracker, count: int) -> None:
    """``count`` calls in which caller and agent talk, and go on talking."""
    for number in range(count):
        # Every fifth story is one that is answered; the numbers are far from those of other calls.
        for event in typed(ami_events(1, alive=1, detail="read", first=(1_000_000 + number) * 5)):
            if isinstance(event, HangupRequested):
                break
            tracker.apply(event)


def measure_alive(rounds: int) -> dict[str, float]:
    """Memory of a live call with 10,000 alive, and what an event costs then against 10 alive."""
    few, many = CallTracker(NODE), CallTracker(NODE)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    begin_calls(many, _MANY)
    gc.collect()
    memory = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # The same ten calls at once pass through both, new ones in each round.
    batches = iter(
        [
            list(typed(ami_events(200, alive=_FEW, detail="read", first=200 * place)))
            for place in range(rounds)
        ]
    )
    batch: list[Event] = []
    best = in_turns(
        {
            "": lambda: batch.__setitem__(slice(None), next(batches)),
            "few": lambda: apply_all(few, batch),
            "many": lambda: apply_all(many, batch),
        },
        rounds,
    )
    return {"bytes_per_live_call": memory / _MANY, "flatness_10_to_10000": best["many"] / best["few"]}


def apply_all(tracker: CallTracker, events: Iterable[Event]) -> None:
    """All of them, their facts thrown away."""
    for event in events:
        tracker.apply(event)


def measure_growth(calls: int) -> dict[str, Any]:
    """What stays of finished calls: objects for each, and the process's memory at the end over that at a tenth.

    The calls are those of the synthetic stream, 500 at a time with new identifiers each time: to think up each
    of a million anew would cost more than the tracker takes for it.
    """
    tracker = CallTracker(NODE)
    story = list(typed(ami_events(_BATCH, alive=20, detail="read")))
    ids = [[place for place, value in enumerate(event) if _is_identifier(value)] for event in story]
    batches = max(10, round(calls / _BATCH))
    marks: dict[int, tuple[int, int]] = {}
    for batch in range(-_WARM_UP, batches):
        if batch in (0, batches // 10):
            marks[batch] = _in_use()
        for event, places in zip(story, ids, strict=True):
            tracker.apply(_renumbered(event, places, f"n{batch + _WARM_UP}-"))
    blocks, resident = _in_use()
    finished = batches * _BATCH
    return {
        "finished_calls": finished,
        "objects_kept_per_finished_call": (blocks - marks[0][0]) / finished,
        "memory_at_end_over_a_tenth": resident / marks[batches // 10][1] if resident else None,
        "calls_left_open": len(tracker.calls()),
    }


def _is_identifier(value: object) -> bool:
    return isinstance(value, str) and value.startswith(f"{NODE}-")


def _renumbered(event: Event, places: list[int], prefix: str) -> Event:
    values: list[Any] = list(event)
    for place in places:
        values[place] = prefix + values[place]
    renumbered: Event = type(event)._make(values)
    return renumbered


def _in_use() -> tuple[int, int]:
    """Memory blocks of Python's own, and the process's resident pages (0 where the system does not tell)."""
    gc.collect()
    try:
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        resident = 0
    return sys.getallocatedblocks(), resident
