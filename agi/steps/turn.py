"""Turn: the AGI step behind every conversation.

Arguments: conversation (capture | briefing | outcome | confirm | dial | convenient | own_name | own_greeting), what it
is about (department | callback id | agent), and what came of the last turn in base64. Sets FR_DO and what that needs;
see :class:`agi.turns.Do`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agi.request import StepRefused, StepRequest, Variables, decode_result
from agi.steps import briefing, capture, confirm, convenient, dial, outcome, own_name

_ABOUT_A_CALLBACK: dict[str, Callable[[StepRequest, str, str], Awaitable[Variables]]] = {
    briefing.CONVERSATION: briefing.run,
    outcome.CONVERSATION: outcome.run,
    confirm.CONVERSATION: confirm.run,
    convenient.CONVERSATION: convenient.run,
    dial.CONVERSATION: dial.run,
}


async def run(request: StepRequest) -> Variables:
    """The next turn of the conversation on this channel."""
    conversation, about, encoded = request.arguments(3)
    result = decode_result(encoded)
    if conversation == capture.CONVERSATION:
        return await capture.run(request, request.department(about), result)
    if conversation in own_name.CONVERSATIONS:
        return await own_name.run(request, about, result, conversation)
    if conversation in _ABOUT_A_CALLBACK:
        return await _ABOUT_A_CALLBACK[conversation](request, about, result)
    raise StepRefused("there is no such conversation")
