"""Cue files: both languages say the same, nobody is asked to ring later, a department may have its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from agi.voice.never_later import call_later_phrases
from ami_bridge.adapters.store import Store
from ami_bridge.cues import PHASES, cues_of
from ami_bridge.desk import create_app
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

from .conftest import TOKEN, add_user, browser_at, log_in
from .test_pages import put_on_board, text_of


def with_desk(settings: Settings, **more: object) -> Settings:
    return settings.model_copy(update={"desk": settings.desk.model_copy(update=more)})


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_shipped_cues_are_whole_and_send_nobody_away(settings: Settings, language: str) -> None:
    cues = cues_of(settings, language)
    keys = [card.key for card in cues.cards]
    assert keys == [card.key for card in cues_of(settings, "ru").cards]
    assert {"three_pluses", "repeat_support_continue", "put_on_hold", "hand_over"} <= set(keys)
    assert len(cues.alphabet) == {"ru": 33, "en": 26}[language]
    assert all(dict(cues.phases)[phase] for phase in PHASES)
    assert {where: found for where, text in cues.texts() if (found := call_later_phrases(text))} == {}


def test_a_department_amends_the_cues_of_its_company(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "sales.ru.toml").write_text(
        'smile = "Улыбнитесь"\nleave_out = ["no_time"]\n[phases]\nsubject = "Что за цветы?"\n'
        '[[cards]]\nkey = "roses"\ntitle = "Розы"\nkeywords = ["цветы"]\nlines = ["Только свежие"]\n'
        '[[cards]]\nkey = "expensive"\ntitle = "Дорого"\nkeywords = ["цена"]\nlines = ["Цветы живут две недели"]\n',
        encoding="utf-8",
    )
    own = with_desk(settings, cues=tmp_path)
    sales, support = cues_of(own, "ru", "sales"), cues_of(own, "ru", "support")
    titles = {card.key: card.lines[0] for card in sales.cards}
    assert sales.cards[0].key == "roses"
    assert titles["expensive"] == "Цветы живут две недели"
    assert "no_time" not in titles
    assert (sales.phases.subject, sales.phases.contact) == ("Что за цветы?", support.phases.contact)
    assert "roses" not in {card.key for card in support.cards}
    assert cues_of(own, "en", "sales") == cues_of(settings, "en", "sales")


@pytest.mark.parametrize("text", ["cards = 3", 'colour = "red"', "[[cards]]\nkey = 'x y'", "=", "\x00"])
async def test_a_wrong_cue_file_is_told_at_the_start(
    store: Store, settings: Settings, tmp_path: Path, text: str
) -> None:
    (tmp_path / "support.en.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"support\.en\.toml"):
        create_app(store, with_desk(settings, cues=tmp_path), TOKEN)


async def test_the_card_shows_cues_and_both_alphabets(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    put_on_board(stranger)
    card = await text_of(stranger, "/agent/card/live1")
    for seen in ("Улыбнитесь", "Три плюса", "Это дорого", "<b>Щ</b>Щука", "<b>W</b>Whiskey"):
        assert seen in card, seen
    assert "Three pluses" in await text_of(stranger, "/agent/card/live1", language="en")


@pytest.mark.parametrize("off", [{"smile": False}, {"silent": ["sales"]}], ids=["all", "department"])
async def test_the_smile_can_be_switched_off(
    store: Store, settings: Settings, off: dict[str, object]
) -> None:
    await add_user(store, "anna", "agent", "101")
    async with browser_at(store, with_desk(settings, **off)) as browser:
        await log_in(browser, "anna")
        put_on_board(browser)
        card = await text_of(browser, "/agent/card/live1")
        assert "Три плюса" in card
        assert "Улыбнитесь" not in card
