"""The admin's pages: the configuration as forms, every change shown as a diff before it is applied, and its history."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from ami_bridge.configuring import Change, Outdated, Proposal
from ami_bridge.configuring.document import document_of
from ami_bridge.desk import admin_forms, settings_api
from ami_bridge.desk.admin_forms import Group
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.faults import Invalid
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.pages import Page, page_of, reader_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.settings_api import configuration_of
from ami_bridge.desk.view import agent_names, department_names
from ami_bridge.errors import FourthRingError

_MOST_JSON = 60_000
_NEW = {"department": re.compile(r"[a-z][a-z0-9_]{1,29}", re.A), "agent": re.compile(r"[0-9]{2,6}", re.A)}
_TABLE = {"department": "departments", "agent": "agents"}


def ask_of(request: web.Request, body: Any = None) -> Ask:
    """What the API's own functions take."""
    return Ask(request, request.app[STORE], request.app[SETTINGS], reader_of(request), None, body)


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def overview(request: web.Request) -> web.Response:
    """Where to go."""
    page = page_of(request)
    configuration = configuration_of(request)
    return page.draw(
        "admin.html",
        obstacle=configuration.obstacle(),
        path=str(configuration.path),
        departments=department_names(page.settings, page.language),
        agents=agent_names(page.settings, page.language),
    )


# One form -----------------------------------------------------------------------------------


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def form(request: web.Request) -> web.Response:
    """The values of one section."""
    page, groups = page_of(request), _groups(request)
    values = admin_forms.shown(document_of(configuration_of(request).text()), groups)
    return _draw_form(page, request.match_info["section"], groups, values)


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def send_form(request: web.Request) -> web.Response:
    """What it would change, or what is wrong with it; nothing is changed yet."""
    page, groups, section = page_of(request), _groups(request), request.match_info["section"]
    values = admin_forms.typed(await read_form(request), groups)
    document = document_of(configuration_of(request).text())
    changes = admin_forms.changes_of(document, groups, values)
    if not changes:
        return _draw_form(page, section, groups, values, note=page.word("nothing_changed"))
    proposal = await settings_api.proposed(ask_of(request), changes)
    if proposal.problems:
        return _draw_form(page, section, groups, values, problems=proposal.problems)
    return review(page, proposal, changes, back=f"/admin/form/{section}", what=section)


def _groups(request: web.Request) -> tuple[Group, ...]:
    """Raises HTTPNotFound: there is no such section."""
    section, settings = request.match_info["section"], request.app[SETTINGS]
    known = admin_forms.sections(settings)
    if section in known:
        return known[section]
    kind, _, key = section.partition("/")
    if kind in _NEW and _NEW[kind].fullmatch(key):
        made = admin_forms.department_form if kind == "department" else admin_forms.agent_form
        return made(settings, key)
    raise web.HTTPNotFound(text="There is no such page.")


def _draw_form(
    page: Page,
    section: str,
    groups: Sequence[Group],
    values: Mapping[str, Any],
    *,
    problems: Sequence[str] = (),
    note: str = "",
) -> web.Response:
    kind, _, key = section.partition("/")
    known = key in (page.settings.departments if kind == "department" else page.settings.agents)
    return page.draw(
        "admin_form.html",
        422 if problems else 200,
        section=section,
        kind=kind,
        key=key,
        known=known,
        groups=groups,
        values=values,
        problems=problems,
        note=note,
    )


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def new_entry(request: web.Request) -> web.Response:
    """A department or an agent: first its key, then its form."""
    kind = request.match_info["kind"]
    key = (await read_form(request)).get("key", "").strip()
    if not _NEW[kind].fullmatch(key):
        raise web.HTTPSeeOther("/admin?key=1")
    raise web.HTTPSeeOther(f"/admin/form/{kind}/{key}")


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def remove_entry(request: web.Request) -> web.Response:
    """Show what taking a department or an agent out would change."""
    page, section = page_of(request), request.match_info["section"]
    kind, _, key = section.partition("/")
    groups = _groups(request)
    changes = [Change((_TABLE[kind], key), None)]
    proposal = await settings_api.proposed(ask_of(request), changes)
    if proposal.problems:
        values = admin_forms.shown(document_of(configuration_of(request).text()), groups)
        return _draw_form(page, section, groups, values, problems=proposal.problems)
    return review(page, proposal, changes, back=f"/admin/form/{section}", what=f"- {section}")


