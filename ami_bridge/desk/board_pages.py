"""The supervisor's wallboard: calls now, who waits, who works, how the day goes, and what needs a hand at once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from ami_bridge.adapters.store import Store, StoredCall
from ami_bridge.core.promises import Figures, PromiseState, figures
from ami_bridge.desk.board import Board
from ami_bridge.desk.keys import STORE
from ami_bridge.desk.live import FEED
from ami_bridge.desk.pages import Page, page_of, reader_of
from ami_bridge.desk.rights import Account, Role, Scope, needs
from ami_bridge.desk.view import (
    agent_names,
    department_names,
    number_shown,
    sees_department,
    start_of_day,
    waiting_of,
)
from ami_bridge.directory import departments_of
from ami_bridge.report import FEWEST_CALLS, day_of
from ami_bridge.settings import Settings

_MOST_A_DAY = 5000
_SILENT_SECONDS = 20.0
_BREAKS_WITHIN = timedelta(minutes=10)
_LEAST_DISK_SHARE = 0.05


@needs(Role.SUPERVISOR, Scope.CALLS_READ)
async def wallboard(request: web.Request) -> web.Response:
    """The whole page; ``?big`` is for a screen on the wall."""
    return page_of(request).draw("wallboard.html", **await _shown(request))


@needs(Role.SUPERVISOR, Scope.CALLS_READ)
async def parts(request: web.Request) -> web.Response:
    """Only what changes."""
    return page_of(request).draw("wallboard_parts.html", **await _shown(request))


async def _shown(request: web.Request) -> dict[str, Any]:
    page, account, store = page_of(request), reader_of(request), request.app[STORE]
    board, settings, now = request.app[FEED].board, page.settings, datetime.now(UTC)
    since = start_of_day(settings, now)
    seen = await store.calls(since=since, sight=account.sight, limit=_MOST_A_DAY)
    waiting = await waiting_of(store, board, account.departments, now)
    return {
        "live": _calls_now(board, account),
        "waiting": waiting,
        "queues": _queues(settings, account, waiting),
        "team": _team(settings, board, account, page.language),
        "day": day_of(seen),
        "fewest": FEWEST_CALLS,
        "promises": await _promises(store, account, since, now),
        "alarms": await _alarms(page, store, board, seen),
        "departments": department_names(settings, page.language),
        "agents": agent_names(settings, page.language),
    }


async def _promises(store: Store, account: Account, since: datetime, now: datetime) -> Figures:
    """Of those that were due today until now (S22)."""
    due = await store.promises(since=since, until=now, limit=_MOST_A_DAY)
    return figures([promise for promise in due if sees_department(account, promise.department)])


def _calls_now(board: Board, account: Account) -> list[Mapping[str, Any]]:
    seen = [call for call in board.calls.values() if sees_department(account, call["department"])]
    return sorted(seen, key=lambda call: call["started_at"] or "")


def _queues(settings: Settings, account: Account, waiting: Iterable[Any]) -> list[dict[str, Any]]:
    rows = []
    for key in settings.departments:
        if sees_department(account, key):
            own = [row for row in waiting if row.department == key]
            callers = sum(row.kind == "caller" for row in own)
            longest = own[0].since if own else ""
            rows.append({"key": key, "callers": callers, "callbacks": len(own) - callers, "longest": longest})
    return rows


def _team(settings: Settings, board: Board, account: Account, language: str) -> list[dict[str, Any]]:
    names = agent_names(settings, language)
    return [
        {"extension": extension, "name": names[extension], **board.state_of(extension)}
        for extension in settings.agents
        if any(sees_department(account, key) for key in departments_of(settings, extension))
    ]


async def _alarms(page: Page, store: Store, board: Board, today: list[StoredCall]) -> list[tuple[str, str]]:
    """(word, about what), the worst first."""
    now = datetime.now(UTC)
    found = [*_alarms_of_phones(page, board), *_passed_around(page, board)]
    found += [
        ("alarm_service", f"{beat.service} ({beat.node})")
        for beat in await store.heartbeats()
        if (now - beat.at).total_seconds() > _SILENT_SECONDS
    ]
    for promise in await store.promises(state=PromiseState.OPEN, until=now + _BREAKS_WITHIN):
        callback = await store.callback(promise.callback_id)
        if callback is not None and _sees(page, promise.department):
            found.append(("alarm_due", number_shown(callback.number or callback.caller_id)))
    gaps = sum(bool(call.record.get("gaps")) for call in today)
    if gaps:
        found.append(("alarm_gap", str(gaps)))
    if await asyncio.to_thread(_disk_is_short, page.settings):
        found.append(("alarm_disk", str(page.settings.state_folder)))
    return found


def _alarms_of_phones(page: Page, board: Board) -> list[tuple[str, str]]:
    if not board.linked:
        return [("alarm_link", "")]
    names = department_names(page.settings, page.language)
    down = [("alarm_trunk", name) for name, state in board.trunks.items() if state == "down"]
    return down + [
        ("alarm_no_agent", names[key])
        for key, department in page.settings.departments.items()
        if board.members and _sees(page, key) and not _somebody_there(board, department.queue)
    ]


def _passed_around(page: Page, board: Board) -> list[tuple[str, str]]:
    """Callers who have been handed over more often than the budget allows (S7)."""
    most = page.settings.desk.transfer_budget
    return [
        ("alarm_transfers", number_shown(call["number"]))
        for call in board.calls.values()
        if (call.get("transfers") or 0) > most and _sees(page, call["department"])
    ]


def _sees(page: Page, department: str) -> bool:
    return page.account is not None and sees_department(page.account, department)


def _somebody_there(board: Board, extensions: Iterable[str]) -> bool:
    return any(board.members.get(each, {}).get("device") not in {None, "unavailable"} for each in extensions)


def _disk_is_short(settings: Settings) -> bool:
    try:
        usage = shutil.disk_usage(settings.state_folder)
    except OSError:
        return False
    return usage.free < _LEAST_DISK_SHARE * usage.total


def add_board_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/wallboard", wallboard)
    app.router.add_get("/wallboard/parts", parts)
