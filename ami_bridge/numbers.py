"""Which telephone numbers we are willing to ring back, and how they are read aloud.

``phonenumbers.is_valid_number`` alone is no guard: it accepts premium-rate numbers (RU 8-809, US 900),
satellite phones, Kazakh numbers as "+7", extensions, letters and the digits of any script. A number that
a stranger typed decides whom we ring at our own cost, so here everything is refused that is not known good.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType, timezone

_DIGITS = re.compile(r"\+?[0-9]{1,20}", re.ASCII)
_GROUPS = re.compile(r"[0-9]+", re.ASCII)
# Ordinary people's telephones. Premium, shared-cost and personal numbers (UK 070) cost us money; UAN, pager,
# voicemail and toll-free are no place where a caller can be rung back.
_CALLABLE = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
    }
)
# ITU-T E.164 shared codes: satellite (870 Inmarsat, 881/882/883 GMSS and international networks), 878 UPT,
# 979 international premium rate, 800/808 international freephone and shared cost, 888 disaster relief.
_NO_COUNTRY = frozenset({800, 808, 870, 878, 881, 882, 883, 888, 979})
# Codes that phonenumbers calls Russian and mobile: 954 is a satellite network, 840 and 940 are Abkhazia, both
# billed far above a call at home.
_BILLED_ABROAD = ("+7954", "+7840", "+7940")


class Refusal(StrEnum):
    """Why a number is not rung back."""

    NOT_DIGITS = "not_digits"  # anything but ASCII digits and one leading plus
    EMERGENCY = "emergency"
    SHORT = "short"  # service numbers that only their own network knows
    INVALID = "invalid"  # no such number in its country's plan
    NOT_ALLOWED_REGION = "not_allowed_region"
    NOT_CALLABLE_TYPE = "not_callable_type"  # premium, shared cost, satellite, toll-free, pager …
    OWN_NUMBER = "own_number"  # one of our DIDs: we would ring ourselves
    DENIED_PREFIX = "denied_prefix"  # the admin's own list
    DO_NOT_CALL = "do_not_call"  # whoever has it asked never to be rung
    TOO_MANY = "too_many"  # asked for more often than one person does
    FLOOD = "flood"  # of a DID: more callbacks are asked for there than people ask for


@dataclass(frozen=True, slots=True)
class CheckedNumber:
    """A number that may be rung: E.164 with "+", its region, and its groups as they are read aloud."""

    e164: str
    region: str
    groups: tuple[str, ...]


def check_number(
    text: str,
    default_region: str,
    allowed_regions: Collection[str],
    own_numbers: Collection[str] = (),
    denied_prefixes: Collection[str] = (),
) -> CheckedNumber | Refusal:
    """Check what a caller typed, what the network said, or what stood in a form.

    ``default_region`` (ISO 3166-1 alpha-2) is where a number without "+" is dialled from;
    ``own_numbers`` are our DIDs, with or without "+"; ``denied_prefixes`` are beginnings of E.164 numbers,
    with or without "+", that are not rung whatever else is right about them.
    """
    if not _DIGITS.fullmatch(text):
        return Refusal.NOT_DIGITS
    if phonenumbers.is_emergency_number(text.removeprefix("+"), default_region):
        return Refusal.EMERGENCY
    number = _parse(text, default_region)
    if number is None or not phonenumbers.is_valid_number(number):
        return Refusal.SHORT if len(text) <= 6 else Refusal.INVALID
    checked = _judge(number, default_region, allowed_regions, own_numbers)
    if isinstance(checked, CheckedNumber) and checked.e164.removeprefix("+").startswith(
        tuple(prefix.removeprefix("+") for prefix in denied_prefixes)
    ):
        return Refusal.DENIED_PREFIX
    return checked


def _judge(
    number: phonenumbers.PhoneNumber,
    default_region: str,
    allowed_regions: Collection[str],
    own_numbers: Collection[str],
) -> CheckedNumber | Refusal:
    region = phonenumbers.region_code_for_number(number) or ""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if not _callable(number, e164):
        return Refusal.NOT_CALLABLE_TYPE
    if region not in allowed_regions:
        return Refusal.NOT_ALLOWED_REGION
    if e164.removeprefix("+") in {own.removeprefix("+") for own in own_numbers}:
        return Refusal.OWN_NUMBER
    return CheckedNumber(e164, region, read_back_groups(e164, default_region))


def _callable(number: phonenumbers.PhoneNumber, e164: str) -> bool:
    shared = number.country_code in _NO_COUNTRY or e164.startswith(_BILLED_ABROAD)
    return not shared and phonenumbers.number_type(number) in _CALLABLE


def e164_of(text: str, default_region: str) -> str | None:
    """The number in E.164 as far as its country's plan knows it; None when it is none. Says nothing of ringing it."""
    number = _parse(text, default_region) if _DIGITS.fullmatch(text) else None
    if number is None or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def read_back_groups(e164: str, home_region: str = "") -> tuple[str, ...]:
    """Split ``e164`` into the groups in which people say it: ("8", "916", "123", "45", "67").

    At home as it is dialled at home (with the trunk prefix), abroad with the country code first.

    Raises:
        ValueError: ``e164`` is not a number with a plus.
    """
    number = _parse(e164, None)
    if number is None:
        raise ValueError(f"'{e164}' is not an E.164 number with a leading plus.")
    at_home = home_region and phonenumbers.region_code_for_number(number) == home_region
    form = PhoneNumberFormat.NATIONAL if at_home else PhoneNumberFormat.INTERNATIONAL
    return tuple(_GROUPS.findall(phonenumbers.format_number(number, form)))


# ZoneInfo keeps eight zones itself: a country of more would be read from disk for every farewell.
@lru_cache(maxsize=4096)
def zones_of_number(text: str, default_region: str) -> tuple[ZoneInfo, ...]:
    """The time zones in which the owner of the number may be; none when it tells nothing (withheld, not valid)."""
    number = _parse(text, default_region) if _DIGITS.fullmatch(text) else None
    if number is None or not phonenumbers.is_valid_number(number):
        return ()
    return tuple(ZoneInfo(name) for name in timezone.time_zones_for_number(number) if name in _known_zones())


def country_code(region: str) -> int:
    """The country calling code of ``region`` (ISO 3166-1 alpha-2), 0 when there is none."""
    return phonenumbers.country_code_for_region(region)


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def region_of(e164: str) -> str:
    """The country of ``e164`` (ISO 3166-1 alpha-2), "" when it has none."""
    number = _parse(e164, None)
    return phonenumbers.region_code_for_number(number) or "" if number is not None else ""


def _parse(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
