"""An attempt that a dialer follows, and the agents' order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from ami_bridge.core.callbacks import Attempt, AttemptState


@dataclass(slots=True)
class Running:
    """An attempt that this dialer follows."""

    attempt: Attempt
    held_until: datetime
    unanswered: bool
    """Followed from its Originate on without a gap, and nobody has picked up: no customer can have been rung."""
    first: bool = False
    """The customer is rung before the agent, who is kept for him."""
    ended: tuple[AttemptState, str] | None = None
    """Result and detail, from when they are known until the store has them."""
    machine: str = ""
    """The customer's channel on which a message is being left, which goes on when the agent has gone."""
    waits: bool = False
    """The customer was rung first and waits in the queue now: his own channel tells how the attempt ends."""

    @property
    def agent_freed(self) -> bool:
        """The attempt goes on without its agent."""
        return self.waits or bool(self.machine)


@dataclass(slots=True)
class Rota:
    """Agents in the order in which they last had a callback: the longest without one comes first."""

    served: deque[str] = field(default_factory=deque)

    def pick(self, free: list[str]) -> str | None:
        """The one of ``free`` whose turn it is; None when there is none."""
        ranked = sorted(free, key=lambda agent: self.served.index(agent) if agent in self.served else -1)
        if not ranked:
            return None
        if ranked[0] in self.served:
            self.served.remove(ranked[0])
        self.served.append(ranked[0])
        return ranked[0]
