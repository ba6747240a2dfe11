"""The card's buttons during a talk: finish, hand over; and what of the card is kept as evidence (S6, S15)."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import ValidationError

from ami_bridge.adapters.store import CallMark
from ami_bridge.desk import words
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.live import FEED
from ami_bridge.desk.pages import Page, page_of, reader_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.talk_api import HANDED, HandOverIn, finish_talk, transfer_talk
from ami_bridge.desk.view import agent_names, now_utc


@needs(Role.AGENT, Scope.NOTES_WRITE)
async def finish(request: web.Request) -> web.StreamResponse:
    """Say goodbye and wait."""
    page = page_of(request)
    try:
        await finish_talk(_ask(request))
    except web.HTTPException as refused:
        return page.draw("talk_said.html", refused.status, said=_why(page, refused), fault=True)
    return _told(request, page, "finish_done")


@needs(Role.AGENT, Scope.CALLS_READ)
async def transfer_form(request: web.Request) -> web.Response:
    """To whom: colleagues as they are now, and whether the budget is spent."""
    page = page_of(request)
    return page.draw(
        "transfer.html", **_colleagues(request, page), call_id=request.match_info["id"], fault=""
    )


@needs(Role.AGENT, Scope.NOTES_WRITE)
async def transfer(request: web.Request) -> web.StreamResponse:
    """Hand over, with what stands in the note form by now."""
    page, form = page_of(request), await read_form(request)
    given = {name: form.get(name, "")[:500] for name in HANDED}
    try:
        body = HandOverIn(to=form.get("to", ""), over_budget=form.get("over_budget") == "yes", **given)
        await transfer_talk(_ask(request, body))
    except (web.HTTPException, ValidationError) as refused:
        status = refused.status if isinstance(refused, web.HTTPException) else 400
        shown = {**_colleagues(request, page), "call_id": request.match_info["id"]}
        return page.draw("transfer.html", status, fault=_why(page, refused), **shown)
    return _told(request, page, "transfer_done")


@needs(Role.AGENT, Scope.NOTES_WRITE)
async def typing(request: web.Request) -> web.Response:
    """The first word of the note was typed: when, and by whom (S6)."""
    account, call_id = reader_of(request), request.match_info["id"]
    live = request.app[FEED].board.calls.get(call_id)
    if live is None or account.extension not in (*live["ringing"], *live["agents"]):
        raise web.HTTPNotFound(text="There is no such call.")
    detail = {"agent": account.extension}
    mark = CallMark(f"typing:{call_id}:{account.name}", call_id, "typing", account.name, now_utc(), detail)
    await request.app[STORE].add_mark(mark)
    return web.Response(status=204)


def _ask(request: web.Request, body: Any = None) -> Ask:
    return Ask(request, request.app[STORE], request.app[SETTINGS], reader_of(request), None, body)


def _colleagues(request: web.Request, page: Page) -> dict[str, Any]:
    account, board = reader_of(request), request.app[FEED].board
    names = agent_names(page.settings, page.language)
    states = {each: board.state_of(each)["state"] for each in names if each != account.extension}
    live = board.calls.get(request.match_info["id"]) or {}
    made = int(live.get("transfers") or 0)
    return {
        # Who is free comes first.
        "colleagues": sorted(
            ((each, names[each], state) for each, state in states.items()),
            key=lambda each: (each[2] != "available", each[0]),
        ),
        "made": made,
        "spent": made >= page.settings.desk.transfer_budget,
    }


def _told(request: web.Request, page: Page, word: str) -> web.StreamResponse:
    if "HX-Request" not in request.headers:
        raise web.HTTPSeeOther("/agent")
    return page.draw("talk_said.html", said=words.of(page.language)[word], fault=False)


def _why(page: Page, refused: web.HTTPException | ValidationError) -> str:
    """In the reader's language; the sentences of the API are for programs."""
    status = refused.status if isinstance(refused, web.HTTPException) else 400
    return words.of(page.language)[
        {409: "talk_refused", 404: "talk_over", 503: "not_changed"}.get(status, "talk_refused")
    ]


def add_talk_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_post("/agent/finish/{id}", finish)
    app.router.add_get("/agent/transfer/{id}", transfer_form)
    app.router.add_post("/agent/transfer/{id}", transfer)
    app.router.add_post("/agent/typing/{id}", typing)
