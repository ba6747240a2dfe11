"""Calls and their notes."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import cast

from ami_bridge.adapters.store import NotStored, Place, StoredCall
from ami_bridge.adapters.store.sight import extensions_of
from ami_bridge.desk.agreements import keep_agreement
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.paging import page, place_of
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import (
    CallDetail,
    CallOut,
    Calls,
    CallsQuery,
    NoteIn,
    NoteOut,
)
from ami_bridge.desk.trail import trace


async def list_calls(ask: Ask) -> Calls:
    """Newest first."""
    query = cast(CallsQuery, ask.query)
    found = await ask.store.calls(
        since=query.since,
        until=query.until,
        department=query.department,
        caller_number=query.number,
        extension=query.agent,
        ring_verdict=query.verdict,
        disposition=query.disposition,
        sight=ask.account.sight,
        before=place_of(query.cursor),
        limit=query.limit + 1,
    )
    shown, following = page(found, query.limit, [Place(call.started_at, call.id) for call in found])
    return Calls(calls=[CallOut.model_validate(call) for call in shown], next=following)


async def call_of(ask: Ask) -> StoredCall:
    """The call that the path names. One that is not for this account is not there: its id tells nothing.

    Raises:
        NotStored: there is none, or none for this account.
    """
    call = await ask.store.call(ask.named("id"))
    sight = ask.account.sight
    if call is None or (sight is not None and not sight.covers_call(call)):
        raise NotStored("call", ask.named("id"))
    return call


async def show_call(ask: Ask) -> CallDetail:
    """The whole record."""
    call = await call_of(ask)
    notes = await ask.store.notes(call.id)
    return CallDetail.model_validate({**asdict(call), "notes": [asdict(note) for note in notes]})


async def add_note(ask: Ask) -> NoteOut:
    """The next version of the note."""
    call, account = await call_of(ask), ask.account
    own = account.extension in extensions_of(call)
    if call.answered_by and not own and not account.is_at_least(Role.SUPERVISOR):
        raise fault(403, f"Call '{call.id}' was answered by {call.answered_by}, who writes its note.")
    key = ask.request.headers.get("Idempotency-Key") or secrets.token_hex(16)
    note = await ask.store.add_note(
        call.id, ask.who, cast(NoteIn, ask.body).model_dump(), key=f"{call.id}:{ask.who}:{key}"
    )
    await keep_agreement(ask.store, ask.settings, account, call, note.fields)
    await trace(ask.store, account, "note.add", call.id, key=f"note:{note.key}", version=note.version)
    return NoteOut.model_validate(note)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/calls",
        list_calls,
        "List calls, newest first",
        Calls,
        scope=Scope.CALLS_READ,
        query=CallsQuery,
    ),
    Endpoint(
        "GET",
        "/api/v1/calls/{id}",
        show_call,
        "Show a call with its notes",
        CallDetail,
        scope=Scope.CALLS_READ,
        faults=(404,),
    ),
    Endpoint(
        "POST",
        "/api/v1/calls/{id}/notes",
        add_note,
        "Add the next version of a call's note",
        NoteOut,
        scope=Scope.NOTES_WRITE,
        body=NoteIn,
        status=201,
        faults=(404,),
    ),
)
