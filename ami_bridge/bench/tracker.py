"""``fourthring bench tracker``: how fast bytes become facts, beside what others need for the same bytes.

Every ratio is of two CPU times taken in turns in one run, the best of several rounds of each; more than 1
means that we are faster. Nothing here says how fast this is in itself: that is the machine's business.

What is compared, on the same reads of 16 KB of the same synthetic stream (:mod:`.stream`), 20 calls at once:

* *ours*: :class:`AmiReader` with all its guards, :func:`parse`, :class:`CallTracker`, every fact taken. That
  is the bridge's own path without its journal, store and event loop.
* *panoramisk*: its ``AMIProtocol`` and ``Manager`` with seven registered patterns, whose plain callback keeps
  what a simple tracker would: channels with name, state and number by uniqueid, calls by linkedid, instants of
  start, answer and end. It checks nothing, and makes no records. Neither side has a socket or waits for one.
* *plain dicts*: the reads split at blank lines, each event decoded and split into a dict. Nobody looks at it.

Three mixes of events: ``account``, what Asterisk sends to our account with its ``eventfilter`` (this is what
``ratio_panoramisk`` and ``ratio_plain_dicts`` mean); ``everything``, an account without a filter; and ``read``,
only what the tracker reads, where nothing can be skipped: the hardest for us.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from ami_bridge.adapters.ami import AmiReader, RawEvent
from ami_bridge.bench.peer import measure_peer
from ami_bridge.bench.rounds import in_turns
from ami_bridge.bench.stream import NODE, Detail, ami_events, in_chunks
from ami_bridge.core.event_types import Event, HangupRequested
from ami_bridge.core.events import READ_EVENTS, parse
from ami_bridge.core.tracker import CallTracker

_AT = datetime(2026, 11, 23, tzinfo=UTC)
_PATTERNS = ("Newchannel", "Newstate", "Dial*", "Bridge*", "Hangup*", "Queue*", "UserEvent")
_DETAILS: tuple[Detail, ...] = ("account", "everything", "read")
_ALIVE = 20
_FEW, _MANY = 10, 10_000
_WARM_UP = 4_000


def measure(
    *, finished_calls: int = 5_000, peer: Path | None = None, logs: Path | None = None, rounds: int = 5
) -> dict[str, Any]:
    """All figures and ratios of one run.

    Args:
        finished_calls: how many calls pass through before growth is looked at (1,000,000 takes some minutes).
        peer: a checkout of cacofonisk, or a folder that holds the installed package.
        logs: a folder of recorded JSON lists of events for the comparison with it.
        rounds: how often each contender runs.
    """
    figures: dict[str, Any] = {}
    for detail in _DETAILS:
        suffix = "" if detail == "account" else f"_{detail}"
        for name, value in _streams(detail, rounds).items():
            figures[f"{name}{suffix}"] = value
    figures |= measure_peer(peer, logs, rounds)
    figures |= _alive(rounds)
    figures |= _growth(finished_calls)
    return figures


# Bytes ------------------------------------------------------------------------------------


def _streams(detail: Detail, rounds: int) -> dict[str, float]:
    events = list(ami_events(500, alive=_ALIVE, detail=detail))
    reads = in_chunks(b"".join(events))
    best = in_turns(
        {
            "ours": lambda: bytes_to_facts(reads),
            "panoramisk": lambda: through_panoramisk(reads),
            "plain_dicts": lambda: plain_dicts(reads),
        },
        rounds,
    )
    return {
        "ratio_panoramisk": best["panoramisk"] / best["ours"],
        "ratio_plain_dicts": best["plain_dicts"] / best["ours"],
        **{f"events_per_second_{name}": len(events) / seconds for name, seconds in best.items()},
    }


def bytes_to_facts(reads: Sequence[bytes]) -> int:
    """Reads of a socket become facts; how many."""
    reader, tracker = AmiReader(NODE, wanted=READ_EVENTS), CallTracker(NODE)
    count = 0
    for chunk in reads:
        for item in reader.feed(chunk, _AT):
            if isinstance(item, RawEvent):
                event = parse(item.headers, item.received_at, NODE)
                if event is not None:
                    for _fact in tracker.apply(event):
                        count += 1
    return count


def plain_dicts(reads: Sequence[bytes]) -> int:
    """Reads of a socket become dicts, with nothing checked; how many."""
    rest, count = b"", 0
    for chunk in reads:
        *blocks, rest = (rest + chunk).split(b"\r\n\r\n")
        for block in blocks:
            dict([line.split(": ", 1) for line in block.decode("utf-8", "replace").split("\r\n")])
            count += 1
    return count


class _Nowhere:
    """A transport that goes nowhere."""

    def write(self, _text: bytes) -> None: ...

    def close(self) -> None: ...


class _SimpleTracker:
    """What a callback of panoramisk's user would keep at the least."""

    def __init__(self) -> None:
        self.channels: dict[str, tuple[str, str, str]] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.finished: list[dict[str, Any]] = []

    def on_event(self, _manager: Any, event: Any) -> None:
        uniqueid, linkedid = event.uniqueid, event.linkedid
        if not uniqueid:
            return
        at = float(event.timestamp)
        call = self.calls.get(linkedid)
        if call is None:
            call = self.calls[linkedid] = {"started": at, "live": set(), "number": event.calleridnum}
        kind = event.event
        if kind == "Hangup":
            self._hung_up(call, linkedid, uniqueid, at)
            return
        call["live"].add(uniqueid)
        self.channels[uniqueid] = (event.channel, event.channelstate, linkedid)
        if kind == "BridgeEnter":
            call.setdefault("answered", at)

    def _hung_up(self, call: dict[str, Any], linkedid: str, uniqueid: str, at: float) -> None:
        self.channels.pop(uniqueid, None)
        call["live"].discard(uniqueid)
        if not call["live"]:
            self.calls.pop(linkedid, None)
            self.finished.append({**call, "ended": at})


