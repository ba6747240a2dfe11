"""The admin's pages about people and what they did: users of the desk, the audit trail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import ValidationError

from ami_bridge.adapters.store import NotStored
from ami_bridge.desk import accounts_api
from ami_bridge.desk.accounts_api import UserIn, UserOut
from ami_bridge.desk.admin_pages import ask_of
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.keys import STORE
from ami_bridge.desk.pages import page_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.view import agent_names, department_names
from ami_bridge.errors import FourthRingError

_SHOWN = 200
_ACTS: dict[str, Callable[[Ask], Awaitable[UserOut]]] = {
    "password": accounts_api.reset_password,
    "disable": accounts_api.disable_user,
    "enable": accounts_api.enable_user,
}


@needs(Role.ADMIN, Scope.USERS_WRITE)
async def users(request: web.Request) -> web.Response:
    """Everybody who may log in."""
    return await _draw(request)


@needs(Role.ADMIN, Scope.USERS_WRITE)
async def add_user(request: web.Request) -> web.Response:
    """Somebody new; the one-time password is shown on this page and never again."""
    form = await read_form(request)
    departments = tuple(key for key in ask_of(request).settings.departments if form.get(f"department:{key}"))
    asked = {"name": form.get("name", "").strip().lower(), "role": form.get("role", "")}
    try:
        body = UserIn.model_validate(
            {**asked, "extension": form.get("extension", ""), "departments": departments}
        )
        made = await accounts_api.add_user(ask_of(request, body))
    except ValidationError as error:
        return await _draw(request, fault=str(error.errors()[0]["msg"]))
    except FourthRingError as error:
        return await _draw(request, fault=str(error))
    return await _draw(request, made=made)


@needs(Role.ADMIN, Scope.USERS_WRITE)
async def act_on_user(request: web.Request) -> web.Response:
    """A new password, out, or in again."""
    try:
        made = await _ACTS[request.match_info["act"]](ask_of(request))
    except NotStored as error:
        return await _draw(request, fault=str(error))
    except web.HTTPConflict as refused:
        return await _draw(request, fault=refused.text or "")
    return await _draw(request, made=made)


async def _draw(request: web.Request, *, fault: str = "", made: UserOut | None = None) -> web.Response:
    page = page_of(request)
    return page.draw(
        "admin_users.html",
        409 if fault else 200,
        users=(await accounts_api.list_users(ask_of(request))).users,
        roles=[role.value for role in Role],
        agents=agent_names(page.settings, page.language),
        departments=department_names(page.settings, page.language),
        fault=fault,
        made=made,
    )


@needs(Role.ADMIN, Scope.AUDIT_READ)
async def audit(request: web.Request) -> web.Response:
    """Who did what, newest first; by person, subject or action."""
    asked = {name: request.query.get(name, "").strip()[:100] for name in ("actor", "subject", "action")}
    found = await request.app[STORE].audits(
        actor=asked["actor"] or None, subject=asked["subject"] or None, limit=_SHOWN * 5
    )
    entries = [entry for entry in found if asked["action"] in entry.action][:_SHOWN]
    return page_of(request).draw("admin_audit.html", entries=entries, asked=asked)


def add_people_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/admin/users", users)
    app.router.add_post("/admin/users", add_user)
    app.router.add_post("/admin/users/{name}/{act:password|disable|enable}", act_on_user)
    app.router.add_get("/admin/audit", audit)
