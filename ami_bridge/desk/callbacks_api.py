"""Callbacks, their recordings, and calling one off."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from aiohttp import web

from ami_bridge.adapters.store import AuditEntry, NotStored
from ami_bridge.core.callbacks import Callback, CallbackEvent
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.rights import Scope
from ami_bridge.desk.shapes import (
    CallbackDetail,
    CallbackOut,
    Callbacks,
    CallbacksQuery,
    CancelIn,
)
from ami_bridge.settings import Settings

_RECORDINGS = {"name": "name_recording", "subject": "subject_recording"}


async def list_callbacks(ask: Ask) -> Callbacks:
    """Newest first."""
    query = cast(CallbacksQuery, ask.query)
    found = await ask.store.callbacks(
        states=None if query.state is None else [query.state],
        department=query.department,
        since=query.since,
        until=query.until,
        limit=query.limit,
    )
    return Callbacks(callbacks=[callback_out(callback) for callback in found])


def callback_out(callback: Callback) -> CallbackOut:
    """What the desk shows of a callback; file paths and leases stay inside."""
    return CallbackOut.model_validate(_shown(callback))


def _shown(callback: Callback) -> dict[str, object]:
    kept = {part: getattr(callback, attribute) for part, attribute in _RECORDINGS.items()}
    heard = {
        part: f"/api/v1/callbacks/{callback.id}/recordings/{part}" for part, path in kept.items() if path
    }
    return {**asdict(callback), "recordings": heard}


async def _found(ask: Ask) -> Callback:
    callback = await ask.store.callback(ask.named("id"))
    if callback is None:
        raise NotStored("callback", ask.named("id"))
    return callback


async def show_callback(ask: Ask) -> CallbackDetail:
    """With evidence and attempts."""
    callback = await _found(ask)
    consents = [asdict(consent) for consent in await ask.store.consents(callback.id)]
    tries = [asdict(attempt) for attempt in await ask.store.attempts(callback.id)]
    return CallbackDetail.model_validate({**_shown(callback), "consents": consents, "tries": tries})


async def cancel_callback(ask: Ask) -> CallbackOut:
    """Call it off, unless somebody is being rung already."""
    reason = cast(CancelIn, ask.body).reason
    callback_id = ask.named("id")
    after = await ask.store.update_callback(
        callback_id, event=CallbackEvent.CANCELLED, by=ask.who, reason=reason or "cancelled at the desk"
    )
    entry = AuditEntry(
        secrets.token_hex(16), datetime.now(UTC), ask.who, "callback.cancel", callback_id, {"reason": reason}
    )
    await ask.store.audit(entry)
    return callback_out(after)


async def play_recording(ask: Ask) -> web.StreamResponse:
    """The caller's voice. FileResponse answers ranges by itself."""
    callback = await _found(ask)
    part = ask.named("part")
    path = getattr(callback, _RECORDINGS[part])
    file = await asyncio.to_thread(recording_file, ask.settings, path) if path else None
    if file is None:
        raise fault(404, f"Callback '{callback.id}' has no recording of the {part}.")
    return web.FileResponse(file, headers={"Content-Type": "audio/wav", "Content-Disposition": "inline"})


def recording_file(settings: Settings, stored: str) -> Path | None:
    """The file behind a stored path, or None unless it is a WAV of ours.

    The path comes from the store and was made by us; but a store can be restored, edited or attacked, and the
    state folder also holds the secrets. So only regular ``.wav`` files inside the two folders are given out,
    after every link has been followed.
    """
    state = settings.state_folder
    path = state / stored  # an absolute path replaces ``state``
    if path.suffix != ".wav":
        path = path.with_name(path.name + ".wav")
    try:
        real = path.resolve(strict=True)
        folders = [folder.resolve() for folder in (state / "recordings", state / "spool")]
    except (OSError, ValueError, RuntimeError):
        return None
    inside = any(real.is_relative_to(folder) for folder in folders)
    return real if inside and real.suffix == ".wav" and real.is_file() else None


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/callbacks",
        list_callbacks,
        "List callbacks, newest first",
        Callbacks,
        scope=Scope.CALLBACKS_READ,
        query=CallbacksQuery,
    ),
    Endpoint(
        "GET",
        "/api/v1/callbacks/{id}",
        show_callback,
        "Show a callback with its evidence",
        CallbackDetail,
        scope=Scope.CALLBACKS_READ,
        faults=(404,),
    ),
    Endpoint(
        "GET",
        "/api/v1/callbacks/{id}/recordings/{part:name|subject}",
        play_recording,
        "Hear what the caller said",
        scope=Scope.CALLBACKS_READ,
        media="audio/wav",
        faults=(404,),
    ),
    Endpoint(
        "POST",
        "/api/v1/callbacks/{id}/cancel",
        cancel_callback,
        "Call a callback off",
        CallbackOut,
        scope=Scope.CALLBACKS_WRITE,
        body=CancelIn,
        faults=(404, 408, 409, 413, 415),
    ),
)
