"""Convenient: a customer who is rung before the agent has heard the greeting; does it suit him to talk now?

The keys mean what an agent's mean after a talk (agi/steps/outcome.py), so the dialer knows the answers. "Never again"
is on the do-not-call list before he hears so. Who presses nothing is not put through to an agent, and is tried again.
"""

from __future__ import annotations

import asyncio

from agi.request import StepRequest, Variables
from agi.speech import Speech, turn_variables
from agi.steps.briefing import load_callback
from agi.steps.outcome import LATER, REFUSED, WRONG_NUMBER
from agi.turns import DIGIT_SECONDS, KEY_SECONDS, MISSES, Answer, Do, Phrase, Turn
from agi.variables import Variable
from ami_bridge.adapters.store import DoNotCall
from ami_bridge.core.callbacks import AttemptState

CONVERSATION = "convenient"
#: Pressed nothing that has a meaning; the dialer takes it for "nobody reached" (ami_bridge/dialer/outcomes.py).
UNCONFIRMED = "UNCONFIRMED"
_HOURS_STAGE = "hours"
# Who asked for another time and names none.
_HOURS = 24
_ASK = Turn(Do.KEY, (Phrase("convenient.ask"),), digits=1, wait_seconds=KEY_SECONDS)
_DECIDED = {
    "1": ("", Turn(Do.CONNECT)),
    "3": (REFUSED, Turn(Do.PART, (Phrase("convenient.refused"),))),
    "4": (WRONG_NUMBER, Turn(Do.PART, (Phrase("convenient.wrong_number"),))),
}
_NEVER_AGAIN = {REFUSED: AttemptState.REFUSED, WRONG_NUMBER: AttemptState.WRONG_NUMBER}


def plan(stage: str, misses: int, answer: Answer | None) -> tuple[str, int, str, Turn]:
    """(stage', misses', what was agreed so far, turn). ``answer`` is None at the beginning."""
    if answer is None:
        return "", 0, "", _ASK
    if stage == _HOURS_STAGE:
        hours = int(answer.text) if answer.text.isdecimal() and answer.text.isascii() else 0
        return "", 0, f"{LATER}{hours or _HOURS}", Turn(Do.PART, (Phrase("convenient.later"),))
    if answer.text == "2":
        hours_turn = Turn(Do.DIGITS, (Phrase("convenient.hours"),), digits=2, wait_seconds=DIGIT_SECONDS)
        return _HOURS_STAGE, 0, f"{LATER}{_HOURS}", hours_turn
    if answer.text in _DECIDED:
        return "", misses, *_DECIDED[answer.text]
    if misses + 1 >= MISSES:
        return "", misses, UNCONFIRMED, Turn(Do.PART, (Phrase("convenient.silent"),))
    return "", misses + 1, "", _ASK


async def run(request: StepRequest, callback_id: str, result: str) -> Variables:
    """One turn.

    Raises:
        StepRefused: there is no such callback, or a prompt is not rendered yet.
    """
    callback = await load_callback(request, callback_id)
    key = request.environment.uniqueid
    stored = await request.store.get_conversation(key)
    state = stored.state if stored is not None and stored.state.get("conversation") == CONVERSATION else None
    began = (str(state.get("stage", "")), int(state.get("misses", 0))) if state is not None else ("", 0)
    stage, misses, agreed, turn = plan(*began, Answer(result) if state is not None else None)
    if agreed in _NEVER_AGAIN and callback.number is not None:
        reason = _NEVER_AGAIN[agreed].value
        await request.store.forbid_calling(DoNotCall(callback.number, request.now, "customer", reason))
    speech = Speech.of(request, callback.department)
    variables = await asyncio.to_thread(turn_variables, turn, speech, 0)
    after = {"conversation": CONVERSATION, "callback": callback.id, "stage": stage, "misses": misses}
    await request.store.put_conversation(key, after, at=request.now)
    return {Variable.AGREED: agreed, **variables}
