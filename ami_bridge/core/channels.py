"""Channels, dialled legs and bridges: what Asterisk has, mirrored. Mutable, and never handed out.

A *Local* channel has two halves: ``;1`` is dialled or originated, ``;2`` runs the dialplan. It is no
party: a phone that a ``;2`` dials rings on behalf of whoever dialled the ``;1``.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from sys import intern
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bridge.core.calls import Call

# Channels that Asterisk makes for its own purposes; nobody speaks on them.
_HELPERS = frozenset(
    {
        "Local",
        "Surrogate",
        "AsyncGoto",
        "Announcer",
        "Recorder",
        "CBAnn",
        "CBRec",
        "ConfBridgeRecorder",
        "Snoop",
        "UnicastRTP",
        "MulticastRTP",
        "Message",
        "Bridge",
        "Parked",
        "Null",
    }
)
_BROWSER = "-web"
MOST_HOPS = 40  # a chain of Local channels longer than this is a loop

RINGING, UP = 5, 6


def technology_of(channel: str) -> str:
    """``PJSIP`` of ``PJSIP/101-0000002a``."""
    return channel.partition("/")[0]


def endpoint_of(channel: str) -> str:
    """``101`` of ``PJSIP/101-0000002a``; ``101@queue-member`` of a Local half.

    ``101-web`` is the second endpoint of an agent who may also use a browser as a phone: the same person.
    """
    rest = channel.partition("/")[2].partition(";")[0].partition("<")[0]
    endpoint = rest.rpartition("-")[0] or rest
    if endpoint.endswith(_BROWSER) and endpoint.removesuffix(_BROWSER).isdecimal():
        return endpoint.removesuffix(_BROWSER)
    return endpoint


def is_stand_in(channel: str) -> bool:
    """Whether a channel of this name is what a masquerade leaves behind (``Bridge()`` on a channel that runs dialplan).

    It lives for a moment. Yet one in a thousand stays in the list of all channels for ever: Asterisk puts it back there
    only after the thread that hangs it up may go on (``channel_do_masquerade``, up to version 23).
    """
    return technology_of(channel) == "Surrogate"


def is_party(channel: str) -> bool:
    """Somebody outside Asterisk is at the end of this channel."""
    return channel.partition("/")[0] not in _HELPERS


class LegState(IntEnum):
    """A dialled leg's life; see ``LEG_TRANSITIONS`` in :mod:`ami_bridge.core.calls`."""

    DIALLED = 0
    RINGING = 1
    ANSWERED = 2
    ENDED = 3


# Named once more: Python 3.11 looks a member up by a call of its own (0.17 us), many times for each call.
LEG_DIALLED, LEG_RINGING, LEG_ANSWERED, LEG_ENDED = LegState


class Channel:
    """One channel. ``half`` is 1 or 2 for the halves of a Local channel, else 0."""

    __slots__ = (
        "answered_leg",
        "bridge",
        "call",
        "context",
        "endpoint",
        "exten",
        "far_side",
        "former_partner",
        "gone",
        "half",
        "handed_over",
        "hangup_cause",
        "held",
        "linkedid",
        "name",
        "number",
        "pair",
        "parent",
        "partner",
        "party",
        "requested",
        "ringing_at",
        "rings",
        "shown_name",
        "speaks_since",
        "state",
        "talked",
        "uniqueid",
    )

    def __init__(self, uniqueid: str, name: str, linkedid: str, state: int, call: Call) -> None:
        self.uniqueid = uniqueid
        self.linkedid = linkedid
        self.state = state
        self.call = call
        self.number = self.shown_name = self.context = self.exten = ""
        self.pair: Channel | None = None
        self.parent: Leg | None = None  # the dial that made it ring
        self.answered_leg: Leg | None = None  # the last leg that answered its own dial
        self.bridge: Bridge | None = None
        self.gone = False
        self.handed_over = False  # it transferred its party away; its end ends no call
        self.far_side = False  # it fetched a parked call: not the caller although nobody dialled it
        self.hangup_cause = -1
        self.requested: tuple[int, datetime | None, int] | None = None  # first HangupRequest: seq, at, cause
        self.held: tuple[datetime | None] | None = None  # since when its far end holds the other
        self.talked = False  # somebody has heard it, and it him
        self.speaks_since: datetime | None = None  # talk detection hears its far end
        self.partner: Channel | None = None  # the party it last talked to, two by two
        self.former_partner: Channel | None = None
        self.rings = state == RINGING
        self.ringing_at: datetime | None = None
        self.rename(name)

    def rename(self, name: str) -> None:
        self.name = name
        self.party = is_party(name)
        self.endpoint = intern(endpoint_of(name))
        self.half = 0 if self.party else 1 if name.endswith(";1") else 2 if name.endswith(";2") else 0


class Leg:
    """One dial of one channel by another. ``dialler`` is None for an Originate."""

    __slots__ = (
        "answered_at",
        "context",
        "dest",
        "dial_string",
        "dialled_at",
        "dialler",
        "ended_at",
        "exten",
        "forward",
        "in_queue",
        "number",
        "originator",
        "rang",
        "rang_at",
        "root",
        "state",
        "status",
    )

    def __init__(self, dialler: Channel | None, dest: Channel, at: datetime | None) -> None:
        self.dialler = dialler
        self.dest = dest
        self.dialled_at = at
        self.rang = False
        self.rang_at: datetime | None = None
        self.answered_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.state = LEG_DIALLED
        self.status = self.forward = self.number = self.context = self.exten = self.dial_string = ""
        self.in_queue = False
        self.originator = False  # it reaches the person who is put on the phone first (click to dial)
        self.root: Channel | None = None  # on whose behalf, through Local channels, at the time of the dial


class Bridge:
    """A bridge with somebody in it. ``conference`` is its name when people meet in it by appointment."""

    __slots__ = ("bridge_id", "conference", "members", "talk")

    def __init__(self, bridge_id: str, conference: str, *, talk: bool) -> None:
        self.bridge_id = bridge_id
        self.talk = talk
        self.conference = conference
        self.members: list[Channel] = []


def dialling_root(channel: Channel) -> tuple[Channel, bool]:
    """On whose behalf ``channel`` dials, and whether that is an Originate's own first leg.

    A second half dials for whoever dialled its first half. The walk stops at a party, or at a
    Local channel that nobody dialled.
    """
    for _ in range(MOST_HOPS):
        if channel.half != 2 or channel.pair is None:
            break
        first = channel.pair
        if first.parent is None:
            break
        if first.parent.dialler is None:
            return first, first.call.origin is first
        channel = first.parent.dialler
    return channel, False


def answering_party(leg: Leg) -> Leg | None:
    """The leg to the person behind ``leg``, following answered dials through Local channels."""
    for _ in range(MOST_HOPS):
        if leg.dest.half != 1:
            return leg if leg.dest.party else None
        second = leg.dest.pair
        following = second.answered_leg if second is not None else None
        if following is None:
            return None
        leg = following
    return None


def heard_by(channel: Channel) -> list[Channel]:
    """Every party that ``channel`` hears, itself included, through bridges and Local channels."""
    found: list[Channel] = []
    waiting, seen = [channel], {channel.uniqueid}
    while waiting:
        here = waiting.pop()
        if here.party:
            found.append(here)
        bridge = here.bridge
        nearby = list(bridge.members) if bridge is not None and bridge.talk else []
        if here.pair is not None and bridge is not None and here.pair.bridge is not None:
            nearby.append(here.pair)
        for other in nearby:
            if other.uniqueid not in seen:
                seen.add(other.uniqueid)
                waiting.append(other)
    return found
