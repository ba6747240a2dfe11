"""The admin's calendar: days that are not like others, and the public holidays that the country has anyway."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from aiohttp import web

from ami_bridge.configuring import Change
from ami_bridge.configuring.document import document_of
from ami_bridge.desk import admin_forms, settings_api
from ami_bridge.desk.admin_pages import ask_of, review
from ami_bridge.desk.auth import read_form
from ami_bridge.desk.pages import Page, page_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.settings_api import configuration_of
from ami_bridge.desk.view import gentle
from ami_bridge.holiday_calendar import public_holidays

_PATH = ("calendar", "days")
_Day = Mapping[str, Any]


@needs(Role.ADMIN, Scope.SETTINGS_READ)
async def calendar(request: web.Request) -> web.Response:
    """The company's own days and this year's holidays."""
    return _draw(page_of(request), _days(request))


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def add_day(request: web.Request) -> web.Response:
    """One more day, or another word for one that is there."""
    page, form = page_of(request), await read_form(request)
    day = _day_of(form, admin_forms.languages(page.settings))
    days = [each for each in _days(request) if each.get("date") != day["date"]]
    return await _proposed(request, [*days, day], day)


@needs(Role.ADMIN, Scope.SETTINGS_WRITE)
async def remove_day(request: web.Request) -> web.Response:
    """An ordinary day again."""
    wanted = (await read_form(request)).get("date", "")
    return await _proposed(request, [each for each in _days(request) if each.get("date") != wanted], {})


def _days(request: web.Request) -> list[_Day]:
    found = admin_forms.value_at(document_of(configuration_of(request).text()), _PATH)
    return [dict(each) for each in found or ()]


def _day_of(form: Mapping[str, str], languages: list[str]) -> dict[str, Any]:
    """As the file has it. Hours: as usual (nothing is written), closed (none), or those that are typed."""
    day: dict[str, Any] = {"date": form.get("date", "").strip()}
    hours = [line.strip() for line in form.get("open", "").splitlines() if line.strip()]
    if form.get("hours") == "closed":
        day["open"] = []
    elif hours:
        day["open"] = hours
    for part in ("greeting", "parting"):
        said = {each: form.get(f"{part}|{each}", "").strip() for each in languages}
        if any(said.values()):
            day[part] = {language: text for language, text in said.items() if text}
    return day


async def _proposed(request: web.Request, days: list[_Day], typed: _Day) -> web.Response:
    page = page_of(request)
    ordered = sorted(days, key=lambda day: str(day.get("date", "")))
    changes = [Change(_PATH, ordered or None)]
    proposal = await settings_api.proposed(ask_of(request), changes)
    if proposal.problems:
        return _draw(page, _days(request), problems=proposal.problems, typed=typed)
    return review(page, proposal, changes, back="/admin/calendar", what="calendar")


def _draw(
    page: Page, days: list[_Day], *, problems: tuple[str, ...] = (), typed: _Day | None = None
) -> web.Response:
    return page.draw(
        "admin_calendar.html",
        422 if problems else 200,
        days=gentle(days),
        holidays=_holidays(page),
        languages=admin_forms.languages(page.settings),
        problems=problems,
        typed=gentle(typed or {}),
    )


def _holidays(page: Page) -> list[tuple[date, str]]:
    """Of this year, in the words of the package's calendar."""
    year = datetime.now(UTC).year
    try:
        found = public_holidays(page.settings.company.country, page.settings.calendar.subdivision)
    except ValueError:
        return []
    date(year, 1, 1) in found  # noqa: B015 - a year is worked out when it is first asked for
    return sorted((day, name) for day, name in found.items() if day.year == year)


def add_calendar_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/admin/calendar", calendar)
    app.router.add_post("/admin/calendar", add_day)
    app.router.add_post("/admin/calendar/remove", remove_day)
