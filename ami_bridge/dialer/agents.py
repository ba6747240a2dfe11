"""Who is free to take a callback, by what the PBX says of its queues at this moment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ami_bridge.adapters.ami import RawEvent

# AST_DEVICE_NOT_INUSE of Asterisk's device states: registered, not ringing, not talking.
_NOT_IN_USE = "1"
_MEMBER = re.compile(r"^Local/(\d+)@queue-member")


@dataclass(slots=True)
class QueueView:
    """One queue: its free members and how many callers wait in it."""

    free: list[str] = field(default_factory=list)
    waiting: int = 0


def read_queue_status(events: Iterable[RawEvent]) -> dict[str, QueueView]:
    """Make one view a queue from the events of the AMI action QueueStatus."""
    queues: dict[str, QueueView] = {}
    for event in events:
        queue = queues.setdefault(event.get("Queue"), QueueView())
        match event.name:
            case "QueueEntry":
                queue.waiting += 1
            case "QueueMember":
                member = _MEMBER.match(event.get("Location"))
                free = (
                    event.get("Status") == _NOT_IN_USE
                    and event.get("Paused") == "0"
                    and event.get("InCall") != "1"
                )
                if member and free:
                    queue.free.append(member[1])
    queues.pop("", None)
    return queues
