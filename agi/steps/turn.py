"""Turn: the AGI step behind every conversation.

Arguments: conversation (capture | briefing | outcome | confirm | own_name | own_greeting), what it is about
(department | callback id | agent), and what came of the last turn in base64. Sets FR_DO and what that needs; see
:class:`agi.turns.Do`.
"""

from __future__ import annotations

from agi.request import StepRefused, StepRequest, Variables, decode_result
from agi.steps import briefing, capture, confirm, outcome, own_name


async def run(request: StepRequest) -> Variables:
    """The next turn of the conversation on this channel."""
    conversation, about, encoded = request.arguments(3)
    result = decode_result(encoded)
    if conversation == capture.CONVERSATION:
        return await capture.run(request, request.department(about), result)
    if conversation == briefing.CONVERSATION:
        return await briefing.run(request, about, result)
    if conversation in own_name.CONVERSATIONS:
        return await own_name.run(request, about, result, conversation)
    if conversation == outcome.CONVERSATION:
        return await outcome.run(request, about, result)
    if conversation == confirm.CONVERSATION:
        return await confirm.run(request, about, result)
    raise StepRefused("there is no such conversation")
