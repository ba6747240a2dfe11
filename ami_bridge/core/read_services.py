"""Transfers, pickup, hold, queues, parking and the facts of our own dialplan: from AMI headers to typed events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from sys import intern

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
)
from ami_bridge.core.header_values import (
    CHANNEL_BLOCK,
    LONGEST_TEXT,
    Headers,
    Reading,
    id_of,
    state_in,
    text_of,
    whole_of,
)
from ami_bridge.core.matched import Form, MatchedHeaders


def _read_blind_transfer(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := id_of(h, "TransfererUniqueid")):
        return None
    return BlindTransferred(
        at,
        uniqueid,
        text_of(h, "TransfererChannel"),
        id_of(h, "TransfererLinkedid"),
        id_of(h, "TransfereeUniqueid"),
        text_of(h, "TransfereeChannel"),
        id_of(h, "TransfereeLinkedid"),
        text_of(h, "Extension"),
        text_of(h, "Context"),
        id_of(h, "BridgeUniqueid"),
        text_of(h, "Result") in ("Success", ""),
    )


def _read_attended_transfer(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, second = id_of(h, "OrigTransfererUniqueid"), id_of(h, "SecondTransfererUniqueid")
    if not (uniqueid and second):
        return None
    return AttendedTransferred(
        at,
        uniqueid,
        text_of(h, "OrigTransfererChannel"),
        id_of(h, "OrigTransfererLinkedid"),
        second,
        text_of(h, "SecondTransfererChannel"),
        id_of(h, "SecondTransfererLinkedid"),
        state_in(text_of(h, "SecondTransfererChannelState")),
        text_of(h, "SecondTransfererExten"),
        id_of(h, "TransfereeUniqueid"),
        id_of(h, "TransferTargetUniqueid"),
        text_of(h, "DestType"),
        id_of(h, "DestBridgeUniqueid"),
        text_of(h, "DestApp"),
        text_of(h, "Result") in ("Success", "") and text_of(h, "DestType") != "Fail",
    )


def _read_pickup(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, target = id_of(h, "Uniqueid"), id_of(h, "TargetUniqueid")
    if not (uniqueid and target):
        return None
    return PickedUp(
        at,
        uniqueid,
        text_of(h, "Channel"),
        id_of(h, "Linkedid"),
        target,
        text_of(h, "TargetChannel"),
        id_of(h, "TargetLinkedid"),
    )


def _read_hold(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = id_of(h, "Uniqueid")
    return HoldChanged(at, uniqueid, held=True) if uniqueid else None


def _read_unhold(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = id_of(h, "Uniqueid")
    return HoldChanged(at, uniqueid, held=False) if uniqueid else None


def _read_talking_start(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = id_of(h, "Uniqueid")
    return TalkingChanged(at, uniqueid, talking=True, lasted_ms=-1) if uniqueid else None


_LONGEST_SPEECH_MS = 24 * 3600 * 1000


def _read_talking_stop(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := id_of(h, "Uniqueid")):
        return None
    lasted = whole_of(h, "Duration", -1)
    return TalkingChanged(
        at, uniqueid, talking=False, lasted_ms=lasted if lasted <= _LONGEST_SPEECH_MS else -1
    )


def _read_queue_join(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := id_of(h, "Uniqueid")):
        return None
    return QueueCallerJoined(
        at,
        uniqueid,
        text_of(h, "Channel"),
        id_of(h, "Linkedid"),
        text_of(h, "Queue"),
        whole_of(h, "Position"),
    )


def _read_queue_leave(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = id_of(h, "Uniqueid")
    return QueueCallerLeft(at, uniqueid, text_of(h, "Queue")) if uniqueid else None


def _read_queue_abandon(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := id_of(h, "Uniqueid")):
        return None
    return QueueCallerAbandoned(
        at,
        uniqueid,
        text_of(h, "Channel"),
        id_of(h, "Linkedid"),
        text_of(h, "Queue"),
        whole_of(h, "OriginalPosition"),
        whole_of(h, "HoldTime", -1),
    )


def _read_agent_connect(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = id_of(h, "Uniqueid")
    return (
        MemberConnected(at, uniqueid, text_of(h, "Queue"), whole_of(h, "HoldTime", -1)) if uniqueid else None
    )


def _read_unparked(h: Headers, at: datetime | None) -> Event | None:
    parkee, retriever = id_of(h, "ParkeeUniqueid"), id_of(h, "RetrieverUniqueid")
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


_USER_EVENT = Reading("Uniqueid", "Linkedid", "Channel", "UserEvent", optional=("Fact",))


def _read_user_event(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, channel, spoken_by, fact = _USER_EVENT.of(h)
    if not (uniqueid and fact) or spoken_by != "FourthRing":
        return None
    # Our dialplan says the same few words for every call: they are kept once.
    if type(h) is MatchedHeaders:
        found = h.found
        fields = {name: intern(found[place][:LONGEST_TEXT]) for name, place in _told_in(h.form)}
    else:
        fields = {intern(name): intern(text_of(h, name)) for name in h if name not in _OF_THE_CHANNEL}
    return DialplanFact(at, uniqueid, channel, linkedid, fact, fields)


@lru_cache(maxsize=256)
def _told_in(form: Form) -> tuple[tuple[str, int], ...]:
    """Name and group of each header that our dialplan adds, found once for each form: 2.7 us become 1.4."""
    return tuple(
        (intern(name), place) for name, place in form.place_of.items() if name not in _OF_THE_CHANNEL
    )


SERVICE_READERS: dict[str, Callable[[Headers, datetime | None], Event | None]] = {
    "BlindTransfer": _read_blind_transfer,
    "AttendedTransfer": _read_attended_transfer,
    "Pickup": _read_pickup,
    "Hold": _read_hold,
    "Unhold": _read_unhold,
    "ChannelTalkingStart": _read_talking_start,
    "ChannelTalkingStop": _read_talking_stop,
    "QueueCallerJoin": _read_queue_join,
    "QueueCallerLeave": _read_queue_leave,
    "QueueCallerAbandon": _read_queue_abandon,
    "AgentConnect": _read_agent_connect,
    "UnParkedCall": _read_unparked,
    "UserEvent": _read_user_event,
}
