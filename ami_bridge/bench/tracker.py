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
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from ami_bridge.adapters.ami import AmiReader, RawEvent
from ami_bridge.bench.alive import measure_alive, measure_growth
from ami_bridge.bench.machine import machine
from ami_bridge.bench.peer import measure_peer
from ami_bridge.bench.rounds import in_turns
from ami_bridge.bench.stream import NODE, Detail, ami_events, in_chunks
from ami_bridge.core.events import READ_EVENTS, parse
from ami_bridge.core.tracker import CallTracker

_AT = datetime(2026, 11, 23, tzinfo=UTC)
_PATTERNS = ("Newchannel", "Newstate", "Dial*", "Bridge*", "Hangup*", "Queue*", "UserEvent")
_DETAILS: tuple[Detail, ...] = ("account", "everything", "read")
_ALIVE = 20
WANTED = {
    "ratio_panoramisk": ">= 3",
    "ratio_plain_dicts": ">= 0.5",
    "ratio_panoramisk_everything": ">= 3",
    "ratio_plain_dicts_everything": ">= 0.5",
    "ratio_peer": ">= 1",
    "bytes_per_live_call": "<= 4096",
    "flatness_10_to_10000": "<= 1.3",
    "objects_kept_per_finished_call": "about 0",
    "memory_at_end_over_a_tenth": "about 1",
    "calls_left_open": "0",
}
"""What is to be reached, in words, by the name of the figure."""


def measure(
    *, finished_calls: int = 5_000, peer: Path | None = None, logs: Path | None = None, rounds: int = 15
) -> dict[str, Any]:
    """All figures and ratios of one run.

    Args:
        finished_calls: how many calls pass through before growth is looked at (1,000,000 takes some minutes).
        peer: a checkout of cacofonisk, or a folder that holds the installed package.
        logs: a folder of recorded JSON lists of events for the comparison with it.
        rounds: how often each contender runs; after five the best still differs by a fifth from run to run.
    """
    figures: dict[str, Any] = {"machine": machine()}
    for detail in _DETAILS:
        suffix = "" if detail == "account" else f"_{detail}"
        for name, value in _streams(detail, rounds).items():
            figures[f"{name}{suffix}"] = value
    figures |= measure_peer(peer, logs, rounds)
    figures |= measure_alive(min(rounds, 5))
    figures |= measure_growth(finished_calls)
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
