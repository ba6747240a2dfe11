"""What the core hears, as frozen values; :mod:`ami_bridge.core.events` makes them from AMI headers.

They are named tuples, not dataclasses: equally frozen, and several times cheaper to make, which
matters because every event that anybody reads becomes one. ``at`` is when the event happened
(with zone), or None when nobody said. ``uniqueid`` and ``linkedid`` are opaque: never split them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

made = tuple.__new__
"""Makes a named tuple of its class and its values, in order, in half the time that calling the class takes."""


class ChannelCreated(NamedTuple):
    """``Newchannel``: a channel exists from now on."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    state: int
    number: str
    name: str
    context: str
    exten: str


class ChannelStateChanged(NamedTuple):
    """``Newstate``: 4 Ring (a caller), 5 Ringing (a rung phone), 6 Up, see ``ChannelState``."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    state: int


class ChannelRenamed(NamedTuple):
    """``Rename``: a masquerade gave the channel another name; its uniqueid stays."""

    at: datetime | None
    uniqueid: str
    channel: str


class DialBegan(NamedTuple):
    """``DialBegin``: a channel (or, with an empty ``uniqueid``, an Originate) dials a leg."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    number: str
    name: str
    context: str
    exten: str
    leg_uniqueid: str
    leg_channel: str
    leg_linkedid: str
    leg_number: str
    dial_string: str


class DialProgressed(NamedTuple):
    """``DialState``: RINGING, PROGRESS, PROCEEDING of a dialled leg (Asterisk 14 and later)."""

    at: datetime | None
    uniqueid: str
    leg_uniqueid: str
    status: str


class DialEnded(NamedTuple):
    """``DialEnd``: the fate of one dialled leg; ``forward`` is set when the phone deflected."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    leg_uniqueid: str
    leg_channel: str
    leg_linkedid: str
    leg_number: str
    status: str
    forward: str


class BridgeEntered(NamedTuple):
    """``BridgeEnter``; ``talk`` is False for parking and waiting bridges, where nobody converses."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    bridge: str
    talk: bool
    conference: str
    swap: str


class BridgeLeft(NamedTuple):
    """``BridgeLeave``."""

    at: datetime | None
    uniqueid: str
    bridge: str


class LocalPaired(NamedTuple):
    """``LocalBridge``: the two halves of a Local channel; half two runs the dialplan."""

    at: datetime | None
    one_uniqueid: str
    one_channel: str
    one_linkedid: str
    two_uniqueid: str
    two_channel: str
    two_linkedid: str


class BlindTransferred(NamedTuple):
    """``BlindTransfer``; ``transferee`` fields are empty when more than two were in the bridge."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    transferee_uniqueid: str
    transferee_channel: str
    transferee_linkedid: str
    extension: str
    context: str
    bridge: str
    succeeded: bool


class AttendedTransferred(NamedTuple):
    """``AttendedTransfer``: ``uniqueid`` held the customer, ``second_uniqueid`` the consultation."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    second_uniqueid: str
    second_channel: str
    second_linkedid: str
    second_state: int
    second_exten: str
    transferee_uniqueid: str
    target_uniqueid: str
    dest_type: str
    dest_bridge: str
    dest_app: str
    succeeded: bool


class PickedUp(NamedTuple):
    """``Pickup``: ``uniqueid`` took over the ringing ``target_uniqueid``."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    target_uniqueid: str
    target_channel: str
    target_linkedid: str


class HangupRequested(NamedTuple):
    """``HangupRequest``: the far end of this channel asked to end (never the soft kind)."""

    at: datetime | None
    uniqueid: str
    cause: int


class SoftHangupRequested(NamedTuple):
    """``SoftHangupRequest``: says nothing of who asked, only that such events do reach us."""

    at: datetime | None
    uniqueid: str


class HungUp(NamedTuple):
    """``Hangup``: the channel is gone. ``cause`` is Q.850 as Asterisk maps it."""

    at: datetime | None
    uniqueid: str
    linkedid: str
    cause: int


class HoldChanged(NamedTuple):
    """``Hold`` or ``Unhold`` by the far end of this channel."""

    at: datetime | None
    uniqueid: str
    held: bool


class TalkingChanged(NamedTuple):
    """``ChannelTalkingStart`` or ``ChannelTalkingStop``: the far end of this channel begins or ceases to speak.

    A stop comes after the silence that proves it; ``lasted_ms`` is how long the speech was without that
    silence (-1 in a start, and where nobody said).
    """

    at: datetime | None
    uniqueid: str
    talking: bool
    lasted_ms: int


class QueueCallerJoined(NamedTuple):
    """``QueueCallerJoin``; positions count from 1."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    queue: str
    position: int


class QueueCallerLeft(NamedTuple):
    """``QueueCallerLeave``: out of the queue, for whatever reason."""

    at: datetime | None
    uniqueid: str
    queue: str


class QueueCallerAbandoned(NamedTuple):
    """``QueueCallerAbandon``: the caller hung up while waiting. ``waited_seconds`` is -1 when not told."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    queue: str
    position: int
    waited_seconds: float


class MemberConnected(NamedTuple):
    """``AgentConnect``: a member's phone and the waiting caller are being joined."""

    at: datetime | None
    uniqueid: str
    queue: str
    waited_seconds: float


class ParkedTaken(NamedTuple):
    """``UnParkedCall``: somebody fetched a parked call."""

    at: datetime | None
    uniqueid: str
    retriever_uniqueid: str


class DialplanFact(NamedTuple):
    """Our own dialplan's ``UserEvent: FourthRing``; ``fields`` holds what is not the channel's."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    name: str
    fields: Mapping[str, str]


class ChannelShown(NamedTuple):
    """One line of ``CoreShowChannels``: a channel that lives now."""

    at: datetime | None
    uniqueid: str
    channel: str
    linkedid: str
    state: int
    number: str
    context: str
    exten: str
    bridge: str


Event = (
    ChannelCreated
    | ChannelStateChanged
    | ChannelRenamed
    | DialBegan
    | DialProgressed
    | DialEnded
    | BridgeEntered
    | BridgeLeft
    | LocalPaired
    | BlindTransferred
    | AttendedTransferred
    | PickedUp
    | HangupRequested
    | SoftHangupRequested
    | HungUp
    | HoldChanged
    | TalkingChanged
    | QueueCallerJoined
    | QueueCallerLeft
    | QueueCallerAbandoned
    | MemberConnected
    | ParkedTaken
    | DialplanFact
    | ChannelShown
)
