"""What Asterisk itself says is wrong: the warnings and errors of its logs since its last start."""

from __future__ import annotations

import re
from pathlib import Path

from ami_bridge.pbx.paths import PbxPaths

_TAG = re.compile(r"\b(WARNING|ERROR)\b\[\d+\]\S*:? (?:\S+\.c:\d+ )?(?:\S+: )?(?P<text>.*)")
_UNTAGGED = re.compile(r"^(?:\*\*\* |Unable |Could not |Failed |No |.*[Ee]rror|.*EXITING)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SHOWN = 4


def begin(paths: PbxPaths) -> None:
    """Set the logs of the run before aside, so that what is read is of this start."""
    for log in (paths.console_log, paths.messages_log):
        if log.exists():
            log.replace(log.with_name(f"{log.name}.before"))


def since_start(paths: PbxPaths) -> list[str]:
    """Each warning and error once, in order, without its time stamp and place in the source."""
    found: dict[str, None] = {}
    for log in (paths.console_log, paths.messages_log):
        for line in _lines(log):
            if tagged := _TAG.search(line):
                found[f"{tagged[1]}: {tagged['text'].strip()}"] = None
    return list(found)


def reason(paths: PbxPaths) -> str:
    """The last few errors in one line, and where the whole log is."""
    lines = since_start(paths) or [
        line.strip() for line in _lines(paths.console_log) if _UNTAGGED.match(line)
    ]
    said = "; ".join(line.removeprefix("ERROR: ") for line in lines[-_SHOWN:]) or "it gave no reason"
    return f"{said.rstrip('.')}. Its log is {paths.console_log}."


def _lines(log: Path) -> list[str]:
    try:
        return _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace")).splitlines()
    except OSError:
        return []
