"""Permission: may we ring back (S9)? 1 agrees, 2 goes back to the queue.

Who presses nothing three times over may have a telephone without keys: he goes to a person, or is asked for a
message. In a flood of requests everybody is: nothing is dialled then before a person has listened.
"""

from __future__ import annotations

from dataclasses import replace

from agi.turns import (
    KEY_SECONDS,
    Answer,
    CaptureFacts,
    CaptureState,
    Do,
    Keep,
    Move,
    Phrase,
    Stage,
    Turn,
    helped,
    missed,
    to,
)
from ami_bridge.core.callbacks import CallbackFields
from ami_bridge.numbers import Refusal

#: The phrase that asks; its exact words are the consent's prompt version.
QUESTION = "capture.permission"


def ask(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """The question."""
    return Turn(Do.KEY, (Phrase(QUESTION),), digits=1, wait_seconds=KEY_SECONDS)


def plan(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """What follows from the key. The callback exists from the moment of consent."""
    if answer.text == "1":
        return _agreed(state, facts)
    if answer.text == "2":
        return Move(to(state, Stage.QUEUE))
    return missed(state, answer, give_up=Move(helped(state, facts)))


def _agreed(state: CaptureState, facts: CaptureFacts) -> Move:
    caller = facts.caller
    refusal = Keep(refusal=facts.caller_refused, refused=facts.caller_id)
    if facts.caller_refused is Refusal.TOO_MANY and facts.caller_id in facts.noted:
        # He is on the list as often as one person can be: nothing is made, so a flood costs nothing either.
        return Move(to(state, Stage.FAREWELL, outcome="noted"), keep=refusal)
    if facts.flooded:
        flood = Keep(refusal=Refusal.FLOOD, refused=facts.did)
        return Move(to(state, Stage.MESSAGE, flooded=True), keep=flood)
    if caller is None:
        keep = replace(refusal, consent_key="1", consent_prompt=QUESTION, starts=True)
        return Move(to(state, Stage.NUMBER_TYPE, consented=True), keep=keep)
    kept = CallbackFields(number=caller.e164, number_source="caller_id")
    keep = Keep(kept, consent_key="1", consent_prompt=QUESTION, starts=True)
    after = to(state, Stage.NUMBER_CONFIRM, consented=True, number=caller.e164, number_source="caller_id")
    return Move(after, keep=keep)
