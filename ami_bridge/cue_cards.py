"""Cue cards: lines for agents, shown at the desk and never read out by a machine (S16, S17).

One file a language, ``config/cues/<language>.toml``; a card's key stands for the same card in every language.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder


class CueCard(BaseModel):
    """One card: found by ``keywords``, read by its ``title``, said in own words by its ``lines``."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    key: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    title: str = Field(min_length=1, max_length=120)
    keywords: tuple[str, ...] = Field(min_length=1)
    lines: tuple[str, ...] = Field(min_length=1)

    @property
    def sought(self) -> str:
        """Everything by which the desk finds the card, in small letters."""
        return " ".join([self.title, *self.keywords, *self.lines]).casefold()


def load_cue_cards(language: str, folder: Path | None = None) -> tuple[CueCard, ...]:
    """The cards of ``language`` in the order of the file (``folder``: default those that ship).

    Raises:
        ConfigError: the file is missing, unreadable or wrong; one sentence per fault, all at once.
    """
    path = (folder or shipped_folder("config") / "cues") / f"{language}.toml"
    cards = cards_of(read_cue_file(path), path.name)
    if not cards:
        raise ConfigError([f"{path.name} holds no [[cards]]; write at least one."])
    return cards


def read_cue_file(path: Path) -> dict[str, Any]:
    """What a file of cues holds, unchecked.

    Raises:
        ConfigError: it is missing, unreadable or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            [f"Cannot read the cue cards {path}: {error.strerror}; write that file or let this user read it."]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"The cue cards {path} are not valid TOML: {error}. Mend that line."]) from None


def missing_cards(languages: Collection[str], folder: Path | None = None) -> list[str]:
    """One sentence for each card that some language has and another lacks; raises as :func:`load_cue_cards` does."""
    keys = {language: {card.key for card in load_cue_cards(language, folder)} for language in languages}
    every = set().union(*keys.values())
    return [
        f"the cue card '{key}' is missing in {language}.toml; add it."
        for language in sorted(keys)
        for key in sorted(every - keys[language])
    ]


def cards_of(document: dict[str, Any], origin: str) -> tuple[CueCard, ...]:
    """The ``[[cards]]`` of a file that may hold other cues too.

    Raises:
        ConfigError: one is wrong, or two have the same key; one sentence per fault, all at once.
    """
    cards, problems = [], []
    tables = document.get("cards", [])
    if not isinstance(tables, list):
        raise ConfigError([f"{origin}: cards is no list; write each as a table [[cards]]."])
    for number, table in enumerate(tables, start=1):
        try:
            cards.append(CueCard.model_validate(table))
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors()
            )
            problems.append(f"{origin}: card {number} is wrong ({told}); mend it.")
    keys = [card.key for card in cards]
    problems += [f"{origin}: the key '{key}' stands twice; rename one." for key in _twice(keys)]
    if problems:
        raise ConfigError(problems)
    return tuple(cards)


def _twice(keys: list[str]) -> list[str]:
    return sorted({key for key in keys if keys.count(key) > 1})
