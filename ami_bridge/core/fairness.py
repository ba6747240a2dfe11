"""Watches that nobody is served later than one who came after, while it happens; see :mod:`ami_bridge.core.places`.

Whoever looks at a list hands over what it saw; whoever sees somebody being served asks who was passed. The written
rules are kept in mind: only those who had a turn at the look before count. A callback counts when it was the first of
the list before the agent's phone began to ring for another: what becomes next later has its turn from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ami_bridge.core.places import Place, Side, ordered, overtaken


@dataclass(slots=True)
class _Seen:
    listed: list[Place]
    free: int
    first_since: datetime


@dataclass(slots=True)
class Watch:
    """Counts who was served, and who was passed by one who came later. ``overtakings`` must stay 0."""

    served: int = 0
    overtakings: int = 0
    last: str = ""
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def look(self, department: str, places: Sequence[Place], free: int, now: datetime) -> None:
        """The list of ``department`` as it is now, and how many agents are free for it."""
        listed, before = ordered(places), self._seen.get(department)
        same_first = before is not None and before.listed[:1] == listed[:1]
        self._seen[department] = _Seen(listed, free, before.first_since if before and same_first else now)

    def serves_line(self, department: str, uniqueid: str, rung_at: datetime) -> tuple[Place, ...]:
        """Somebody on the line got an agent, who was ``rung_at``; returns the callback that should have had him."""
        self.served += 1
        seen = self._seen.get(department)
        place = _find(seen, Side.LINE, uniqueid)
        if seen is None or place is None or seen.listed[0].side is Side.LINE or seen.first_since >= rung_at:
            return ()
        return self._count(department, place, overtaken(place, seen.listed[:1]))

    def serves_callback(self, department: str, callback_id: str) -> tuple[Place, ...]:
        """An agent is being rung for a callback; returns those on the line who came earlier and got none."""
        self.served += 1
        seen = self._seen.get(department)
        place = _find(seen, Side.CALLBACK, callback_id)
        if seen is None or place is None:
            return ()
        earlier = overtaken(place, [each for each in seen.listed if each.side is Side.LINE])
        seen.listed.remove(place)
        # As many of them as there are other agents are just being given to them by the PBX.
        others, seen.free = max(0, seen.free - 1), max(0, seen.free - 1)
        return self._count(department, place, earlier[others:])

    def as_detail(self) -> Mapping[str, int | str]:
        """For the heartbeat, from which doctor and metrics read."""
        return {"served": self.served, "overtakings": self.overtakings, "last_overtaking": self.last}

    def _count(self, department: str, place: Place, passed: tuple[Place, ...]) -> tuple[Place, ...]:
        if passed:
            self.overtakings += 1
            self.last = f"{department}: {place.id} before {passed[0].id}"
        return passed


def _find(seen: _Seen | None, side: Side, wanted: str) -> Place | None:
    listed = seen.listed if seen is not None else []
    return next((each for each in listed if (each.side, each.id) == (side, wanted)), None)
