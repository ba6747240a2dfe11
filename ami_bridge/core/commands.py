"""What the core asks of the world. Commands are verbs; the bridge carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Redirect:
    """Move ``channel`` (the caller's) to ``context``/``exten``: AMI Redirect."""

    call_id: str
    channel: str
    context: str
    exten: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send ``RingDeadline(call_id)`` back to the core at ``due_at``; replaces the call's earlier timer."""

    call_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """The call's deadline no longer matters."""

    call_id: str


@dataclass(frozen=True, slots=True)
class PauseAgent:
    """Pause the agent in every queue: so many calls in a row rang in vain (S5)."""

    extension: str
    misses: int


Command = Redirect | SetTimer | CancelTimer | PauseAgent
