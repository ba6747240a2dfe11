"""What the dialplan says of an attempt, in the words of the callback table."""

from __future__ import annotations

from ami_bridge.core.callbacks import AttemptState

#: The AGI did not answer, so nobody could tell the agent whom to ring.
AGI_LOST = "AGI_LOST"

# FR_OUTCOME of the context "callback-briefing" and what follows it: DIALSTATUS of the customer's leg
# (https://docs.asterisk.org, application Dial), or why it was not dialled.
_OUTCOMES = {
    "ANSWER": AttemptState.ANSWERED,
    "NOANSWER": AttemptState.NO_ANSWER,
    "BUSY": AttemptState.BUSY,
    "CONGESTION": AttemptState.CONGESTION,
    "CHANUNAVAIL": AttemptState.FAILED,
    "REFUSED": AttemptState.FAILED,
    # The agent hung up while the customer's phone rang: the customer may have seen a missed call, so it counts.
    "CANCEL": AttemptState.NO_ANSWER,
    "DECLINED": AttemptState.AGENT_DECLINED,
    "AGENT_LEFT": AttemptState.AGENT_DECLINED,
    # Our own fault, not the agent's, who took it and heard nothing.
    AGI_LOST: AttemptState.NOT_DIALLED,
}


def attempt_result(outcome: str) -> AttemptState:
    """The attempt's result for the dialplan's ``outcome``; an unheard-of one is ``unknown`` and looked into."""
    return _OUTCOMES.get(outcome, AttemptState.UNKNOWN)
