"""The agent's page: the card that opens while the phone rings, the talk, the note (S6, S11, S14, S15, S24)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from agi.voice.cache import greeting_text
from ami_bridge.adapters.live_wire import WireLost
from ami_bridge.adapters.store import CallMark, Store, StoredCall, StoreUnavailable
from ami_bridge.core.callbacks import Callback
from ami_bridge.cues import cues_of
from ami_bridge.desk import words
from ami_bridge.desk.agreements import keep_agreement
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.live import FEED
from ami_bridge.desk.pages import LANGUAGES, Page, page_of, reader_of
from ami_bridge.desk.phone_pages import colleagues_of, with_microphone
from ami_bridge.desk.rights import Account, Role, Scope, needs
from ami_bridge.desk.shapes import NoteIn
from ami_bridge.desk.talk_api import HANDED
from ami_bridge.desk.trail import trace
from ami_bridge.desk.view import (
    Gentle,
    agent_names,
    callbacks_of_number,
    calls_of_number,
    department_names,
    gentle,
    note_fields,
    number_shown,
    recordings_of,
    sees_call,
    sees_department,
    spoken_groups,
    start_of_day,
    waiting_of,
)
from ami_bridge.settings import Settings

PAUSE_REASONS = ("break", "lunch", "notes", "meeting", "task")
_EARLIER = 5
_MOST_A_DAY = 500


@dataclass(frozen=True, slots=True)
class CardCall:
    """The call of a card: one that goes on, or one of the store."""

    id: str
    phase: str
    number: str
    name: str
    department: str
    department_name: str
    greeting: str
    direct: bool
    ended_at: str = ""
    callback: Callback | None = None

    @property
    def number_shown(self) -> str:
        """In groups."""
        return number_shown(self.number)

    @property
    def recordings(self) -> list[tuple[str, str]]:
        """What the caller of a callback said."""
        return recordings_of(self.callback) if self.callback else []


@dataclass(frozen=True, slots=True)
class Earlier:
    """One earlier call of the same number, with what was noted then."""

    id: str
    started_at: datetime
    department: str
    agent: str
    note: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Dossier:
    """What is known about a number (S15)."""

    calls: list[Earlier]
    callbacks: list[Callback]
    groups: tuple[str, ...]
    last_note: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoteShown:
    """The note form: what stands in it, which version is stored, what is wrong with it."""

    fields: Mapping[str, str]
    version: int = 0
    stored: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)
    key: str = field(default_factory=lambda: secrets.token_hex(16))


@needs(Role.AGENT, Scope.CALLS_READ)
async def desk(request: web.Request) -> web.Response:
    """The whole page; ``?call=`` opens the card of a call that has ended."""
    account = reader_of(request)
    if account.extension not in request.app[SETTINGS].agents:
        raise web.HTTPSeeOther("/wallboard")
    page = page_of(request)
    shown: dict[str, Any] = {"call": None}
    first = {"direct": True, "name": "", "number_shown": "…", "department_name": "", "callback": None}
    if wanted := request.query.get("call"):
        shown = await _card(request, page, wanted)
    nothing: dict[str, Any] = {"calls": [], "callbacks": []}
    colleagues = colleagues_of(account, page.settings, agent_names(page.settings, page.language))
    side = await _side(request, page)
    drawn = page.draw("agent.html", first=first, nothing=nothing, colleagues=colleagues, **shown, **side)
    return drawn if colleagues is None else with_microphone(drawn)


@needs(Role.AGENT, Scope.CALLS_READ)
async def card(request: web.Request) -> web.Response:
    """The card of one call, to be put on the stage."""
    page = page_of(request)
    return page.draw("card.html", **await _card(request, page, request.match_info["id"]))


@needs(Role.AGENT, Scope.CALLS_READ)
async def side(request: web.Request) -> web.Response:
    """The agent's own state and day, and who waits."""
    page = page_of(request)
    return page.draw("side.html", **await _side(request, page))


@needs(Role.AGENT, Scope.NOTES_WRITE)
async def save_note(request: web.Request) -> web.StreamResponse:
    """Keep the next version of the note, or say what is missing. The same form sent twice is kept once."""
    page, store, call_id = page_of(request), request.app[STORE], request.match_info["id"]
    form = await read_form(request)
    call = await _call_of(request, page, call_id)
    given = {name: value for name, value in form.items() if not name.startswith("_") and name != "key"}
    key = form.get("key", "")[:64] or secrets.token_hex(16)
    try:
        fields = NoteIn.model_validate(given)
    except ValidationError as error:
        shown = NoteShown(given, await _version(store, call_id), faults=_faults(error), key=key)
        return page.draw(
            "note_form.html", 422 if "HX-Request" in request.headers else 400, call=call, note=shown
        )
    account = reader_of(request)
    note = await store.add_note(
        call_id, account.name, note_fields(fields.model_dump()), key=f"{call_id}:{key}"
    )
    if (stored := await store.call(call_id)) is not None:
        await keep_agreement(store, page.settings, account, stored, note.fields)
    if "HX-Request" not in request.headers:
        raise web.HTTPSeeOther(f"/agent?call={call_id}")
    return page.draw("note_form.html", call=call, note=NoteShown(note.fields, note.version, stored=True))


