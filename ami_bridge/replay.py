"""Recorded events in, call records out: the same core that runs live, fed from a file.

Three kinds of file are understood: a JSON list of events (objects of AMI headers), JSON lines
(one such object a line, or this system's own journal), and raw AMI text as it came from the
socket (``Key: value`` lines, a blank line after each event).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded, Fact
from ami_bridge.core.records import CallRecord
from ami_bridge.core.ringing import RingRuleOf, no_ring_rule
from ami_bridge.core.tracker import CallTracker
from ami_bridge.errors import FourthRingError
from ami_bridge.retelling import Retelling, Told

Timed = tuple[Mapping[str, Any], datetime | None]
_LONGEST_JSON_LIST = 1 << 30


class ReplayError(FourthRingError):
    """The file holds no AMI events that can be replayed."""

    exit_code = 2


def replay_events(
    events: Iterable[Mapping[str, Any]], node: str = "", ring_rule_of: RingRuleOf = no_ring_rule
) -> Iterator[CallRecord]:
    """The record of each call in ``events`` (AMI headers by name), as they end; then those still open."""
    return _replay(((headers, None) for headers in events), node, ring_rule_of)


def replay_file(
    path: Path | str, node: str = "", ring_rule_of: RingRuleOf = no_ring_rule
) -> Iterator[CallRecord]:
    """The record of each call in the recording at ``path``.

    Raises:
        ReplayError: the file cannot be read or holds no events; at once, before the first record.
    """
    return _replay(_with_a_first_event(Path(path), _events_of(Path(path))), node, ring_rule_of)


def _replay(events: Iterable[Timed], node: str, ring_rule_of: RingRuleOf) -> Iterator[CallRecord]:
    tracker = CallTracker(node, ring_rule_of=ring_rule_of)
    for fact in _facts(tracker, events):
        if isinstance(fact, CallEnded):
            yield fact.record
    yield from tracker.calls()


class _Marker(dict[str, Any]):
    """In the place of headers: what the journal says of the link itself."""


def _facts(tracker: CallTracker, events: Iterable[Timed]) -> Iterator[Fact]:
    """The facts again. A journal tells of lost links too, and of the channels that were found after them."""
    return Retelling(tracker).tell_all(
        Told(received_at, marker=headers["name"])
        if isinstance(headers, _Marker)
        else Told(received_at, event=parse(headers, received_at))
        for headers, received_at in events
    )


def _with_a_first_event(path: Path, events: Iterator[Timed]) -> Iterator[Timed]:
    """Take the first event now, so that a bad file is told before anything is printed."""
    first = next(events, None)
    if first is None:
        raise ReplayError(
            f"{path} holds no AMI events; give a JSON list of events, JSON lines, or raw AMI text."
        )

    def all_events() -> Iterator[Timed]:
        yield first
        yield from events

    return all_events()


def _events_of(path: Path) -> Iterator[Timed]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline=None) as lines:
            opening = _first_character(lines)
            lines.seek(0)
            if opening == "[":
                yield from _json_list(path, lines.read(_LONGEST_JSON_LIST))
            elif opening == "{":
                yield from _json_lines(path, lines)
            else:
                yield from _raw_blocks(lines)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReplayError(f"Cannot read {path}: {reason}; give the path of a recording.") from None


def _first_character(lines: Iterable[str]) -> str:
    return next((stripped[0] for line in lines if (stripped := line.strip())), "")


def _json_list(path: Path, text: str) -> Iterator[Timed]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReplayError(
            f"{path} begins like a JSON list but is none: {error}; mend or cut the file."
        ) from None
    for position, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise ReplayError(
                f"{path}: entry {position} is no object of AMI headers; each event must be one."
            )
        yield _timed(entry)


def _json_lines(path: Path, lines: Iterable[str]) -> Iterator[Timed]:
    unreadable = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if unreadable is not None:
            # Only the last line may be torn: it was being written when the machine stopped.
            raise ReplayError(f"{path}: line {unreadable} is no JSON object; mend or remove that line.")
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            unreadable = number
            continue
        yield _timed(entry)
    if unreadable == 1:
        raise ReplayError(
            f"{path}: line 1 is no JSON object; give one event a line, or a JSON list of events."
        )


def _timed(entry: Mapping[str, Any]) -> Timed:
    """An object of headers, or a journal line that holds them with the time they were received."""
    headers = entry.get("headers")
    if "Event" in entry or headers is None:
        return entry, None
    if isinstance(headers, list):
        headers = _of_pairs(headers)
    at = _instant(entry.get("received_at", entry.get("at")))
    if entry.get("kind") == "marker":
        return _Marker(name=str(entry.get("name", ""))), at
    if not isinstance(headers, dict) or entry.get("kind", "event") != "event":
        return {}, None
    return headers, at


def _of_pairs(pairs: list[Any]) -> dict[str, Any]:
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
    }


def _instant(value: Any) -> datetime | None:
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return instant if instant.tzinfo is not None else None


def _raw_blocks(lines: Iterable[str]) -> Iterator[Timed]:
    headers: dict[str, Any] = {}
    for line in lines:
        name, colon, value = line.rstrip("\r\n").partition(":")
        if colon:
            _add(headers, name.strip(), value.removeprefix(" "))
        elif not line.strip():
            if "Event" in headers:
                yield headers, None
            headers = {}
    if "Event" in headers:
        yield headers, None


def _add(headers: dict[str, Any], name: str, value: str) -> None:
    former = headers.get(name)
    if former is None:
        headers[name] = value
    elif isinstance(former, list):
        former.append(value)
    else:
        headers[name] = [former, value]
