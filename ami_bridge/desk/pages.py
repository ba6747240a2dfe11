"""The pages: what happened, readable, without a line of script being needed. Russian or English by the browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from ami_bridge.adapters.store import Store
from ami_bridge.core.callbacks import Callback
from ami_bridge.desk import words
from ami_bridge.desk.auth import csrf_token
from ami_bridge.desk.keys import ACCOUNT, SETTINGS, STORE
from ami_bridge.desk.rights import Account, Role, Scope, needs
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
class Page:
    """What every page needs."""

    language: str
    account: Account | None
    csrf: str
    settings: Settings

    def draw(self, template: str, status: int = 200, **more: Any) -> web.Response:
        """Render ``template``."""
        company = self.settings.company
        page = _TEMPLATES.get_template(template).render(
            t=words.of(self.language),
            language=self.language,
            company=company.names.get(self.language) or company.names[company.language],
            account=self.account,
            csrf=self.csrf,
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


def page_of(request: web.Request) -> Page:
    """What a page for this request needs; the door (auth.py) has set the account."""
    language = words.choose(request.headers.get("Accept-Language", ""))
    return Page(language, request[ACCOUNT], csrf_token(request), request.app[SETTINGS])


@needs(Role.AGENT, Scope.CALLS_READ)
async def front(request: web.Request) -> web.Response:
    """Calls and callbacks, read-only."""
    page = page_of(request)
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


def add_pages(app: web.Application) -> None:
    """Register the pages and their static files."""
    app.router.add_get("/", front)
    app.router.add_static("/static/", _FOLDER / "static")
