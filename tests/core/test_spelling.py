"""Names spelled by key: every letter can be, and nonsense is none."""

from __future__ import annotations

import pytest

from agi.voice.phrasebook import load_phrase_book
from ami_bridge.core.spelling import letters_of, spelled


@pytest.mark.parametrize(
    ("keys", "language", "name"),
    [
        ("7777*6*444*8*44", "en", "Smith"),
        ("44*222*2*55*555*222", "ru", "Йванов"),
        ("4*222*2*55*555*222", "ru", "Иванов"),
        ("2*66*66*2*0*5*33*33", "en", "Anna Jee"),
        ("", "ru", None),
        ("***", "ru", None),
        ("0*0", "en", None),
        ("22222", "en", None),
        ("1*2", "en", None),
        ("23", "en", None),
        ("2", "xx", None),
    ],
)
def test_spelled(keys: str, language: str, name: str | None) -> None:
    assert spelled(keys, language) == name


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_letter_can_be_read_back(language: str) -> None:
    book = load_phrase_book(language)
    assert all(book.say(f"letters.{letter}") for letter in letters_of(language))
    assert len(set(letters_of(language))) == len(letters_of(language)) == {"ru": 32, "en": 26}[language]
