"""The place in the queue that a callback keeps: one ordered list of those who wait on the line and those who don't.

Whoever came first is served first, on the line or not. Written rules, the only ones by which somebody may be
served before one who came earlier:

* a caller has no turn before he stands in the queue: while phones ring for him, or he is greeted, agents serve others;
  then his place is that of his call's beginning;
* a callback has no turn before it is due, at an hour at which its customer may not be rung, or while its number
  is being rung for another request or is on the phone with us; who rings again waits on the line with the older place;
* a callback that an agent has just not taken steps aside for a moment, so that it cannot stop the list;
* a callback that an agent has taken in hand, or was given, has its turn with that agent alone, as soon as he is
  free; where callbacks are only previewed (``callback.mode``), none has another turn;
* a list belongs to one department; its agents serve no other list through it;
* whom a supervisor moves to the front of the queue has the first place of all (:data:`FRONT`);
* who is being rung for has an agent, and is not in the list unless that agent does not take him;
* the list is looked at once a second: who comes, becomes due, or becomes next between two looks is next from the
  following look on.

No rule, but a limit of the PBX: to whom the queue is just saying his place, or that he may be rung back, hears it to
the end before a phone rings for him, up to six seconds (``app_queue`` speaks and dials in one thread). An agent who has
come free waits for him; meanwhile another agent may be given to a callback that came later.

The PBX gives an agent who comes free to the first caller on the line at once, so a callback whose turn is next
would be overtaken for ever where the line is never empty. :attr:`Turns.hold` says when its agents must be kept
from the line until one of them is free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

#: How far two arrivals may lie apart and still count as the same time: one look.
LOOK = timedelta(seconds=1)
#: Before everybody who came.
FRONT = datetime.min.replace(tzinfo=UTC)


class Side(StrEnum):
    """Where somebody waits. On the line comes first among those who came in the same instant."""

    LINE = "1-line"
    CALLBACK = "2-callback"


@dataclass(frozen=True, slots=True)
class Place:
    """One who waits: since when, where, and who (a channel's uniqueid, or a callback's id)."""

    came_at: datetime
    side: Side
    id: str


@dataclass(frozen=True, slots=True)
class Turns:
    """What the order of the list allows now.

    Attributes:
        line: how many on the line come before the first callback and have a free agent: the PBX must get so many.
        launch: callbacks, in order, whose turn it is; each takes one of the other free agents.
        hold: the next agent who comes free belongs to a callback, and somebody on the line would get him.
    """

    line: int
    launch: tuple[str, ...]
    hold: bool


def ordered(places: Iterable[Place]) -> list[Place]:
    """The list, first come first."""
    return sorted(places, key=lambda place: (place.came_at, place.side, place.id))


def turns(places: Iterable[Place], free: int) -> Turns:
    """Deal ``free`` agents out to the list from its beginning; those on the line are served by the PBX itself."""
    listed = ordered(places)
    dealt, rest = listed[:free], listed[free:]
    line = next((index for index, place in enumerate(dealt) if place.side is Side.CALLBACK), len(dealt))
    launch = tuple(place.id for place in dealt if place.side is Side.CALLBACK)
    next_is_callback = bool(rest) and rest[0].side is Side.CALLBACK
    return Turns(line, launch, next_is_callback and any(place.side is Side.LINE for place in rest))


def overtaken(served: Place, waiting: Collection[Place]) -> tuple[Place, ...]:
    """Those of ``waiting`` who came before ``served``, who has just got an agent; () is what must be.

    The invariant: nobody is served later than one who came after, but by the rules above (``waiting`` holds
    only those who had a turn).
    """
    return tuple(each for each in ordered(waiting) if each.came_at + LOOK < served.came_at)