@needs(Role.AGENT, Scope.CALLS_READ)
async def pause(request: web.Request) -> web.StreamResponse:
    """Pause with a reason, or be available again (no reason): what the PBX then says is shown."""
    page, account, feed = page_of(request), reader_of(request), request.app[FEED]
    reason = (await read_form(request)).get("reason", "")
    if reason not in ("", *PAUSE_REASONS):
        raise web.HTTPBadRequest(text="Choose one of the reasons.")
    asked = {"pause": account.extension, "paused": bool(reason), "reason": reason}
    try:
        done = (await feed.wire.ask(asked))["ok"]
    except WireLost:
        done = False
    await trace(request.app[STORE], account, "agent.pause", account.extension, reason=reason, done=done)
    if "HX-Request" not in request.headers:
        raise web.HTTPSeeOther("/agent")
    fault = "" if done else words.of(page.language)["not_changed"]
    return page.draw("side.html", **await _side(request, page, fault))


def _faults(error: ValidationError) -> dict[str, str]:
    """Field → the word that says what is wrong with it."""
    words = {"string_too_short": "required", "missing": "required", "string_too_long": "too_long"}
    return {
        str(problem["loc"][0]): words.get(problem["type"], "number_fault")
        for problem in error.errors()
        if problem["loc"]
    }


async def _version(store: Store, call_id: str) -> int:
    notes = await store.notes(call_id)
    return notes[-1].version if notes else 0


async def _card(request: web.Request, page: Page, call_id: str) -> dict[str, Any]:
    store: Store = request.app[STORE]
    call = await _call_of(request, page, call_id)
    dossier = await _dossier(store, page, call.number, call_id)
    notes = await store.notes(call_id)
    await _keep_shown(request, call)
    handed = await _handed(store, page, reader_of(request), call_id)
    if notes:
        note = NoteShown(notes[-1].fields, notes[-1].version, stored=True)
    else:
        known = {name: dossier.last_note.get(name, "") for name in ("last_name", "first_name", "patronymic")}
        number = dossier.last_note.get("number") or call.number
        subject = call.callback.subject_text if call.callback else ""
        passed = {name: text for name, text in handed.items() if name in HANDED and text}
        note = NoteShown({**known, "number": number, "subject": subject, **passed})
    return {
        "call": call,
        "dossier": dossier,
        "note": note,
        "handed": handed if call.phase != "ended" else {},
        **_cues(page, call.department),
    }


async def _keep_shown(request: web.Request, call: CardCall) -> None:
    """That the dossier stood on the desk, and since when (S15). A store that is away hides no card."""
    account = reader_of(request)
    if call.phase == "ended" or not account.extension:
        return
    detail = {"agent": account.extension, "phase": call.phase}
    mark = CallMark(
        f"card:{call.id}:{account.name}", call.id, "card", account.name, datetime.now(UTC), detail
    )
    with contextlib.suppress(StoreUnavailable):
        await request.app[STORE].add_mark(mark)


async def _handed(store: Store, page: Page, account: Account, call_id: str) -> Mapping[str, str]:
    """What a colleague passed on with the call, when it was to this phone."""
    marks = await store.marks([call_id], kinds=["handover"])
    if not marks or not account.extension or marks[-1].detail.get("to") != account.extension:
        return {}
    fields = dict(marks[-1].detail.get("fields") or {})
    names = agent_names(page.settings, page.language)
    parts = (fields.get(name) or "" for name in ("last_name", "first_name", "patronymic"))
    by = str(marks[-1].detail.get("from") or "")
    return Gentle({**fields, "name": " ".join(filter(None, parts)), "by": names.get(by, marks[-1].by)})


def _cues(page: Page, department: str) -> dict[str, Any]:
    """What stands on the card for the agent to say and to do; letters of the other language may be in any address."""
    house = page.settings.desk
    cues, other = (cues_of(page.settings, language, department) for language in _own_first(page.language))
    shown = house.smile and department not in house.silent
    return {
        "cues": cues,
        "smile": cues.smile if shown else "",
        "alphabet": {**cues.alphabet, **other.alphabet},
    }


def _own_first(language: str) -> list[str]:
    return sorted(LANGUAGES, key=lambda each: each != language)


