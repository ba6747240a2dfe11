"""The core may import the standard library and itself, and nothing that has a clock, a loop or a voice."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import ami_bridge.core

CORE = Path(ami_bridge.core.__file__).parent
FORBIDDEN = {
    "asyncio",
    "logging",
    "time",
    "socket",
    "threading",
    "subprocess",
    "os",
    "random",
    "sqlite3",
    "sched",
}


def imported_by(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.name)
def test_imports_are_pure(path: Path) -> None:
    for name in imported_by(path):
        top = name.partition(".")[0]
        if top == "ami_bridge":
            assert name.startswith("ami_bridge.core"), name
        else:
            assert top in sys.stdlib_module_names, name
            assert top not in FORBIDDEN, name


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.name)
def test_nobody_asks_what_time_it_is(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "today"}, f"{path.name}:{node.lineno}"
