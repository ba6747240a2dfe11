"""What ``calls``, ``callbacks`` and ``agents`` print: JSON for programs, a table for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WHOLE = frozenset({"id", "started", "asked for", "from", "number", "due", "extension"})
_WIDE = 200


def print_json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line: readable by ``jq`` and by a program that reads while we write."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table as wide as the terminal. Cells are plain text: what a caller wrote is never read as markup."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        # What is copied and what is compared stays in one piece; the rest may break.
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    count = 0
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
        count += 1
    # Into a pipe or a file there is no edge to break at.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    if count:
        console.print(table)
    else:
        console.print(f"{title}: none")


def _shown(cell: object) -> str:
    if cell is None or cell == "":
        return "–"
    if isinstance(cell, datetime):
        return cell.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, list | tuple):
        return ", ".join(map(str, cell))
    # Control characters in a caller's name could move the cursor of the terminal that shows it.
    return "".join(char if char.isprintable() else "\ufffd" for char in str(cell))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
