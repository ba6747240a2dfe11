"""The pages: what happened, readable, without a line of script being needed. Russian or English by the browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from aiohttp import web

from ami_bridge.desk import words
from ami_bridge.desk.auth import csrf_token
from ami_bridge.desk.keys import ACCOUNT, SETTINGS
from ami_bridge.desk.rights import Account, Role, Scope, needs, public
from ami_bridge.desk.view import number_shown
from ami_bridge.settings import Settings

_FOLDER = Path(__file__).parent
LANGUAGE_COOKIE, LANGUAGES = "language", ("ru", "en")
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
    path: str = "/"

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
            hour=self._hour,
            number_shown=number_shown,
            menu=self._menu(),
            here=self.path,
            house=self.settings.desk,
            **more,
        )
        return web.Response(text=page, content_type="text/html", charset="utf-8", status=status)

    def word(self, key: str) -> str:
        """One word of the pages in the reader's language."""
        return words.of(self.language)[key]

    def _menu(self) -> list[tuple[str, str]]:
        """What this account may open: path and word."""
        account = self.account
        if account is None or account.one_time:
            return []
        phone = account.extension in self.settings.agents
        own = [("/agent", "my_desk"), ("/agent/day", "my_day")] if phone else []
        team = (
            [("/wallboard", "wallboard"), ("/etiquette", "etiquette_team")]
            if account.is_at_least(Role.SUPERVISOR)
            else []
        )
        voice = [("/voice", "my_voice")] if own else []
        admin = [("/admin", "admin")] if account.is_at_least(Role.ADMIN) else []
        return [*own, *team, ("/callbacks", "callbacks"), ("/calls", "calls"), *voice, *admin]

    def _hour(self, instant: datetime | None, department: str = "") -> str:
        """Only the time of day."""
        return self._local(instant, department)[-8:-3]

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
    language = request.cookies.get(LANGUAGE_COOKIE, "")
    if language not in LANGUAGES:
        language = words.choose(request.headers.get("Accept-Language", ""))
    return Page(language, request[ACCOUNT], csrf_token(request), request.app[SETTINGS], request.path)


def reader_of(request: web.Request) -> Account:
    """Who reads the page; the door lets nobody else in."""
    account = request[ACCOUNT]
    if account is None:
        raise web.HTTPUnauthorized
    return account


@needs(Role.AGENT, Scope.CALLS_READ)
async def front(request: web.Request) -> web.Response:
    """Everybody begins where their work is."""
    account = reader_of(request)
    if account.extension in request.app[SETTINGS].agents:
        raise web.HTTPSeeOther("/agent")
    raise web.HTTPSeeOther("/wallboard" if account.is_at_least(Role.SUPERVISOR) else "/calls")


@public
async def choose_language(request: web.Request) -> web.Response:
    """Remember the reader's language in this browser and go back to the page."""
    back = urlsplit(request.headers.get("Referer", ""))
    own = back.netloc == request.host and back.path.startswith("/") and not back.path.startswith("//")
    answer = web.HTTPSeeOther(back.path + (f"?{back.query}" if back.query else "") if own else "/")
    answer.set_cookie(
        LANGUAGE_COOKIE, request.match_info["language"], max_age=31_536_000, samesite="Lax", path="/"
    )
    raise answer


def add_pages(app: web.Application) -> None:
    """Register the doors and the static files."""
    app.router.add_get("/", front)
    app.router.add_get("/language/{language:ru|en}", choose_language)
    app.router.add_static("/static/", _FOLDER / "static")
