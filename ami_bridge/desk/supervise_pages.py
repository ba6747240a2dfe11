"""The menus of the wallboard's rows: what a supervisor does with a call that goes on, and with a callback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from ami_bridge.adapters.store import NotStored
from ami_bridge.core.callbacks import AMENDABLE, IllegalTransition
from ami_bridge.desk import supervise_api
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.live import FEED
from ami_bridge.desk.pages import page_of, reader_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.supervise_api import MoveCallbackIn, MoveCallIn, SuperviseIn
from ami_bridge.desk.view import department_names, sees_department

_Act = tuple[Callable[[Ask], Awaitable[object]], BaseModel | None]


@needs(Role.SUPERVISOR, Scope.CALLS_SUPERVISE)
async def call_menu(request: web.Request) -> web.Response:
    """What can be done with one call now."""
    return _draw_call(request)


@needs(Role.SUPERVISOR, Scope.CALLS_SUPERVISE)
async def act_on_call(request: web.Request) -> web.StreamResponse:
    """What the API does for programs, for a button: the same rules, the same audit trail."""
    act, body = _call_act(request.match_info["act"], await read_form(request))
    fault = await _done(request, act, body)
    if "HX-Request" in request.headers:
        return _draw_call(request, fault=fault, done=not fault)
    raise web.HTTPSeeOther("/wallboard")


def _call_act(name: str, form: Mapping[str, str]) -> _Act:
    if name == "move":
        return supervise_api.move_call, MoveCallIn(department=form.get("department", "")[:40] or None)
    if name == "end":
        return supervise_api.end_supervision, None
    return supervise_api.supervise_call, SuperviseIn.model_validate({"mode": name})


def _draw_call(request: web.Request, *, fault: str = "", done: bool = False) -> web.Response:
    page, account = page_of(request), reader_of(request)
    call = request.app[FEED].board.calls.get(request.match_info["id"])
    if call is not None and not sees_department(account, call["department"]):
        call = None
    mine: Any = next(
        (each for each in (call or {}).get("watched", ()) if each["phone"] == account.extension), None
    )
    return page.draw(
        "hand_call.html",
        409 if fault else 200,
        call=call,
        mine=mine,
        fault=fault,
        done=done,
        has_phone=account.extension in page.settings.agents,
        modes=supervise_api.MODES,
        departments=department_names(page.settings, page.language),
    )


@needs(Role.SUPERVISOR, Scope.CALLBACKS_WRITE)
async def callback_menu(request: web.Request) -> web.Response:
    """Where one callback can go."""
    return await _draw_callback(request)


@needs(Role.SUPERVISOR, Scope.CALLBACKS_WRITE)
async def move_callback(request: web.Request) -> web.StreamResponse:
    """Another place, or another department."""
    form = await read_form(request)
    wanted = {name: form[name][:40] for name in ("place", "department") if form.get(name)}
    try:
        fault = await _done(request, supervise_api.move_callback, MoveCallbackIn.model_validate(wanted))
    except ValidationError:
        fault = page_of(request).word("hand_to")
    if "HX-Request" in request.headers:
        return await _draw_callback(request, fault=fault, done=not fault)
    raise web.HTTPSeeOther(f"/callbacks/{request.match_info['id']}")


async def _draw_callback(request: web.Request, *, fault: str = "", done: bool = False) -> web.Response:
    page, account = page_of(request), reader_of(request)
    callback = await request.app[STORE].callback(request.match_info["id"])
    if callback is None or not sees_department(account, callback.department):
        raise NotStored("callback", request.match_info["id"])
    return page.draw(
        "hand_callback.html",
        409 if fault else 200,
        callback=callback,
        movable=callback.state in AMENDABLE,
        fault=fault,
        done=done,
        departments=department_names(page.settings, page.language),
    )


async def _done(request: web.Request, act: Callable[[Ask], Awaitable[object]], body: BaseModel | None) -> str:
    """Why it was not done; "" when it was."""
    try:
        await act(Ask(request, request.app[STORE], request.app[SETTINGS], reader_of(request), None, body))
    except NotStored:
        return page_of(request).word("hand_over")
    except IllegalTransition as error:
        return str(error)
    except web.HTTPException as refused:
        return refused.text or refused.reason
    return ""


def add_supervise_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/wallboard/calls/{id}", call_menu)
    app.router.add_post("/wallboard/calls/{id}/{act:listen|whisper|barge|take|end|move}", act_on_call)
    app.router.add_get("/wallboard/callbacks/{id}", callback_menu)
    app.router.add_post("/wallboard/callbacks/{id}/move", move_callback)
