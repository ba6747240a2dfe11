"""What is said when: the words of greeting and farewell in both languages, at every edge of the day and the year."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agi.voice import compose
from agi.voice.cache import VoiceCache, greeting_text
from agi.voice.phrasebook import load_phrase_books
from agi.voice.preview import preview_of
from agi.voice.script import Digits, Named, Words, text_of
from ami_bridge.errors import ConfigError, FourthRingError
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

MORNING, DAY, EVENING, NIGHT = "morning", "day", "evening", "night"
SALUTATIONS = {
    MORNING: ("Доброе утро", "Good morning"),
    DAY: ("Добрый день", "Good afternoon"),
    EVENING: ("Добрый вечер", "Good evening"),
    NIGHT: ("Доброй ночи", "Good evening"),
}
PARTINGS = {
    MORNING: ("Хорошего вам дня!", "Have a good day!"),
    DAY: ("Хорошего вам дня!", "Have a good day!"),
    EVENING: ("Хорошего вам вечера!", "Have a good evening!"),
    NIGHT: ("Доброй ночи!", "Good night!"),
    "weekend": ("Хороших вам выходных!", "Have a good weekend!"),
    "holiday": ("Хороших вам праздников!", "Enjoy the holiday!"),
    "own": ("С наступающим!", "All the best for the New Year!"),
}
OFFICE = """
[hours]
open = ["mon-fri 09:00-18:00", "sat 10:30-14:00"]
closed_on_holidays = true
[[calendar.days]]
date = "12-31"
open = ["09:00-13:00"]
greeting = { ru = "С наступающим", en = "A happy New Year" }
parting = { ru = "С наступающим!", en = "All the best for the New Year!" }
"""


def company(text: str = OFFICE, **sales: Any) -> Settings:
    """The demo's company, which speaks both languages; ``sales`` changes that department."""
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document.pop("hours")
    document["departments"]["sales"] |= {"more_languages": ["en"], **sales}
    return parse_settings(document | tomllib.loads(text), origin="my.toml")


def at(text: str, zone: str = "+03:00") -> datetime:
    return datetime.fromisoformat(text + zone)


@pytest.mark.parametrize(
    ("when", "salutation", "wishes", "parting"),
    [
        ("2026-03-11T05:59:59", NIGHT, None, NIGHT),  # a Wednesday
        ("2026-03-11T06:00", MORNING, None, MORNING),
        ("2026-03-11T11:59:59", MORNING, None, MORNING),
        ("2026-03-11T12:00", DAY, None, DAY),
        ("2026-03-11T17:59:59", DAY, None, DAY),
        ("2026-03-11T18:00", EVENING, None, EVENING),
        ("2026-03-11T23:30", NIGHT, None, NIGHT),
        ("2026-03-13T11:59", MORNING, None, MORNING),  # a Friday
        ("2026-03-13T12:00", DAY, None, "weekend"),
        ("2026-03-13T23:30", NIGHT, None, "weekend"),
        ("2026-03-14T17:59", DAY, None, "weekend"),
        ("2026-03-14T18:00", EVENING, None, EVENING),
        ("2026-01-01T12:00", DAY, ("С Новым годом", "A happy New Year"), "holiday"),
        ("2026-01-07T09:00", MORNING, ("С Рождеством", "Merry Christmas"), "holiday"),
        ("2026-03-07T12:00", DAY, None, "holiday"),  # the eve of Women's Day
        ("2026-03-08T10:00", MORNING, ("С Восьмым марта", "Happy Women's Day"), "holiday"),
        ("2026-03-09T10:00", MORNING, None, MORNING),  # the day off after it
        ("2026-12-31T10:00", MORNING, ("С наступающим", "A happy New Year"), "own"),
        ("2027-12-31T19:00", EVENING, ("С наступающим", "A happy New Year"), "own"),
    ],
)
def test_the_right_words_at_the_right_time(
    when: str, salutation: str, wishes: tuple[str, str] | None, parting: str
) -> None:
    settings = company()
    books = load_phrase_books(settings)
    for index, language in enumerate(("ru", "en")):
        said = greeting_text(settings, "direct", "sales", "101", at(when), language=language)
        expected = SALUTATIONS[salutation][index] + "! " + (f"{wishes[index]}! " if wishes else "")
        name = ("Компания «Ромашка», отдел продаж,", "Romashka, sales department,")[index]
        assert said.startswith(f"{expected}{name}")
        assert said.endswith(("Чем могу вам помочь?", "How may I help you?")[index])
        farewell = compose.farewell_words(books[language], settings, "sales", at(when))
        assert farewell == PARTINGS[parting][index]


