"""What the card puts before an agent's eyes: a line for the ringing phone (S24), one for each phase of a call (S16),
cue cards (S17, :mod:`ami_bridge.cue_cards`) and the spelling alphabet (S20).

Everything comes from files without code. A company's folder (``[desk] cues``) may hold ``LANGUAGE.toml``, which stands
in for the shipped file of that language, and ``DEPARTMENT.LANGUAGE.toml``, which amends it for one department: a line
or a card with a known key is replaced, a card with a new key comes first, those named in ``leave_out`` are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ami_bridge.core.notes import PHASES
from ami_bridge.cue_cards import CueCard, cards_of, read_cue_file
from ami_bridge.errors import ConfigError
from ami_bridge.resources import in_home, shipped_folder
from ami_bridge.setting_types import Section
from ami_bridge.settings import Settings

__all__ = ["PHASES", "Cues", "Phases", "check_cues", "cue_files", "cues_of", "read_cues"]

_Line = Annotated[str, Field(max_length=200)]


class Phases(Section):
    """A cue line for each phase of a call."""

    contact: _Line = ""
    subject: _Line = ""
    arguments: _Line = ""
    objections: _Line = ""
    conclusion: _Line = ""


class Cues(Section):
    """One language's cues, as a file holds them."""

    smile: _Line = ""
    phases: Phases = Phases()
    cards: tuple[CueCard, ...] = ()
    leave_out: tuple[str, ...] = ()
    alphabet: dict[Annotated[str, Field(min_length=1, max_length=1)], _Line] = Field(default={})

    def amended(self, other: Cues) -> Cues:
        """These cues with what ``other``, a department's own file, says differently."""
        own = {card.key: card for card in other.cards}
        known = {card.key for card in self.cards}
        cards = [card for card in other.cards if card.key not in known]
        cards += [own.get(card.key, card) for card in self.cards]
        said = {name: line for name, line in other.phases.model_dump().items() if line}
        return Cues(
            smile=other.smile or self.smile,
            phases=self.phases.model_copy(update=said),
            cards=tuple(card for card in cards if card.key not in other.leave_out),
            alphabet=other.alphabet or self.alphabet,
        )

    def texts(self) -> Iterator[tuple[str, str]]:
        """(where, text) of every line that an agent may say to a caller: for the lints."""
        yield "smile", self.smile
        yield from ((f"phase '{name}'", line) for name, line in self.phases.model_dump().items())
        for card in self.cards:
            yield from ((f"card '{card.key}'", text) for text in (card.title, *card.lines))


def cues_of(settings: Settings, language: str, department: str = "") -> Cues:
    """The cues for an agent who reads ``language``, on a call of ``department``.

    Raises:
        ConfigError: a file is wrong; each fault with its place.
    """
    return _cues(_own_folder(settings), language, department if department in settings.departments else "")


def check_cues(settings: Settings, language: str) -> None:
    """Read every file of ``language``, so that a mistake is told at the start. Raises ConfigError."""
    for department in ("", *settings.departments):
        cues_of(settings, language, department)


def cue_files(settings: Settings | None = None) -> list[Path]:
    """The shipped files, and those of the company's own folder."""
    own = _own_folder(settings) if settings is not None else None
    folders = [shipped_folder("config") / "cues", *([own] if own is not None else [])]
    return [path for folder in folders for path in sorted(folder.glob("*.toml"))]


def read_cues(path: Path) -> Cues:
    """One file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or holds what cues do not have.
    """
    document: dict[str, Any] = read_cue_file(path)
    cards = cards_of(document, path.name)
    try:
        return Cues.model_validate({**document, "cards": cards})
    except ValidationError as error:
        faults = [
            f"{path.name}: {'.'.join(map(str, each['loc']))}: {each['msg'].lower()}; mend it."
            for each in error.errors()
        ]
        raise ConfigError(faults) from None


def _own_folder(settings: Settings) -> Path | None:
    return in_home(settings.desk.cues).absolute() if settings.desk.cues else None


@functools.cache
def _cues(folder: Path | None, language: str, department: str) -> Cues:
    own = folder / f"{language}.toml" if folder else None
    shipped = shipped_folder("config") / "cues" / f"{language}.toml"
    cues = read_cues(own if own is not None and own.is_file() else shipped)
    amends = folder / f"{department}.{language}.toml" if folder and department else None
    return cues.amended(read_cues(amends)) if amends is not None and amends.is_file() else cues
