"""The report over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from pydantic import AwareDatetime

from ami_bridge.desk.endpoint import Ask, Endpoint
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import In, Out
from ami_bridge.report import report_of


class ReportQuery(In):
    """The period, [since, until); all there is without one."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class LineOut(Out):
    """One department's figures; seconds are means."""

    department: str
    calls: int
    answered: int
    gave_up: int
    counted: int
    in_time: int
    service_level: int | None
    answer_seconds: float | None
    talk_seconds: float | None
    verdicts: dict[str, int]
    callbacks: int
    callbacks_by_state: dict[str, int]


class ReportOut(Out):
    """The period's figures with the formula of the service level."""

    since: datetime | None
    until: datetime | None
    formula: str
    total: LineOut
    departments: list[LineOut]


async def show_report(ask: Ask) -> ReportOut:
    """Of the departments that the account may see."""
    query = cast(ReportQuery, ask.query)
    return ReportOut.model_validate(await report_of(ask.store, query.since, query.until, ask.account.sight))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/report",
        show_report,
        "Service level and what else a period came to",
        ReportOut,
        query=ReportQuery,
        role=Role.SUPERVISOR,
        scope=Scope.REPORTS_READ,
    ),
)
