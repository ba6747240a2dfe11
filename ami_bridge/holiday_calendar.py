"""Public holidays of a country, from the ``holidays`` package, with one name each whatever the language."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays

#: The language in which a holiday is named where phrase books speak of it, when the country's calendar knows it.
NAMING_LANGUAGE = "en_US"


@lru_cache(maxsize=16)
def public_holidays(country: str, subdivision: str = "") -> holidays.HolidayBase:
    """The calendar of ``country`` (ISO 3166-1 alpha-2); a date is ``in`` it when it is a public holiday.

    Years are worked out when they are first asked for.

    Raises:
        ValueError: the country or its subdivision is not known to the package.
    """
    subdivisions = holidays.list_supported_countries().get(country)
    if subdivisions is None:
        raise ValueError(
            f"the public holidays of company.country '{country}' are not known; "
            "set closed_on_holidays = false and name the days in [[calendar.days]]"
        )
    if subdivision and subdivision not in subdivisions:
        known = ", ".join(subdivisions) or "none"
        raise ValueError(f"calendar.subdivision '{subdivision}' is not known; those of {country}: {known}")
    languages = holidays.list_localized_countries().get(country, ())
    language = NAMING_LANGUAGE if NAMING_LANGUAGE in languages else None
    return holidays.country_holidays(country, subdiv=subdivision or None, language=language)


def holiday_names(day: date, country: str, subdivision: str = "") -> tuple[str, ...]:
    """The English names of the holidays that fall on ``day``; none for an ordinary day or an unknown country."""
    try:
        names = public_holidays(country, subdivision).get_list(day)
    except ValueError:
        return ()
    return tuple(names)
