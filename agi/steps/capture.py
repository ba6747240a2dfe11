"""Runs one turn of the capture conversation: asks the pure part, keeps what was said, then answers.

Everything is committed before the caller hears the next word: a caller who heard "accepted" has been
accepted, and whoever hangs up half-way leaves behind what he had said so far (the recording's place is
stored before the recording starts).
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from agi import conversation
from agi.request import StepRefused, StepRequest, Variables
from agi.speech import Speech, has_voice, recording_path, turn_variables
from agi.steps import number, permission
from agi.turns import NOTHING, Answer, CaptureFacts, CaptureState, Keep, Kind, Stage, Turn
from ami_bridge.adapters.store.entries import PromptEntry
from ami_bridge.core.callbacks import CallbackFields, Consent
from ami_bridge.numbers import CheckedNumber, check_number

CONVERSATION = "capture"
_RECORDS = {Stage.NAME: Kind.NAME, Stage.SUBJECT: Kind.SUBJECT, Stage.MESSAGE: Kind.SUBJECT}
# Phrases that were heard together with the one that asks for the consent.
_HEARD_WITH = {number.CONFIRM: ("capture.number_intro",), permission.QUESTION: ()}


@dataclass(frozen=True, slots=True)
class _Stored:
    """The conversation as it lies in the store under the channel's uniqueid."""

    state: CaptureState
    callback_id: str


async def run(request: StepRequest, department: str, result: str) -> Variables:
    """One turn."""
    key = request.environment.uniqueid
    facts = capture_facts(request, department)
    stored = await _load(request, department)
    if stored is None:
        outcome, callback_id = conversation.begin(facts), ""
    else:
        callback_id = stored.callback_id
        heard = await _heard(request, stored)
        outcome = conversation.advance(stored.state, Answer(result, heard), facts)
    callback_id = await _keep(request, department, callback_id, outcome)
    speech = Speech(
        request.settings,
        request.voice,
        department,
        facts.local_time,
        callback_id,
        caller=request.environment.caller,
    )
    variables = turn_variables(outcome.turn, speech, request.settings.callback.max_recording_seconds)
    await request.store.put_conversation(
        key,
        {
            "conversation": CONVERSATION,
            "department": department,
            "callback": callback_id,
            "state": outcome.state.as_json(),
        },
        at=request.now,
    )
    return variables


def capture_facts(request: StepRequest, department: str) -> CaptureFacts:
    """What the conversation may know: the caller's checked number, the local time, what we may ring."""
    settings = request.settings
    own_numbers = tuple(did for each in settings.departments.values() for did in each.dids)
    country, regions = settings.company.country, settings.callback.allowed_regions
    checked = check_number(request.environment.caller, country, regions, own_numbers)
    return CaptureFacts(
        caller=checked if isinstance(checked, CheckedNumber) else None,
        local_time=request.now.astimezone(settings.zone_info_of(department)),
        country=country,
        allowed_regions=regions,
        own_numbers=own_numbers,
    )


async def _load(request: StepRequest, department: str) -> _Stored | None:
    stored = await request.store.get_conversation(request.environment.uniqueid)
    if stored is None or stored.state.get("conversation") != CONVERSATION:
        return None
    if stored.state.get("department") != department:
        raise StepRefused("this channel is talking to another department")
    try:
        state = CaptureState.from_json(stored.state["state"])
    except (KeyError, TypeError, ValueError):
        raise StepRefused("the stored conversation is not of this version") from None
    return _Stored(state, str(stored.state.get("callback", "")))


async def _heard(request: StepRequest, stored: _Stored) -> bool | None:
    kind = _RECORDS.get(stored.state.stage)
    if kind is None:
        return None
    path = recording_path(request.settings, stored.callback_id, kind)
    return await asyncio.to_thread(has_voice, path)


async def _keep(
    request: StepRequest, department: str, callback_id: str, outcome: conversation.Outcome
) -> str:
    """Commit what must be kept before the turn; returns the callback's id, "" while there is none."""
    keep = outcome.keep
    fields = CallbackFields(**keep.fields)
    if keep.consent_key:
        fields["consent"] = await _consent(request, department, keep, outcome.state)
    if not callback_id and (keep.starts or outcome.turn.records):
        callback_id = await _start(request, department, fields)
    elif callback_id and (keep != NOTHING):
        await request.store.update_callback(
            callback_id, event=keep.event, by="caller", at=request.now, **fields
        )
    await _keep_place(request, callback_id, outcome.turn)
    return callback_id


async def _start(request: StepRequest, department: str, fields: CallbackFields) -> str:
    uniqueid = request.environment.uniqueid
    call = await request.store.find_call_by_uniqueid(uniqueid)
    known: CallbackFields = {
        **fields,
        "language": request.settings.language_of(department),
        "caller_id": request.environment.caller,
        "call_id": call.id if call else None,
        "place_at": call.started_at if call else request.now,
    }
    callback = await request.store.create_callback(
        f"capture:{uniqueid}", department, channel_uniqueid=uniqueid, at=request.now, **known
    )
    return callback.id


async def _keep_place(request: StepRequest, callback_id: str, turn: Turn) -> None:
    """Store where the recording will lie before it starts: a hang-up in the middle loses nothing."""
    if turn.records is None:
        return
    place = f"{recording_path(request.settings, callback_id, turn.records)}.wav"
    fields = (
        CallbackFields(name_recording=place)
        if turn.records is Kind.NAME
        else CallbackFields(subject_recording=place)
    )
    await request.store.update_callback(callback_id, at=request.now, **fields)


async def _consent(request: StepRequest, department: str, keep: Keep, state: CaptureState) -> Consent:
    """The evidence: which key, which exact words, when, for which number."""
    book = request.voice.book_of(department)
    asked = (*_HEARD_WITH.get(keep.consent_prompt, ()), keep.consent_prompt)
    text = " ".join(book.say(phrase) for phrase in asked)
    version = prompt_version(book.language, text)
    await request.store.save_prompt(PromptEntry(version, keep.consent_prompt, book.language, text))
    return Consent(key=keep.consent_key, prompt_version=version, given_at=request.now, number=state.number)


def prompt_version(language: str, text: str) -> str:
    """The name of a prompt's exact words: the same words always have the same name."""
    return hashlib.sha256(f"{language}\0{text}".encode()).hexdigest()[:16]
