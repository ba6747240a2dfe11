"""Dial: the number of a customer who is rung before the agent (callback.mode = "customer_first").

Asked for by the attempt's own channel; the number is told to that of the present fence alone, as in a briefing.
"""

from __future__ import annotations

from agi.request import StepRequest, Variables
from agi.steps.briefing import attempted_number, load_callback
from agi.turns import Do
from agi.variables import Variable
from ami_bridge.numbers import CheckedNumber

CONVERSATION = "dial"


def plan(number: CheckedNumber | None) -> tuple[Do, str]:
    """What the dialplan does, and the digits that it dials; None: the customer may no longer be rung."""
    return (Do.ACCEPT, number.e164.removeprefix("+")) if number is not None else (Do.WITHDRAWN, "")


async def run(request: StepRequest, callback_id: str, _result: str) -> Variables:
    """The only turn.

    Raises:
        StepRefused: there is no such callback.
    """
    async with request.store.looking():
        callback = await load_callback(request, callback_id)
        do, number = plan(await attempted_number(request, callback))
    return {Variable.DO: str(do), Variable.NUMBER: number}
