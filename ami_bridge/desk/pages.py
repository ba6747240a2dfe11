"""The pages: what happened, readable, without a line of script being needed. Russian or English by the browser."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from ami_bridge.adapters.store import Store
from ami_bridge.core.callbacks import Callback
from ami_bridge.desk import words
from ami_bridge.desk.auth import (
    COOKIE,
    SESSION_SECONDS,
    TOKEN,
    Guest,
    guest_of_cookie,
    guest_of_token,
    make_cookie,
)
from ami_bridge.desk.endpoint import BODY_SECONDS, SETTINGS, STORE
from ami_bridge.settings import Settings

_FOLDER = Path(__file__).parent
_SHOWN = 50
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class _Page:
    """What every page needs."""

    language: str
    guest: Guest | None
    settings: Settings

    def draw(self, template: str, status: int = 200, **more: Any) -> web.Response:
        """Render ``template``."""
        company = self.settings.company
        page = _TEMPLATES.get_template(template).render(
            t=words.of(self.language),
            language=self.language,
            company=company.names.get(self.language) or company.names[company.language],
            guest=self.guest,
            local=self._local,
            **more,
        )
        return web.Response(text=page, content_type="text/html", charset="utf-8", status=status)

    def _local(self, instant: datetime | None, department: str = "") -> str:
        """An instant on the clock of the department that it concerns."""
        if instant is None:
            return ""
        known = (
            department if department in self.settings.departments else next(iter(self.settings.departments))
        )
        return instant.astimezone(self.settings.zone_info_of(known)).strftime("%d.%m. %H:%M:%S")


def _page(request: web.Request) -> _Page:
    guest = guest_of_cookie(request.app[TOKEN], request.cookies.get(COOKIE, ""), time.time())
    language = words.choose(request.headers.get("Accept-Language", ""))
    return _Page(language, guest, request.app[SETTINGS])


async def front(request: web.Request) -> web.Response:
    """Calls and callbacks, read-only."""
    page = _page(request)
    if page.guest is None:
        raise web.HTTPSeeOther("/login")
    store: Store = request.app[STORE]
    calls = await store.calls(limit=_SHOWN)
    callbacks = await store.callbacks(limit=_SHOWN)
    departments = {
        key: department.names.get(page.language) or department.names[page.settings.language_of(key)]
        for key, department in page.settings.departments.items()
    }
    agents = {
        extension: agent.names.get(page.language) or next(iter(agent.names.values()))
        for extension, agent in page.settings.agents.items()
    }
    shown = [(callback, _recordings(callback)) for callback in callbacks]
    return page.draw("front.html", calls=calls, callbacks=shown, departments=departments, agents=agents)


def _recordings(callback: Callback) -> list[tuple[str, str]]:
    kept = (("name", callback.name_recording), ("subject", callback.subject_recording))
    return [(part, f"/api/v1/callbacks/{callback.id}/recordings/{part}") for part, path in kept if path]


async def login_form(request: web.Request) -> web.Response:
    """Ask for the token."""
    return _page(request).draw("login.html", failed=False)


async def log_in(request: web.Request) -> web.Response:
    """Trade the token for a session."""
    async with asyncio.timeout(BODY_SECONDS):
        form = await request.post()
    token = form.get("token", "")
    desk_token = request.app[TOKEN]
    guest = (
        await guest_of_token(desk_token, token.strip(), request.app[STORE])
        if isinstance(token, str)
        else None
    )
    if guest is None:
        return _page(request).draw("login.html", 401, failed=True)
    answer = web.HTTPSeeOther("/")
    session = make_cookie(desk_token, guest.name, time.time())
    answer.set_cookie(
        COOKIE, session, max_age=SESSION_SECONDS, httponly=True, secure=True, samesite="Strict", path="/"
    )
    raise answer


async def log_out(_request: web.Request) -> web.Response:
    """End the session in this browser."""
    answer = web.HTTPSeeOther("/login")
    answer.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
    raise answer


def add_pages(app: web.Application) -> None:
    """Register the pages and their static files."""
    app.router.add_get("/", front)
    app.router.add_get("/login", login_form)
    app.router.add_post("/login", log_in)
    app.router.add_post("/logout", log_out)
    app.router.add_static("/static/", _FOLDER / "static")
