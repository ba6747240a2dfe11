"""Briefing: the agent's leg of a callback. Who wants to be rung, why, at which number; 1 takes it.

The caller's own recordings of name and subject are played. Anything but 1 leaves the callback in the
queue: a phone that was picked up by nobody must not ring a customer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass

from agi.request import StepRefused, StepRequest, Variables
from agi.speech import Speech, playable, turn_variables
from agi.turns import KEY_SECONDS, MISSES, Answer, Do, Kind, Number, Part, Phrase, Recording, Turn
from agi.variables import Variable
from ami_bridge.core.callbacks import AttemptState, Callback, CallbackState
from ami_bridge.numbers import CheckedNumber, check_number
from ami_bridge.settings import Settings

CONVERSATION = "briefing"
_CALLBACK_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
#: A lost attempt (``unknown``) that is being briefed is the one that was lost: nobody else may dial meanwhile.
_WAITING = frozenset({CallbackState.DIALING, CallbackState.UNKNOWN})
_DIALLING = frozenset({AttemptState.DIALING, AttemptState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class BriefingFacts:
    """What is known about the callback. ``number`` None: it may no longer be rung."""

    number: CheckedNumber | None
    has_name: bool
    has_subject: bool


def plan(misses: int, answer: Answer | None, facts: BriefingFacts) -> tuple[int, Turn]:
    """(misses', turn). ``answer`` is None at the beginning."""
    if facts.number is None:
        return misses, Turn(Do.DECLINE, (Phrase("briefing.withdrawn"),))
    if answer is None:
        return 0, Turn(Do.KEY, _brief(facts, facts.number), digits=1, wait_seconds=KEY_SECONDS)
    if answer.text == "1":
        return misses, Turn(Do.ACCEPT, number=facts.number.e164.removeprefix("+"))
    if answer.text == "2" or misses + 1 >= MISSES:
        return misses, Turn(Do.DECLINE, (Phrase("briefing.declined"),))
    again = (Phrase("briefing.choose"),)
    return misses + 1, Turn(Do.KEY, again, digits=1, wait_seconds=KEY_SECONDS)


def _brief(facts: BriefingFacts, number: CheckedNumber) -> tuple[Part, ...]:
    says: list[Part] = [Phrase("briefing.intro")]
    if facts.has_name:
        says += [Phrase("briefing.name"), Recording(Kind.NAME)]
    if facts.has_subject:
        says += [Phrase("briefing.subject"), Recording(Kind.SUBJECT)]
    return (*says, Phrase("briefing.number"), Number(number.groups), Phrase("briefing.choose"))


async def run(request: StepRequest, callback_id: str, result: str) -> Variables:
    """One turn.

    Raises:
        StepRefused: there is no such callback.
    """
    async with request.store.looking():
        callback = await load_callback(request, callback_id)
        stored = await request.store.get_conversation(request.environment.uniqueid)
        holds = await _holds_the_fence(request, callback) and not await _forbidden(request, callback)
    began = stored is not None and stored.state.get("conversation") == CONVERSATION
    misses = int(stored.state.get("misses", 0)) if began and stored else 0
    speech = await asyncio.to_thread(speech_about, request, callback)
    facts = briefing_facts(request.settings, callback, speech.stored, holds)
    misses, turn = plan(misses, Answer(result) if began else None, facts)
    variables = turn_variables(turn, speech, request.settings.callback.max_recording_seconds)
    await request.store.put_conversation(
        request.environment.uniqueid,
        {"conversation": CONVERSATION, "callback": callback.id, "misses": misses},
        at=request.now,
    )
    return {Variable.NUMBER: "", **variables}


async def load_callback(request: StepRequest, callback_id: str) -> Callback:
    """The callback that the channel speaks of. Raises StepRefused when there is none."""
    callback = await request.store.callback(callback_id) if _CALLBACK_ID.fullmatch(callback_id) else None
    if callback is None or callback.department not in request.settings.departments:
        raise StepRefused("there is no such callback")
    return callback


async def attempted_number(request: StepRequest, callback: Callback) -> CheckedNumber | None:
    """Whom the attempt of this channel may ring now; None: nobody (any more)."""
    holds = await _holds_the_fence(request, callback) and not await _forbidden(request, callback)
    return briefing_facts(request.settings, callback, (), holds).number


async def _holds_the_fence(request: StepRequest, callback: Callback) -> bool:
    """Whether this channel is the attempt that holds the callback now.

    A dialer may have been frozen between its commit and its Originate for so long that another has dialled
    meanwhile. Here is the last place at which its late call can be told from the right one: the customer's
    number is given to nobody else.
    """
    attempts = await request.store.attempts(callback.id)
    return bool(attempts) and (
        attempts[-1].channel_id == request.environment.uniqueid
        and attempts[-1].fence == callback.fence
        and attempts[-1].state in _DIALLING
    )


async def _forbidden(request: StepRequest, callback: Callback) -> bool:
    """Whether the customer has asked never to be rung since the callback was claimed."""
    return bool(callback.number and await request.store.do_not_call([callback.number]))


def speech_about(request: StepRequest, callback: Callback) -> Speech:
    """How the agent is spoken to about ``callback``, in its department's language."""
    settings = request.settings
    recordings = {Kind.NAME: callback.name_recording, Kind.SUBJECT: callback.subject_recording}
    found = {kind: playable(settings, stored) for kind, stored in recordings.items()}
    return Speech(
        settings,
        request.voice,
        callback.department,
        request.now.astimezone(settings.zone_info_of(callback.department)),
        callback.id,
        {kind: path for kind, path in found.items() if path is not None},
    )


def briefing_facts(
    settings: Settings, callback: Callback, recordings: Collection[Kind], holds_the_fence: bool
) -> BriefingFacts:
    """Checks the number once more: what may be rung can have changed since it was taken."""
    checked = None
    if holds_the_fence and callback.state in _WAITING and callback.consent is not None and callback.number:
        own_numbers = tuple(did for each in settings.departments.values() for did in each.dids)
        rules = settings.callback
        found = check_number(
            callback.number,
            settings.company.country,
            rules.allowed_regions,
            own_numbers,
            rules.denied_prefixes,
        )
        checked = found if isinstance(found, CheckedNumber) else None
    return BriefingFacts(
        number=checked,
        has_name=Kind.NAME in recordings,
        has_subject=Kind.SUBJECT in recordings,
    )
