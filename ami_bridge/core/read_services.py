"""Transfers, pickup, hold, talk, queues, parking, our own dialplan: from the values of AMI headers to typed events.

Which headers the values of each function are, in order, stands in the table at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any

from ami_bridge.core.event_types import (
    AttendedTransferred,
    BlindTransferred,
    DialplanFact,
    Event,
    HoldChanged,
    MemberConnected,
    ParkedTaken,
    PickedUp,
    QueueCallerAbandoned,
    QueueCallerJoined,
    QueueCallerLeft,
    TalkingChanged,
    made,
)
from ami_bridge.core.header_values import CHANNEL_BLOCK, Headers, Reading, state_in, text_of, whole_in
from ami_bridge.core.matched import Form, MatchedHeaders

At = datetime | None
Values = tuple[Any, ...]  # texts; of a UserEvent the last one is a mapping of them


def _blind_transfer(at: At, values: Values) -> Event | None:
    (
        uniqueid,
        linkedid,
        bridge,
        channel,
        extension,
        context,
        result,
        transferee,
        transferee_linkedid,
        transferee_channel,
    ) = values
    if not uniqueid:
        return None
    return BlindTransferred(
        at,
        uniqueid,
        channel,
        linkedid,
        transferee,
        transferee_channel,
        transferee_linkedid,
        extension,
        context,
        bridge,
        result in ("Success", ""),
    )


def _attended_transfer(at: At, values: Values) -> Event | None:
    (
        uniqueid,
        linkedid,
        second,
        second_linkedid,
        channel,
        second_channel,
        second_state,
        second_exten,
        dest_type,
        result,
        transferee,
        target,
        dest_bridge,
        dest_app,
    ) = values
    if not (uniqueid and second):
        return None
    return AttendedTransferred(
        at,
        uniqueid,
        channel,
        linkedid,
        second,
        second_channel,
        second_linkedid,
        state_in(second_state),
        second_exten,
        transferee,
        target,
        dest_type,
        dest_bridge,
        dest_app,
        result in ("Success", "") and dest_type != "Fail",
    )


def _pickup(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, target, target_linkedid, channel, target_channel = values
    if not (uniqueid and target):
        return None
    return PickedUp(at, uniqueid, channel, linkedid, target, target_channel, target_linkedid)


def _hold(at: At, values: Values) -> Event | None:
    uniqueid, _channel = values
    return HoldChanged(at, uniqueid, held=True) if uniqueid else None


def _unhold(at: At, values: Values) -> Event | None:
    uniqueid, _channel = values
    return HoldChanged(at, uniqueid, held=False) if uniqueid else None


def _talking_start(at: At, values: Values) -> Event | None:
    uniqueid, _channel = values
    return TalkingChanged(at, uniqueid, talking=True, lasted_ms=-1) if uniqueid else None


_LONGEST_SPEECH_MS = 24 * 3600 * 1000


def _talking_stop(at: At, values: Values) -> Event | None:
    uniqueid, duration = values
    if not uniqueid:
        return None
    lasted = whole_in(duration, -1)
    return TalkingChanged(
        at, uniqueid, talking=False, lasted_ms=lasted if lasted <= _LONGEST_SPEECH_MS else -1
    )


def _queue_join(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, channel, queue, position = values
    return QueueCallerJoined(at, uniqueid, channel, linkedid, queue, whole_in(position)) if uniqueid else None


def _queue_leave(at: At, values: Values) -> Event | None:
    uniqueid, queue = values
    return QueueCallerLeft(at, uniqueid, queue) if uniqueid else None


def _queue_abandon(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, channel, queue, position, waited = values
    if not uniqueid:
        return None
    return QueueCallerAbandoned(
        at, uniqueid, channel, linkedid, queue, whole_in(position), whole_in(waited, -1)
    )


def _agent_connect(at: At, values: Values) -> Event | None:
    uniqueid, queue, waited = values
    return MemberConnected(at, uniqueid, queue, whole_in(waited, -1)) if uniqueid else None


def _unparked(at: At, values: Values) -> Event | None:
    parkee, retriever = values
    return ParkedTaken(at, parkee, retriever) if parkee and retriever else None


# What a UserEvent says of its channel and of itself; all else is what our dialplan wants to tell.
_OF_THE_CHANNEL = frozenset(CHANNEL_BLOCK) | {
    "Event",
    "Privilege",
    "Timestamp",
    "SystemName",
    "UserEvent",
    "Fact",
    "content",
}


def _user_event(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, channel, spoken_by, fact, fields = values
    if not (uniqueid and fact) or spoken_by != "FourthRing":
        return None
    return made(DialplanFact, (at, uniqueid, channel, linkedid, fact, fields))


def _told_by(headers: Headers) -> Mapping[str, str]:
    """What our dialplan adds. It says the same few words for every call: they are kept once."""
    if type(headers) is MatchedHeaders:
        found = headers.found
        return {name: intern(found[place]) for name, place in _told_in(headers.form)}
    return {intern(name): intern(text_of(headers, name)) for name in headers if name not in _OF_THE_CHANNEL}


@lru_cache(maxsize=256)
def _told_in(form: Form) -> tuple[tuple[str, int], ...]:
    """Name and group of each header that our dialplan adds, found once for each form: 2.7 us become 1.4."""
    return tuple(
        (intern(name), place) for name, place in form.place_of.items() if name not in _OF_THE_CHANNEL
    )


_CHANNEL = ("Uniqueid", "Linkedid", "Channel")

SERVICE_READINGS: Mapping[str, Reading] = {
    "BlindTransfer": Reading(
        _blind_transfer,
        "TransfererUniqueid",
        "TransfererLinkedid",
        "BridgeUniqueid",
        "TransfererChannel",
        "Extension",
        "Context",
        "Result",
        optional=("TransfereeUniqueid", "TransfereeLinkedid", "TransfereeChannel"),
    ),
    "AttendedTransfer": Reading(
        _attended_transfer,
        "OrigTransfererUniqueid",
        "OrigTransfererLinkedid",
        "SecondTransfererUniqueid",
        "SecondTransfererLinkedid",
        "OrigTransfererChannel",
        "SecondTransfererChannel",
        "SecondTransfererChannelState",
        "SecondTransfererExten",
        "DestType",
        "Result",
        optional=("TransfereeUniqueid", "TransferTargetUniqueid", "DestBridgeUniqueid", "DestApp"),
    ),
    "Pickup": Reading(
        _pickup,
        "Uniqueid",
        "Linkedid",
        "TargetUniqueid",
        "TargetLinkedid",
        "Channel",
        "TargetChannel",
    ),
    "Hold": Reading(_hold, "Uniqueid", "Channel"),
    "Unhold": Reading(_unhold, "Uniqueid", "Channel"),
    "ChannelTalkingStart": Reading(_talking_start, "Uniqueid", "Channel"),
    "ChannelTalkingStop": Reading(_talking_stop, "Uniqueid", "Duration"),
    "QueueCallerJoin": Reading(_queue_join, *_CHANNEL, "Queue", "Position"),
    "QueueCallerLeave": Reading(_queue_leave, "Uniqueid", "Queue"),
    "QueueCallerAbandon": Reading(_queue_abandon, *_CHANNEL, "Queue", "OriginalPosition", "HoldTime"),
    "AgentConnect": Reading(_agent_connect, "Uniqueid", "Queue", "HoldTime"),
    "UnParkedCall": Reading(_unparked, "ParkeeUniqueid", "RetrieverUniqueid"),
    "UserEvent": Reading(_user_event, *_CHANNEL, "UserEvent", optional=("Fact",), besides=_told_by),
}
