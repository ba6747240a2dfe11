"""Not a day without calling (S22): on how many working days in a row somebody kept what was due. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, timedelta

#: Further back nobody counts.
LONGEST = 366


def streak(done: Collection[date], works: Callable[[date], bool], today: date) -> int:
    """Working days in a row, up to today, on which something was done.

    Today counts when something is done already and breaks nothing while it is not; closed days are passed over.
    """
    days = set(done)
    count, day = int(today in days), today - timedelta(days=1)
    for _ in range(LONGEST):
        if day in days:
            count += 1
        elif works(day):
            break
        day -= timedelta(days=1)
    return count
