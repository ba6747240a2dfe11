"""Ring measures: on which ring a phone was answered, and what that says (etiquette rule S1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ami_bridge.core.cadence import Cadence

RingVerdict = Literal["early", "ideal", "late", "missed", "elsewhere", "refused", "forwarded", "abandoned"]
"""``missed``: nobody picked up in time; ``elsewhere``: another phone of the group was quicker;
``refused``: the phone rang and declined; ``abandoned``: the caller gave up while it rang."""


@dataclass(frozen=True, slots=True)
class RingRule:
    """What is heard while a phone rings, and by which ring it should be answered."""

    cadence: Cadence
    answer_by_ring: int = 4
    ideal_from_ring: int = 2

    def verdict(self, ring: int) -> RingVerdict:
        """``early`` before the ideal window, ``late`` after it."""
        if ring < self.ideal_from_ring:
            return "early"
        return "ideal" if ring <= self.answer_by_ring else "late"


RingRuleOf = Callable[[str, str], RingRule | None]
"""From the context and extension that dialled a phone to the rule that holds there, if any."""


def no_ring_rule(_context: str, _exten: str) -> RingRule | None:
    """Nothing is known about what callers hear: rings are not counted."""
    return None
