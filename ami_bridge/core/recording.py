"""From a call's state to its frozen record: parties, ring measures, disposition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ami_bridge.core.calls import Call, Handover, seconds_between
from ami_bridge.core.channels import LEG_ANSWERED, LEG_ENDED, MOST_HOPS, UP, Channel, Leg
from ami_bridge.core.event_types import made
from ami_bridge.core.hanging_up import caller_of, left_unheard, who_hung_up
from ami_bridge.core.records import (
    CallRecord,
    Direction,
    Disposition,
    LegRecord,
    Party,
    QueueStay,
    Transfer,
)
from ami_bridge.core.ringing import RingRuleOf, RingVerdict
from ami_bridge.core.talking import talk_record

# Our own dialplan's doors (dialplans/extensions.conf.j2); elsewhere the direction is not known.
_DIRECTION_OF_ENTRY: Mapping[str, Direction] = {"from-carrier": "inbound", "from-agents": "internal"}

# Found by its word: the enumeration's own look-up takes a microsecond, on Python 3.11.
_DISPOSITIONS = {disposition.value: disposition for disposition in Disposition}
_ANSWERED = Disposition.ANSWERED

# Q.850 cause 17, user busy (Asterisk: AST_CAUSE_USER_BUSY).
BUSY_CAUSE = 17
# Asterisk's own cause for a phone that stops ringing because another was quicker ("completed elsewhere").
ELSEWHERE_CAUSE = 26
# Q.850 causes by which a call ends that never dialled anybody (dialplan Busy(), Congestion(), no route).
_OUTCOME_OF_CAUSE = {
    1: Disposition.FAILED,
    2: Disposition.FAILED,
    3: Disposition.FAILED,
    BUSY_CAUSE: Disposition.BUSY,
    21: Disposition.BUSY,
    22: Disposition.FAILED,
    27: Disposition.FAILED,
    28: Disposition.FAILED,
    34: Disposition.CONGESTION,
    38: Disposition.FAILED,
    42: Disposition.CONGESTION,
}


def party_of(channel: Channel) -> Party:
    """The person at the end of ``channel``, as far as Asterisk knows."""
    endpoint = channel.endpoint
    leg = channel.parent
    number = (leg.number if leg is not None else "") or channel.number
    extension = endpoint if endpoint.isascii() and endpoint.isdigit() else number
    # Four of these for each record: the class itself takes three times as long (see event_types.made).
    return made(
        Party,
        (
            extension,
            number,
            channel.shown_name,
            endpoint,
            channel.name,
            channel.uniqueid,
            channel.linkedid,
        ),
    )


def _party_or_none(channel: Channel | None) -> Party | None:
    return party_of(channel) if channel is not None else None


def transfer_of(handover: Handover, unanswered: str = "") -> Transfer:
    """``unanswered`` is how the call's last attempt ended, when the target never answered."""
    return Transfer(
        kind=handover.kind,
        at=handover.at,
        transferer=party_of(handover.transferer),
        consultation=_party_or_none(handover.consultation),
        transferee=_party_or_none(handover.transferee),
        target=_party_or_none(handover.target),
        targets=tuple(party_of(channel) for channel in handover.targets),
        extension=handover.extension,
        application=handover.application,
        outcome=handover.outcome or unanswered,
    )


# Rings --------------------------------------------------------------------------------


def ring_number_of(call: Call, leg: Leg, ring_rule_of: RingRuleOf) -> int | None:
    """On which ring ``leg`` was answered. All phones dialled directly share the clock that the caller
    hears; in a queue the caller hears music, so each phone counts its own rings."""
    start = leg.rang_at if leg.in_queue else call.ring_started_at or leg.rang_at
    if start is None or leg.answered_at is None:
        return None
    rule = ring_rule_of(leg.context, leg.exten)
    if rule is None:
        return None
    return rule.cadence.ring_number(max(0.0, (leg.answered_at - start).total_seconds()))


def _outer_status(leg: Leg) -> str:
    """How the outermost dial around ``leg`` ended: a queue that gives up on a member cancels within."""
    for _ in range(MOST_HOPS):
        dialler = leg.dialler
        if leg.status not in ("CANCEL", "") or dialler is None or dialler.half != 2 or dialler.pair is None:
            break
        outer = dialler.pair.parent
        if outer is None or outer.dialler is None or outer.state is not LEG_ENDED:
            break
        leg = outer
    return leg.status


