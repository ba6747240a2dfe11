"""The caller hung up in the middle of leaving a callback: what there is becomes a partial one, or a whole one.

Whoever hangs up behind a message has left it: its prompt says that this allows us to ring back, and most
people end a message just so. A sound too short to be words is kept, but is no consent; it is told apart by
having none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from agi.speech import trimmed, voiced_seconds
from agi.turns import Stage
from ami_bridge.adapters.store import Store
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackFields, CallbackState, Consent

#: Less than this is no message: a cough, and the receiver put down.
MESSAGE_SECONDS = 1.0


async def end_capture(store: Store, channel_uniqueid: str, at: datetime) -> bool:
    """Close what was being captured on this channel, which is gone; says whether it left a callback.

    Raises:
        StoreUnavailable: nothing was changed; ask again.
    """
    callback = await store.callback_of_channel(channel_uniqueid)
    if callback is None:
        return False
    if callback.state is not CallbackState.CAPTURING:
        return callback.state is not CallbackState.CANCELLED
    conversation = await store.get_conversation(channel_uniqueid)
    state = conversation.state if conversation is not None else {}
    fields, message = CallbackFields(), None
    if callback.name_recording or callback.subject_recording:
        fields, message = await asyncio.to_thread(_listen, callback, state)
    fields |= _number(callback, state)
    event = CallbackEvent.BROKEN_OFF
    if message is not None:
        prompt_version, number = message
        consent = Consent(key="recorded", prompt_version=prompt_version, given_at=at, number=number)
        fields["consent"] = callback.consent or consent
        event = CallbackEvent.CAPTURED if number else event
    await store.settle_capture(callback.id, event=event, by="caller", at=at, **fields)
    return True


def _listen(callback: Callback, state: Mapping[str, Any]) -> tuple[CallbackFields, tuple[str, str] | None]:
    return _heard(callback), _message(callback, state)


def _heard(callback: Callback) -> CallbackFields:
    """The recording that was going on, trimmed; places where nothing was said are no recordings."""
    fields = CallbackFields()
    if callback.name_recording and trimmed(_stem(callback.name_recording)) is not True:
        fields["name_recording"] = None
    if callback.subject_recording and trimmed(_stem(callback.subject_recording)) is not True:
        fields["subject_recording"] = None
    return fields


def _message(callback: Callback, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """(version of the prompt that was heard, number) when the caller hung up behind a message."""
    told = state.get("state")
    stage = told.get("stage") if isinstance(told, Mapping) else None
    if stage != Stage.MESSAGE or not callback.subject_recording:
        return None
    if (voiced_seconds(_stem(callback.subject_recording)) or 0.0) < MESSAGE_SECONDS:
        return None
    return str(state.get("message_prompt") or ""), callback.number or str(state.get("message_number") or "")


def _number(callback: Callback, state: Mapping[str, Any]) -> CallbackFields:
    """The network's number for a message in which the caller named none that we know."""
    number = state.get("message_number")
    if callback.number or not number:
        return {}
    return CallbackFields(number=str(number), number_source="caller_id")


def _stem(recording: str) -> Path:
    return Path(recording).with_suffix("")
