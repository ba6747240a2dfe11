"""Calls and callbacks as people look them up: search, one call drawn, one callback with its history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from ami_bridge.adapters.store import NotStored, Store, StoredCall
from ami_bridge.core.callbacks import AMENDABLE, Callback, CallbackEvent, CallbackState, IllegalTransition
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.pages import Page, page_of, reader_of
from ami_bridge.desk.rights import Account, Role, Scope, needs
from ami_bridge.desk.timeline import timeline_of
from ami_bridge.desk.trail import trace
from ami_bridge.desk.view import (
    OPEN_CALLBACKS,
    agent_names,
    department_names,
    gentle,
    recordings_of,
    sees_call,
    sees_department,
)
from ami_bridge.settings import Settings

_SHOWN = 100
_LOOKED_THROUGH = 2000
VERDICTS = ("early", "ideal", "late", "missed")


def _names(page: Page) -> dict[str, Any]:
    return {
        "departments": department_names(page.settings, page.language),
        "agents": agent_names(page.settings, page.language),
    }


# Calls ------------------------------------------------------------------------------------


@needs(Role.AGENT, Scope.CALLS_READ)
async def calls(request: web.Request) -> web.Response:
    """Search, newest first."""
    page, account, query = page_of(request), reader_of(request), request.query
    names = ("number", "text", "agent", "verdict", "department", "since", "until", "gaps")
    asked = {name: query.get(name, "").strip()[:100] for name in names}
    found = await _search(request.app[STORE], page.settings, account, asked)
    return page.draw("calls.html", calls=found, asked=asked, verdicts=VERDICTS, **_names(page))


async def _search(
    store: Store, settings: Settings, account: Account, asked: Mapping[str, str]
) -> list[StoredCall]:
    found = await store.calls(
        since=_day(settings, asked["since"]),
        until=_day(settings, asked["until"], days=1),
        department=asked["department"] or None,
        extension=asked["agent"] or None,
        ring_verdict=asked["verdict"] or None,
        sight=account.sight,
        limit=_LOOKED_THROUGH,
    )
    fitting = [call for call in found if _fits(call, asked)]
    if asked["text"]:
        fitting = [call for call in fitting if await _mentions(store, call, asked["text"].casefold())]
    return fitting[:_SHOWN]


def _fits(call: StoredCall, asked: Mapping[str, str]) -> bool:
    digits = "".join(sign for sign in asked["number"] if sign.isdigit())
    return (not digits or digits in call.caller_number) and (
        not asked["gaps"] or bool(call.record.get("gaps"))
    )


async def _mentions(store: Store, call: StoredCall, wanted: str) -> bool:
    caller = call.record.get("caller")
    shown = str(caller.get("name") or "") if isinstance(caller, Mapping) else ""
    if wanted in shown.casefold():
        return True
    return any(
        wanted in value.casefold() for note in await store.notes(call.id) for value in note.fields.values()
    )


def _day(settings: Settings, text: str, *, days: int = 0) -> datetime | None:
    """A day of the search form on the company's clock; what is no day does not limit."""
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not text or day.tzinfo is not None:
        return None
    return day.replace(tzinfo=settings.zone_info_of(next(iter(settings.departments)))) + timedelta(days=days)


@needs(Role.AGENT, Scope.CALLS_READ)
async def call(request: web.Request) -> web.Response:
    """One call: drawn, measured, with its evidence and every version of its note."""
    page, store, call_id = page_of(request), request.app[STORE], request.match_info["id"]
    stored = await store.call(call_id)
    if stored is None or not sees_call(reader_of(request), stored):
        raise NotStored("call", call_id)
    known = stored.department in page.settings.departments
    cadence = page.settings.ring_of(stored.department).cadence if known else None
    return page.draw(
        "call.html",
        call=stored,
        record=gentle(stored.record),
        drawn=timeline_of(stored.record, cadence, datetime.now(UTC)),
        whole=json.dumps(stored.record, ensure_ascii=False, indent=1),
        notes=[(note, gentle(note.fields)) for note in reversed(await store.notes(call_id))],
        **_names(page),
    )


# Callbacks --------------------------------------------------------------------------------


