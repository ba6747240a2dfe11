"""Rows as CSV or XLSX that a spreadsheet shows and never obeys.

Callers choose what stands in a name, and a spreadsheet takes a cell that begins with ``=`` for a formula
(CWE-1236). In CSV, which knows no types, such a cell gets an apostrophe in front, as OWASP advises; a bare
telephone number keeps its plus, since it can do nothing. In XLSX every text is stored as text, with the quote
prefix, so it stays text when somebody edits it. Control and direction-changing characters, which could make a
row look like another, become U+FFFD.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

Cell = str | int | float | bool | datetime | None

#: Characters of one cell; Excel refuses a file with more.
LONGEST_CELL = 32_000
_FORMULA = re.compile(r"^[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20|]")
_NUMBER = re.compile(r"^\+?[0-9]{1,15}$", re.ASCII)
_KEPT_FORMAT_CHARACTERS = frozenset("\u200c\u200d\u00ad")  # joiners of scripts and emoji, the soft hyphen


def harmless(text: str) -> str:
    """``text`` on one line, without characters that hide or turn round others."""
    shown = "".join(_plain(character) for character in text[: LONGEST_CELL + 1])
    return shown if len(shown) <= LONGEST_CELL else shown[: LONGEST_CELL - 1] + "…"


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """``rows`` as CSV (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([_in_csv(cell) for cell in row] for row in rows)
    return out.getvalue()


def write_xlsx(path: Path, title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write one sheet. Slow for many rows: run it in a thread."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    head = []
    for column in columns:
        cell = WriteOnlyCell(sheet, value=column)
        cell.font = Font(bold=True)
        head.append(cell)
    sheet.append(head)
    for row in rows:
        sheet.append([_in_xlsx(sheet, value) for value in row])
    book.save(path)


def _plain(character: str) -> str:
    if character in "\r\n\t":
        return " "
    kind = unicodedata.category(character)
    hidden = kind in {"Cc", "Cs", "Co", "Zl", "Zp"} or (
        kind == "Cf" and character not in _KEPT_FORMAT_CHARACTERS
    )
    return "\ufffd" if hidden or character in "\ufffe\uffff" else character


def _in_csv(cell: Cell) -> Cell:
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(timespec="seconds")
    if not isinstance(cell, str):
        return cell
    text = harmless(cell)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def _in_xlsx(sheet: object, value: Cell) -> object:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None)  # XLSX knows no zones; the head says UTC
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, value=harmless(value))  # type: ignore[arg-type]
    cell.data_type = "s"
    cell.quotePrefix = True
    return cell
