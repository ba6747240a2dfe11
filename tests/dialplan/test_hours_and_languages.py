"""The dialplan alone knows when a department is open and in which language a caller is served."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ami_bridge.check import lint_dialplan
from ami_bridge.dialplan_walk import walk_callers
from ami_bridge.errors import ConfigError
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.render import rendered_files
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

OFFICE = {
    "open": ["mon-fri 09:00-18:00", "sat 10:00-14:00", "fri 22:00-02:30"],
    "closed_on_holidays": True,
}


def company(folder: Path, sales: dict[str, Any], **changes: Any) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(folder)
    document["departments"]["sales"] |= sales
    return parse_settings({**document, **changes})


def extensions_of(settings: Settings) -> str:
    return rendered_files(settings, PbxPaths.in_state(settings.state_folder))["extensions.conf"]


@pytest.fixture(scope="module")
def folder() -> Any:
    with TemporaryDirectory(prefix="fr-") as path:
        yield Path(path)


def opened(text: str, local: datetime) -> bool:
    """Looks up ``local`` as the rendered context hours-sales does."""
    context = text.split("[hours-sales]\n", 1)[1].split("\n[", 1)[0]
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in context.splitlines():
        if match := re.match(r"exten => ([dw]\d+),1,", line):
            name = match[1]
            found[name] = []
        elif match := re.search(r"MINUTE} >= (\d+) & \${FR_MINUTE} < (\d+)\]\?direct,sales,1\)", line):
            found[name].append((match[1], match[2]))
    spans = found.get(f"d{local:%Y%m%d}", found[f"w{local.isoweekday()}"])
    minute = int(f"{local:1%H%M}")
    return any(int(begins) <= minute < int(ends) for begins, ends in spans)


def test_the_dialplan_is_open_exactly_when_the_schedule_says(folder: Path) -> None:
    days = [{"date": "12-31", "open": ["09:00-13:00"]}, {"date": "05-01", "open": ["22:00-03:00"]}]
    settings = company(folder, {"hours": OFFICE}, calendar={"days": days})
    text = extensions_of(settings)
    assert lint_dialplan(text) == walk_callers(text) == []
    schedule = settings.schedule_of("sales")
    at = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)
    seen = set()
    for _ in range(2 * 365 * 24 * 2):
        is_open = schedule.is_open(at)
        assert opened(text, at.astimezone(schedule.zone)) is is_open, at
        seen.add(is_open)
        at += timedelta(minutes=30)
    assert seen == {True, False}


def test_a_closed_path_that_offers_nothing_is_found(folder: Path) -> None:
    text = extensions_of(company(folder, {"hours": OFFICE}))
    broken = text.replace(" same => n,Goto(callback,sales,1)\n\n", " same => n,Hangup()\n\n", 1)
    assert broken != text
    assert any("offered no person" in fault for fault in walk_callers(broken)), broken


def test_who_is_always_open_is_asked_nothing(folder: Path) -> None:
    text = extensions_of(company(folder, {}))
    assert "hours-sales" not in text
    assert "language-offer" not in text


def test_a_department_of_two_languages(folder: Path) -> None:
    settings = company(
        folder,
        {
            "more_languages": ["en"],
            "dids": ["74950000001", "74950000007"],
            "did_languages": {"74950000007": "en"},
        },
        languages_by={"country": {"GB": "en", "US": "en", "DE": "de"}, "key": "7"},
    )
    text = extensions_of(settings)
    assert lint_dialplan(text) == walk_callers(text) == []
    inbound = text.split("[inbound]\n", 1)[1].split("\n[", 1)[0]
    sales, support = inbound.split("exten => support", 1)
    assert 'REGEX("^[+]?44" ${FR_CALLER})' in sales
    assert "74950000007" in sales
    assert '"^[+]?49"' not in sales  # nobody speaks German here
    assert "REGEX" not in support
    assert "exten => 7,1," in text


@pytest.mark.parametrize(
    ("sales", "told"),
    [
        ({"did_languages": {"74950000001": "en"}}, "does not speak 'en'"),
        ({"more_languages": ["en"], "did_languages": {"74950000099": "en"}}, "is no DID of 'sales'"),
        ({"more_languages": ["de"]}, "names has no 'de'"),
    ],
)
def test_a_language_that_nobody_speaks_is_refused(folder: Path, sales: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        company(folder, sales)