@pytest.mark.parametrize(
    ("instant", "ru", "en"),
    [
        ("2026-03-29T00:59", "Доброй ночи", "Good evening"),  # 01:59 in Berlin, then the clock jumps to 03:00
        ("2026-03-29T03:59", "Доброй ночи", "Good evening"),  # 05:59
        ("2026-03-29T04:00", "Доброе утро", "Good morning"),  # 06:00 in summer time, 05:00 by the winter's
        ("2026-03-29T10:00", "Добрый день", "Good afternoon"),
        ("2026-10-25T04:59", "Доброй ночи", "Good evening"),  # back to winter time
        ("2026-10-25T05:00", "Доброе утро", "Good morning"),
    ],
)
def test_a_change_to_summer_time_moves_the_salutation(instant: str, ru: str, en: str) -> None:
    settings = company(time_zone="Europe/Berlin")
    for language, salutation in (("ru", ru), ("en", en)):
        said = greeting_text(settings, "queue-join", "sales", "", at(instant, "+00:00"), language=language)
        assert said.startswith(f"{salutation}! ")


@pytest.mark.parametrize(
    ("caller", "parting"),
    [
        ("+74232123456", EVENING),  # Vladivostok: 18:30
        ("+74951234567", MORNING),  # Moscow: 11:30
        ("+442071234567", MORNING),
        ("+12125550123", NIGHT),  # New York: 04:30
        ("+79161234567", MORNING),  # a mobile may be anywhere in Russia: the department's clock
        ("84232123456", EVENING),  # as it is dialled at home
        ("", MORNING),
        ("12", MORNING),
        ("anonymous", MORNING),
    ],
)
def test_the_farewell_follows_the_callers_clock_where_the_number_tells_it(caller: str, parting: str) -> None:
    settings = company()
    books = load_phrase_books(settings)
    for index, language in enumerate(("ru", "en")):
        said = compose.farewell_words(books[language], settings, "sales", at("2026-03-11T11:30"), caller)
        assert said == PARTINGS[parting][index]


@pytest.mark.parametrize(
    ("when", "ru", "en"),
    [
        ("2026-03-11T08:00", "сегодня в 9 часов", "today at 9 AM"),
        ("2026-03-11T19:00", "завтра в 9 часов", "tomorrow at 9 AM"),
        ("2026-03-13T19:00", "завтра в 10 30", "tomorrow at 10 30 AM"),
        ("2026-03-14T15:00", "в понедельник в 9 часов", "on Monday at 9 AM"),
        ("2026-12-31T13:30", "девятого января в 10 30", "on January the ninth at 10 30 AM"),
    ],
)
def test_who_is_closed_says_when_it_opens(when: str, ru: str, en: str) -> None:
    settings = company()
    for language, words in (("ru", f"откроемся {ru}."), ("en", f"open {en}.")):
        assert words in greeting_text(settings, "closed", "sales", "", at(when), language=language)


@pytest.mark.parametrize(
    ("hour", "ru", "en"),
    [
        (1, "1 час.", "1 AM"),
        (3, "3 часа.", "3 AM"),
        (11, "11 часов.", "11 AM"),
        (12, "12 часов.", "12 PM"),
        (21, "21 час.", "9 PM"),
        (22, "22 часа.", "10 PM"),
    ],
)
def test_numbers_and_nouns_agree(hour: int, ru: str, en: str) -> None:
    settings = company(f'[hours]\nopen = ["mon-sun {hour:02}:00-23:59"]')
    for language, words in (("ru", ru), ("en", en)):
        assert f" {words}" in greeting_text(
            settings, "closed", "sales", "", at("2026-03-11T00:10"), language=language
        )


def test_nobody_there_within_opening_hours_promises_no_opening() -> None:
    said = greeting_text(company(), "closed", "sales", "", at("2026-03-11T12:00"))
    assert "откроемся" not in said
    assert "перезвоним" in said


