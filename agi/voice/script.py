"""What is to be said, as a row of pieces: words, a person's name (perhaps in the own voice), a number in groups.

A greeting is cut at the clauses that hold the name or the number, so that a name recorded by its owner can take
the place of the voice's, and so that a thousand agents need a thousand short pieces and not ten thousand greetings.
Pauses at the joins are those of the punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_CLAUSE_END = re.compile(r"(?<=[,.!?;:])\s+")
_PERSON, _NUMBER = "\ue000", "\ue001"  # stand for the name and the number while a phrase is cut up
_PAUSES = {",": 0.14, ";": 0.22, ":": 0.22, ".": 0.34, "!": 0.34, "?": 0.34}
_NO_PAUSE = 0.03


@dataclass(frozen=True, slots=True)
class Words:
    """Said by the voice."""

    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """A clause with the name of ``agent``; with a recording of the name it is said as before, name, after."""

    text: str
    agent: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Digits:
    """A number read in ``groups``, as people dictate it (S20)."""

    groups: tuple[str, ...]
    mark: str = ""
    """The mark that closes it, for whoever reads."""

    @property
    def text(self) -> str:
        """The number as it is written."""
        return " ".join(self.groups) + self.mark


Piece = Words | Named | Digits
Script = tuple[Piece, ...]


def text_of(script: Script) -> str:
    """The script as a person reads it."""
    return re.sub(r"\s+([,.!?;:])", r"\1", " ".join(piece.text for piece in script))


def spoken(text: str) -> bool:
    """Whether there is anything in ``text`` to be said besides marks."""
    return any(character.isalnum() for character in text)


def pause_after(text: str) -> float:
    """Seconds of quiet that belong after ``text``, by its last mark."""
    return _PAUSES.get(text.rstrip("»\"' ")[-1:], _NO_PAUSE)


class Marked(dict[str, str]):
    """Placeholders of a phrase in which name and number stay marked until the phrase has been cut up."""

    def __init__(self, *args: object, **words: str) -> None:
        super().__init__(*args, **words)
        self |= {"person": _PERSON, "number": _NUMBER}


def cut(phrase: str, *, agent: str = "", person: str = "", groups: Sequence[str] = ()) -> Script:
    """The script of ``phrase``, which was filled in from :class:`Marked`."""
    return tuple(_merged(_pieces(_CLAUSE_END.split(phrase.strip()), agent, person, tuple(groups))))


def _pieces(clauses: Sequence[str], agent: str, person: str, groups: tuple[str, ...]) -> Iterator[Piece]:
    for clause in clauses:
        if _NUMBER in clause:
            before, _, after = clause.replace(_PERSON, person).partition(_NUMBER)
            yield from (Words(part.strip()) for part in (before,) if spoken(part))
            yield Digits(groups, "" if spoken(after) else after.strip())
            yield from (Words(part.strip()) for part in (after,) if spoken(part))
        elif _PERSON in clause:
            before, _, after = clause.partition(_PERSON)
            yield Named(clause.replace(_PERSON, person), agent, before.strip(), after.strip())
        else:
            yield Words(clause)


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Words beside words are one piece: the voice says a whole sentence better than its parts."""
    waiting = ""
    for piece in pieces:
        if isinstance(piece, Words):
            waiting = f"{waiting} {piece.text}".strip()
            continue
        if waiting:
            yield Words(waiting)
            waiting = ""
        yield piece
    if waiting:
        yield Words(waiting)
