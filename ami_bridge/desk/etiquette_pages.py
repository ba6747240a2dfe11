"""The etiquette card as a page: the agent first, who may dispute; then the supervisor, who settles. And the team."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from ami_bridge.adapters.store import StoredCall
from ami_bridge.core.etiquette import Verdict
from ami_bridge.core.etiquette_rules import RULES
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.etiquette import is_own
from ami_bridge.desk.etiquette_api import (
    DisputeIn,
    SettleLineIn,
    card_for,
    dispute_line,
    settle_line,
    team_figures,
)
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.pages import page_of, reader_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.view import agent_names, now_utc

_DAYS = 30
_OPEN_DISPUTES = 50


@needs(Role.AGENT, Scope.CALLS_READ)
async def show(request: web.Request) -> web.Response:
    """The card of one call."""
    return await _draw(request)


@needs(Role.AGENT, Scope.NOTES_WRITE)
async def change(request: web.Request) -> web.StreamResponse:
    """A dispute or its settlement, by the API's own rules."""
    form, settles = await read_form(request), request.match_info["change"] == "settle"
    try:
        if settles:
            given = SettleLineIn.model_validate(
                {"verdict": form.get("verdict"), "comment": form.get("comment", "")}
            )
            if not reader_of(request).is_at_least(Role.SUPERVISOR):
                raise web.HTTPForbidden(text="A supervisor settles a dispute.")
            await settle_line(_ask(request, given))
        else:
            await dispute_line(_ask(request, DisputeIn(comment=form.get("comment", ""))))
    except ValidationError:
        return await _draw(request, 400, "comment_needed")
    raise web.HTTPSeeOther(f"/calls/{request.match_info['id']}/etiquette#{request.match_info['rule']}")


@needs(Role.SUPERVISOR, Scope.REPORTS_READ)
async def team(request: web.Request) -> web.Response:
    """How the team keeps the rules, and which disputes wait."""
    page, account, store = page_of(request), reader_of(request), request.app[STORE]
    since = now_utc() - timedelta(days=_DAYS)
    figures = await team_figures(store, page.settings, account, since, None)
    marks = await store.marks(kinds=["dispute", "settlement"], since=since)
    waiting = {
        (mark.call_id, mark.detail.get("rule")): mark for mark in marks
    }  # the newest of each line counts
    disputes: list[tuple[StoredCall, Any]] = []
    for mark in waiting.values():
        call = await store.call(mark.call_id) if mark.kind == "dispute" else None
        if call is not None and account.sees(call.department):
            disputes.append((call, mark))
    return page.draw(
        "etiquette_team.html",
        figures=figures,
        rules=list(RULES),
        disputes=disputes[:_OPEN_DISPUTES],
        agents=agent_names(page.settings, page.language),
        days=_DAYS,
    )


def _ask(request: web.Request, body: Any = None) -> Ask:
    return Ask(request, request.app[STORE], request.app[SETTINGS], reader_of(request), None, body)


async def _draw(request: web.Request, status: int = 200, fault: str = "") -> web.Response:
    page, account = page_of(request), reader_of(request)
    card = await card_for(_ask(request))
    return page.draw(
        "etiquette.html",
        status,
        card=card,
        agents=agent_names(page.settings, page.language),
        own=is_own(account, card),
        settles=account.is_at_least(Role.SUPERVISOR) and not is_own(account, card),
        verdicts=[each.value for each in Verdict],
        counts={each.value: sum(line.verdict is each for line in card.lines) for each in Verdict},
        fault=fault,
    )


def add_etiquette_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/calls/{id}/etiquette", show)
    app.router.add_post("/calls/{id}/etiquette/{rule}/{change:dispute|settle}", change)
    app.router.add_get("/etiquette", team)
