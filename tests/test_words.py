"""No text that a caller hears or an agent is shown sends a caller away (S8); cue cards exist in every language."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ami_bridge import check_words
from ami_bridge.cue_cards import load_cue_cards, missing_cards
from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

SEVEN_OBJECTIONS = {"expensive", "think", "supplier", "no_need", "no_time", "send_mail", "not_my_decision"}
CARD = '[[cards]]\nkey = "{key}"\ntitle = "t"\nkeywords = ["k"]\nlines = ["{line}"]\n'


def company(**changed: Any) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    return parse_settings({**document, **changed})


@pytest.mark.parametrize(("language", "letters"), [("ru", "[а-яё]"), ("en", "[a-z]")])
def test_the_cards_that_ship(language: str, letters: str) -> None:
    cards = load_cue_cards(language)
    assert {card.key for card in cards} >= {*SEVEN_OBJECTIONS, "three_pluses", "repeat_support_continue"}
    assert all(re.search(letters, text.lower()) for card in cards for text in (card.title, *card.lines))


def test_words_and_cards_that_ship_send_nobody_away() -> None:
    assert check_words.cue_problems() == []
    assert check_words.phrase_problems(company()) == []


def test_a_card_that_sends_a_caller_away_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cues").mkdir()
    (tmp_path / "desk").mkdir()
    (tmp_path / "cues/en.toml").write_text(CARD.format(key="busy", line="Please call back later."))
    (tmp_path / "cues/ru.toml").write_text(CARD.format(key="busy", line="Перезвоните завтра."))
    (tmp_path / "desk/ru.toml").write_text('[words]\nphase_end_cue = "Попросите: позвоните позже"\n')
    monkeypatch.setattr(check_words, "shipped_folder", lambda _name: tmp_path)
    monkeypatch.setattr("ami_bridge.cue_cards.shipped_folder", lambda _name: tmp_path)
    monkeypatch.setattr("ami_bridge.cues.shipped_folder", lambda _name: tmp_path)
    told = check_words.cue_problems()
    wanted = ("cues/en.toml, card 'busy'", "cues/ru.toml, card 'busy'", "desk/ru.toml, phase_end_cue")
    for origin in wanted:
        assert any(each.startswith(f"{origin} asks the caller to ring again («") for each in told), told
    assert all(each.startswith(wanted) for each in told), told


def test_words_of_the_companys_own_are_read_too() -> None:
    day = {"date": "12-31", "parting": {"ru": "Звоните завтра!"}}
    support = {"phrases": {"ru": {"fixed.busy": "Все заняты, попробуйте позже."}}}
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    departments = {**document["departments"], "support": {**document["departments"]["support"], **support}}
    told = check_words.phrase_problems(company(calendar={"days": [day]}, departments=departments))
    assert len(told) == 2, told
    assert "departments.support.phrases.ru: fixed.busy" in told[0]
    assert "parting.ru" in told[1]


def test_a_language_without_a_book_is_named() -> None:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    sales = {
        **document["departments"]["sales"],
        "more_languages": ["fi"],
        "names": {"ru": "отдел продаж", "fi": "myynti"},
    }
    people = {
        key: {**agent, "names": {**agent["names"], "fi": "Anna"}} for key, agent in document["agents"].items()
    }
    company_names = {**document["company"], "names": {"ru": "Ромашка", "fi": "Romashka"}}
    settings = company(
        company=company_names, departments={**document["departments"], "sales": sales}, agents=people
    )
    (told,) = check_words.phrase_problems(settings)
    assert "no phrase book for the language 'fi'" in told


def test_a_card_that_one_language_lacks(tmp_path: Path) -> None:
    (tmp_path / "ru.toml").write_text(CARD.format(key="a", line="x") + CARD.format(key="b", line="x"))
    (tmp_path / "en.toml").write_text(CARD.format(key="a", line="x"))
    assert missing_cards(["ru", "en"], tmp_path) == ["the cue card 'b' is missing in en.toml; add it."]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no"),
        (CARD.format(key="a", line="x") * 2, "stands twice"),
        ('[[cards]]\nkey = "a"\n', "card 1 is wrong"),
        ("[[cards", "not valid TOML"),
        (None, "Cannot read the cue cards"),
    ],
)
def test_what_is_wrong_with_the_cards_is_said(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "en.toml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_cue_cards("en", tmp_path)
