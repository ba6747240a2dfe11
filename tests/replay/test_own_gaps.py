"""The link is cut anywhere in a recorded call and comes back anywhere later: nothing is lost, nothing is doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from ami_bridge.core.event_types import ChannelShown
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import CallRecord
from ami_bridge.core.tracker import CallTracker
from tests.replay.test_own_recordings import EXPECTED, events_of

Events = list[dict[str, Any]]
LENGTHS = (1, 3, 7, 15, 40, 1000)


def instant_of(headers: dict[str, Any]) -> Any:
    event = parse(headers)
    assert event is not None
    return event.at


class Pbx:
    """What lives after some events, as ``CoreShowChannels`` would tell it."""

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self.live: dict[str, dict[str, Any]] = {}
        self.bridge_of: dict[str, str] = {}
        self.began: set[str] = set()
        for headers in events:
            self._take(headers, headers["Event"])

    def _take(self, headers: dict[str, Any], kind: str) -> None:
        uniqueid = headers.get("Uniqueid", "")
        if kind == "Newchannel":
            self.live[uniqueid] = dict(headers)
            self.began.add(uniqueid)
        elif kind == "Hangup":
            self.live.pop(uniqueid, None)
        elif uniqueid in self.live:
            if kind == "Rename":
                self.live[uniqueid]["Channel"] = headers["Newname"]
            self.live[uniqueid] |= {
                name: headers[name] for name in ("ChannelState", "Linkedid") if name in headers
            }
            if kind == "BridgeEnter":
                self.bridge_of[uniqueid] = headers["BridgeUniqueid"]
            elif kind == "BridgeLeave":
                self.bridge_of.pop(uniqueid, None)

    def shown(self, at: Any) -> list[ChannelShown]:
        return [
            ChannelShown(
                at,
                uniqueid,
                headers["Channel"],
                headers["Linkedid"],
                int(headers["ChannelState"]),
                headers["CallerIDNum"],
                headers["Context"],
                headers["Exten"],
                self.bridge_of.get(uniqueid, ""),
            )
            for uniqueid, headers in self.live.items()
        ]


def cut(events: Events, start: int, end: int) -> tuple[list[CallRecord], CallTracker]:
    """Everything but ``events[start:end]``, with a snapshot in their place."""
    tracker = CallTracker("fr1")
    facts = []

    def take(part: Events) -> None:
        for headers in part:
            event = parse(headers)
            facts.extend(tracker.apply(event) if event is not None else ())

    take(events[:start])
    tracker.link_lost(instant_of(events[start]))
    at = instant_of(events[end - 1])
    facts.extend(tracker.snapshot(Pbx(events[:end]).shown(at), at))
    take(events[end:])
    return [fact.record for fact in facts if isinstance(fact, CallEnded)], tracker


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_gap_anywhere_loses_and_doubles_nothing(name: str) -> None:
    events = events_of(name)
    for length in LENGTHS:
        for start in range(1, len(events)):
            check_cut(events, start, min(start + length, len(events)))


def check_cut(events: Events, start: int, end: int) -> None:
    where = f"events {start} to {end} of {len(events)}"
    records, tracker = cut(events, start, end)
    assert "fault" not in tracker.counters, where
    assert tracker.calls() == [], where
    assert max(Counter(record.call_id for record in records).values(), default=0) <= 1, where
    owners = Counter(uniqueid for record in records for uniqueid in record.uniqueids)
    before, after = Pbx(events[:start]), Pbx(events[:end])
    heard = before.began | after.live.keys() | Pbx(events[end:]).began
    assert owners == dict.fromkeys(heard, 1), where
    for record in records:
        touched = any(uniqueid in before.live or uniqueid in after.live for uniqueid in record.uniqueids)
        assert len(record.gaps) == touched, where
        alive = [uniqueid for uniqueid in record.uniqueids if uniqueid in before.live]
        if alive and not after.live.keys() & set(record.uniqueids):
            later = set(record.uniqueids) & Pbx(events[end:]).began
            assert later or record.disposition == "UNKNOWN", where
            assert later or record.hung_up_by == "unknown", where
        record.as_json()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_calls_that_were_there_before_us(name: str) -> None:
    """The bridge comes up while the calls go on: one record for each, not complete, and nobody wrongly blamed."""
    events = events_of(name)
    blamed = {truth["hung_up_by"] for truth in EXPECTED[name]} | {"unknown"}
    for start in range(1, len(events)):
        where = f"from event {start} of {len(events)}"
        tracker = CallTracker("fr1")
        before, at = Pbx(events[:start]), instant_of(events[start - 1])
        facts = tracker.snapshot(before.shown(at), at)
        for headers in events[start:]:
            event = parse(headers)
            facts += tracker.apply(event) if event is not None else ()
        assert "fault" not in tracker.counters, where
        assert tracker.calls() == [], where
        records = [fact.record for fact in facts if isinstance(fact, CallEnded)]
        owners = Counter(uniqueid for record in records for uniqueid in record.uniqueids)
        assert owners == dict.fromkeys(before.live.keys() | Pbx(events[start:]).began, 1), where
        for record in records:
            assert record.complete == (not before.live.keys() & set(record.uniqueids)), where
            assert record.hung_up_by in blamed, where