async def _call_of(request: web.Request, page: Page, call_id: str) -> CardCall:
    """A call that goes on, or else a stored one; never one that is none of the agent's business."""
    account = reader_of(request)
    live = request.app[FEED].board.calls.get(call_id)
    if live is not None:
        own = account.extension in (*live["ringing"], *live["agents"])
        if not own and not sees_department(account, live["department"]):
            raise web.HTTPNotFound(text="There is no such call.")
        return await _live_call(request.app[STORE], page, account, live)
    stored = await request.app[STORE].call(call_id)
    if stored is None or not sees_call(account, stored):
        raise web.HTTPNotFound(text="There is no such call.")
    return _stored_call(page, account, stored)


async def _live_call(store: Store, page: Page, account: Account, live: Mapping[str, Any]) -> CardCall:
    callback = await store.callback(live["callback_id"]) if live["callback_id"] else None
    number = (callback.number if callback else None) or live["number"]
    department = (callback.department if callback else "") or live["department"]
    kind = "callback" if callback else "direct" if live["ring"] else "queue-answer"
    own = account.extension in live["agents"]
    return CardCall(
        id=live["call_id"],
        phase=("talking" if live["phase"] == "talking" else "greeting") if own else "ringing",
        number=number,
        name=callback.name_text if callback else live["name"] if live["name"] != live["number"] else "",
        department=department,
        department_name=department_names(page.settings, page.language).get(department, department),
        greeting=_greeting(page.settings, kind, department, account.extension),
        direct=live["ring"] is not None,
        callback=callback,
    )


def _stored_call(page: Page, account: Account, stored: StoredCall) -> CardCall:
    caller = stored.record.get("caller")
    name = str(caller.get("name") or "") if isinstance(caller, Mapping) else ""
    return CardCall(
        id=stored.id,
        phase="ended",
        number=stored.caller_number,
        name=name if name != stored.caller_number else "",
        department=stored.department,
        department_name=department_names(page.settings, page.language).get(
            stored.department, stored.department
        ),
        greeting="",
        direct=False,
        ended_at=(stored.ended_at or stored.started_at).isoformat(),
    )


def _greeting(settings: Settings, kind: str, department: str, extension: str) -> str:
    if department not in settings.departments:
        return ""
    known = extension if extension in settings.agents else ""
    return greeting_text(settings, kind, department, known, datetime.now(UTC))


async def _dossier(store: Store, page: Page, number: str, but: str) -> Dossier:
    names = agent_names(page.settings, page.language)
    earlier: list[Earlier] = []
    last_note: dict[str, str] = {}
    for call in await calls_of_number(store, number, _EARLIER + 1):
        if call.id == but:
            continue
        notes = await store.notes(call.id)
        fields = gentle(notes[-1].fields) if notes else None
        last_note = last_note or dict(fields or {})
        agent = names.get(call.answered_by, call.answered_by)
        earlier.append(Earlier(call.id, call.started_at, call.department, agent, fields))
    callbacks = await callbacks_of_number(store, number)
    groups = spoken_groups(number, page.settings.company.country)
    return Dossier(earlier[:_EARLIER], callbacks, groups, last_note)


async def _side(request: web.Request, page: Page, fault: str = "") -> dict[str, Any]:
    account = reader_of(request)
    store, feed, now = request.app[STORE], request.app[FEED], datetime.now(UTC)
    settings, language = page.settings, page.language
    agent = settings.agents[account.extension]
    member = feed.board.state_of(account.extension)
    me = {
        "name": agent_names(settings, language)[account.extension],
        "position": agent.positions.get(language, ""),
        "extension": account.extension,
        "pausable": account.extension in feed.board.members
        and any(account.extension in each.queue for each in settings.departments.values()),
        **member,
    }
    return {
        "me": me,
        "day": await _day(store, settings, account, now),
        "waiting": await waiting_of(store, feed.board, account.departments, now),
        "departments": department_names(settings, language),
        "fault": fault,
        "reasons": PAUSE_REASONS,
    }


async def _day(store: Store, settings: Settings, account: Account, now: datetime) -> dict[str, Any]:
    """What this agent did today, and which calls still want a note."""
    since = start_of_day(settings, now)
    calls = await store.calls(since=since, extension=account.extension, limit=_MOST_A_DAY)
    own = [call for call in calls if call.answered_by == account.extension]
    without = [call for call in own[:20] if call.ended_at and not await store.notes(call.id)]
    missed = sum(
        any(leg.get("endpoint") == account.extension and leg.get("ring_verdict") == "missed" for leg in legs)
        for legs in (call.record.get("legs") or () for call in calls)
    )
    ideal = sum(call.ring_verdict == "ideal" for call in own)
    return {"answered": len(own), "ideal": ideal, "missed": missed, "without_note": without[:5]}


def add_agent_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/agent", desk)
    app.router.add_get("/agent/card/{id}", card)
    app.router.add_get("/agent/side", side)
    app.router.add_post("/agent/note/{id}", save_note)
    app.router.add_post("/agent/pause", pause)
