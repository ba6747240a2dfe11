"""What the dialplan says of an attempt, in the words of the callback table."""

from __future__ import annotations

import re
from dataclasses import replace

from ami_bridge.core.callbacks import AttemptState, RetryPolicy

#: The AGI did not answer, so nobody could tell the agent whom to ring.
AGI_LOST = "AGI_LOST"

#: A machine has answered; whether the message was left whole is told when its channel ends.
MACHINE = "MACHINE"
#: The customer was on the line and no agent came within the queue's longest wait: within the hour once more.
NOBODY_CAME = "LATER1"
#: The attempt's own channel has ended, and the customer, who was rung first, goes on in the queue: his channel tells.
WAITING = "WAITING"

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
    # Whoever answered the number that somebody else had typed did not say that he wishes to talk with us.
    "UNCONFIRMED": AttemptState.NO_ANSWER,
    # He was rung first, wished to talk, and hung up before the agent was on the line.
    "CUSTOMER_LEFT": AttemptState.NO_ANSWER,
    # Customer first, and his phone was not rung.
    "NOT_DIALLED": AttemptState.NOT_DIALLED,
    # What the agent keyed in after the talk, or a customer who was rung first: agi/steps/outcome.py, convenient.py.
    "REFUSED_BY_CUSTOMER": AttemptState.REFUSED,
    "WRONG_NUMBER": AttemptState.WRONG_NUMBER,
    f"{MACHINE}_WHOLE": AttemptState.MACHINE,
    f"{MACHINE}_CUT": AttemptState.MACHINE,
    MACHINE: AttemptState.MACHINE,
    "DECLINED": AttemptState.AGENT_DECLINED,
    "AGENT_LEFT": AttemptState.AGENT_DECLINED,
    # Our own fault, not the agent's, who took it and heard nothing.
    AGI_LOST: AttemptState.NOT_DIALLED,
}


_LATER = re.compile(r"LATER([1-9][0-9]?)")


def attempt_result(outcome: str) -> AttemptState:
    """The attempt's result for the dialplan's ``outcome``; an unheard-of one is ``unknown`` and looked into."""
    if _LATER.fullmatch(outcome):
        return AttemptState.LATER
    return _OUTCOMES.get(outcome, AttemptState.UNKNOWN)


def policy_for(outcome: str, policy: RetryPolicy) -> RetryPolicy:
    """``policy``, in which who asked for another time is rung after the hours that ``outcome`` names."""
    named = _LATER.fullmatch(outcome)
    if named is None:
        return policy
    return replace(policy, by_result={**policy.by_result, AttemptState.LATER: (int(named[1]) * 60.0,)})
