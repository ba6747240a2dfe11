"""Wait: what a caller is told when he joins a queue that is busy, and the place that he gets in it.

Arguments: department, how many are waiting, how many members are logged in. Sets FR_FILES ("" when there is
nothing honest to say) and FR_PLACE (position in the queue, "" for its end).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agi.request import StepRefused, StepRequest, Variables
from agi.speech import Speech
from agi.turns import Phrase
from agi.variables import Variable
from ami_bridge.adapters.store.entries import StoredCall
from ami_bridge.core.callbacks import CLAIMABLE
from ami_bridge.core.waiting import PAST, estimate_seconds, old_place, spoken_minutes
from ami_bridge.numbers import e164_of

_MOST_CALLS = 200
_MOST_CALLBACKS = 100


def plan(seconds: float | None, offer_over_minutes: int) -> tuple[Phrase, ...]:
    """The estimate, or nothing; with a callback offered where it is long."""
    if seconds is None:
        return ()
    minutes = spoken_minutes(seconds)
    says = Phrase(f"waits.{minutes or 'more'}")
    return (says, Phrase("queue.offer")) if seconds > offer_over_minutes * 60 else (says,)


async def run(request: StepRequest) -> Variables:
    """The estimate's files and the place."""
    slug, waiting, logged_in = request.arguments(3)
    department = request.department(slug)
    if not (waiting.isdecimal() and logged_in.isdecimal()):
        raise StepRefused("the queue is not counted in digits")
    async with request.store.looking():
        calls = await request.store.calls(department=department, since=request.now - PAST, limit=_MOST_CALLS)
        since = await _came_at(request, department)
        ahead = int(waiting) if since is None else min(int(waiting), waiting_since(calls, since))
        before = ahead + await _callbacks_before(request, department, since or request.now)
    seconds = estimate_seconds(before, int(logged_in), talks_of(calls))
    speech = Speech.of(request, department)
    files = speech.files(plan(seconds, request.settings.queue.offer_over_minutes))
    place = str(ahead + 1) if ahead < int(waiting) else ""
    return {Variable.FILES: files, Variable.PLACE: place}


def talks_of(calls: Sequence[StoredCall]) -> list[float]:
    """How long those talked who were answered."""
    talks = (call.record.get("talk_seconds") for call in calls if call.disposition == "ANSWERED")
    return [float(seconds) for seconds in talks if isinstance(seconds, int | float) and seconds > 0]


def waiting_since(calls: Sequence[StoredCall], since: datetime) -> int:
    """How many of those who wait in a queue now came before ``since``."""
    return sum(call.ended_at is None and call.started_at < since and _waits(call) for call in calls)


def _waits(call: StoredCall) -> bool:
    stays = list(call.record.get("queues") or ())
    return bool(stays) and stays[-1].get("left_at") is None


async def _came_at(request: StepRequest, department: str) -> datetime | None:
    """Since when the caller waits: his call began before the queue did, and who has asked to be rung, or was
    missed, and rings again, waits since then. None: nobody can tell."""
    number = e164_of(request.environment.caller, request.settings.company.country)
    known = await request.store.callbacks_of_number(number) if number else ()
    call = await request.store.find_call_by_uniqueid(request.environment.uniqueid)
    return old_place(known, department, request.now) or (call.started_at if call else None)


async def _callbacks_before(request: StepRequest, department: str, since: datetime) -> int:
    """Callbacks whose turn comes before somebody who came at ``since``: they take agents, too."""
    due = await request.store.callbacks(states=CLAIMABLE, department=department, limit=_MOST_CALLBACKS)
    return sum(
        each.dialable and each.due_at is not None and each.due_at <= request.now and each.came_at < since
        for each in due
    )
