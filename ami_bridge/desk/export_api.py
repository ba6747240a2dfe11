"""Calls and callbacks as a file for a spreadsheet."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from aiohttp import web
from pydantic import AwareDatetime, Field

from ami_bridge.adapters.store import Place, StoredCall
from ami_bridge.core.callbacks import Callback
from ami_bridge.desk.endpoint import Ask, Endpoint
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import In
from ami_bridge.desk.sheets import Cell, csv_lines, write_xlsx
from ami_bridge.desk.trail import trace

MOST_ROWS = 100_000
_BATCH = 500
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ExportQuery(In):
    """Which rows, and as what."""

    format: Literal["csv", "xlsx"] = "csv"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    department: str | None = None
    limit: int = Field(default=MOST_ROWS, ge=1, le=MOST_ROWS, description="At most so many, the newest.")


@dataclass(frozen=True, slots=True)
class _Sheet:
    title: str
    columns: tuple[str, ...]
    batch: Callable[[Ask, ExportQuery, Place | None, int], Any]
    row: Callable[[Any], Sequence[Cell]]
    place: Callable[[Any], Place]


async def _calls(ask: Ask, query: ExportQuery, before: Place | None, limit: int) -> list[StoredCall]:
    return await ask.store.calls(
        since=query.since,
        until=query.until,
        department=query.department,
        sight=ask.account.sight,
        before=before,
        limit=limit,
    )


def _call_row(call: StoredCall) -> Sequence[Cell]:
    record = call.record
    caller, queue = record.get("caller") or {}, record.get("queue") or {}
    return (
        call.id,
        call.started_at,
        call.ended_at,
        call.caller_number,
        str(caller.get("name") or "") if isinstance(caller, dict) else "",
        call.did,
        call.department,
        call.disposition,
        call.answered_by,
        call.answered_on_ring,
        call.ring_verdict,
        call.failover_reason,
        _figure(queue.get("wait_seconds")) if isinstance(queue, dict) else None,
        _figure(record.get("talk_seconds")),
        call.hung_up_by,
    )


def _figure(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


async def _callbacks(ask: Ask, query: ExportQuery, before: Place | None, limit: int) -> list[Callback]:
    return await ask.store.callbacks(
        since=query.since,
        until=query.until,
        department=query.department,
        sight=ask.account.sight,
        before=before,
        limit=limit,
    )


def _callback_row(callback: Callback) -> Sequence[Cell]:
    return (
        callback.id,
        callback.created_at,
        callback.department,
        callback.state.value,
        callback.number or "",
        callback.caller_id,
        callback.name_text,
        callback.subject_text,
        callback.suits_text,
        callback.due_at,
        callback.promised_at,
        callback.attempts,
        callback.last_result,
        callback.agent or "",
        callback.closed_at,
        callback.closed_by,
        callback.closed_reason,
    )


_CALLS = _Sheet(
    "calls",
    ("id", "started_at (UTC)", "ended_at (UTC)", "caller_number", "caller_name", "did", "department",
     "disposition", "answered_by", "answered_on_ring", "ring_verdict", "failover_reason", "wait_seconds",
     "talk_seconds", "hung_up_by"),
    _calls,
    _call_row,
    lambda call: Place(call.started_at, call.id),
)  # fmt: skip
CALLBACKS = _Sheet(
    "callbacks",
    ("id", "created_at (UTC)", "department", "state", "number", "caller_id", "name", "subject", "suits",
     "due_at (UTC)", "promised_at (UTC)", "attempts", "last_result", "agent", "closed_at (UTC)", "closed_by",
     "closed_reason"),
    _callbacks,
    _callback_row,
    lambda callback: Place(callback.created_at, callback.id),
)  # fmt: skip


async def export_calls(ask: Ask) -> web.StreamResponse:
    """One row a call."""
    return await _export(ask, _CALLS)


async def export_callbacks(ask: Ask) -> web.StreamResponse:
    """One row a callback."""
    return await _export(ask, CALLBACKS)


async def _export(ask: Ask, sheet: _Sheet) -> web.StreamResponse:
    query = cast(ExportQuery, ask.query)
    # Before the first byte: what leaves the house is in the trail even when the reader hangs up half-way.
    asked = query.model_dump(mode="json", exclude_none=True)
    await trace(ask.store, ask.account, f"export.{sheet.title}", sheet.title, **asked)
    return await (_send_xlsx if query.format == "xlsx" else _send_csv)(ask, sheet, query)


async def _batches(ask: Ask, sheet: _Sheet, query: ExportQuery) -> AsyncIterator[list[Sequence[Cell]]]:
    left, before = query.limit, None
    while left > 0:
        found = await sheet.batch(ask, query, before, min(_BATCH, left))
        if not found:
            return
        yield [sheet.row(entry) for entry in found]
        left, before = left - len(found), sheet.place(found[-1])


def _attached(sheet: _Sheet, query: ExportQuery) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="fourthring-{sheet.title}.{query.format}"'}


async def _send_csv(ask: Ask, sheet: _Sheet, query: ExportQuery) -> web.StreamResponse:
    batches = _batches(ask, sheet, query)
    nothing: list[Sequence[Cell]] = []
    first = await anext(batches, nothing)  # a store that is away is a fault with a status, not a broken file
    answer = web.StreamResponse(headers=_attached(sheet, query))
    answer.content_type, answer.charset = "text/csv", "utf-8"
    await answer.prepare(ask.request)
    # With a byte order mark, or Excel takes Cyrillic for something else.
    await answer.write(("\ufeff" + csv_lines([sheet.columns, *first])).encode())
    async for rows in batches:
        await answer.write(csv_lines(rows).encode())
    return answer


async def _send_xlsx(ask: Ask, sheet: _Sheet, query: ExportQuery) -> web.StreamResponse:
    rows = [row async for batch in _batches(ask, sheet, query) for row in batch]
    with tempfile.TemporaryDirectory(prefix="fourthring-export-") as folder:
        path = Path(folder) / "export.xlsx"
        await asyncio.to_thread(write_xlsx, path, sheet.title, sheet.columns, rows)
        body = await asyncio.to_thread(path.read_bytes)
    return web.Response(body=body, content_type=_XLSX, headers=_attached(sheet, query))


def _endpoint(sheet: _Sheet, handler: Any, scope: Scope) -> Endpoint:
    return Endpoint(
        "GET",
        f"/api/v1/export/{sheet.title}",
        handler,
        f"Take {sheet.title} home as CSV or XLSX",
        media="text/csv",
        query=ExportQuery,
        role=Role.SUPERVISOR,
        scope=scope,
    )


ENDPOINTS = (
    _endpoint(_CALLS, export_calls, Scope.CALLS_READ),
    _endpoint(CALLBACKS, export_callbacks, Scope.CALLBACKS_READ),
)
