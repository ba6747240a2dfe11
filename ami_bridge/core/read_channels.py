"""Channels, dials, bridges and hang-ups: from AMI headers to typed events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ami_bridge.core.event_types import (
    BridgeEntered,
    BridgeLeft,
    ChannelCreated,
    ChannelRenamed,
    ChannelShown,
    ChannelStateChanged,
    DialBegan,
    DialEnded,
    DialProgressed,
    Event,
    HangupRequested,
    HungUp,
    LocalPaired,
    SoftHangupRequested,
)
from ami_bridge.core.header_values import (
    Headers,
    Reading,
    cause_in,
    id_of,
    name_in,
    number_in,
    state_in,
    text_of,
)

_NEWCHANNEL = Reading(
    "Uniqueid",
    "Linkedid",
    "Channel",
    "ChannelState",
    "CallerIDNum",
    "CallerIDName",
    "Context",
    "Exten",
)


def _read_newchannel(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, channel, state, number, name, context, exten = _NEWCHANNEL.of(h)
    if not uniqueid:
        return None
    return ChannelCreated(
        at, uniqueid, channel, linkedid, state_in(state), number_in(number), name_in(name), context, exten
    )


_NEWSTATE = Reading("Uniqueid", "Linkedid", "Channel", "ChannelState")


def _read_newstate(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, channel, state = _NEWSTATE.of(h)
    return ChannelStateChanged(at, uniqueid, channel, linkedid, state_in(state)) if uniqueid else None


def _read_rename(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, new_name = id_of(h, "Uniqueid"), text_of(h, "Newname")
    return ChannelRenamed(at, uniqueid, new_name) if uniqueid and new_name else None


_DIAL_BEGIN = Reading(
    "Uniqueid",
    "Linkedid",
    "DestUniqueid",
    "DestLinkedid",
    "Channel",
    "CallerIDNum",
    "CallerIDName",
    "Context",
    "Exten",
    "DestChannel",
    "DestCallerIDNum",
    "DialString",
)


def _read_dial_begin(h: Headers, at: datetime | None) -> Event | None:
    (
        uniqueid,
        linkedid,
        leg_uniqueid,
        leg_linkedid,
        channel,
        number,
        name,
        context,
        exten,
        leg_channel,
        leg_number,
        dial_string,
    ) = _DIAL_BEGIN.of(h)
    if not leg_uniqueid:
        return None
    return DialBegan(
        at,
        uniqueid,
        channel,
        linkedid,
        number_in(number),
        name_in(name),
        context,
        exten,
        leg_uniqueid,
        leg_channel,
        leg_linkedid,
        number_in(leg_number),
        dial_string,
    )


_DIAL_STATE = Reading("Uniqueid", "DestUniqueid", "DialStatus")


def _read_dial_state(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, leg, status = _DIAL_STATE.of(h)
    return DialProgressed(at, uniqueid, leg, status) if leg else None


_DIAL_END = Reading(
    "Uniqueid",
    "Linkedid",
    "DestUniqueid",
    "DestLinkedid",
    "Channel",
    "DestChannel",
    "DestCallerIDNum",
    "DialStatus",
    optional=("Forward",),
)


def _read_dial_end(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, leg, leg_linkedid, channel, leg_channel, leg_number, status, forward = _DIAL_END.of(h)
    if not leg:
        return None
    return DialEnded(
        at,
        uniqueid,
        channel,
        linkedid,
        leg,
        leg_channel,
        leg_linkedid,
        number_in(leg_number),
        status,
        forward,
    )


# Bridges in which channels wait side by side without hearing one another.
_WAITING_CREATORS = frozenset({"Parking", "BridgeWait"})


_BRIDGE_ENTER = Reading(
    "Uniqueid",
    "BridgeUniqueid",
    "Linkedid",
    "Channel",
    "BridgeCreator",
    "BridgeTechnology",
    optional=("SwapUniqueid",),
)


def _read_bridge_enter(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, bridge, linkedid, channel, creator, technology, swap = _BRIDGE_ENTER.of(h)
    if not (uniqueid and bridge):
        return None
    waiting = technology == "holding_bridge" or creator in _WAITING_CREATORS
    conference = text_of(h, "BridgeName") or bridge if creator == "ConfBridge" else ""
    return BridgeEntered(at, uniqueid, channel, linkedid, bridge, not waiting, conference, swap)


_BRIDGE_LEAVE = Reading("Uniqueid", "BridgeUniqueid")


def _read_bridge_leave(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, bridge = _BRIDGE_LEAVE.of(h)
    return BridgeLeft(at, uniqueid, bridge) if uniqueid and bridge else None


def _read_local_bridge(h: Headers, at: datetime | None) -> Event | None:
    one, two = id_of(h, "LocalOneUniqueid"), id_of(h, "LocalTwoUniqueid")
    if not (one and two) or one == two:
        return None
    return LocalPaired(
        at,
        one,
        text_of(h, "LocalOneChannel"),
        id_of(h, "LocalOneLinkedid"),
        two,
        text_of(h, "LocalTwoChannel"),
        id_of(h, "LocalTwoLinkedid"),
    )


_HANGUP_REQUEST = Reading("Uniqueid", "Cause")


def _read_hangup_request(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, cause = _HANGUP_REQUEST.of(h)
    return HangupRequested(at, uniqueid, cause_in(cause)) if uniqueid else None


def _read_soft_hangup_request(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = id_of(h, "Uniqueid")
    return SoftHangupRequested(at, uniqueid) if uniqueid else None


_HANGUP = Reading("Uniqueid", "Linkedid", "Cause")


def _read_hangup(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, cause = _HANGUP.of(h)
    return HungUp(at, uniqueid, linkedid, cause_in(cause)) if uniqueid else None


def _read_channel_line(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := id_of(h, "Uniqueid")):
        return None
    return ChannelShown(
        at,
        uniqueid,
        text_of(h, "Channel"),
        id_of(h, "Linkedid"),
        state_in(text_of(h, "ChannelState")),
        number_in(text_of(h, "CallerIDNum")),
        text_of(h, "Context"),
        text_of(h, "Exten"),
        id_of(h, "BridgeId"),
    )


CHANNEL_READERS: dict[str, Callable[[Headers, datetime | None], Event | None]] = {
    "Newchannel": _read_newchannel,
    "Newstate": _read_newstate,
    "Rename": _read_rename,
    "DialBegin": _read_dial_begin,
    "DialState": _read_dial_state,
    "DialEnd": _read_dial_end,
    "BridgeEnter": _read_bridge_enter,
    "BridgeLeave": _read_bridge_leave,
    "LocalBridge": _read_local_bridge,
    "HangupRequest": _read_hangup_request,
    "SoftHangupRequest": _read_soft_hangup_request,
    "Hangup": _read_hangup,
    "CoreShowChannel": _read_channel_line,
}
