"""Calls, their notes, and the agents."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import cast

from ami_bridge.adapters.store import NotStored
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.rights import Scope
from ami_bridge.desk.shapes import (
    AgentOut,
    Agents,
    CallDetail,
    CallOut,
    Calls,
    CallsQuery,
    NoteIn,
    NoteOut,
)

_LONGEST_KEY = 100


async def list_calls(ask: Ask) -> Calls:
    """Newest first."""
    query = cast(CallsQuery, ask.query)
    found = await ask.store.calls(
        since=query.since,
        until=query.until,
        department=query.department,
        caller_number=query.number,
        limit=query.limit,
    )
    return Calls(calls=[CallOut.model_validate(call) for call in found])


async def show_call(ask: Ask) -> CallDetail:
    """The whole record."""
    call = await ask.store.call(ask.named("id"))
    if call is None:
        raise NotStored("call", ask.named("id"))
    notes = await ask.store.notes(call.id)
    return CallDetail.model_validate({**asdict(call), "notes": [asdict(note) for note in notes]})


async def add_note(ask: Ask) -> NoteOut:
    """The next version of the note."""
    key = ask.request.headers.get("Idempotency-Key") or secrets.token_hex(16)
    if len(key) > _LONGEST_KEY:
        raise fault(400, f"The Idempotency-Key is longer than {_LONGEST_KEY} characters.")
    call_id = ask.named("id")
    note = await ask.store.add_note(
        call_id, ask.who, cast(NoteIn, ask.body).model_dump(), key=f"{call_id}:{key}"
    )
    return NoteOut.model_validate(note)


async def list_agents(ask: Ask) -> Agents:
    """Everybody, also those who left."""
    return Agents(agents=[AgentOut.model_validate(asdict(agent)) for agent in await ask.store.agents()])


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
        faults=(404, 408, 413, 415),
        headers_in=(
            ("Idempotency-Key", "The same key again adds nothing and returns what was added first."),
        ),
    ),
    Endpoint("GET", "/api/v1/agents", list_agents, "List agents", Agents, scope=Scope.DIRECTORY_READ),
)
