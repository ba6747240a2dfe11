"""From AMI headers to typed events: the only place that knows Asterisk's header names.

:func:`parse` turns one event's headers into a frozen value, or into None when nobody here
reads that kind or when it lacks what its kind needs. It never raises. Header names are those
of Asterisk 12 to 22 ("AMI Events" in the Asterisk documentation). Values that a phone or a
stranger may have set are plain text here and are never interpreted further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from sys import intern

from ami_bridge.core.event_types import (
    AttendedTransferred,
    BlindTransferred,
    BridgeEntered,
    BridgeLeft,
    ChannelCreated,
    ChannelRenamed,
    ChannelShown,
    ChannelStateChanged,
    DialBegan,
    DialEnded,
    DialplanFact,
    DialProgressed,
    Event,
    HangupRequested,
    HoldChanged,
    HungUp,
    LocalPaired,
    MemberConnected,
    ParkedTaken,
    PickedUp,
    QueueCallerAbandoned,
    QueueCallerJoined,
    QueueCallerLeft,
    SoftHangupRequested,
)
from ami_bridge.core.matched import MatchedHeaders

__all__ = [
    "READ_EVENTS",
    "AttendedTransferred",
    "BlindTransferred",
    "BridgeEntered",
    "BridgeLeft",
    "ChannelCreated",
    "ChannelRenamed",
    "ChannelShown",
    "ChannelStateChanged",
    "DialBegan",
    "DialEnded",
    "DialProgressed",
    "DialplanFact",
    "Event",
    "HangupRequested",
    "Headers",
    "HoldChanged",
    "HungUp",
    "LocalPaired",
    "MemberConnected",
    "ParkedTaken",
    "PickedUp",
    "QueueCallerAbandoned",
    "QueueCallerJoined",
    "QueueCallerLeft",
    "SoftHangupRequested",
    "parse",
]

Headers = Mapping[str, str | list[str]]

# Asterisk's own identifiers are short (systemname up to 79 bytes, then epoch and counter).
# Anything longer was not made by Asterisk.
LONGEST_UNIQUEID = 150
LONGEST_TEXT = 300


def parse(headers: Headers, received_at: datetime | None = None, node: str = "") -> Event | None:
    """Make the typed event of ``headers``, or None.

    Args:
        headers: AMI headers by name; a repeated header's value may be a list (the first counts).
        received_at: used where Asterisk sent no ``Timestamp`` (``timestampevents=no``).
        node: when given, events of another ``SystemName`` are not ours and give None.
    """
    fixed: Headers
    if type(headers) is MatchedHeaders:
        fixed, stamp = headers.form.constant, headers.found[headers.form.stamp_place]
    else:
        fixed, stamp = headers, headers.get("Timestamp")
    event = fixed.get("Event")
    reader = _READERS.get(event) if type(event) is str else None
    if reader is None:
        return None
    if node and fixed.get("SystemName", node) != node:
        return None
    if stamp is None:
        return reader(headers, received_at)
    at: datetime | None
    try:
        at = datetime.fromtimestamp(float(stamp), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        at = _instant_of_odd(stamp, received_at)
    return reader(headers, at)


def _instant_of_odd(stamp: object, otherwise: datetime | None) -> datetime | None:
    """The first of several timestamps; ``otherwise`` when that is none either."""
    try:
        return datetime.fromtimestamp(float(_flat(stamp)), UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise


def _flat(value: object) -> str:
    """Plain text of a header that is missing, repeated, or no text at all."""
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, list | tuple) and value and isinstance(value[0], str):
        return value[0][:LONGEST_TEXT]
    return ""


def _text(headers: Headers, name: str) -> str:
    value = headers.get(name)
    return value if type(value) is str and len(value) <= LONGEST_TEXT else _flat(value)


def _id(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if type(value) is not str:
        value = _flat(value)
    return value if len(value) <= LONGEST_UNIQUEID else ""


def _number(value: str) -> str:
    return "" if value == "<unknown>" else value


def _name(value: str) -> str:
    """A person's name; AMI C-escapes it, the other interfaces do not."""
    value = _number(value)
    return _unescape(value) if "\\" in value else value


