"""Our tracker beside cacofonisk's, which the user brings along: none of it is part of this package."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ami_bridge.bench.rounds import in_turns
from ami_bridge.bench.stream import NODE, ami_events
from ami_bridge.core.events import parse
from ami_bridge.core.tracker import CallTracker

Log = list[Mapping[str, Any]]


def measure_peer(peer: Path | None, logs: Path | None, rounds: int) -> dict[str, Any]:
    """``ratio_peer``: dicts of headers through both trackers, ours making typed events, facts and records of them.

    Without the peer the ratio is None and ``ratio_peer_reason`` says why. The events are those of ``logs``,
    else of the synthetic stream.
    """
    new_handler, reason = _handler_of(peer)
    if new_handler is None:
        return {"ratio_peer": None, "ratio_peer_reason": reason}
    recorded = _recorded(logs) if logs is not None else [_synthetic()]
    repeats = max(1, 20_000 // max(1, sum(map(len, recorded))))
    logging.disable(logging.WARNING)  # the peer tells of every channel that it does not know
    try:
        best = in_turns(
            {
                "ours": lambda: _ours(recorded, repeats),
                "peer": lambda: _theirs(new_handler, recorded, repeats),
            },
            rounds,
        )
    finally:
        logging.disable(logging.NOTSET)
    return {"ratio_peer": best["peer"] / best["ours"], "ratio_peer_reason": ""}


def _handler_of(peer: Path | None) -> tuple[Callable[[], Any] | None, str]:
    if peer is not None:
        sys.path.append(str(peer))
    try:
        handlers = importlib.import_module("cacofonisk.handlers")
        reporters = importlib.import_module("cacofonisk.reporters")
    except ImportError as error:
        where = f"in {peer}" if peer is not None else "here; give its folder with --peer"
        return None, f"cacofonisk cannot be imported {where} ({error})"
    finally:
        if peer is not None:
            sys.path.remove(str(peer))
    return lambda: handlers.EventHandler(reporter=reporters.BaseReporter()), ""


def _recorded(logs: Path) -> list[Log]:
    return [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(logs.rglob("*.json")) if _is_log(path)
    ]


def _is_log(path: Path) -> bool:
    return path.read_text(encoding="utf-8").lstrip().startswith("[")


def _synthetic() -> Log:
    blocks = ami_events(200, alive=20, detail="account")
    lines = (block.decode().rstrip("\r\n").split("\r\n") for block in blocks)
    return [dict(line.split(": ", 1) for line in block) for block in lines]


def _ours(logs: list[Log], repeats: int) -> None:
    for _ in range(repeats):
        for log in logs:
            tracker = CallTracker(NODE)
            for headers in log:
                event = parse(headers)
                if event is not None:
                    tracker.apply(event)


def _theirs(new_handler: Callable[[], Any], logs: list[Log], repeats: int) -> None:
    for _ in range(repeats):
        for log in logs:
            handler = new_handler()
            # As its own runner does: what it has no handler for is not handed to it.
            wanted = handler.event_handlers()
            for headers in log:
                if headers["Event"] in wanted:
                    handler.on_event(headers)