def test_a_department_and_an_agent_speak_in_words_of_their_own(tmp_path: Any) -> None:
    settings = company(
        """
        [departments.support]
        names = { ru = "служба поддержки" }
        dids = ["74950000002"]
        queue = ["103", "102"]
        phrases.ru."greetings.queue_answer" = "{salutation}! Поддержка «{company}», {person} на связи. Что случилось?"
        phrases.ru."fixed.farewell" = "Спасибо, что помогаете нам становиться лучше. Всего доброго!"
        [agents.101]
        names = { ru = "Анна Смирнова", en = "Anna Smirnova" }
        [agents.102]
        names = { ru = "Пётр Иванов", en = "Pyotr Ivanov" }
        [agents.103]
        names = { ru = "Ольга Кузнецова", en = "Olga Kuznetsova" }
        phrases.ru."greetings.queue_answer" = "{salutation}! Это {person}. Чем могу вам помочь?"
        [departments.sales]
        names = { ru = "отдел продаж", en = "sales department" }
        dids = ["74950000001"]
        queue = ["101"]
        """
    )
    settings = settings.model_copy(
        update={"node": settings.node.model_copy(update={"state_folder": tmp_path})}
    )
    noon = at("2026-03-11T12:00")
    assert greeting_text(settings, "queue-answer", "support", "102", noon) == (
        "Добрый день! Поддержка «Ромашка», Пётр Иванов на связи. Что случилось?"
    )
    assert greeting_text(settings, "queue-answer", "support", "103", noon) == (
        "Добрый день! Это Ольга Кузнецова. Чем могу вам помочь?"
    )
    assert greeting_text(settings, "queue-answer", "sales", "101", noon).startswith("Добрый день! Компания")
    voice = VoiceCache(settings)
    assert ("ru", "Спасибо, что помогаете нам становиться лучше. Всего доброго!") in voice.wanted(noon)
    voice.close()


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"ru": {"greetings.direkt": "Да"}}, "greetings.direkt is not a known phrase"),
        ({"ru": {"greetings.direct": "{secret}"}}, "uses {secret}"),
        ({"ru": {"greetings.direct": "Позвоните завтра."}}, "rule S8"),
        ({"en": {"greetings.direct": ""}}, "sentence in quotes"),
        ({"en": {"greetings.direct": "{"}}, "stray brace"),
        ({"en": {"greetings.direct": "a\nb"}}, "one line"),
    ],
)
def test_own_words_are_checked_like_a_book(own: dict[str, dict[str, str]], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_phrase_books(company(phrases=own))
    assert told in str(refused.value)
    assert "departments.sales.phrases" in str(refused.value)


def test_an_agent_speaks_for_himself_only() -> None:
    settings = company()
    agent = settings.agents["101"].model_copy(update={"phrases": {"ru": {"fixed.busy": "Ждите."}}})
    settings = settings.model_copy(update={"agents": {**settings.agents, "101": agent}})
    with pytest.raises(ConfigError, match=r"agents\.101\.phrases\.ru: fixed\.busy is not said by an agent"):
        load_phrase_books(settings)


def test_a_greeting_is_cut_where_the_name_stands() -> None:
    settings = company()
    books = load_phrase_books(settings)
    noon = at("2026-03-11T12:00")
    kind = compose.GreetingKind.DIRECT
    script = compose.greeting_at(books["en"], settings, kind, "sales", agent="101", at=noon)
    assert script == (
        Words("Good afternoon! Romashka, sales department,"),
        Named("senior manager Anna Smirnova speaking.", "101", "", "speaking."),
        Words("How may I help you?"),
    )


def test_a_machine_hears_who_why_and_which_number() -> None:
    """S19: whole, with the company's own number as it is dictated; nobody is asked to ring later."""
    settings = company()
    books = load_phrase_books(settings)
    for language, number in (("ru", "8 495 000"), ("en", "8 495 000")):
        script = compose.greeting_at(
            books[language],
            settings,
            compose.GreetingKind.MACHINE,
            "sales",
            agent="101",
            at=datetime(2026, 3, 11, 9, 0, tzinfo=UTC),
        )
        assert any(isinstance(piece, Digits) for piece in script)
        assert number in text_of(script)
        assert settings.company.names[language] in text_of(script)


def test_a_preview_is_what_a_caller_hears(tmp_path: Path) -> None:
    """The sound of each is the prompt of the cache, sample by sample; the farewell follows the caller's clock."""
    state = tmp_path / "state"
    settings = company()
    settings = settings.model_copy(update={"node": settings.node.model_copy(update={"state_folder": state})})
    when, out = at("2026-03-11T11:30"), tmp_path / "heard"
    rows = preview_of(settings, "sales", agent="101", language="en", at=when, caller="+74232123456", out=out)
    words = {row["what"]: row["words"] for row in rows}
    assert set(words) == {*compose.GreetingKind, "farewell"}
    assert words["direct"] == greeting_text(settings, "direct", "sales", "101", when, language="en")
    assert words["farewell"].endswith("Have a good evening!")
    assert "8 495 000 00 01. We shall" in words["machine"]
    voice = VoiceCache(settings)
    script = compose.greeting_at(
        voice.book_of("sales", "en"), settings, compose.GreetingKind.DIRECT, "sales", agent="101", at=when
    )
    found = voice.find_script(script, voice.book_of("sales", "en"))
    assert found is not None
    assert (out / "direct.wav").read_bytes() == found.with_suffix(".wav").read_bytes()
    voice.close()
    with pytest.raises(FourthRingError, match="does not speak 'de'; it speaks ru, en"):
        preview_of(settings, "sales", agent="", language="de", at=when, caller="", out=None)
