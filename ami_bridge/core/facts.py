"""What happened to calls, as past-tense frozen values: the tracker's output, in order.

Each has the call's own id and ``at`` (with zone, or None when no event carried a time).
``uniqueid`` names the channel that the fact is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ami_bridge.core.records import CallRecord, Transfer


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to a call."""

    call_id: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class CallStarted(Fact):
    """A call exists. ``channel`` is its first one: the caller's, or an Originate's."""

    uniqueid: str
    channel: str
    caller_number: str
    context: str
    exten: str


@dataclass(frozen=True, slots=True)
class CallMerged(Fact):
    """Call ``absorbed_call_id`` (a consultation, a pickup) turned out to be part of this one."""

    absorbed_call_id: str


@dataclass(frozen=True, slots=True)
class LegDialled(Fact):
    """A phone is being dialled; ``caller_*`` is the channel on whose behalf, through any Local channels."""

    uniqueid: str
    channel: str
    endpoint: str
    caller_channel: str
    caller_uniqueid: str
    dialled_from_context: str
    dialled_from_exten: str


@dataclass(frozen=True, slots=True)
class LegRinging(Fact):
    """A phone rings (or sends early media): the caller hears ringback from ``at``."""

    uniqueid: str
    channel: str
    endpoint: str
    caller_channel: str
    caller_uniqueid: str
    dialled_from_context: str
    dialled_from_exten: str


@dataclass(frozen=True, slots=True)
class LegAnswered(Fact):
    """A phone picked up; whether the caller gets through is told by :class:`CallAnswered`."""

    uniqueid: str
    channel: str
    endpoint: str
    caller_channel: str
    caller_uniqueid: str


@dataclass(frozen=True, slots=True)
class LegEnded(Fact):
    """A dialled phone will not answer (any more); ``outcome`` as in LegRecord."""

    uniqueid: str
    channel: str
    endpoint: str
    outcome: str
    rang: bool


@dataclass(frozen=True, slots=True)
class CallAnswered(Fact):
    """The caller got through to the phone ``uniqueid``, along every Local channel between them."""

    uniqueid: str
    channel: str
    endpoint: str
    caller_uniqueid: str
    answered_on_ring: int | None


@dataclass(frozen=True, slots=True)
class CallBridged(Fact):
    """These parties hear each other from now on."""

    uniqueids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueJoined(Fact):
    """The caller waits in ``queue``."""

    uniqueid: str
    queue: str
    position: int


@dataclass(frozen=True, slots=True)
class QueueLeft(Fact):
    """The caller waits no more."""

    uniqueid: str
    queue: str
    reason: str
    wait_seconds: float | None


@dataclass(frozen=True, slots=True)
class GreetingPlayed(Fact):
    """A greeting ended (or was cut)."""

    uniqueid: str
    kind: str
    department: str
    agent: str
    status: str


@dataclass(frozen=True, slots=True)
class FailedOver(Fact):
    """The caller was moved from the direct phones towards the queue."""

    uniqueid: str
    reason: str
    department: str


@dataclass(frozen=True, slots=True)
class DialplanNoted(Fact):
    """Our dialplan said something else: callback, attempt, spooled, queue…"""

    uniqueid: str
    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TransferMade(Fact):
    """A party was handed over; its target may still be ringing."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class HoldStarted(Fact):
    """The far end of this channel put the other party on hold."""

    uniqueid: str


@dataclass(frozen=True, slots=True)
class HoldEnded(Fact):
    """The far end of this channel is back."""

    uniqueid: str


@dataclass(frozen=True, slots=True)
class CallEnded(Fact):
    """The last channel is gone. Nothing follows for this call."""

    record: CallRecord
