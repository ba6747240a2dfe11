"""Calls and callbacks as people look them up: search, one call drawn, one callback with its history."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from ami_bridge.adapters.store import NotStored, Store, StoredCall
from ami_bridge.core.callbacks import AMENDABLE, Callback, CallbackState, IllegalTransition
from ami_bridge.desk import callback_actions
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.callbacks_api import taken_by_user
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.pages import Page, page_of, reader_of
from ami_bridge.desk.rights import Account, Role, Scope, needs
from ami_bridge.desk.shapes import CancelIn, MergeIn, RescheduleIn, TakeIn
from ami_bridge.desk.timeline import timeline_of
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
async def change_callback(request: web.Request) -> web.StreamResponse:
    """What the API does for programs, for a form: the same rules, the same audit trail, shown on the page."""
    form = await read_form(request)
    found = await _found(request)
    try:
        act, body = _change(request.match_info["change"], form, request.app[SETTINGS], found)
        await act(Ask(request, request.app[STORE], request.app[SETTINGS], reader_of(request), None, body))
    except (IllegalTransition, NotStored, ValidationError) as error:
        return await _draw_callback(request, found, fault=_sentence(error))
    except web.HTTPException as refused:
        return await _draw_callback(request, found, fault=refused.text or refused.reason)
    if "HX-Request" in request.headers:
        return await _draw_callback(request, await _found(request), done=True)
    raise web.HTTPSeeOther(f"/callbacks/{found.id}")


def _change(
    name: str, form: Mapping[str, str], settings: Settings, found: Callback
) -> tuple[Callable[[Ask], Awaitable[object]], BaseModel | None]:
    """Which of the API's changes a form asks for, and its body. Raises ValidationError."""
    if name == "reschedule":
        due_at = _on_clock_of(found.department, form.get("due_at", ""), settings)
        return callback_actions.reschedule_callback, RescheduleIn.model_validate({"due_at": due_at})
    if name == "cancel":
        return callback_actions.cancel_callback, CancelIn(reason=form.get("reason", "")[:500])
    if name == "merge":
        return callback_actions.merge_callback, MergeIn.model_validate({"into": form.get("into", "")})
    simple = {
        "now": callback_actions.call_now,
        "reached": callback_actions.close_reached,
        "take": callback_actions.take_callback,
        "give-back": callback_actions.give_back_callback,
    }
    bodies = {"take": TakeIn(), "reached": CancelIn()}
    return simple[name], bodies.get(name)


def _on_clock_of(department: str, text: str, settings: Settings) -> datetime | str:
    """A form's date and time as the department's clock shows it; what is none is left for the check to refuse."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=settings.zone_info_of(department))
    except (ValueError, KeyError):
        return text


def _sentence(error: IllegalTransition | NotStored | ValidationError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors())
    return str(error)


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
        holder=taken_by_user(found),
        mergeable=await _mergeable(store, reader_of(request), found),
        fault=fault,
        done=done,
        **_names(page),
    )


async def _mergeable(store: Store, account: Account, found: Callback) -> list[Callback]:
    """Other open callbacks that may be of the same person, the same number first."""
    others = await store.callbacks(states=tuple(AMENDABLE), sight=account.sight, limit=_SHOWN)
    number = found.number or found.caller_id
    rest = [each for each in others if each.id != found.id and each.state is not CallbackState.CAPTURING]
    return sorted(rest, key=lambda each: number not in {each.number, each.caller_id})


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
    app.router.add_post(
        "/callbacks/{id}/{change:now|take|give-back|reschedule|cancel|merge|reached}", change_callback
    )
