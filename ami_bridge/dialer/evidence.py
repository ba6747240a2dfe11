"""What became of an attempt that was lost from sight? The channel event log of the PBX knows.

``cel_custom`` (dialplans/cel_custom.conf.j2) writes one line per channel event to a local file. Every
channel of an attempt has the originated channel's uniqueid, which we chose, as its linkedid. The file is
local to the node, so it is there when AMI and the database are not.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto
from pathlib import Path

from ami_bridge.adapters.channel_event_log import ChannelEventLog

_CUSTOMER_FIRST = "@first-agent-"


class Evidence(Enum):
    """How far an attempt got."""

    NO_LOG = auto()  # there is no channel event log to ask, or none of that time any more
    NEVER_MADE = auto()  # the PBX never made the channel: the Originate did not reach it
    AGENT_ONLY = auto()  # the agent's side was tried, the customer was not rung
    NOBODY_RUNG = auto()  # customer first: neither was
    CUSTOMER_ALONE = auto()  # customer first: he answered, and was joined to nobody
    CUSTOMER_RUNG = auto()
    CUSTOMER_ANSWERED = auto()


def look_up(cel_file: Path, channel_id: str, trunk: str, since: datetime) -> Evidence:
    """Read what the log says of the attempt whose Originate had ``channel_id``; ``trunk`` is its way out.

    Blocks while it reads the log from ``since``, when the attempt began: from asyncio, call it in a thread.
    """
    made = rung = answered = first = joined = False
    log = ChannelEventLog(cel_file)
    if not log.exists:
        return Evidence.NO_LOG
    try:
        for event in log.events(since):
            if channel_id not in (event.uniqueid, event.linkedid):
                continue
            made = True
            # The name of the originated channel tells who was to be rung first (dialplans/customer_first.inc).
            first = first or _CUSTOMER_FIRST in event.channel
            if event.channel.startswith(f"PJSIP/{trunk}-"):
                rung = rung or event.kind == "CHAN_START"
                answered = answered or event.kind == "ANSWER"
                joined = joined or event.kind == "BRIDGE_ENTER"
    except OSError:
        return Evidence.NO_LOG
    if answered:
        return Evidence.CUSTOMER_ALONE if first and not joined else Evidence.CUSTOMER_ANSWERED
    if rung:
        return Evidence.CUSTOMER_RUNG
    if made:
        return Evidence.NOBODY_RUNG if first else Evidence.AGENT_ONLY
    return Evidence.NEVER_MADE if log.covers(since) else Evidence.NO_LOG
