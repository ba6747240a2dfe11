"""What happened to calls, as past-tense frozen values: the tracker's output, in order.

Each has the call's own id and ``at`` (with zone, or None when no event carried a time).
``uniqueid`` names the channel that the fact is about.

They are named tuples, not dataclasses: equally frozen, and made in a quarter of the time (0.25 and 0.9 us for
nine fields), eight or more to each call. As tuples two kinds with the same fields are equal: compare types too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from ami_bridge.core.records import CallRecord, Transfer


class CallStarted(NamedTuple):
    """A call exists. ``channel`` is its first one: the caller's, or an Originate's."""

    call_id: str
    at: datetime | None
    uniqueid: str
    channel: str
    caller_number: str
    context: str
    exten: str


class CallMerged(NamedTuple):
    """Call ``absorbed_call_id`` (a consultation, a pickup) turned out to be part of this one."""

    call_id: str
    at: datetime | None
    absorbed_call_id: str


class LegDialled(NamedTuple):
    """A phone is being dialled; ``caller_*`` is the channel on whose behalf, through any Local channels."""

    call_id: str
    at: datetime | None
    uniqueid: str
    channel: str
    endpoint: str
    caller_channel: str
    caller_uniqueid: str
    dialled_from_context: str
    dialled_from_exten: str


class LegRinging(NamedTuple):
    """A phone rings (or sends early media): the caller hears ringback from ``at``."""

    call_id: str
    at: datetime | None
    uniqueid: str
    channel: str
    endpoint: str
    caller_channel: str
    caller_uniqueid: str
    dialled_from_context: str
    dialled_from_exten: str


class LegAnswered(NamedTuple):
    """A phone picked up; whether the caller gets through is told by :class:`CallAnswered`."""

    call_id: str
    at: datetime | None
    uniqueid: str
    channel: str
    endpoint: str
    caller_channel: str
    caller_uniqueid: str


class LegEnded(NamedTuple):
    """A dialled phone will not answer (any more); ``outcome`` as in LegRecord."""

    call_id: str
    at: datetime | None
    uniqueid: str
    channel: str
    endpoint: str
    outcome: str
    rang: bool


class CallAnswered(NamedTuple):
    """The caller got through to the phone ``uniqueid``, along every Local channel between them."""

    call_id: str
    at: datetime | None
    uniqueid: str
    channel: str
    endpoint: str
    caller_uniqueid: str
    answered_on_ring: int | None


class CallBridged(NamedTuple):
    """These parties hear each other from now on."""

    call_id: str
    at: datetime | None
    uniqueids: tuple[str, ...]


class QueueJoined(NamedTuple):
    """The caller waits in ``queue``."""

    call_id: str
    at: datetime | None
    uniqueid: str
    queue: str
    position: int


class QueueLeft(NamedTuple):
    """The caller waits no more."""

    call_id: str
    at: datetime | None
    uniqueid: str
    queue: str
    reason: str
    wait_seconds: float | None


class GreetingPlayed(NamedTuple):
    """A greeting ended (or was cut)."""

    call_id: str
    at: datetime | None
    uniqueid: str
    kind: str
    department: str
    agent: str
    status: str


class FailedOver(NamedTuple):
    """The caller was moved from the direct phones towards the queue."""

    call_id: str
    at: datetime | None
    uniqueid: str
    reason: str
    department: str


class DialplanNoted(NamedTuple):
    """Our dialplan said something else: callback, attempt, spooled, queue…"""

    call_id: str
    at: datetime | None
    uniqueid: str
    name: str
    fields: Mapping[str, str]


class TransferMade(NamedTuple):
    """A party was handed over; its target may still be ringing."""

    call_id: str
    at: datetime | None
    transfer: Transfer


class HoldStarted(NamedTuple):
    """The far end of this channel put the other party on hold."""

    call_id: str
    at: datetime | None
    uniqueid: str


class HoldEnded(NamedTuple):
    """The far end of this channel is back."""

    call_id: str
    at: datetime | None
    uniqueid: str


class CallEnded(NamedTuple):
    """The last channel is gone. Nothing follows for this call."""

    call_id: str
    at: datetime | None
    record: CallRecord


Fact = (
    CallStarted
    | CallMerged
    | LegDialled
    | LegRinging
    | LegAnswered
    | LegEnded
    | CallAnswered
    | CallBridged
    | QueueJoined
    | QueueLeft
    | GreetingPlayed
    | FailedOver
    | DialplanNoted
    | TransferMade
    | HoldStarted
    | HoldEnded
    | CallEnded
)
"""Something that happened to a call."""
