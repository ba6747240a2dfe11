"""Runs one turn of the capture conversation: asks the pure part, keeps what was said, then answers.

Everything is committed before the caller hears the next word: a caller who heard "accepted" has been
accepted, and whoever hangs up half-way leaves behind what he had said so far (the recording's place is
stored before the recording starts).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass

from agi import conversation
from agi.request import StepRefused, StepRequest, Variables
from agi.speech import Speech, recording_path, trimmed, turn_variables
from agi.steps import message, number, permission
from agi.steps.capture_facts import capture_facts
from agi.turns import Answer, CaptureFacts, CaptureState, Keep, Kind, Stage, Turn
from ami_bridge.adapters.store.entries import AuditEntry, PromptEntry
from ami_bridge.core.callbacks import CallbackEvent, CallbackFields, Consent
from ami_bridge.numbers import Refusal

_log = logging.getLogger(__name__)

CONVERSATION = "capture"
# With these the conversation is over.
_SETTLING = frozenset({CallbackEvent.CAPTURED, CallbackEvent.BROKEN_OFF})
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
    async with request.store.looking():
        stored = await _load(request, department)
        facts = await capture_facts(request, department, stored.state if stored else CaptureState(), result)
    if stored is None:
        outcome, callback_id = conversation.begin(facts), ""
    else:
        callback_id = stored.callback_id
        heard = await _heard(request, stored)
        outcome = conversation.advance(stored.state, Answer(result, heard), facts)
    # All at once: each transaction waits for the disk and for whoever else writes, and the caller waits with it.
    async with request.store.together():
        callback_id = await _keep(request, department, callback_id, outcome, facts)
        kept = {
            "conversation": CONVERSATION,
            "department": department,
            "callback": callback_id,
            "state": outcome.state.as_json(),
        }
        if outcome.state.stage is Stage.MESSAGE:
            kept |= await _offered(request, department, outcome.state, facts)
        await request.store.put_conversation(key, kept, at=request.now)
    speech = Speech.of(request, department, callback_id=callback_id, caller=request.environment.caller)
    return turn_variables(outcome.turn, speech, request.settings.callback.max_recording_seconds)


async def _offered(
    request: StepRequest, department: str, state: CaptureState, facts: CaptureFacts
) -> dict[str, str]:
    """What the caller agrees to by speaking now and hanging up: see :mod:`agi.capture_end`."""
    number = "" if state.flooded else state.number or (facts.caller.e164 if facts.caller else "")
    version = await _prompt(request, department, message.QUESTION)
    return {"message_prompt": version, "message_number": number}


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
    return await asyncio.to_thread(trimmed, path)


async def _settle(
    request: StepRequest, callback_id: str, event: CallbackEvent, fields: CallbackFields, facts: CaptureFacts
) -> None:
    """The conversation is over: the request stands for itself, or is part of this person's open one."""
    callback = await request.store.callback(callback_id)
    number = fields.get("number") or (callback.number if callback else None)
    not_before = facts.not_before.get(number or "")
    if not_before is not None:
        due_at = fields.get("due_at") or (callback.due_at if callback else None) or not_before
        fields["due_at"] = max(due_at, not_before)
    await request.store.settle_capture(callback_id, event=event, by="caller", at=request.now, **fields)


async def refused(request: StepRequest, department: str, refusal: Refusal, number: str) -> None:
    """Write a refusal into the audit trail: who asks for calls to numbers that we do not ring."""
    entry = AuditEntry(
        f"capture-refused:{request.environment.uniqueid}:{refusal}:{number}",
        request.now,
        "caller",
        "callback.refused",
        number,
        {"reason": refusal.value, "caller": request.environment.caller, "department": department},
    )
    _log.warning("A callback was refused in %s: %s", department, refusal)
    await request.store.audit(entry)


async def _keep(
    request: StepRequest,
    department: str,
    callback_id: str,
    outcome: conversation.Outcome,
    facts: CaptureFacts,
) -> str:
    """Commit what must be kept before the turn; returns the callback's id, "" while there is none."""
    keep = outcome.keep
    fields = CallbackFields(**keep.fields)
    if keep.consent_key:
        fields["consent"] = await _consent(request, department, keep, outcome.state)
    if not callback_id and (keep.starts or outcome.turn.records):
        callback_id = await _start(request, department, fields)
    elif callback_id and keep.event in _SETTLING:
        await _settle(request, callback_id, keep.event, fields, facts)
    elif callback_id and (fields or keep.event):
        await request.store.update_callback(
            callback_id, event=keep.event, by="caller", at=request.now, **fields
        )
    if keep.refusal is not None:
        await refused(request, department, keep.refusal, keep.refused)
    await _keep_place(request, callback_id, outcome.turn)
    return callback_id


async def _start(request: StepRequest, department: str, fields: CallbackFields) -> str:
    uniqueid = request.environment.uniqueid
    call = await request.store.find_call_by_uniqueid(uniqueid)
    known: CallbackFields = {
        **fields,
        "language": request.voice.book_of(department, request.environment.language).language,
        "caller_id": request.environment.caller,
        "origin": CONVERSATION,
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
    version = await _prompt(request, department, keep.consent_prompt)
    return Consent(key=keep.consent_key, prompt_version=version, given_at=request.now, number=state.number)


async def _prompt(request: StepRequest, department: str, asked: str) -> str:
    """The version of the words that ask for a consent, which are kept."""
    book = request.voice.book_of(department, request.environment.language)
    text = " ".join(book.say(phrase) for phrase in (*_HEARD_WITH.get(asked, ()), asked))
    version = prompt_version(book.language, text)
    await request.store.save_prompt(PromptEntry(version, asked, book.language, text))
    return version


def prompt_version(language: str, text: str) -> str:
    """The name of a prompt's exact words: the same words always have the same name."""
    return hashlib.sha256(f"{language}\0{text}".encode()).hexdigest()[:16]
