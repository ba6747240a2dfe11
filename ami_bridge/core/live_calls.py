"""A call as a person at a desk needs to see it while it goes on: who rings where, who talks with whom.

Much smaller than the record, and it knows what a record does not say: which channels are still there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

from ami_bridge.core.calls import Call
from ami_bridge.core.channels import LEG_RINGING, Leg
from ami_bridge.core.hanging_up import caller_of
from ami_bridge.core.records import CallKind, CallRecord
from ami_bridge.core.ringing import RingRuleOf
from ami_bridge.core.talking import Talk

Phase = Literal["new", "ringing", "waiting", "greeting", "talking", "ended"]
"""``waiting``: in a queue and no phone rings; ``greeting``: picked up, but the two do not hear each other yet."""


class RingClockShown(NamedTuple):
    """The caller's ringback: ring 1 began at ``started_at``; seconds of tone and of a whole period."""

    started_at: datetime
    tone_seconds: float
    period_seconds: float
    answer_by_ring: int


class WaitShown(NamedTuple):
    """The caller waits in ``queue`` since ``joined_at``; ``position`` is where he entered, None when unknown."""

    queue: str
    joined_at: datetime | None
    position: int | None


class TalkShown(NamedTuple):
    """Who has spoken how long, and since when whoever speaks now does; ended turns only are in the seconds."""

    agent_seconds: float
    caller_seconds: float
    agent_since: datetime | None
    caller_since: datetime | None
    caller_first_turn_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        since = {"agent_since": _text(self.agent_since), "caller_since": _text(self.caller_since)}
        return {**self._asdict(), **since}


class LiveCall(NamedTuple):
    """One call now. ``ringing`` and ``agents`` are endpoints of phones: those that ring, those that talk."""

    call_id: str
    kind: CallKind
    phase: Phase
    number: str
    name: str
    did: str
    department: str
    started_at: datetime | None
    ringing: tuple[str, ...]
    agents: tuple[str, ...]
    ring: RingClockShown | None
    wait: WaitShown | None
    failover_reason: str
    answered_at: datetime | None
    talk_started_at: datetime | None
    held_since: datetime | None
    held_seconds: float
    talk: TalkShown | None
    transfers: int
    callback_id: str
    absorbed: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, as in :meth:`CallRecord.as_json`; by hand, since every change of a call is told so."""
        ring, wait, talk = self.ring, self.wait, self.talk
        return {
            **self._asdict(),
            "started_at": _text(self.started_at),
            "ringing": list(self.ringing),
            "agents": list(self.agents),
            "absorbed": list(self.absorbed),
            "ring": None if ring is None else {**ring._asdict(), "started_at": _text(ring.started_at)},
            "wait": None if wait is None else {**wait._asdict(), "joined_at": _text(wait.joined_at)},
            "answered_at": _text(self.answered_at),
            "talk_started_at": _text(self.talk_started_at),
            "held_since": _text(self.held_since),
            "talk": None if talk is None else talk.as_json(),
        }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")


def live_form(call: Call, ring_rule_of: RingRuleOf) -> LiveCall:
    """What goes on in ``call``."""
    caller = caller_of(call)
    rung = [leg for leg in call.legs if leg.state is LEG_RINGING and not leg.dest.gone]
    agents = tuple(
        channel.endpoint for _, channel, _ in call.answers if not channel.gone and not channel.handed_over
    )
    held = [channel.held[0] for channel in call.channels if channel.held is not None and not channel.gone]
    stay = call.stay
    return LiveCall(
        call_id=call.call_id,
        kind=call.kind,
        phase=_phase(call, rung, agents),
        number=caller.number if caller is not None else "",
        name=caller.shown_name if caller is not None else "",
        did=call.entry_exten,
        department=call.department,
        started_at=call.started_at,
        ringing=tuple(leg.dest.endpoint for leg in rung),
        agents=agents,
        ring=_ring_clock(call, rung, ring_rule_of),
        wait=WaitShown(stay.queue, stay.joined_at, stay.position or None) if stay is not None else None,
        failover_reason=call.failover,
        answered_at=call.answered_at,
        talk_started_at=call.talk_started_at,
        held_since=next((at for at in held if at is not None), None),
        held_seconds=sum(hold.seconds or 0.0 for hold in call.holds),
        talk=_talk(call.talk) if call.talk is not None else None,
        transfers=len(call.handovers),
        callback_id=_callback_of(call),
        absorbed=call.absorbed,
    )


def ended_form(record: CallRecord) -> dict[str, Any]:
    """The last word on a call: it leaves every desk's list, and its note can be written."""
    return {
        "call_id": record.call_id,
        "phase": "ended",
        "did": record.dialled,
        "department": record.department,
        "agents": [party.endpoint for party in record.answers],
        "ringing": [],
        "disposition": str(record.disposition),
        "hung_up_by": record.hung_up_by,
        "ended_at": _text(record.ended_at),
        "absorbed": list(record.absorbed_call_ids),
    }


def _phase(call: Call, rung: list[Leg], agents: tuple[str, ...]) -> Phase:
    if agents:
        return "talking" if call.talking else "greeting"
    if rung:
        return "ringing"
    return "waiting" if call.stay is not None else "new"


def _ring_clock(call: Call, rung: list[Leg], ring_rule_of: RingRuleOf) -> RingClockShown | None:
    """The clock that the caller hears; none in a queue, where he hears music."""
    if call.ring_started_at is None or call.stay is not None:
        return None
    for leg in rung:
        rule = ring_rule_of(leg.context, leg.exten)
        if rule is not None:
            cadence = rule.cadence
            return RingClockShown(
                call.ring_started_at, cadence.tone_seconds, cadence.period_seconds, rule.answer_by_ring
            )
    return None


def _talk(talk: Talk) -> TalkShown:
    def since(side: str) -> datetime | None:
        going_on = [
            turn.began_at for turn in talk.turns.values() if turn.side == side and turn.cut_at is None
        ]
        return min(going_on, default=None)

    agent, caller = talk.sides.get("agent"), talk.sides.get("caller")
    return TalkShown(
        round(agent.seconds, 3) if agent is not None else 0.0,
        round(caller.seconds, 3) if caller is not None else 0.0,
        since("agent"),
        since("caller"),
        talk.first_turn,
    )


def _callback_of(call: Call) -> str:
    return next((noted.fields["Callback"] for noted in call.notes if noted.fields.get("Callback")), "")
