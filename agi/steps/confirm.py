"""Confirm: asked of whoever answers a number that somebody else has typed, before an agent is put on.

1 puts him through (the dialplan alone judges that), 2 means never again, anything else that nobody there asked for us.
"""

from __future__ import annotations

import asyncio

from agi.request import StepRequest, Variables
from agi.speech import Speech
from agi.steps.briefing import load_callback
from agi.turns import Phrase
from agi.variables import Variable
from ami_bridge.adapters.store import DoNotCall
from ami_bridge.core.callbacks import AttemptState

CONVERSATION = "confirm"
NEVER = "2"


def plan(key: str) -> Phrase:
    """What is said: the question while there is no ``key``, else the farewell that suits it."""
    if not key:
        return Phrase("confirm.ask")
    return Phrase("confirm.refused" if key == NEVER else "confirm.silent")


async def run(request: StepRequest, callback_id: str, result: str) -> Variables:
    """One turn. Who wants no calls is on the list before he hears so, also when the agent has gone meanwhile.

    Raises:
        StepRefused: there is no such callback, or a prompt is not rendered yet.
    """
    callback = await load_callback(request, callback_id)
    if result == NEVER and callback.number is not None:
        refused = DoNotCall(callback.number, request.now, by="customer", reason=AttemptState.REFUSED.value)
        await request.store.forbid_calling(refused)
    speech = Speech.of(request, callback.department)
    return {Variable.FILES: await asyncio.to_thread(speech.files, (plan(result),))}
