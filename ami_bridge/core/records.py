"""What is known about a call, frozen: the only thing about calls that leaves the core whole.

Instants carry a zone. A measure that the events do not support is None, never a guess. The parts
are named tuples because making them is much of the work of a call's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from ami_bridge.core.ringing import RingVerdict


class Disposition(StrEnum):
    """How the caller fared. ``ANSWERED`` only when a party was really put through to the caller."""

    ANSWERED = "ANSWERED"
    NO_ANSWER = "NO_ANSWER"
    BUSY = "BUSY"
    CONGESTION = "CONGESTION"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    ABANDONED = "ABANDONED"
    UNKNOWN = "UNKNOWN"


HungUpBy = Literal["caller", "agent", "system", "network", "unknown"]
Confidence = Literal["high", "medium", "none"]
TransferKind = Literal["blind", "attended", "blonde"]
Direction = Literal["inbound", "outbound", "internal", "unknown"]
CallKind = Literal["call", "originated", "callback", "supervision"]


class Party(NamedTuple):
    """One end of a call. ``extension`` is the phone's own number when its endpoint is named by
    digits (``PJSIP/101``), else the number that was dialled; ``number`` is what Asterisk showed."""

    extension: str
    number: str
    name: str
    endpoint: str
    channel: str
    uniqueid: str
    linkedid: str


class LegRecord(NamedTuple):
    """One phone that was dialled for this call. ``outcome`` is Asterisk's DIALSTATUS, or FORWARDED,
    or REJECTED where the phone declined (603), which Asterisk calls NOANSWER."""

    party: Party
    originator: bool
    dialled_from: str
    dialled_at: datetime | None
    rung: bool
    rang_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    outcome: str
    forwarded_to: str
    ring_seconds: float | None
    answered_on_ring: int | None
    ring_verdict: RingVerdict | None


class Transfer(NamedTuple):
    """One successful hand-over. ``target`` is who took it, ``targets`` all phones that it rang.

    ``transferer`` is the channel that held the customer, ``consultation`` the same person's channel
    to the target (None in a blind transfer). ``outcome`` is ANSWERED, or how the target failed.
    """

    kind: TransferKind
    at: datetime | None
    transferer: Party
    consultation: Party | None
    transferee: Party | None
    target: Party | None
    targets: tuple[Party, ...]
    extension: str
    application: str
    outcome: str


class QueueStay(NamedTuple):
    """One wait in a queue. ``left_reason``: answered, abandoned, moved (by a supervisor), or what the dialplan said."""

    name: str
    joined_at: datetime | None
    left_at: datetime | None
    wait_seconds: float | None
    position: int | None
    left_reason: str


class Hold(NamedTuple):
    """One time that a party put the other on hold."""

    by: Party
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None


class TalkRecord(NamedTuple):
    """What was said, as talk detection heard it; a side of which it never heard anything has None.

    Only talk that the other side heard counts. ``agent_share`` is the agents' part of all speech (0 to 1).
    ``*_longest_seconds``: the longest stretch in which the other side did not take its turn.
    ``caller_first_turn_seconds``: from when they were joined to the caller's first words.
    """

    agent_seconds: float | None
    caller_seconds: float | None
    agent_share: float | None
    overtalk_seconds: float | None
    agent_longest_seconds: float | None
    caller_longest_seconds: float | None
    agent_turns: int | None
    caller_turns: int | None
    caller_first_turn_seconds: float | None


class Greeting(NamedTuple):
    """A greeting that our dialplan played to the caller."""

    kind: str
    department: str
    agent: str
    started_at: datetime | None
    ended_at: datetime | None
    status: str


class Noted(NamedTuple):
    """Anything else that our dialplan said about the call (callback, attempt, spooled…)."""

    name: str
    at: datetime | None
    fields: Mapping[str, str]


class Gap(NamedTuple):
    """A stretch in which the link to the PBX was down: nothing is known about it."""

    lost_at: datetime | None
    found_at: datetime | None


class CallRecord(NamedTuple):
    """Everything about one call. ``complete`` is False while it lives or when its start was not seen."""

    call_id: str
    node: str
    kind: CallKind
    direction: Direction
    disposition: Disposition
    complete: bool
    caller: Party | None
    dialled: str
    department: str
    started_at: datetime | None
    ring_started_at: datetime | None
    answered_at: datetime | None
    talk_started_at: datetime | None
    ended_at: datetime | None
    answered_by: Party | None
    answers: tuple[Party, ...]
    rung: tuple[LegRecord, ...]
    legs: tuple[LegRecord, ...]
    answered_on_ring: int | None
    ring_verdict: RingVerdict | None
    transfers: tuple[Transfer, ...]
    hung_up_by: HungUpBy
    hung_up_evidence: tuple[str, ...]
    hung_up_confidence: Confidence
    hangup_cause: int | None
    last_attempt: str
    failover_reason: str
    queue: QueueStay | None
    queues: tuple[QueueStay, ...]
    talk_seconds: float | None
    talk: TalkRecord | None
    holds: tuple[Hold, ...]
    greetings: tuple[Greeting, ...]
    notes: tuple[Noted, ...]
    conference: str
    uniqueids: tuple[str, ...]
    linkedids: tuple[str, ...]
    absorbed_call_ids: tuple[str, ...]
    gaps: tuple[Gap, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values: instants as ISO 8601 with zone, nested records as objects."""
        return _fields(self)


def json_of(value: Any) -> Any:
    """Plain JSON values of a record or a part of one: instants as ISO 8601, named tuples as objects."""
    if isinstance(value, LegRecord):
        # Who it is comes first and flat: a leg is read by people far more often than by name.
        return {**json_of(value.party), **_fields(value, skip="party")}
    if hasattr(value, "_fields"):
        return _fields(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, tuple | list):
        return [json_of(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): json_of(item) for key, item in value.items()}
    return value.value if isinstance(value, StrEnum) else value


def _fields(value: Any, skip: str = "") -> dict[str, Any]:
    return {name: json_of(item) for name, item in value._asdict().items() if name != skip}