def _verdict_of(
    call: Call, leg: Leg, ring: int | None, ring_rule_of: RingRuleOf, disposition: Disposition
) -> RingVerdict | None:
    if leg.state is LEG_ANSWERED:
        return _verdict_of_answered(call, leg, ring, ring_rule_of)
    if not leg.rang:
        return None
    status = _outer_status(leg)
    if not leg.status and leg.dest.hangup_cause == ELSEWHERE_CAUSE:
        return "elsewhere"  # a pickup whose own event came when the phone was gone
    if status in ("NOANSWER", "") or (status == "CANCEL" and call.failover and not leg.in_queue):
        return "missed"
    if status == "CANCEL":
        return _verdict_of_cancelled(call, leg, disposition)
    return "forwarded" if status == "FORWARDED" else "refused"


def _verdict_of_answered(
    call: Call, leg: Leg, ring: int | None, ring_rule_of: RingRuleOf
) -> RingVerdict | None:
    if not any(leg.dest is channel for _, channel, _ in call.answers):
        return None if leg.originator else "refused"  # picked up, but never put through (call acceptance)
    rule = ring_rule_of(leg.context, leg.exten)
    return rule.verdict(ring) if rule is not None and ring is not None else None


def _verdict_of_cancelled(call: Call, leg: Leg, disposition: Disposition) -> RingVerdict:
    answering = {channel for _, channel, _ in call.answers}
    for other in call.legs:
        at_once = other.root is leg.root and other.in_queue == leg.in_queue and _answered_during(other, leg)
        if other.dest in answering and at_once:
            return "elsewhere"
    gave_up = disposition in ("CANCELLED", "ABANDONED")
    handed_on = call.handovers[-1:]
    if handed_on and leg.dest in handed_on[0].targets and call.outcome == Disposition.CANCELLED:
        gave_up = True  # served once, but he did not wait for the one he was handed to
    return "abandoned" if gave_up else "missed"


def _answered_during(other: Leg, leg: Leg) -> bool:
    """``other`` was quicker, and not answered in an earlier part of the call."""
    if other.answered_at is None or leg.dialled_at is None:
        return True
    return other.answered_at >= leg.dialled_at


def _leg_record(call: Call, leg: Leg, ring_rule_of: RingRuleOf, disposition: Disposition) -> LegRecord:
    ring = ring_number_of(call, leg, ring_rule_of)
    return LegRecord(
        party=party_of(leg.dest),
        originator=leg.originator,
        dialled_from=f"{leg.context},{leg.exten}" if leg.context else "",
        dialled_at=leg.dialled_at,
        rung=leg.rang,
        rang_at=leg.rang_at,
        answered_at=leg.answered_at,
        ended_at=leg.ended_at,
        outcome=leg.status,
        forwarded_to=leg.forward,
        ring_seconds=seconds_between(leg.rang_at, leg.answered_at or leg.ended_at),
        answered_on_ring=ring,
        ring_verdict=_verdict_of(call, leg, ring, ring_rule_of, disposition),
    )


def _ring_of_call(call: Call, legs: tuple[LegRecord, ...]) -> tuple[int | None, RingVerdict | None]:
    """The call's own verdict is that of the phones that rang directly; the queue counts only without them."""
    paired = zip(call.legs, legs, strict=True)
    shown = [(leg, record) for leg, record in paired if record.rung and not leg.originator]
    direct = [record for leg, record in shown if not leg.in_queue]
    records = direct or [record for _, record in shown]
    for record in records:
        if record.ring_verdict in ("early", "ideal", "late"):
            return record.answered_on_ring, record.ring_verdict
    verdicts: list[RingVerdict | None] = [record.ring_verdict for record in records]
    if "missed" in verdicts:
        return None, "missed"
    return None, verdicts[0] if verdicts else None


# The whole ----------------------------------------------------------------------------


def _disposition(call: Call, *, served: bool, over: bool) -> Disposition:
    if call.vanished:
        return Disposition.UNKNOWN
    if served:
        return Disposition.BUSY if over and _left_with_busy_tone(call) else _ANSWERED
    if not over:
        return Disposition.UNKNOWN
    if call.stay is not None:
        return Disposition.ABANDONED
    outcome = call.outcome or call.originator_outcome
    if outcome:
        return _DISPOSITIONS[outcome]
    return _disposition_of_undialled(call)


