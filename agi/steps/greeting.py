"""Greeting: what is said when somebody answers, by time of day, with the name when it is known (S2, S3).

Arguments: kind, department, agent (extension or ""). Sets FR_FILES.
"""

from __future__ import annotations

import logging
from datetime import datetime

from agi.request import StepRefused, StepRequest, Variables
from agi.variables import Variable
from agi.voice import prompts
from agi.voice.compose import PERSONAL, GreetingKind, Occasion, greeting, part_of_day

_log = logging.getLogger(__name__)


def plan(kind: str, department: str, agent: str, local_time: datetime) -> Occasion:
    """Which greeting is right.

    Raises:
        StepRefused: there is no such kind.
    """
    try:
        return Occasion(GreetingKind(kind), department, agent, part_of_day(local_time))
    except ValueError:
        raise StepRefused("there is no such kind of greeting") from None


async def run(request: StepRequest) -> Variables:
    """The greeting's file; the fixed one, which names nobody, while that is not rendered yet."""
    kind, slug, agent = request.arguments(3)
    department = request.department(slug)
    local_time = request.now.astimezone(request.settings.zone_info_of(department))
    occasion = plan(kind, department, agent, local_time)
    book = request.voice.book_of(department)
    path = request.voice.find(greeting(book, request.settings, occasion), book)
    if path is None:
        name = "greeting" if occasion.kind in PERSONAL else "greeting-join"
        path = prompts.fixed_prompt(request.settings, department, name)
        _log.warning("The greeting %s of %s is not rendered yet; playing %s", kind, department, path)
    return {Variable.FILES: str(path)}
