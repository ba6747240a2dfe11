"""Greeting: what is said when somebody answers, by time of day, with the name when it is known (S2, S3).

Arguments: kind, department, agent (extension or ""), the caller's number ("" when withheld), whose side asks ("agent"
for the one who has answered). Sets FR_FILES.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agi.request import StepRefused, StepRequest, Variables
from agi.variables import Variable
from agi.voice import prompts
from agi.voice.compose import PERSONAL, SHORTER, GreetingKind
from agi.voice.render import RenderError
from ami_bridge.adapters.store.entries import StoredCall, StoreUnavailable

_log = logging.getLogger(__name__)

AGENTS_SIDE = "agent"
#: A caller is not kept waiting by a store that does not answer at once: he hears the whole greeting.
_ASK_SECONDS = 0.2
# The greeting may have been said long after the call began.
_LONGEST_WAIT = timedelta(hours=2)
_CALLS_LOOKED_AT = 5
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


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
    word, slug, agent, caller, side = request.arguments(5)
    department, kind = request.department(slug), plan(word)
    rules = request.settings.greeting_of(department)
    again = kind in SHORTER and await heard_lately(request, department, caller)
    if again and rules.when_heard == "skip":
        return {Variable.FILES: str(prompts.quiet_prompt(request.settings))}
    path = _greeting(request, kind, department, agent, again=again)
    if side == AGENTS_SIDE and rules.agent_hears == "tone":
        path = _tone(request, path)
    return {Variable.FILES: str(path)}


async def heard_lately(request: StepRequest, department: str, caller: str) -> bool:
    """Whether the call records tell that ``caller`` has heard the department's greeting to its end lately.

    Asked each time, so that it holds over a restart, and on every node that shares the store.
    """
    minutes = request.settings.greeting_of(department).short_within_minutes
    if not minutes or not caller:
        return False
    since = request.now - timedelta(minutes=minutes)
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            calls = await request.store.calls(
                caller_number=caller, since=since - _LONGEST_WAIT, limit=_CALLS_LOOKED_AT
            )
    except (StoreUnavailable, TimeoutError) as error:
        _log.warning("Whether the caller knows the greeting cannot be told: %s", error or "the store is slow")
        return False
    earlier = (call for call in calls if request.environment.uniqueid not in call.record.get("uniqueids", ()))
    return any(_heard_whole(call, department) >= since for call in earlier)


def _heard_whole(call: StoredCall, department: str) -> datetime:
    """When the last greeting of ``department`` that the caller heard to its end was over; long ago when none was."""
    told = call.record.get("greetings", ())
    whole = [
        each["ended_at"]
        for each in told
        if each["department"] == department and each["status"] == "SUCCESS" and each["ended_at"]
    ]
    return max(map(datetime.fromisoformat, whole), default=_LONG_AGO)


def _greeting(request: StepRequest, kind: GreetingKind, department: str, agent: str, *, again: bool) -> Path:
    try:
        path = request.voice.find_greeting(
            kind,
            department,
            language=request.environment.language,
            agent=agent,
            at=request.now,
            again=again,
        )
        why = "is not rendered yet"
    except RenderError as error:
        path, why = None, str(error)
    if path is not None:
        return path
    if kind is GreetingKind.MACHINE:
        # What a machine keeps must say who rings and what number: no other prompt does.
        raise StepRefused(f"the message for a machine {why}")
    name = "greeting" if kind in PERSONAL else "greeting-join"
    generic = prompts.fixed_prompt(request.settings, department, name)
    _log.warning("The greeting %s of %s: %s; playing %s", kind, department, why, generic)
    return generic


def _tone(request: StepRequest, greeting: Path) -> Path:
    """The tone that takes as long as ``greeting``; that itself where there is none."""
    try:
        return request.voice.find_tone(greeting)
    except RenderError as error:
        _log.warning("No tone for the agent, who hears the greeting: %s", error)
        return greeting