def _first_heard(call: Call) -> tuple[Channel, datetime | None] | None:
    """Who served the caller first, and since when: nobody who picked up and left before they were joined."""
    return next(((who, at) for _, who, at in call.answers if not left_unheard(call, who)), None)


def _left_with_busy_tone(call: Call) -> bool:
    """A transfer handed the caller to a busy phone, and the PBX ended the call saying so (cause 17).

    The caller was served once, but what he is left with is a busy tone: a call to be followed up.
    ``answered_by`` still says who had served him. A target who let it ring leaves him with the answer he had.
    """
    handed_over = bool(call.handovers) and call.outcome == Disposition.BUSY
    told_busy = call.origin is not None and call.origin.hangup_cause == BUSY_CAUSE
    return handed_over and told_busy and not call.caller_asked_to_end()


def _disposition_of_undialled(call: Call) -> Disposition:
    channel = call.origin
    if channel is None or not call.complete:
        return Disposition.UNKNOWN
    if channel.hangup_cause in _OUTCOME_OF_CAUSE:
        return _OUTCOME_OF_CAUSE[channel.hangup_cause]
    if channel.state == UP:
        return Disposition.NO_ANSWER  # the PBX answered, nobody else did
    asked = call.caller_asked_to_end()
    untold = not call.requests_heard and channel.hangup_cause in (0, 127)
    return Disposition.CANCELLED if asked or untold else Disposition.NO_ANSWER


def _stay_record(call: Call, position: int) -> QueueStay:
    stay = call.stays[position]
    reason = "abandoned" if stay.open and stay.who.gone else stay.reason
    return QueueStay(
        name=stay.queue,
        joined_at=stay.joined_at,
        left_at=stay.left_at,
        wait_seconds=stay.waited,
        position=stay.position or None,
        left_reason=reason,
    )


def record_of(
    call: Call, node: str, ring_rule_of: RingRuleOf, ended_at: datetime | None, *, over: bool = True
) -> CallRecord:
    """Freeze ``call``. ``over`` is False for a look at a call that goes on."""
    served = _first_heard(call)
    disposition = _disposition(call, served=served is not None, over=over)
    hung_up = who_hung_up(call, over=over)
    caller = caller_of(call)
    legs = tuple(_leg_record(call, leg, ring_rule_of, disposition) for leg in call.legs)
    ring, verdict = _ring_of_call(call, legs)
    answers = tuple(party_of(channel) for _, channel, _ in call.answers)
    queues = tuple(_stay_record(call, position) for position in range(len(call.stays)))
    unanswered = (call.outcome or "NO_ANSWER") if over else ""
    transfers = tuple(transfer_of(handover, unanswered) for handover in call.handovers)
    return CallRecord(
        call_id=call.call_id,
        node=node,
        kind=call.kind,
        direction="outbound"
        if call.kind == "callback"
        else _DIRECTION_OF_ENTRY.get(call.entry_context, "unknown"),
        disposition=disposition,
        complete=over and call.complete and not call.vanished,
        caller=_party_or_none(caller),
        dialled=call.entry_exten,
        department=call.department,
        started_at=call.started_at,
        ring_started_at=call.ring_started_at,
        answered_at=served[1] if served else None,
        talk_started_at=call.talk_started_at,
        ended_at=ended_at if over else None,
        answered_by=party_of(served[0]) if served else None,
        answers=answers,
        rung=tuple(leg for leg in legs if leg.rung and not leg.originator),
        legs=legs,
        answered_on_ring=ring,
        ring_verdict=verdict,
        transfers=transfers,
        hung_up_by=hung_up.by,
        hung_up_evidence=hung_up.evidence,
        hung_up_confidence=hung_up.confidence,
        hangup_cause=caller.hangup_cause if caller is not None and caller.hangup_cause >= 0 else None,
        last_attempt=transfers[-1].outcome if transfers else str(disposition),
        failover_reason=call.failover,
        queue=queues[-1] if queues else None,
        queues=queues,
        talk_seconds=call.talk_seconds,
        talk=talk_record(call.talk),
        holds=call.holds,
        greetings=call.greetings,
        notes=call.notes,
        conference=call.conference,
        uniqueids=tuple(channel.uniqueid for channel in call.channels),
        linkedids=call.linkedids,
        absorbed_call_ids=call.absorbed,
        gaps=call.gaps,
    )
