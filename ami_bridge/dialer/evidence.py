"""What became of an attempt that was lost from sight? The channel event log of the PBX knows.

``cel_custom`` (dialplans/cel_custom.conf.j2) writes one line per channel event to a local file. Every
channel of an attempt has the originated channel's uniqueid, which we chose, as its linkedid. The file is
local to the node, so it is there when AMI and the database are not.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path

_EVENT, _UNIQUEID, _LINKEDID, _CHANNEL = 0, 2, 3, 4


class Evidence(Enum):
    """How far an attempt got."""

    NO_LOG = auto()  # there is no channel event log to ask
    NEVER_MADE = auto()  # the PBX never made the channel: the Originate did not reach it
    AGENT_ONLY = auto()  # the agent's side was tried, the customer was not rung
    CUSTOMER_RUNG = auto()
    CUSTOMER_ANSWERED = auto()


def look_up(cel_file: Path, channel_id: str, trunk: str) -> Evidence:
    """Read what the log says of the attempt whose Originate had ``channel_id``; ``trunk`` is its way out."""
    made = rung = answered = False
    try:
        for row in _rows(cel_file):
            if channel_id not in (row[_UNIQUEID], row[_LINKEDID]):
                continue
            made = True
            if row[_CHANNEL].startswith(f"PJSIP/{trunk}-"):
                rung = rung or row[_EVENT] == "CHAN_START"
                answered = answered or row[_EVENT] == "ANSWER"
    except OSError:
        return Evidence.NO_LOG
    if answered:
        return Evidence.CUSTOMER_ANSWERED
    if rung:
        return Evidence.CUSTOMER_RUNG
    return Evidence.AGENT_ONLY if made else Evidence.NEVER_MADE


def _rows(cel_file: Path) -> Iterator[list[str]]:
    """Line by line: one that was torn by a crash, quote open, must not swallow those after it."""
    with cel_file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            row = next(csv.reader([line.replace("\0", "")]), [])
            if len(row) > _CHANNEL:
                yield row
