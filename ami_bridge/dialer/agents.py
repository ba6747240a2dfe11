"""Who is free to take a callback and who waits on the line, by what the PBX says of its queues at this moment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ami_bridge.adapters.ami import RawEvent

#: Why a member is paused when the next call is a callback's; whoever finds it without need takes it back.
HOLD_REASON = "callback-turn"
# AST_DEVICE_NOT_INUSE of Asterisk's device states: registered, not ringing, not talking.
_NOT_IN_USE = "1"
_MEMBER = re.compile(r"^Local/(\d+)@queue-member")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a queue. ``held``: kept from the line by us; ``away``: paused by anybody else."""

    agent: str
    interface: str
    idle: bool
    held: bool
    away: bool


@dataclass(frozen=True, slots=True)
class OnTheLine:
    """A caller who waits in a queue, for ``seconds`` by now. ``front``: moved there by a supervisor."""

    uniqueid: str
    seconds: float
    front: bool = False


@dataclass(slots=True)
class QueueView:
    """One queue: its members and those who wait in it."""

    members: list[Member] = field(default_factory=list)
    waiting: list[OnTheLine] = field(default_factory=list)

    @property
    def free(self) -> list[str]:
        """Agents who could pick up now."""
        return [member.agent for member in self.members if member.idle and not member.away]


def read_queue_status(events: Iterable[RawEvent]) -> dict[str, QueueView]:
    """Make one view a queue from the events of the AMI action QueueStatus."""
    queues: dict[str, QueueView] = {}
    for event in events:
        queue = queues.setdefault(event.get("Queue"), QueueView())
        match event.name:
            case "QueueEntry":
                wait = event.get("Wait")
                seconds = float(wait) if wait.isdigit() else 0.0
                # Nobody but a supervisor gives a priority (ami_bridge/supervising.py).
                front = event.get("Priority") not in ("", "0")
                queue.waiting.append(OnTheLine(event.get("Uniqueid"), seconds, front))
            case "QueueMember" if found := _MEMBER.match(event.get("Location")):
                queue.members.append(_member(event, found[1]))
    queues.pop("", None)
    return queues


def _member(event: RawEvent, agent: str) -> Member:
    paused = event.get("Paused") != "0"
    held = paused and event.get("PausedReason") == HOLD_REASON
    return Member(
        agent,
        event.get("Location"),
        idle=event.get("Status") == _NOT_IN_USE and event.get("InCall") != "1",
        held=held,
        away=paused and not held,
    )
