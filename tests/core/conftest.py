"""A pen for AMI stories: each method writes the headers that Asterisk 22 sends, with timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.core.cadence import CADENCES
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded, Fact
from ami_bridge.core.records import CallRecord
from ami_bridge.core.ringing import RingRule
from ami_bridge.core.tracker import CallTracker

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
STATES = {0: "Down", 4: "Ring", 5: "Ringing", 6: "Up"}


def ring_rule_of(context: str, _exten: str) -> RingRule | None:
    """Callers hear Russian ringback in ``direct`` and music elsewhere."""
    return RingRule(CADENCES["ru"], answer_by_ring=4) if context == "direct" else None


class Story:
    """Events in the order written. ``at`` moves the clock to that second of the story."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.clock = 0.0
        self.channels: dict[str, dict[str, str]] = {}

    def at(self, seconds: float) -> Story:
        self.clock = seconds
        return self

    def write(self, event: str, **headers: Any) -> None:
        stamp = (START + timedelta(seconds=self.clock)).timestamp()
        self.events.append({"Event": event, "Privilege": "call,all", "Timestamp": f"{stamp:.6f}", **headers})

    def of(self, uniqueid: str, prefix: str = "") -> dict[str, str]:
        known = self.channels[uniqueid]
        return {prefix + name: value for name, value in known.items()}

    def channel(
        self,
        uniqueid: str,
        name: str,
        *,
        linkedid: str = "",
        number: str = "",
        context: str = "from-agents",
        exten: str = "s",
        state: int = 0,
    ) -> None:
        self.channels[uniqueid] = {
            "Channel": name,
            "Uniqueid": uniqueid,
            "Linkedid": linkedid or uniqueid,
            "CallerIDNum": number or "<unknown>",
            "CallerIDName": "<unknown>",
            "Context": context,
            "Exten": exten,
        }
        self.write("Newchannel", **self.of(uniqueid), ChannelState=str(state))

    def caller(self, uniqueid: str = "c1", number: str = "79161234567", exten: str = "74950000001") -> None:
        name = f"PJSIP/carrier-{len(self.channels):08x}"
        self.channel(uniqueid, name, number=number, context="from-carrier", exten=exten, state=4)

    def local(self, one: str, two: str, exten: str, context: str, linkedid: str) -> None:
        name = f"Local/{exten}@{context}-{len(self.channels):08x}"
        self.channel(one, f"{name};1", linkedid=linkedid, context=context, exten=exten)
        self.channel(two, f"{name};2", linkedid=linkedid, context=context, exten=exten, state=4)
        self.write(
            "LocalBridge", **self.of(one, "LocalOne"), **self.of(two, "LocalTwo"), LocalOptimization="No"
        )

    def state(self, uniqueid: str, state: int) -> None:
        self.write("Newstate", **self.of(uniqueid), ChannelState=str(state), ChannelStateDesc=STATES[state])

    def goto(self, uniqueid: str, context: str, exten: str) -> None:
        """The dialplan goes on elsewhere (Newexten, which nobody reads); later events show it."""
        self.channels[uniqueid] |= {"Context": context, "Exten": exten}

    def dial(self, dialler: str, dest: str, number: str = "101") -> None:
        self.channels[dest]["CallerIDNum"] = number
        of_dialler = self.of(dialler) if dialler else {}
        self.write("DialBegin", **of_dialler, **self.of(dest, "Dest"), DialString=number)

    def ring(self, dest: str, dialler: str = "") -> None:
        if dialler:
            self.write("DialState", **self.of(dialler), **self.of(dest, "Dest"), DialStatus="RINGING")
        self.state(dest, 5)

    def dial_end(self, dialler: str, dest: str, status: str, forward: str = "") -> None:
        of_dialler = self.of(dialler) if dialler else {}
        extra = {"Forward": forward} if forward else {}
        self.write("DialEnd", **of_dialler, **self.of(dest, "Dest"), DialStatus=status, **extra)

    def answer(self, dialler: str, dest: str) -> None:
        self.state(dest, 6)
        self.dial_end(dialler, dest, "ANSWER")

    def enter(
        self, bridge: str, *uniqueids: str, creator: str = "<unknown>", technology: str = "simple_bridge"
    ) -> None:
        for uniqueid in uniqueids:
            self.write(
                "BridgeEnter",
                **self.of(uniqueid),
                BridgeUniqueid=bridge,
                BridgeTechnology=technology,
                BridgeCreator=creator,
                BridgeName="<unknown>" if creator != "ConfBridge" else bridge,
            )

    def leave(self, bridge: str, *uniqueids: str) -> None:
        for uniqueid in uniqueids:
            self.write("BridgeLeave", **self.of(uniqueid), BridgeUniqueid=bridge)

    def begins_to_speak(self, uniqueid: str) -> None:
        self.write("ChannelTalkingStart", **self.of(uniqueid))

    def ceases_to_speak(self, uniqueid: str, spoke_seconds: float) -> None:
        """Told after 0.4 s of silence, with the length of the speech without it."""
        self.write("ChannelTalkingStop", **self.of(uniqueid), Duration=str(round(spoke_seconds * 1000)))

    def speech(self, uniqueid: str, begin: float, end: float) -> None:
        """The whole turn; the clock stands 0.4 s after its end."""
        self.at(begin).begins_to_speak(uniqueid)
        self.at(end + 0.4).ceases_to_speak(uniqueid, end - begin)

    def asks_to_end(self, uniqueid: str, cause: int = 16) -> None:
        self.write("HangupRequest", **self.of(uniqueid), Cause=str(cause))

    def hangup(self, *uniqueids: str, cause: int = 16) -> None:
        for uniqueid in uniqueids:
            self.write("Hangup", **self.of(uniqueid), Cause=str(cause), **{"Cause-txt": "Normal Clearing"})

    def says(self, uniqueid: str, fact: str, **fields: str) -> None:
        self.write("UserEvent", **self.of(uniqueid), UserEvent="FourthRing", Fact=fact, **fields)

    def direct_call(self, answered_after: float | None = None) -> None:
        """The demo's way in: carrier, DID of sales, phone 101 rings from second 0.2 on."""
        self.at(0).caller()
        self.goto("c1", "direct", "sales")
        self.at(0.1).channel("p1", "PJSIP/101-00000001", linkedid="c1")
        self.dial("c1", "p1")
        self.at(0.2).ring("p1", "c1")
        if answered_after is not None:
            self.at(0.2 + answered_after).answer("c1", "p1")


class Told:
    """What the tracker made of a story."""

    def __init__(self, events: Sequence[dict[str, Any]], tracker: CallTracker | None = None) -> None:
        self.tracker = tracker or CallTracker("fr1", ring_rule_of=ring_rule_of)
        self.facts: list[Fact] = []
        for headers in events:
            event = parse(headers)
            if event is not None:
                self.facts += self.tracker.apply(event)
        assert "fault" not in self.tracker.counters, self.tracker.counters

    @property
    def records(self) -> list[CallRecord]:
        return [fact.record for fact in self.facts if isinstance(fact, CallEnded)]

    @property
    def record(self) -> CallRecord:
        (only,) = self.records
        return only

    def named(self, name: str) -> list[Any]:
        return [fact for fact in self.facts if type(fact).__name__ == name]


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture(scope="session")
def new_story() -> type[Story]:
    return Story


@pytest.fixture(scope="session")
def tell() -> type[Told]:
    return Told