def _unescape(value: str) -> str:
    out: list[str] = []
    characters = iter(value)
    for character in characters:
        out.append(next(characters, "\\") if character == "\\" else character)
    return "".join(out)


_IDS = frozenset({"Uniqueid", "Linkedid", "DestUniqueid", "DestLinkedid", "BridgeUniqueid"})


class _Reading:
    """Takes several headers out of an event at once, as plain text of a sane length."""

    __slots__ = ("_get", "_ids", "names")

    def __init__(self, *names: str) -> None:
        """Identifiers stand first in ``names``."""
        self.names = names
        self._ids = sum(name in _IDS for name in names)
        self._get: Callable[[Headers], tuple[str | list[str], ...]] = itemgetter(*names)

    def of(self, headers: Headers) -> tuple[str, ...]:
        """The values in order; what is missing, and an identifier that is too long, is empty."""
        try:
            if type(headers) is MatchedHeaders:
                values = headers.found.group(*headers.form.places[self])
            else:
                values = self._get(headers)
            # TypeError when a value is no text. What is short together is short each for itself.
            together = len("".join(values))
            if together <= LONGEST_UNIQUEID:
                return values
            if together <= LONGEST_TEXT and len("".join(values[: self._ids])) <= LONGEST_UNIQUEID:
                return values
        except (KeyError, TypeError):
            pass
        return tuple(_id(headers, name) if name in _IDS else _text(headers, name) for name in self.names)


_CHANNEL_STATES = {str(number): number for number in range(11)}


def _state(value: str) -> int:
    return _CHANNEL_STATES.get(value, -1)


