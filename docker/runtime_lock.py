"""Prints the part of a lock file that one distribution needs at run time, hashes and all.

    runtime_lock.py LOCK_FILE 'distribution[extra]'

Runs where everything in the lock file and the distribution itself are installed: it follows what they say they need.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed_by(wanted: Requirement) -> set[str]:
    """The canonical names of everything that ``wanted`` needs, its extras included, itself not."""
    names: set[str] = set()
    open_questions = [wanted]
    asked: set[tuple[str, frozenset[str]]] = set()
    while open_questions:
        requirement = open_questions.pop()
        question = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if question in asked:
            continue
        asked.add(question)
        names.add(question[0])
        environments = [{"extra": extra} for extra in (*requirement.extras, "")]
        for line in requires(requirement.name) or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate(each) for each in environments):
                open_questions.append(needed)
    return names - {canonicalize_name(wanted.name)}


def part_of(lock: str, names: set[str]) -> str:
    """The entries of ``lock`` for ``names``.

    Raises:
        SystemExit: the lock file lacks one of them.
    """
    entries: dict[str, str] = {
        canonicalize_name(entry.split("==")[0]): entry
        for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
        if "==" in entry
    }
    if missing := sorted(names - entries.keys()):
        raise SystemExit(f"The lock file has no entry for {', '.join(missing)}; make it anew with: make lock")
    return "".join(entries[name] for name in sorted(names))


if __name__ == "__main__":
    sys.stdout.write(
        part_of(Path(sys.argv[1]).read_text(encoding="utf-8"), needed_by(Requirement(sys.argv[2])))
    )
