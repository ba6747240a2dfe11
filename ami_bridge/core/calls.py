"""A call and the table of what may happen to a dialled leg. Mutable, and never handed out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ami_bridge.core.channels import Channel, Leg, LegState

if TYPE_CHECKING:
    from ami_bridge.core.records import CallKind, Gap, Greeting, Hold, Noted, TransferKind
    from ami_bridge.core.talking import Talk

LegInput = Literal["ringing", "answered", "failed", "redialled", "corrected"]

# Every legal move of a leg; whatever is not here is impossible, is counted, and changes nothing.
# "redialled": a blonde transfer gives a still ringing leg to another dialler (DialEnd, DialBegin).
LEG_TRANSITIONS: dict[tuple[LegState, LegInput], LegState] = {
    (LegState.DIALLED, "ringing"): LegState.RINGING,
    (LegState.DIALLED, "answered"): LegState.ANSWERED,
    (LegState.DIALLED, "failed"): LegState.ENDED,
    (LegState.DIALLED, "redialled"): LegState.DIALLED,
    (LegState.RINGING, "answered"): LegState.ANSWERED,
    (LegState.RINGING, "failed"): LegState.ENDED,
    (LegState.RINGING, "redialled"): LegState.DIALLED,
    (LegState.ENDED, "redialled"): LegState.DIALLED,
    (LegState.ENDED, "corrected"): LegState.ANSWERED,
}

# How several phones dialled at once fared together: the strongest word wins. Asterisk's own Dial
# reports in the same order (app_dial: no answer, then busy, then congestion, then unavailable).
_STRENGTH = ("", "FAILED", "CONGESTION", "BUSY", "NO_ANSWER", "CANCELLED")
_OUTCOME_OF_DIALSTATUS = {
    "BUSY": "BUSY",
    "REJECTED": "BUSY",
    "CONGESTION": "CONGESTION",
    "CHANUNAVAIL": "FAILED",
    "INVALIDARGS": "FAILED",
    "CANCEL": "CANCELLED",
}


class Stay:
    """A wait in a queue that is going on or over."""

    __slots__ = ("joined_at", "left_at", "open", "position", "queue", "reason", "waited", "who")

    def __init__(self, queue: str, who: Channel, joined_at: datetime | None, position: int) -> None:
        self.queue = queue
        self.who = who
        self.joined_at = joined_at
        self.left_at: datetime | None = None
        self.position = position
        self.reason = ""
        self.waited: float | None = None
        self.open = True


class Handover:
    """A transfer whose target may still be on the way."""

    __slots__ = (
        "application",
        "at",
        "consultation",
        "extension",
        "kind",
        "outcome",
        "target",
        "targets",
        "transferee",
        "transferer",
    )

    def __init__(self, kind: TransferKind, at: datetime | None, transferer: Channel) -> None:
        self.kind: TransferKind = kind
        self.at = at
        self.transferer = transferer
        self.consultation: Channel | None = None
        self.transferee: Channel | None = None
        self.target: Channel | None = None
        self.targets: tuple[Channel, ...] = ()
        self.extension = self.application = self.outcome = ""


class Call:
    """Everything that belongs together, from the caller's first channel to the last hangup.

    Collections that most calls never use are empty tuples, replaced when they grow: ten thousand
    calls at once must stay small.
    """

    __slots__ = (
        "absorbed",
        "answered_at",
        "answers",
        "call_id",
        "channels",
        "complete",
        "conference",
        "department",
        "entry_context",
        "entry_exten",
        "failover",
        "first_left",
        "gaps",
        "greetings",
        "group_open",
        "handovers",
        "holds",
        "kind",
        "last_said",
        "legs",
        "linkedids",
        "live",
        "notes",
        "origin",
        "originator_outcome",
        "outcome",
        "requests_heard",
        "ring_started_at",
        "seq",
        "started_at",
        "stays",
        "talk",
        "talk_group",
        "talk_seconds",
        "talk_since",
        "talk_started_at",
        "talking",
        "vanished",
    )

    def __init__(self, call_id: str, seq: int, at: datetime | None, kind: CallKind) -> None:
        self.call_id = call_id
        self.seq = seq
        self.started_at = at
        self.kind: CallKind = kind
        self.complete = True  # its start was seen
        self.vanished = False  # it ended while nobody listened
        self.origin: Channel | None = None
        self.channels: list[Channel] = []
        self.live = 0
        self.legs: list[Leg] = []  # to parties only
        self.answers: tuple[tuple[int, Channel, datetime | None], ...] = ()
        self.answered_at: datetime | None = None
        self.ring_started_at: datetime | None = None
        self.outcome = ""  # how the last attempt to reach anybody ended
        self.originator_outcome = ""
        self.group_open = 0  # dials of the caller's side that are going on
        self.stays: tuple[Stay, ...] = ()
        self.handovers: tuple[Handover, ...] = ()
        self.first_left: Channel | None = None  # who left the last conversation first
        self.requests_heard = False  # this PBX's HangupRequests reach us
        self.talking = False
        self.talk_since: datetime | None = None
        self.talk_started_at: datetime | None = None
        self.talk_seconds: float | None = None
        self.talk_group: tuple[Channel, ...] = ()
        self.talk: Talk | None = None
        self.holds: tuple[Hold, ...] = ()
        self.greetings: tuple[Greeting, ...] = ()
        self.notes: tuple[Noted, ...] = ()
        self.last_said: object = None
        self.failover = self.department = self.conference = ""
        self.entry_context = self.entry_exten = ""  # where its first channel came in
        self.linkedids: tuple[str, ...] = ()
        self.absorbed: tuple[str, ...] = ()
        self.gaps: tuple[Gap, ...] = ()

    @property
    def stay(self) -> Stay | None:
        """The queue in which the caller waits now."""
        return self.stays[-1] if self.stays and self.stays[-1].open else None

    def begin_attempt(self) -> None:
        """The caller's side dials a phone; the first of several at once forgets the attempt before."""
        if self.group_open == 0 and self.stay is None:
            self.outcome = ""
        self.group_open += 1

    def end_attempt(self, dialstatus: str) -> None:
        """One of those phones failed. Queues dial again and again: their own end is told elsewhere."""
        self.group_open = max(0, self.group_open - 1)
        if self.stay is not None:
            return
        outcome = _OUTCOME_OF_DIALSTATUS.get(dialstatus, "NO_ANSWER")
        if dialstatus == "CANCEL" and self.requests_heard and not self.caller_asked_to_end():
            # The dial was broken off, but not by the caller: somebody moved the channel elsewhere.
            outcome = "NO_ANSWER"
        if self.outcome not in _STRENGTH or _STRENGTH.index(outcome) > _STRENGTH.index(self.outcome):
            self.outcome = outcome

    def caller_asked_to_end(self) -> bool:
        """The far end of the caller's own channel has hung up."""
        return any(
            channel.requested is not None
            for channel in self.channels
            if channel.party and (channel.parent is None or channel.parent.originator)
        )

    def note_linkedid(self, linkedid: str) -> None:
        if linkedid and linkedid not in self.linkedids:
            self.linkedids = (*self.linkedids, linkedid)


def outcome_of_dialstatus(dialstatus: str) -> str:
    """The disposition word for one failed dial."""
    return _OUTCOME_OF_DIALSTATUS.get(dialstatus, "NO_ANSWER")


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Whole milliseconds in seconds, never negative; None when either instant is not known."""
    if start is None or end is None:
        return None
    return max(0.0, round((end - start).total_seconds(), 3))
