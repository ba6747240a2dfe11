"""The admin's prompts: what callers hear, as text and as sound, and a department's own words for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from agi.voice.phrasebook import load_phrase_book
from agi.voice.preview import preview_of
from ami_bridge.configuring import Change
from ami_bridge.configuring.document import document_of
from ami_bridge.desk import admin_forms, settings_api
from ami_bridge.desk.admin_pages import ask_of, review
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.keys import SETTINGS
from ami_bridge.desk.pages import Page, page_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.settings_api import configuration_of
from ami_bridge.desk.view import agent_names, department_names
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings

#: Groups of phrases that a department words as it likes; the others are parts of longer sentences.
_WORDED = ("salutations", "greetings", "fixed", "partings")
_LONGEST = 500


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def prompts(request: web.Request) -> web.Response:
    """Every greeting as it would be heard now, and the words it is made of."""
    return await _draw(request, page_of(request))


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def sound(request: web.Request) -> web.Response:
    """One of them, spoken."""
    settings, what = request.app[SETTINGS], request.match_info["what"]
    department, language, agent = _asked(request)

    def spoken() -> bytes | None:
        with TemporaryDirectory(prefix="fr-preview-") as folder:
            for row in _rows(settings, department, language, agent, Path(folder)):
                if row["what"] == what:
                    return Path(row["sound"]).read_bytes()
        return None

    wav = await asyncio.to_thread(spoken)
    if wav is None:
        raise web.HTTPNotFound(text="There is no such prompt.")
    return web.Response(body=wav, content_type="audio/wav")


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def word_prompts(request: web.Request) -> web.Response:
    """A department's own words; an empty field takes them back."""
    page, form = page_of(request), await read_form(request)
    department, language, _ = _asked(request)
    at = ("departments", department, "phrases", language)
    own = admin_forms.value_at(document_of(configuration_of(request).text()), at) or {}
    changes = []
    for key, _usual in _phrases(language):
        words = form.get(key, "").strip()[:_LONGEST]
        if words != own.get(key, ""):
            changes.append(Change((*at, key), words or None))
    if not changes:
        return await _draw(request, page, note=page.word("nothing_changed"))
    proposal = await settings_api.proposed(ask_of(request), changes)
    if proposal.problems:
        return await _draw(request, page, problems=proposal.problems, typed=form)
    back = f"/admin/prompts?department={department}&language={language}"
    return review(page, proposal, changes, back=back, what=f"prompts {department} {language}")


def _phrases(language: str) -> list[tuple[str, str]]:
    return [
        (key, text)
        for key, text in load_phrase_book(language).phrases.items()
        if key.split(".")[0] in _WORDED
    ]


def _asked(request: web.Request) -> tuple[str, str, str]:
    """Department, language and agent of the query; the first ones when they are not there."""
    settings, query = request.app[SETTINGS], request.query
    department = query.get("department", "")
    if department not in settings.departments:
        department = next(iter(settings.departments))
    spoken = settings.languages_of(department)
    language = query.get("language", "")
    agent = query.get("agent", "")
    return (
        department,
        language if language in spoken else spoken[0],
        agent if agent in settings.agents else settings.departments[department].queue[0],
    )


def _rows(
    settings: Settings, department: str, language: str, agent: str, out: Path | None
) -> list[dict[str, str]]:
    return preview_of(
        settings,
        department,
        agent=agent,
        language=language,
        at=datetime.now(UTC).astimezone(settings.zone_info_of(department)),
        caller="",
        out=out,
    )


async def _draw(
    request: web.Request,
    page: Page,
    *,
    problems: tuple[str, ...] = (),
    typed: Mapping[str, str] | None = None,
    note: str = "",
) -> web.Response:
    department, language, agent = _asked(request)
    at = ("departments", department, "phrases", language)
    own: Mapping[str, Any] = admin_forms.value_at(document_of(configuration_of(request).text()), at) or {}
    try:
        rows = await asyncio.to_thread(_rows, page.settings, department, language, agent, None)
    except FourthRingError as error:
        rows, problems = [], (*problems, str(error))
    return page.draw(
        "admin_prompts.html",
        422 if problems else 200,
        rows=rows,
        phrases=[(key, usual, (typed or own).get(key, "")) for key, usual in _phrases(language)],
        asked={"department": department, "language": language, "agent": agent},
        departments=department_names(page.settings, page.language),
        languages=page.settings.languages_of(department),
        agents=agent_names(page.settings, page.language),
        problems=problems,
        note=note,
    )


def add_prompt_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/admin/prompts", prompts)
    app.router.add_post("/admin/prompts", word_prompts)
    app.router.add_get("/admin/prompts/sound/{what}.wav", sound)
