"""At this moment, may this customer be rung? Opening hours here, decent hours and holidays there."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from ami_bridge.core.calling_time import next_common_opening
from ami_bridge.core.hours import Schedule
from ami_bridge.holiday_calendar import public_holidays
from ami_bridge.numbers import region_of, zones_of_number
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)


class CallingHours:
    """The admin's rules about when to ring back; asked anew for every call, at the moment of dialling."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Asked for every callback that is due, every second; a number's zones are files to read.
        self._schedules = lru_cache(maxsize=20_000)(self._find_schedules)

    def next_call(self, department: str, number: str, after: datetime) -> datetime | None:
        """From ``after`` on, when ``number`` may first be rung for ``department``; None: the two never meet."""
        return next_common_opening(self._schedules(department, number), after)

    def schedules(self, department: str, number: str) -> tuple[Schedule, ...]:
        """The hours of ``department``, and of ``number`` one schedule for each zone in which its owner may be."""
        return self._schedules(department, number)

    def of_customer(self, department: str, number: str) -> tuple[Schedule, ...]:
        """The hours of ``number`` alone."""
        return self._schedules(department, number)[1:]

    def _find_schedules(self, department: str, number: str) -> tuple[Schedule, ...]:
        own = self._settings.schedule_of(department)
        hours = self._settings.callback.customer_hours
        holidays = _holidays(region_of(number)) if hours.closed_on_holidays else None
        zones = self._zones(department, number)
        if holidays is None:
            return (own, *(Schedule(zone, hours.week) for zone in zones))
        return (own, *(Schedule(zone, hours.week, {}, holidays) for zone in zones))

    def _zones(self, department: str, number: str) -> Sequence[ZoneInfo]:
        """Usually one. A mobile number of a large country names all zones of that country.

        Nobody can tell then where its owner is. Most people who ring a company live where it is, so its zone
        counts when it is one of them; ``unclear_zone = "strict"`` waits for an hour that is decent in all.
        """
        home = self._settings.zone_info_of(department)
        named = zones_of_number(number, "")
        if len(named) == 1:
            return named
        if not named:
            return [home]
        if self._settings.callback.unclear_zone == "department" and home.key in {each.key for each in named}:
            return [home]
        return named


@lru_cache(maxsize=64)
def _holidays(region: str) -> Container[date] | None:
    try:
        return public_holidays(region)
    except ValueError:
        log.warning("The public holidays of '%s' are not known; its customers are rung on them.", region)
        return None
