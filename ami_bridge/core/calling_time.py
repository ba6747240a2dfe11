"""When somebody may be rung back: while the department is open and it is a decent hour where the customer is.

Pure. Each side is a :class:`~ami_bridge.core.hours.Schedule`; a customer whose number may be in several time
zones has one for each, and all of them must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ami_bridge.core.hours import Schedule

# Opening hours repeat within a week but for single days; what has not met in so long never will.
_SEARCHED = timedelta(days=60)


def next_common_opening(schedules: Sequence[Schedule], after: datetime) -> datetime | None:
    """The first instant (UTC) from ``after`` on at which all ``schedules`` are open; None: never in 60 days."""
    at, until = after.astimezone(UTC), after + _SEARCHED
    while at <= until:
        latest = at
        for schedule in schedules:
            opens = schedule.opens_at(at)
            if opens is None:
                return None
            latest = max(latest, opens)
        if latest == at:
            return at
        at = latest
    return None
