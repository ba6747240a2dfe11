"""Reads everything that a person may hear or say for phrases that send a caller away (etiquette rule S8).

Phrase books, the words of departments, agents and days of the company's own, cue cards, and the cue lines of the desk.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from agi.voice.never_later import call_later_phrases
from agi.voice.phrasebook import load_phrase_books
from ami_bridge.cue_cards import missing_cards
from ami_bridge.cues import cue_files, read_cues
from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings


def phrase_problems(settings: Settings) -> list[str]:
    """What callers hear: every phrase in every configured language, and none of them asks to ring later."""
    try:
        load_phrase_books(settings)
        problems = []
    except ConfigError as error:
        problems = list(error.problems)
    for day in settings.calendar.days:
        for what, words in (("greeting", day.greeting), ("parting", day.parting)):
            for language, text in words.items():
                problems += _sent_away(f"calendar.days {day.date}, {what}.{language}", text)
    return problems


def cue_problems(settings: Settings | None = None) -> list[str]:
    """What agents are shown: cards that exist in each language of the desk, and none that sends a caller away.

    With ``settings`` the company's own cues are read too.
    """
    languages = sorted(path.stem for path in (shipped_folder("config") / "cues").glob("*.toml"))
    try:
        problems = missing_cards(languages)
        texts = [each for path in cue_files(settings) for each in _cue_texts(path)]
        texts += [each for language in languages for each in _word_texts(language)]
    except ConfigError as error:
        return list(error.problems)
    for origin, text in texts:
        problems += _sent_away(origin, text)
    return problems


def _cue_texts(path: Path) -> Iterator[tuple[str, str]]:
    yield from ((f"cues/{path.name}, {where}", text) for where, text in read_cues(path).texts())


def _word_texts(language: str) -> Iterator[tuple[str, str]]:
    pages = shipped_folder("config") / "desk" / f"{language}.toml"
    if pages.is_file():
        words = tomllib.loads(pages.read_text(encoding="utf-8"))["words"]
        yield from ((f"desk/{language}.toml, {key}", text) for key, text in words.items() if "cue" in key)


def _sent_away(origin: str, text: str) -> list[str]:
    return [
        f"{origin} asks the caller to ring again («{found}»); offer queue, callback or message (S8)."
        for found in call_later_phrases(text)
    ]