def through_panoramisk(reads: Sequence[bytes]) -> int:
    """Reads of a socket go through panoramisk to a plain callback; how many calls it has seen to their end."""
    loop = asyncio.new_event_loop()
    try:
        manager = Manager(loop=loop, encoding="utf8")  # type: ignore[no-untyped-call]
        protocol: Any = AMIProtocol()
        protocol.connection_made(_Nowhere())
        protocol.factory, protocol.encoding = manager, "utf8"
        simple = _SimpleTracker()
        for pattern in _PATTERNS:
            manager.register_event(pattern, simple.on_event)  # type: ignore[no-untyped-call]
        for chunk in reads:
            protocol.data_received(chunk)
        return len(simple.finished)
    finally:
        loop.close()


# Calls alive, calls gone --------------------------------------------------------------------


def headers_of(block: bytes) -> dict[str, str]:
    """The headers of one event of our own stream, which holds nothing hostile."""
    return dict([line.split(": ", 1) for line in block.decode().rstrip("\r\n").split("\r\n")])


def _typed(blocks: Iterable[bytes]) -> Iterator[Event]:
    for block in blocks:
        event = parse(headers_of(block), _AT, NODE)
        if event is not None:
            yield event


def _begin_calls(tracker: CallTracker, count: int) -> None:
    """``count`` calls in which caller and agent talk, and go on talking."""
    for number in range(count):
        # Every fifth story is one that is answered; the numbers are far from those of other calls.
        for event in _typed(ami_events(1, alive=1, detail="read", first=(1_000_000 + number) * 5)):
            if isinstance(event, HangupRequested):
                break
            tracker.apply(event)


def _alive(rounds: int) -> dict[str, float]:
    """Memory of a live call with 10,000 alive, and what an event costs then against 10 alive."""
    few, many = CallTracker(NODE), CallTracker(NODE)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _begin_calls(many, _MANY)
    gc.collect()
    memory = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # The same ten calls at once pass through both, new ones in each round.
    batches = iter(
        [
            list(_typed(ami_events(200, alive=_FEW, detail="read", first=200 * place)))
            for place in range(rounds)
        ]
    )
    batch: list[Event] = []
    best = in_turns(
        {
            "": lambda: batch.__setitem__(slice(None), next(batches)),
            "few": lambda: _apply_all(few, batch),
            "many": lambda: _apply_all(many, batch),
        },
        rounds,
    )
    return {"bytes_per_live_call": memory / _MANY, "flatness_10_to_10000": best["many"] / best["few"]}


def _apply_all(tracker: CallTracker, events: Iterable[Event]) -> None:
    for event in events:
        tracker.apply(event)


def _growth(calls: int) -> dict[str, float]:
    """Objects that stay for each finished call, once the memory of late events is full (8192 channels)."""
    tracker = CallTracker(NODE)
    _apply_all(tracker, _typed(ami_events(_WARM_UP, alive=_ALIVE, detail="read")))
    gc.collect()
    before = sys.getallocatedblocks()
    _apply_all(tracker, _typed(ami_events(calls, alive=_ALIVE, detail="read", first=_WARM_UP)))
    gc.collect()
    kept = sys.getallocatedblocks() - before
    return {"finished_calls": calls, "objects_kept_per_finished_call": kept / calls}
