"""Who hung up first, and why we believe it.

The first hard ``HangupRequest`` of somebody who took part in the last conversation names the side
whose far end hung up (right in 400 of 400 tried calls; the order of ``Hangup`` events was wrong in
163). Some streams lack that event (filtered, or recorded by others): there the order in which the
last bridge was left counts for less, since Asterisk takes out the channel that ended first and only
then, under the same lock, lets the other one go. When neither speaks, nobody is blamed.
"""

from __future__ import annotations

from typing import NamedTuple

from ami_bridge.core.calls import Call
from ami_bridge.core.channels import Channel
from ami_bridge.core.records import Confidence, HungUpBy

# Q.850 causes of a channel whose far end fell silent (``rtp_timeout``) or was cut off.
_NETWORK_CAUSES = frozenset({38, 41, 44})
# Causes that the PBX itself gives a caller when nobody could be reached.
_OWN_CAUSES = frozenset({1, 3, 17, 18, 19, 20, 21, 27, 34, 38, 42})


class HangupFinding(NamedTuple):
    """Who, how sure, and the events that say so."""

    by: HungUpBy
    confidence: Confidence
    evidence: tuple[str, ...]


_UNKNOWN = HangupFinding("unknown", "none", ())


def caller_of(call: Call) -> Channel | None:
    """The channel of whoever made the call; for click-to-dial and callbacks who is put on the phone first."""
    if call.kind != "call":
        first = [leg for leg in call.legs if leg.originator]
        answered = [leg.dest for leg in first if leg.answered_at is not None or leg.status == "ANSWER"]
        return next(reversed(answered or [leg.dest for leg in first]), None)
    origin = call.origin
    if origin is not None and origin.party and origin.parent is None:
        return origin
    undialled = [channel for channel in call.channels if channel.party and channel.parent is None]
    return next((channel for channel in undialled if not channel.far_side and not channel.handed_over), None)


def left_unheard(call: Call, channel: Channel) -> bool:
    """Whether ``channel`` picked up and was gone before the caller heard it: during the greeting, say.

    Not so when it was the caller who left during the greeting. Whom a callback reaches has answered in any case.
    """
    if channel.talked or channel.requested is None or call.kind != "call":
        return False
    caller = caller_of(call)
    return caller is None or caller.requested is None or channel.requested[0] < caller.requested[0]


def side_of(call: Call, channel: Channel) -> HungUpBy:
    """``caller`` is the customer's side: whoever called, or whom a callback called."""
    first_side: HungUpBy = "agent" if call.kind == "callback" else "caller"
    other_side: HungUpBy = "caller" if call.kind == "callback" else "agent"
    leg = channel.parent
    if leg is not None:
        return first_side if leg.originator else other_side
    served = any(channel is known for _, known, _ in call.answers)
    return other_side if served or channel.far_side or channel.handed_over else first_side


def who_hung_up(call: Call, *, over: bool) -> HangupFinding:
    """The finding for a call that is over; ``unknown`` rather than wrong."""
    if not over or call.vanished:
        return _UNKNOWN
    eligible = _last_parties(call)
    by_request = _by_request(call, eligible)
    if by_request is not None:
        return by_request if call.complete or _sides_are_plain(call) else _UNKNOWN
    if call.gaps or not call.complete:
        return _UNKNOWN  # somebody may have asked while nobody listened, or before
    if call.requests_heard:
        return _by_pbx_or_network(call, eligible)
    return _without_requests(call, eligible)


def _sides_are_plain(call: Call) -> bool:
    """Who called whom is plain though nobody saw the call begin: two people, the first of whom gave it its linkedid."""
    origin = call.origin
    if origin is None or call.kind != "call" or call.conference or call.handovers or call.absorbed:
        return False
    people = [channel for channel in call.channels if channel.party]
    return len(people) == len(call.channels) == 2 and origin.uniqueid == call.linkedids[0]


def _last_parties(call: Call) -> list[Channel]:
    """Who took part at the end: the last conversation, the caller, the last to answer; no transferers."""
    parties = list(call.talk_group)
    # Who answered last but has not talked yet is in the greeting; who has talked and is not in the last
    # conversation left it to others.
    if call.answers and not call.answers[-1][1].talked:
        parties.append(call.answers[-1][1])
    caller = caller_of(call)
    if caller is not None:
        parties.append(caller)
    return [channel for channel in dict.fromkeys(parties) if channel.party and not channel.handed_over]


def _by_request(call: Call, eligible: list[Channel]) -> HangupFinding | None:
    asked = [(channel.requested, channel) for channel in eligible if channel.requested is not None]
    if not asked:
        return None
    if len(asked) > 1:
        # Who left unheard has ended the call only when nobody stayed on until he had had enough.
        stayed = [pair for pair in asked if not left_unheard(call, pair[1])]
        asked = [min(stayed or asked, key=lambda pair: pair[0][0])]
    (_, at, cause), channel = asked[0]
    when = f" at {at.isoformat(timespec='milliseconds')}" if at is not None else ""
    evidence = [f"HangupRequest of {channel.name}, cause {cause}{when}"]
    confidence: Confidence = "high"
    left = call.first_left
    if left is not None and left in eligible:
        evidence.append(f"{left.name} left the last bridge first")
        confidence = "high" if left is channel else "medium"
    return HangupFinding(side_of(call, channel), confidence, tuple(evidence))


def _by_pbx_or_network(call: Call, eligible: list[Channel]) -> HangupFinding:
    silent = [channel for channel in eligible if channel.hangup_cause in _NETWORK_CAUSES]
    if silent and call.answers:
        lost = silent[0]
        return HangupFinding(
            "network",
            "medium",
            (f"{lost.name} ended with cause {lost.hangup_cause}, without a HangupRequest",),
        )
    return HangupFinding("system", "medium", ("no HangupRequest of any party",))


def _without_requests(call: Call, eligible: list[Channel]) -> HangupFinding:
    if call.outcome == "ABANDONED" and not call.answers:
        return HangupFinding("caller", "high", ("QueueCallerAbandon",))
    if call.outcome == "CANCELLED" and not call.answers:
        return HangupFinding("caller", "medium", ("DialEnd CANCEL of every ringing phone",))
    left = call.first_left
    if left is not None and left in eligible:
        return HangupFinding(side_of(call, left), "medium", (f"{left.name} left the last bridge first",))
    caller = caller_of(call)
    failed = call.outcome or call.originator_outcome
    if caller is not None and caller.hangup_cause in _OWN_CAUSES and failed:
        return HangupFinding(
            "system",
            "medium",
            (f"the last dial ended {failed}, then the caller's channel with {caller.hangup_cause}",),
        )
    return _UNKNOWN
