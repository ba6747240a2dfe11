"""Callbacks and their recordings; what is done with them is in callback_actions."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import cast

from aiohttp import web

from ami_bridge.adapters.store import NotStored, Place
from ami_bridge.core.callbacks import Callback, CallbackState
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.paging import page, place_of
from ami_bridge.desk.rights import Scope
from ami_bridge.desk.shapes import (
    CallbackDetail,
    CallbackOut,
    Callbacks,
    CallbacksQuery,
)
from ami_bridge.desk.trail import trace
from ami_bridge.settings import Settings

#: Who holds a claim at the desk is a worker by this name and the user's.
DESK_WORKER = "desk:"
_RECORDINGS = {"name": "name_recording", "subject": "subject_recording"}


async def list_callbacks(ask: Ask) -> Callbacks:
    """Newest first."""
    query = cast(CallbacksQuery, ask.query)
    found = await ask.store.callbacks(
        states=None if query.state is None else [query.state],
        department=query.department,
        since=query.since,
        until=query.until,
        sight=ask.account.sight,
        before=place_of(query.cursor),
        limit=query.limit + 1,
    )
    places = [Place(callback.created_at, callback.id) for callback in found]
    shown, following = page(found, query.limit, places)
    return Callbacks(callbacks=[callback_out(callback) for callback in shown], next=following)


def callback_out(callback: Callback) -> CallbackOut:
    """What the desk shows of a callback; file paths and leases stay inside."""
    return CallbackOut.model_validate(_shown(callback))


def _shown(callback: Callback) -> dict[str, object]:
    kept = {part: getattr(callback, attribute) for part, attribute in _RECORDINGS.items()}
    heard = {
        part: f"/api/v1/callbacks/{callback.id}/recordings/{part}" for part, path in kept.items() if path
    }
    taken_by = taken_by_user(callback)
    until = callback.lease_until if taken_by else None
    return {**asdict(callback), "recordings": heard, "taken_by": taken_by, "taken_until": until}


def taken_by_user(callback: Callback) -> str:
    """The user who has the callback in hand, "" when nobody or the dialer does."""
    worker = callback.worker or ""
    held = callback.state is CallbackState.CLAIMED and worker.startswith(DESK_WORKER)
    return worker.removeprefix(DESK_WORKER) if held else ""


async def callback_of(ask: Ask) -> Callback:
    """The callback that the path names. One that is not for this account is not there: its id tells nothing.

    Raises:
        NotStored: there is none, or none for this account.
    """
    callback = await ask.store.callback(ask.named("id"))
    if callback is None or not ask.account.sees(callback.department):
        raise NotStored("callback", ask.named("id"))
    return callback


async def show_callback(ask: Ask) -> CallbackDetail:
    """With evidence and attempts."""
    callback = await callback_of(ask)
    consents = [asdict(consent) for consent in await ask.store.consents(callback.id)]
    tries = [asdict(attempt) for attempt in await ask.store.attempts(callback.id)]
    return CallbackDetail.model_validate({**_shown(callback), "consents": consents, "tries": tries})


async def play_recording(ask: Ask) -> web.StreamResponse:
    """The caller's voice. FileResponse answers ranges by itself."""
    callback = await callback_of(ask)
    part = ask.named("part")
    path = getattr(callback, _RECORDINGS[part])
    file = await asyncio.to_thread(recording_file, ask.settings, path) if path else None
    if file is None:
        raise fault(404, f"Callback '{callback.id}' has no recording of the {part}.")
    # A player asks for a recording in parts, and again when it is wound back: heard once a session is heard.
    key = f"heard:{ask.account.name}:{ask.account.key}:{callback.id}:{part}"
    await trace(ask.store, ask.account, "recording.heard", callback.id, key=key, part=part)
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
)
