"""Greeting: what is said when somebody answers, by time of day, with the name when it is known (S2, S3).

Arguments: kind, department, agent (extension or ""). Sets FR_FILES.
"""

from __future__ import annotations

import logging

from agi.request import StepRefused, StepRequest, Variables
from agi.variables import Variable
from agi.voice import prompts
from agi.voice.compose import PERSONAL, GreetingKind
from agi.voice.render import RenderError

_log = logging.getLogger(__name__)


def plan(kind: str) -> GreetingKind:
    """Which greeting is right.

    Raises:
        StepRefused: there is no such kind.
    """
    try:
        return GreetingKind(kind)
    except ValueError:
        raise StepRefused("there is no such kind of greeting") from None


async def run(request: StepRequest) -> Variables:
    """The greeting's file; the fixed one, which names nobody, while that is not rendered yet."""
    word, slug, agent = request.arguments(3)
    department, kind = request.department(slug), plan(word)
    language = request.environment.language
    try:
        path = request.voice.find_greeting(kind, department, language=language, agent=agent, at=request.now)
        why = "is not rendered yet"
    except RenderError as error:
        path, why = None, str(error)
    if path is None:
        name = "greeting" if kind in PERSONAL else "greeting-join"
        path = prompts.fixed_prompt(request.settings, department, name)
        _log.warning("The greeting %s of %s: %s; playing %s", kind, department, why, path)
    return {Variable.FILES: str(path)}
