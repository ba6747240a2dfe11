"""Parting: the words that a served caller hears last, by his own clock where his number tells it (S13).

Arguments: department, the caller's digits or "", nothing. Sets FR_FILES.
"""

from __future__ import annotations

from agi.request import StepRequest, Variables
from agi.speech import Speech
from agi.turns import Phrase
from agi.variables import Variable


async def run(request: StepRequest) -> Variables:
    """Thanks and a good day, evening or weekend. The dialplan then waits for the caller to hang up (S12)."""
    slug, digits, _ = request.arguments(3)
    speech = Speech.of(request, request.department(slug), caller=digits)
    return {Variable.FILES: speech.files([Phrase("capture.served")])}
