"""Opening hours and days of the company's own, as an admin writes them."""

from __future__ import annotations

import tomllib
from datetime import datetime
from typing import Any

import pytest

from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings


def company(text: str = "", country: str = "RU") -> Settings:
    document: dict[str, Any] = tomllib.loads(
        (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    )
    document.pop("hours")
    document["company"]["country"] = country
    extra = tomllib.loads(text)
    document["departments"]["support"].update(extra.pop("support", {}))
    return parse_settings(document | extra, origin="my.toml")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+03:00")


def test_without_hours_a_company_is_always_there() -> None:
    schedule = company().schedule_of("sales")
    assert schedule.is_open(at("2026-01-01T03:00"))


def test_departments_may_have_hours_of_their_own_and_share_the_calendar() -> None:
    settings = company(
        """
        [hours]
        open = ["mon-fri 09:00-18:00"]
        closed_on_holidays = true
        [support.hours]
        open = ["mon-sun 08:00-22:00"]
        [[calendar.days]]
        date = "12-30"
        open = ["10:00-14:00"]
        [[calendar.days]]
        date = "03-01"
        greeting = { ru = "С днём рождения нашей компании" }
        """
    )
    sales, support = settings.schedule_of("sales"), settings.schedule_of("support")
    assert not sales.is_open(at("2026-02-23T12:00"))  # a Monday and a public holiday
    assert support.is_open(at("2026-02-23T12:00"))
    assert sales.is_open(at("2026-02-24T12:00"))
    for schedule in (sales, support):
        assert schedule.is_open(at("2026-12-30T13:59"))
        assert not schedule.is_open(at("2026-12-30T14:00"))
    assert support.is_open(at("2026-03-01T12:00"))  # only another greeting
    assert not sales.is_open(at("2026-03-01T12:00"))  # a Sunday all the same


@pytest.mark.parametrize(
    ("text", "country", "told"),
    [
        ('[hours]\nopen = ["mon-fri 9-18"]', "RU", r"hours\.open.*'9-18' is no span"),
        ('[[calendar.days]]\ndate = "02-30"', "RU", r"calendar\.days\.0\.date = '02-30'.*no day"),
        ('[[calendar.days]]\ndate = "20261231"', "RU", r"'20261231' is no day"),
        ('[[calendar.days]]\ndate = "12-31"\nopen = ["10-14"]', "RU", r"'10-14' is no span"),
        ('[[calendar.days]]\ndate = "12-31"\ngreeting = { ru = "a;b" }', "RU", r"greeting\.ru"),
        ("[hours]\nclosed_on_holidays = true", "ZZ", r"'ZZ' are not known; .*closed_on_holidays = false"),
        ('[calendar]\nsubdivision = "XX"', "DE", r"subdivision 'XX' is not known; those of DE: .*BY"),
    ],
)
def test_what_cannot_be_kept_is_told_with_its_remedy(text: str, country: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        company(text, country)