@needs(Role.AGENT, Scope.CALLBACKS_READ)
async def callbacks(request: web.Request) -> web.Response:
    """The list, by state and department."""
    page, account = page_of(request), reader_of(request)
    asked = {name: request.query.get(name, "")[:40] for name in ("state", "department")}
    states = _states(asked["state"])
    found = await request.app[STORE].callbacks(
        states=states, department=asked["department"] or None, sight=account.sight, limit=_SHOWN
    )
    return page.draw(
        "callbacks.html",
        callbacks=[(each, recordings_of(each)) for each in found],
        asked=asked,
        states=[state.value for state in CallbackState],
        amendable=AMENDABLE,
        **_names(page),
    )


def _states(text: str) -> list[CallbackState] | None:
    """Open ones, unless another state or "all" is asked for."""
    if text == "all":
        return None
    return [CallbackState(text)] if text in set(CallbackState) else list(OPEN_CALLBACKS)


@needs(Role.AGENT, Scope.CALLBACKS_READ)
async def callback(request: web.Request) -> web.Response:
    """One callback: what was said, the consent, every attempt."""
    found = await _found(request)
    return await _draw_callback(request, found)


@needs(Role.AGENT, Scope.CALLBACKS_WRITE)
async def call_now(request: web.Request) -> web.StreamResponse:
    """It is due at once; the dialer takes it as soon as somebody is free."""
    return await _change(request, "callback.now", due_at=datetime.now(UTC))


@needs(Role.AGENT, Scope.CALLBACKS_WRITE)
async def reschedule(request: web.Request) -> web.StreamResponse:
    """Another time, on the department's clock."""
    found = await _found(request)
    text = (await read_form(request)).get("due_at", "")
    try:
        wanted = datetime.fromisoformat(text).replace(
            tzinfo=request.app[SETTINGS].zone_info_of(found.department)
        )
    except (ValueError, KeyError):
        raise web.HTTPBadRequest(text="Write date and time, such as 2026-11-24T10:00.") from None
    return await _change(request, "callback.reschedule", due_at=wanted.astimezone(UTC))


@needs(Role.AGENT, Scope.CALLBACKS_WRITE)
async def call_off(request: web.Request) -> web.StreamResponse:
    """No longer wanted."""
    found, account, store = await _found(request), reader_of(request), request.app[STORE]
    reason = (await read_form(request)).get("reason", "").strip()[:500]
    try:
        after = await store.update_callback(
            found.id,
            event=CallbackEvent.CANCELLED,
            by=account.name,
            reason=reason or "cancelled at the desk",
        )
    except IllegalTransition as error:
        return await _draw_callback(request, found, fault=str(error))
    await trace(store, account, "callback.cancel", found.id, reason=reason)
    return await _done(request, after)


async def _change(request: web.Request, action: str, *, due_at: datetime) -> web.StreamResponse:
    found, account, store = await _found(request), reader_of(request), request.app[STORE]
    try:
        after = await store.update_callback(found.id, due_at=due_at)
    except IllegalTransition as error:
        return await _draw_callback(request, found, fault=str(error))
    await trace(store, account, action, found.id, due_at=due_at.isoformat())
    return await _done(request, after)


async def _done(request: web.Request, after: Callback) -> web.StreamResponse:
    if "HX-Request" in request.headers:
        return await _draw_callback(request, after, done=True)
    raise web.HTTPSeeOther(f"/callbacks/{after.id}")


async def _draw_callback(
    request: web.Request, found: Callback, *, fault: str = "", done: bool = False
) -> web.Response:
    page, store = page_of(request), request.app[STORE]
    return page.draw(
        "callback_part.html" if "HX-Request" in request.headers else "callback.html",
        409 if fault else 200,
        callback=found,
        recordings=recordings_of(found),
        consents=await store.consents(found.id),
        tries=await store.attempts(found.id),
        amendable=AMENDABLE,
        fault=fault,
        done=done,
        **_names(page),
    )


async def _found(request: web.Request) -> Callback:
    found = await request.app[STORE].callback(request.match_info["id"])
    if found is None or not sees_department(reader_of(request), found.department):
        raise NotStored("callback", request.match_info["id"])
    return found


def add_record_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/calls", calls)
    app.router.add_get("/calls/{id}", call)
    app.router.add_get("/callbacks", callbacks)
    app.router.add_get("/callbacks/{id}", callback)
    app.router.add_post("/callbacks/{id}/now", call_now)
    app.router.add_post("/callbacks/{id}/reschedule", reschedule)
    app.router.add_post("/callbacks/{id}/cancel", call_off)
