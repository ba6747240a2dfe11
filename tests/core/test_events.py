"""Reading AMI headers: the known kinds, and everything that Asterisk or a stranger may write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami_bridge.core import event_types as events
from ami_bridge.core.events import READ_EVENTS, READINGS, parse

RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)


def newchannel(**changes: Any) -> dict[str, Any]:
    return {
        "Event": "Newchannel",
        "Timestamp": "1764000000.250000",
        "SystemName": "fr1",
        "Channel": "PJSIP/101-00000001",
        "ChannelState": "4",
        "CallerIDNum": "101",
        "CallerIDName": 'O\\"Br\\\\ien',
        "Context": "from-agents",
        "Exten": "102",
        "Uniqueid": "fr1-1764000000.1",
        "Linkedid": "fr1-1764000000.1",
    } | changes


def test_newchannel_is_read_whole() -> None:
    event = parse(newchannel(), RECEIVED)
    assert event == events.ChannelCreated(
        at=datetime(2025, 11, 24, 16, 0, 0, 250000, tzinfo=UTC),
        uniqueid="fr1-1764000000.1",
        channel="PJSIP/101-00000001",
        linkedid="fr1-1764000000.1",
        state=4,
        number="101",
        name='O"Br\\ien',
        context="from-agents",
        exten="102",
    )


@pytest.mark.parametrize("kind", sorted(READINGS))
def test_every_kind_becomes_a_whole_event(kind: str) -> None:
    """Events are made of plain tuples of values, so nobody else counts them."""
    reading = READINGS[kind]
    headers = {name: f"n-{place}" for place, name in enumerate(reading.names + reading.optional)}
    event = parse({**headers, "Event": kind, "Timestamp": "1764000000.250000", "UserEvent": "FourthRing"})
    assert event is not None
    assert len(event) == len(event._fields)
    assert event.at == datetime(2025, 11, 24, 16, 0, 0, 250000, tzinfo=UTC)


@given(stamp=st.floats(min_value=1e9, max_value=9_999_999_999, allow_nan=False))
def test_an_instant_is_the_same_as_the_calendar_makes_of_it(stamp: float) -> None:
    text = f"{stamp:.6f}"
    event = parse(newchannel(Timestamp=text))
    assert event is not None
    assert event.at == datetime.fromtimestamp(float(text), UTC)


def test_without_a_timestamp_the_time_of_receipt_counts() -> None:
    headers = newchannel()
    del headers["Timestamp"]
    event = parse(headers, RECEIVED)
    assert event is not None
    assert event.at == RECEIVED
    nameless = parse(headers)
    assert nameless is not None
    assert nameless.at is None


@pytest.mark.parametrize(
    "stamp", ["", "soon", "nan", "inf", "1e400", "-1e18", "1764000000.-25000", "17640000000.25000x"]
)
def test_a_nonsense_timestamp_falls_back(stamp: str) -> None:
    event = parse(newchannel(Timestamp=stamp), RECEIVED)
    assert event is not None
    assert event.at == RECEIVED


def test_a_repeated_header_counts_once() -> None:
    event = parse(newchannel(CallerIDNum=["101", "666"]), RECEIVED)
    assert isinstance(event, events.ChannelCreated)
    assert event.number == "101"


def test_another_node_is_not_ours() -> None:
    assert parse(newchannel(), node="fr2") is None
    assert parse(newchannel(), node="fr1") is not None


@pytest.mark.parametrize("uniqueid", ["", [], ["", "x"], 7, None, "x" * 151])
def test_no_channel_without_a_plausible_uniqueid(uniqueid: Any) -> None:
    assert parse(newchannel(Uniqueid=uniqueid)) is None


def test_only_our_own_user_events_are_read() -> None:
    said = {
        "Event": "UserEvent",
        "UserEvent": "FourthRing",
        "Fact": "failover",
        "Uniqueid": "a",
        "Reason": "busy",
    }
    event = parse(said)
    assert isinstance(event, events.DialplanFact)
    assert (event.name, dict(event.fields)) == ("failover", {"Reason": "busy"})
    assert parse(said | {"UserEvent": "NotifyCallstate"}) is None
    assert parse({**said, "Fact": ""}) is None


def test_bridges_in_which_nobody_talks() -> None:
    enter = {"Event": "BridgeEnter", "Uniqueid": "a", "BridgeUniqueid": "b"}
    plain = parse(enter | {"BridgeTechnology": "simple_bridge"})
    parked = parse(enter | {"BridgeTechnology": "holding_bridge", "BridgeCreator": "Parking"})
    conference = parse(enter | {"BridgeCreator": "ConfBridge", "BridgeName": "8000"})
    assert isinstance(plain, events.BridgeEntered)
    assert isinstance(parked, events.BridgeEntered)
    assert isinstance(conference, events.BridgeEntered)
    assert (plain.talk, parked.talk, conference.conference) == (True, False, "8000")


_value = st.one_of(
    st.text(max_size=40),
    st.lists(st.text(max_size=10), max_size=3),
    st.none(),
    st.integers(),
    st.binary(max_size=5),
)
_header = st.sampled_from(
    [
        "Uniqueid",
        "Linkedid",
        "Channel",
        "DestUniqueid",
        "DestChannel",
        "ChannelState",
        "Timestamp",
        "Cause",
        "BridgeUniqueid",
        "DialStatus",
        "LocalOneUniqueid",
        "LocalTwoUniqueid",
        "TransfererUniqueid",
        "OrigTransfererUniqueid",
        "SecondTransfererUniqueid",
        "TargetUniqueid",
        "Queue",
        "HoldTime",
        "Position",
        "UserEvent",
        "Fact",
    ]
)


# How long it takes to think up headers says something of the machine's load, and nothing of parse().
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([*sorted(READ_EVENTS), "Nonsense"]), st.dictionaries(_header, _value), st.booleans())
def test_no_headers_raise(name: str, headers: dict[str, Any], listed: bool) -> None:
    parse({**headers, "Event": [name] if listed else name}, RECEIVED)
    parse(headers, RECEIVED)
