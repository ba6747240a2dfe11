"""Outcome: the customer has hung up, the agent is still on the line and says with a key how it went.

What was agreed decides what we do next: ring again in so many hours, never again, or not this number. An agent
who hangs up or presses nothing has spoken with the customer, and that is all there is to say.
"""

from __future__ import annotations

import asyncio

from agi.request import StepRequest, Variables
from agi.speech import turn_variables
from agi.steps.briefing import load_callback, speech_about
from agi.turns import DIGIT_SECONDS, KEY_SECONDS, Answer, Do, Phrase, Turn
from agi.variables import Variable

CONVERSATION = "outcome"
#: What FR_AGREED becomes; "LATER" is followed by the hours. The dialer knows them (ami_bridge/dialer/outcomes.py).
SPOKEN, LATER, REFUSED, WRONG_NUMBER = "ANSWER", "LATER", "REFUSED_BY_CUSTOMER", "WRONG_NUMBER"
_BY_KEY = {"1": SPOKEN, "3": REFUSED, "4": WRONG_NUMBER}
_HOURS_STAGE = "hours"


def plan(stage: str, answer: Answer | None) -> tuple[str, str, Turn]:
    """(stage', outcome so far, turn). ``answer`` is None at the beginning."""
    if answer is None:
        return "", SPOKEN, Turn(Do.KEY, (Phrase("outcome.ask"),), digits=1, wait_seconds=KEY_SECONDS)
    if stage == _HOURS_STAGE:
        hours = int(answer.text) if answer.text.isdecimal() and answer.text.isascii() else 0
        # Without a number it is the same time tomorrow: nobody asked for "later" to be rung at once.
        return "", f"{LATER}{hours or 24}", Turn(Do.END, (Phrase("outcome.noted"),))
    if answer.text == "2":
        ask = Turn(Do.DIGITS, (Phrase("outcome.hours"),), digits=2, wait_seconds=DIGIT_SECONDS)
        return _HOURS_STAGE, f"{LATER}24", ask
    return "", _BY_KEY.get(answer.text, SPOKEN), Turn(Do.END, (Phrase("outcome.noted"),))


async def run(request: StepRequest, callback_id: str, result: str) -> Variables:
    """One turn.

    Raises:
        StepRefused: there is no such callback.
    """
    callback = await load_callback(request, callback_id)
    key = request.environment.uniqueid
    stored = await request.store.get_conversation(key)
    began = stored is not None and stored.state.get("conversation") == CONVERSATION
    stage = str(stored.state.get("stage", "")) if began and stored else ""
    stage, outcome, turn = plan(stage, Answer(result) if began else None)
    speech = await asyncio.to_thread(speech_about, request, callback)
    variables = turn_variables(turn, speech, request.settings.callback.max_recording_seconds)
    state = {"conversation": CONVERSATION, "callback": callback.id, "stage": stage}
    await request.store.put_conversation(key, state, at=request.now)
    return {Variable.AGREED: outcome, **variables}