# Applying -----------------------------------------------------------------------------------


def review(
    page: Page, proposal: Proposal, changes: Sequence[Change], *, back: str, what: str
) -> web.Response:
    """The diff, and the button that applies it."""
    sent = json.dumps([[list(change.path), change.value] for change in changes], ensure_ascii=False)
    return page.draw(
        "admin_review.html",
        200 if proposal.well else 422,
        proposal=proposal,
        sent=sent,
        back=back,
        what=what,
    )


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def apply(request: web.Request) -> web.Response:
    """Apply what was reviewed: the same changes to the same text, checked once more."""
    sent, page = await read_form(request), page_of(request)
    changes = _changes_sent(sent.get("changes", ""))
    ask = ask_of(request)
    proposal = await settings_api.proposed(ask, changes)
    try:
        if proposal.base != sent.get("base"):
            raise Outdated(page.word("outdated"))
        keys = [".".join(change.path) for change in changes][:50]
        await settings_api.applied(ask, proposal, sent.get("what", "")[:200], keys=keys)
    except (FourthRingError, Invalid) as error:
        told = error.text or "" if isinstance(error, Invalid) else str(error)
        return page.draw("admin_refused.html", 409, told=told, back=_local(sent.get("back", "")))
    raise web.HTTPSeeOther("/admin/history?applied=1")


def _changes_sent(text: str) -> list[Change]:
    """Raises HTTPBadRequest: it is not what the review page sends."""
    try:
        told = json.loads(text[:_MOST_JSON])
        return [Change(tuple(str(key) for key in path), value) for path, value in told]
    except (ValueError, TypeError, RecursionError):
        raise web.HTTPBadRequest(text="The form cannot be read.") from None


def _local(path: str) -> str:
    return path if path.startswith("/admin") and path.isprintable() else "/admin"


# History ------------------------------------------------------------------------------------


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def history(request: web.Request) -> web.Response:
    """Every version, newest first."""
    versions = await settings_api.list_versions(ask_of(request))
    return page_of(request).draw(
        "admin_history.html", versions=versions.versions, applied="applied" in request.query
    )


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def version(request: web.Request) -> web.Response:
    """What going back to it would change."""
    proposal = await settings_api.going_back(ask_of(request), request.match_info["id"])
    return page_of(request).draw("admin_version.html", proposal=proposal, version=request.match_info["id"])


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def restore(request: web.Request) -> web.Response:
    """Go back to it."""
    page, ask, wanted = page_of(request), ask_of(request), request.match_info["id"]
    proposal = await settings_api.going_back(ask, wanted)
    try:
        await settings_api.applied(ask, proposal, f"← {wanted[:8]}", back_to=wanted)
    except (FourthRingError, Invalid) as error:
        told = error.text or "" if isinstance(error, Invalid) else str(error)
        return page.draw("admin_refused.html", 409, told=told, back="/admin/history")
    raise web.HTTPSeeOther("/admin/history?applied=1")


def add_admin_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/admin", overview)
    app.router.add_get("/admin/form/{section:[a-z0-9_]+(?:/[a-z0-9_]+)?}", form)
    app.router.add_post("/admin/form/{section:[a-z0-9_]+(?:/[a-z0-9_]+)?}", send_form)
    app.router.add_post("/admin/new/{kind:department|agent}", new_entry)
    app.router.add_post("/admin/remove/{section:(?:department|agent)/[a-z0-9_]+}", remove_entry)
    app.router.add_post("/admin/apply", apply)
    app.router.add_get("/admin/history", history)
    app.router.add_get("/admin/history/{id}", version)
    app.router.add_post("/admin/history/{id}/restore", restore)
