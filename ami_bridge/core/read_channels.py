"""Channels, dials, bridges and hang-ups: from the values of AMI headers to typed events.

Which headers the values of each function are, in order, stands in the table at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    made,
)
from ami_bridge.core.header_values import Reading, cause_in, name_in, number_in, state_in

At = datetime | None
Values = tuple[str, ...]


def _newchannel(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, channel, state, number, name, context, exten = values
    if not uniqueid:
        return None
    return made(
        ChannelCreated,
        (at, uniqueid, channel, linkedid, state_in(state), number_in(number), name_in(name), context, exten),
    )


def _newstate(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, channel, state = values
    return made(ChannelStateChanged, (at, uniqueid, channel, linkedid, state_in(state))) if uniqueid else None


def _rename(at: At, values: Values) -> Event | None:
    uniqueid, new_name = values
    return ChannelRenamed(at, uniqueid, new_name) if uniqueid and new_name else None


def _dial_begin(at: At, values: Values) -> Event | None:
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
    ) = values
    if not leg_uniqueid:
        return None
    return made(
        DialBegan,
        (
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
        ),
    )


def _dial_state(at: At, values: Values) -> Event | None:
    uniqueid, leg, status = values
    return made(DialProgressed, (at, uniqueid, leg, status)) if leg else None


def _dial_end(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, leg, leg_linkedid, channel, leg_channel, leg_number, status, forward = values
    if not leg:
        return None
    return made(
        DialEnded,
        (
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
        ),
    )


# Bridges in which channels wait side by side without hearing one another.
_WAITING_CREATORS = frozenset({"Parking", "BridgeWait"})


def _bridge_enter(at: At, values: Values) -> Event | None:
    uniqueid, bridge, linkedid, channel, creator, technology, name, swap = values
    if not (uniqueid and bridge):
        return None
    waiting = technology == "holding_bridge" or creator in _WAITING_CREATORS
    conference = name or bridge if creator == "ConfBridge" else ""
    return made(BridgeEntered, (at, uniqueid, channel, linkedid, bridge, not waiting, conference, swap))


def _bridge_leave(at: At, values: Values) -> Event | None:
    uniqueid, bridge = values
    return made(BridgeLeft, (at, uniqueid, bridge)) if uniqueid and bridge else None


def _local_bridge(at: At, values: Values) -> Event | None:
    one, one_linkedid, two, two_linkedid, one_channel, two_channel = values
    if not (one and two) or one == two:
        return None
    return LocalPaired(at, one, one_channel, one_linkedid, two, two_channel, two_linkedid)


def _hangup_request(at: At, values: Values) -> Event | None:
    uniqueid, cause = values
    return made(HangupRequested, (at, uniqueid, cause_in(cause))) if uniqueid else None


def _soft_hangup_request(at: At, values: Values) -> Event | None:
    uniqueid, _channel = values
    return made(SoftHangupRequested, (at, uniqueid)) if uniqueid else None


def _hangup(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, cause = values
    return made(HungUp, (at, uniqueid, linkedid, cause_in(cause))) if uniqueid else None


def _channel_line(at: At, values: Values) -> Event | None:
    uniqueid, linkedid, channel, state, number, context, exten, bridge = values
    if not uniqueid:
        return None
    return ChannelShown(
        at, uniqueid, channel, linkedid, state_in(state), number_in(number), context, exten, bridge
    )


_CHANNEL = ("Uniqueid", "Linkedid", "Channel")
_DIAL = ("Uniqueid", "Linkedid", "DestUniqueid", "DestLinkedid", "Channel")
_SHOWN = (*_CHANNEL, "ChannelState", "CallerIDNum")

CHANNEL_READINGS: Mapping[str, Reading] = {
    "Newchannel": Reading(_newchannel, *_SHOWN, "CallerIDName", "Context", "Exten"),
    "Newstate": Reading(_newstate, *_CHANNEL, "ChannelState"),
    "Rename": Reading(_rename, "Uniqueid", "Newname"),
    "DialBegin": Reading(
        _dial_begin,
        *_DIAL,
        "CallerIDNum",
        "CallerIDName",
        "Context",
        "Exten",
        "DestChannel",
        "DestCallerIDNum",
        "DialString",
    ),
    "DialState": Reading(_dial_state, "Uniqueid", "DestUniqueid", "DialStatus"),
    "DialEnd": Reading(
        _dial_end, *_DIAL, "DestChannel", "DestCallerIDNum", "DialStatus", optional=("Forward",)
    ),
    "BridgeEnter": Reading(
        _bridge_enter,
        "Uniqueid",
        "BridgeUniqueid",
        "Linkedid",
        "Channel",
        "BridgeCreator",
        "BridgeTechnology",
        "BridgeName",
        optional=("SwapUniqueid",),
    ),
    "BridgeLeave": Reading(_bridge_leave, "Uniqueid", "BridgeUniqueid"),
    "LocalBridge": Reading(
        _local_bridge,
        "LocalOneUniqueid",
        "LocalOneLinkedid",
        "LocalTwoUniqueid",
        "LocalTwoLinkedid",
        "LocalOneChannel",
        "LocalTwoChannel",
    ),
    "HangupRequest": Reading(_hangup_request, "Uniqueid", "Cause"),
    "SoftHangupRequest": Reading(_soft_hangup_request, "Uniqueid", "Channel"),
    "Hangup": Reading(_hangup, "Uniqueid", "Linkedid", "Cause"),
    "CoreShowChannel": Reading(_channel_line, *_SHOWN, "Context", "Exten", "BridgeId"),
}