def _cause(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        return 0


def _whole(headers: Headers, name: str, otherwise: int = 0) -> int:
    try:
        return int(_text(headers, name))
    except ValueError:
        return otherwise


_NEWCHANNEL = _Reading(
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
        at, uniqueid, channel, linkedid, _state(state), _number(number), _name(name), context, exten
    )


_NEWSTATE = _Reading("Uniqueid", "Linkedid", "Channel", "ChannelState")


def _read_newstate(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, channel, state = _NEWSTATE.of(h)
    return ChannelStateChanged(at, uniqueid, channel, linkedid, _state(state)) if uniqueid else None


def _read_rename(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, new_name = _id(h, "Uniqueid"), _text(h, "Newname")
    return ChannelRenamed(at, uniqueid, new_name) if uniqueid and new_name else None


_DIAL_BEGIN = _Reading(
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
        _number(number),
        _name(name),
        context,
        exten,
        leg_uniqueid,
        leg_channel,
        leg_linkedid,
        _number(leg_number),
        dial_string,
    )


_DIAL_STATE = _Reading("Uniqueid", "DestUniqueid", "DialStatus")


def _read_dial_state(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, leg, status = _DIAL_STATE.of(h)
    return DialProgressed(at, uniqueid, leg, status) if leg else None


_DIAL_END = _Reading(
    "Uniqueid",
    "Linkedid",
    "DestUniqueid",
    "DestLinkedid",
    "Channel",
    "DestChannel",
    "DestCallerIDNum",
    "DialStatus",
)


def _read_dial_end(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, leg, leg_linkedid, channel, leg_channel, leg_number, status = _DIAL_END.of(h)
    if not leg:
        return None
    forward = _text(h, "Forward")
    return DialEnded(
        at,
        uniqueid,
        channel,
        linkedid,
        leg,
        leg_channel,
        leg_linkedid,
        _number(leg_number),
        status,
        forward,
    )


# Bridges in which channels wait side by side without hearing one another.
_WAITING_CREATORS = frozenset({"Parking", "BridgeWait"})


_BRIDGE_ENTER = _Reading(
    "Uniqueid", "BridgeUniqueid", "Linkedid", "Channel", "BridgeCreator", "BridgeTechnology"
)


def _read_bridge_enter(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, bridge, linkedid, channel, creator, technology = _BRIDGE_ENTER.of(h)
    if not (uniqueid and bridge):
        return None
    waiting = technology == "holding_bridge" or creator in _WAITING_CREATORS
    conference = _text(h, "BridgeName") or bridge if creator == "ConfBridge" else ""
    return BridgeEntered(
        at, uniqueid, channel, linkedid, bridge, not waiting, conference, _id(h, "SwapUniqueid")
    )


_BRIDGE_LEAVE = _Reading("Uniqueid", "BridgeUniqueid")


def _read_bridge_leave(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, bridge = _BRIDGE_LEAVE.of(h)
    return BridgeLeft(at, uniqueid, bridge) if uniqueid and bridge else None


def _read_local_bridge(h: Headers, at: datetime | None) -> Event | None:
    one, two = _id(h, "LocalOneUniqueid"), _id(h, "LocalTwoUniqueid")
    if not (one and two) or one == two:
        return None
    return LocalPaired(
        at,
        one,
        _text(h, "LocalOneChannel"),
        _id(h, "LocalOneLinkedid"),
        two,
        _text(h, "LocalTwoChannel"),
        _id(h, "LocalTwoLinkedid"),
    )


def _read_blind_transfer(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := _id(h, "TransfererUniqueid")):
        return None
    return BlindTransferred(
        at,
        uniqueid,
        _text(h, "TransfererChannel"),
        _id(h, "TransfererLinkedid"),
        _id(h, "TransfereeUniqueid"),
        _text(h, "TransfereeChannel"),
        _id(h, "TransfereeLinkedid"),
        _text(h, "Extension"),
        _text(h, "Context"),
        _id(h, "BridgeUniqueid"),
        _text(h, "Result") in ("Success", ""),
    )


def _read_attended_transfer(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, second = _id(h, "OrigTransfererUniqueid"), _id(h, "SecondTransfererUniqueid")
    if not (uniqueid and second):
        return None
    return AttendedTransferred(
        at,
        uniqueid,
        _text(h, "OrigTransfererChannel"),
        _id(h, "OrigTransfererLinkedid"),
        second,
        _text(h, "SecondTransfererChannel"),
        _id(h, "SecondTransfererLinkedid"),
        _state(_text(h, "SecondTransfererChannelState")),
        _text(h, "SecondTransfererExten"),
        _id(h, "TransfereeUniqueid"),
        _id(h, "TransferTargetUniqueid"),
        _text(h, "DestType"),
        _id(h, "DestBridgeUniqueid"),
        _text(h, "DestApp"),
        _text(h, "Result") in ("Success", "") and _text(h, "DestType") != "Fail",
    )


def _read_pickup(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, target = _id(h, "Uniqueid"), _id(h, "TargetUniqueid")
    if not (uniqueid and target):
        return None
    return PickedUp(
        at,
        uniqueid,
        _text(h, "Channel"),
        _id(h, "Linkedid"),
        target,
        _text(h, "TargetChannel"),
        _id(h, "TargetLinkedid"),
    )


_HANGUP_REQUEST = _Reading("Uniqueid", "Cause")


def _read_hangup_request(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, cause = _HANGUP_REQUEST.of(h)
    return HangupRequested(at, uniqueid, _cause(cause)) if uniqueid else None


def _read_soft_hangup_request(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = _id(h, "Uniqueid")
    return SoftHangupRequested(at, uniqueid) if uniqueid else None


_HANGUP = _Reading("Uniqueid", "Linkedid", "Cause")


def _read_hangup(h: Headers, at: datetime | None) -> Event | None:
    uniqueid, linkedid, cause = _HANGUP.of(h)
    return HungUp(at, uniqueid, linkedid, _cause(cause)) if uniqueid else None


def _read_hold(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = _id(h, "Uniqueid")
    return HoldChanged(at, uniqueid, held=True) if uniqueid else None


def _read_unhold(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = _id(h, "Uniqueid")
    return HoldChanged(at, uniqueid, held=False) if uniqueid else None


def _read_queue_join(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := _id(h, "Uniqueid")):
        return None
    return QueueCallerJoined(
        at,
        uniqueid,
        _text(h, "Channel"),
        _id(h, "Linkedid"),
        _text(h, "Queue"),
        _whole(h, "Position"),
    )


def _read_queue_leave(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = _id(h, "Uniqueid")
    return QueueCallerLeft(at, uniqueid, _text(h, "Queue")) if uniqueid else None


def _read_queue_abandon(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := _id(h, "Uniqueid")):
        return None
    return QueueCallerAbandoned(
        at,
        uniqueid,
        _text(h, "Channel"),
        _id(h, "Linkedid"),
        _text(h, "Queue"),
        _whole(h, "OriginalPosition"),
        _whole(h, "HoldTime", -1),
    )


def _read_agent_connect(h: Headers, at: datetime | None) -> Event | None:
    uniqueid = _id(h, "Uniqueid")
    return MemberConnected(at, uniqueid, _text(h, "Queue"), _whole(h, "HoldTime", -1)) if uniqueid else None


def _read_unparked(h: Headers, at: datetime | None) -> Event | None:
    parkee, retriever = _id(h, "ParkeeUniqueid"), _id(h, "RetrieverUniqueid")
    return ParkedTaken(at, parkee, retriever) if parkee and retriever else None


_OF_THE_CHANNEL = frozenset(
    [
        "Event",
        "Privilege",
        "Timestamp",
        "SystemName",
        "Channel",
        "ChannelState",
        "ChannelStateDesc",
        "CallerIDNum",
        "CallerIDName",
        "ConnectedLineNum",
        "ConnectedLineName",
        "Language",
        "AccountCode",
        "Context",
        "Exten",
        "Priority",
        "Uniqueid",
        "Linkedid",
        "UserEvent",
        "Fact",
        "content",
    ]
)


_USER_EVENT = _Reading("Uniqueid", "Linkedid", "Channel", "Fact")


def _read_user_event(h: Headers, at: datetime | None) -> Event | None:
    if h.get("UserEvent") != "FourthRing":
        return None
    uniqueid, linkedid, channel, fact = _USER_EVENT.of(h)
    if not (uniqueid and fact):
        return None
    # Our dialplan says the same few words for every call: they are kept once.
    fields = {intern(name): intern(_text(h, name)) for name in h if name not in _OF_THE_CHANNEL}
    return DialplanFact(at, uniqueid, channel, linkedid, fact, fields)


def _read_channel_line(h: Headers, at: datetime | None) -> Event | None:
    if not (uniqueid := _id(h, "Uniqueid")):
        return None
    return ChannelShown(
        at,
        uniqueid,
        _text(h, "Channel"),
        _id(h, "Linkedid"),
        _state(_text(h, "ChannelState")),
        _number(_text(h, "CallerIDNum")),
        _text(h, "Context"),
        _text(h, "Exten"),
        _id(h, "BridgeId"),
    )


_READERS: dict[str, Callable[[Headers, datetime | None], Event | None]] = {
    "Newchannel": _read_newchannel,
    "Newstate": _read_newstate,
    "Rename": _read_rename,
    "DialBegin": _read_dial_begin,
    "DialState": _read_dial_state,
    "DialEnd": _read_dial_end,
    "BridgeEnter": _read_bridge_enter,
    "BridgeLeave": _read_bridge_leave,
    "LocalBridge": _read_local_bridge,
    "BlindTransfer": _read_blind_transfer,
    "AttendedTransfer": _read_attended_transfer,
    "Pickup": _read_pickup,
    "HangupRequest": _read_hangup_request,
    "SoftHangupRequest": _read_soft_hangup_request,
    "Hangup": _read_hangup,
    "Hold": _read_hold,
    "Unhold": _read_unhold,
    "QueueCallerJoin": _read_queue_join,
    "QueueCallerLeave": _read_queue_leave,
    "QueueCallerAbandon": _read_queue_abandon,
    "AgentConnect": _read_agent_connect,
    "UnParkedCall": _read_unparked,
    "UserEvent": _read_user_event,
    "CoreShowChannel": _read_channel_line,
}

READ_EVENTS: frozenset[str] = frozenset(_READERS)
"""The names of all AMI events that anybody reads; an adapter may drop every other before decoding."""
