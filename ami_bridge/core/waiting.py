"""How long a caller will wait, said honestly or not at all; and the place that somebody who rings again gets back.

All members of a queue are talking, and each talk lasts about as long as those of the last hours did. So one of
``agents`` comes free every ``talk / agents`` seconds, and who has ``ahead`` people before him is served by the
``ahead + 1``-th of them. Where few talks are known that would be a guess, and nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import fmean

from ami_bridge.core.callbacks import Callback
from ami_bridge.core.merging import OPEN

#: Talks of this long ago say something about the present.
PAST = timedelta(hours=2)
#: Fewer talks than this say nothing.
FEWEST_TALKS = 8
#: The minutes that can be said; beyond the last one: more than that.
SPOKEN_MINUTES = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60)
#: Who rings again within this time has not gone away.
PLACE_KEPT = timedelta(hours=12)


def estimate_seconds(ahead: int, agents: int, talks: Sequence[float]) -> float | None:
    """How long somebody waits who has ``ahead`` people before him; None when nobody can tell.

    ``talks``: how many seconds each talk of the last :data:`PAST` took.
    """
    if agents < 1 or len(talks) < FEWEST_TALKS:
        return None
    return (ahead + 1) * fmean(talks) / agents


def spoken_minutes(seconds: float) -> int | None:
    """The estimate as it is said: rounded up, the more coarsely the longer; None: longer than can be said."""
    minutes = max(1, math.ceil(seconds / 60))
    return next((said for said in SPOKEN_MINUTES if minutes <= said), None)


def old_place(known: Iterable[Callback], department: str, now: datetime) -> datetime | None:
    """Since when the person with the callbacks ``known`` has been waiting for ``department``; None: he has not."""
    places = [
        each.came_at
        for each in known
        if each.state in OPEN and each.department == department and now - each.came_at <= PLACE_KEPT
    ]
    return min(places, default=None)
