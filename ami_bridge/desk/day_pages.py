"""The agent's own day: what was promised and is due, callbacks in hand, the streak of each department (S22), and
the newest etiquette cards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from ami_bridge.adapters.store import Agreement, Store
from ami_bridge.core.callbacks import HELD, Callback, CallbackState
from ami_bridge.core.day_plan import streak
from ami_bridge.core.etiquette import Verdict
from ami_bridge.desk.agreements import SettleIn, settle_agreement
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.callbacks_api import taken_by_user
from ami_bridge.desk.endpoint import Ask
from ami_bridge.desk.etiquette import cards_of
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.pages import page_of, reader_of
from ami_bridge.desk.rights import Account, Role, Scope, needs
from ami_bridge.desk.view import department_names, now_utc, sees_department, start_of_day
from ami_bridge.directory import departments_of
from ami_bridge.settings import Settings

_CARDS = 10
_STREAK_DAYS = 60
_MOST = 2000


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What is due today, what is late, what is done; and what comes in the next days."""

    late: list[Agreement]
    today: list[Agreement]
    done: list[Agreement]
    coming: list[Agreement]
    callbacks: list[Callback]

    @property
    def due(self) -> int:
        """Everything that was to be done by tonight."""
        return len(self.late) + len(self.today) + len(self.done)


@needs(Role.AGENT, Scope.CALLS_READ)
async def day(request: web.Request) -> web.Response:
    """The plan."""
    page, account, store = page_of(request), reader_of(request), request.app[STORE]
    if account.extension not in page.settings.agents:
        raise web.HTTPSeeOther("/calls")
    now = now_utc()
    calls = await store.calls(extension=account.extension, disposition="ANSWERED", limit=_CARDS * 2)
    own = [call for call in calls if call.answered_by == account.extension and call.ended_at][:_CARDS]
    cards = await cards_of(store, page.settings, own, now)
    names = department_names(page.settings, page.language)
    return page.draw(
        "day.html",
        plan=await plan_of(store, page.settings, account, now),
        streaks=[
            (names[key], await _streak(store, page.settings, key, now))
            for key in departments_of(page.settings, account.extension)
        ],
        cards=[
            (card, {each.value: sum(line.verdict is each for line in card.lines) for each in Verdict})
            for card in cards
        ],
        departments=names,
    )


@needs(Role.AGENT, Scope.NOTES_WRITE)
async def settle(request: web.Request) -> web.StreamResponse:
    """Done, called off, or open again."""
    form = await read_form(request)
    try:
        body = SettleIn.model_validate({"state": form.get("state")})
    except ValidationError:
        raise web.HTTPBadRequest(text="Choose done, called off or open.") from None
    ask = Ask(request, request.app[STORE], request.app[SETTINGS], reader_of(request), None, body)
    await settle_agreement(ask)
    raise web.HTTPSeeOther("/agent/day")


async def plan_of(store: Store, settings: Settings, account: Account, now: datetime) -> DayPlan:
    """Of the agent's own phone, on the clock of the first of the own departments."""
    own = departments_of(settings, account.extension)
    begins = start_of_day(settings, now, next(iter(own), ""))
    ends = begins + timedelta(days=1)
    agent = account.extension
    open_ones = await store.agreements(agent=agent, state="open", until=ends + timedelta(days=7), limit=_MOST)
    done = await store.agreements(agent=agent, state="done", since=begins - timedelta(days=30), limit=_MOST)
    held = await store.callbacks(states=[*HELD, CallbackState.CLAIMED], limit=200)
    return DayPlan(
        late=[each for each in open_ones if each.due_at < begins],
        today=[each for each in open_ones if begins <= each.due_at < ends],
        done=[each for each in done if each.settled_at is not None and each.settled_at >= begins],
        coming=[each for each in open_ones if each.due_at >= ends],
        callbacks=[
            each
            for each in held
            if taken_by_user(each) == account.name and sees_department(account, each.department)
        ],
    )


async def _streak(store: Store, settings: Settings, department: str, now: datetime) -> int:
    """Days on which the department rang somebody back as promised, in a row."""
    zone, since = settings.zone_info_of(department), now - timedelta(days=_STREAK_DAYS)
    called = await store.callbacks(
        states=[CallbackState.DONE], department=department, since=since, limit=_MOST
    )
    kept = await store.agreements(state="done", since=since, limit=_MOST)
    instants: list[Any] = [each.closed_at for each in called]
    instants += [each.settled_at for each in kept if each.department == department]
    days = {at.astimezone(zone).date() for at in instants if at is not None}
    schedule = settings.schedule_of(department)
    return streak(days, lambda date: bool(schedule.spans_within(date)), now.astimezone(zone).date())


def add_day_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/agent/day", day)
    app.router.add_post("/agent/agreements/{id}", settle)
