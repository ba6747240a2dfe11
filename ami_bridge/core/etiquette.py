"""The etiquette card of a call: rules S1 to S27 as measures, each with what proves it. Pure.

A verdict is given only where the evidence carries one; else the line is *not measurable*, never a guess. The agent
may dispute a line and a supervisor settles it: until then the line counts for nothing, and afterwards as settled.
Nobody is scored on thin data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

#: Fewer measured calls than this say nothing about a person.
FEWEST_MEASURED = 20


class Verdict(StrEnum):
    """How a call stands to a rule."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNMEASURED = "unmeasured"


class Evidence(NamedTuple):
    """One thing that was seen: ``what`` is a word of the pages (``ev_…``), ``value`` as it stands in the record."""

    what: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class House:
    """The house rules' figures."""

    note_seconds: float = 180.0
    introduction_seconds: float = 45.0
    transfer_budget: int = 1
    most_agent_share: float = 0.4
    most_overtalk_share: float = 0.1
    longest_monologue_seconds: float = 60.0
    #: Less speech than this tells nothing about shares.
    least_speech_seconds: float = 10.0
    #: So many times the department's median is too long.
    longest_against_median: float = 2.0


class NoteSeen(NamedTuple):
    """One version of the call's note."""

    at: datetime
    author: str
    fields: Mapping[str, Any]


class MarkSeen(NamedTuple):
    """What was done at the desk about the call: ``kind`` card, typing, handover, dispute or settlement."""

    kind: str
    by: str
    at: datetime
    detail: Mapping[str, Any]


class PromiseSeen(NamedTuple):
    """What was promised in the call's note; ``state`` open, done or called_off."""

    state: str
    due_at: datetime
    place: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that is known about one call. ``agent`` (an extension) is whose card it is."""

    record: Mapping[str, Any]
    agent: str
    seen_at: datetime
    house: House = House()
    notes: Sequence[NoteSeen] = ()
    marks: Sequence[MarkSeen] = ()
    promise: PromiseSeen | None = None
    #: Of the callback that this call left behind: whether a consent is stored; None: it left none.
    consent: bool | None = None
    #: Calls that were offered to the agent during the talk; None: nobody looked.
    offers: int | None = None
    #: Of the department's talks, in seconds; None on thin data.
    median_talk: float | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The newest note."""
        return self.notes[-1].fields if self.notes else {}


class Finding(NamedTuple):
    """What a rule's measure says."""

    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the card. ``verdict`` is what counts; ``measured`` what the events said by themselves."""

    rule: str
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    measured: Verdict
    dispute: Mapping[str, Any] = field(default_factory=dict)  # by, at, comment
    settlement: Mapping[str, Any] = field(default_factory=dict)  # by, at, comment, verdict

    @property
    def disputed(self) -> bool:
        """Whether somebody still has to settle it."""
        return bool(self.dispute) and not self.settlement


def with_disputes(lines: Sequence[Line], marks: Sequence[MarkSeen]) -> tuple[Line, ...]:
    """The lines as they count. A settlement answers the dispute before it; a newer dispute opens the line again."""
    told = {line.rule: line for line in lines}
    for mark in sorted(marks, key=lambda each: each.at):
        line = told.get(str(mark.detail.get("rule")))
        if line is None:
            continue
        said = {**mark.detail, "by": mark.by, "at": mark.at}
        if mark.kind == "dispute":
            told[line.rule] = replace(line, dispute=said, settlement={}, verdict=Verdict.UNMEASURED)
        elif mark.kind == "settlement" and line.dispute:
            told[line.rule] = replace(line, settlement=said, verdict=Verdict(mark.detail["verdict"]))
    return tuple(told.values())


class Score(NamedTuple):
    """How often the rules were kept. ``rate`` is None on thin data; ``calls`` are those with a measured line."""

    calls: int
    passed: int
    failed: int
    rules: Mapping[str, tuple[int, int]]

    @property
    def rate(self) -> float | None:
        """Kept over measured, 0 to 1."""
        if self.calls < FEWEST_MEASURED or not self.passed + self.failed:
            return None
        return self.passed / (self.passed + self.failed)


def score(cards: Sequence[Sequence[Line]]) -> Score:
    """Of many calls of one agent."""
    rules: dict[str, tuple[int, int]] = {}
    calls = 0
    for lines in cards:
        counted = [line for line in lines if line.verdict is not Verdict.UNMEASURED]
        calls += bool(counted)
        for line in counted:
            passed, failed = rules.get(line.rule, (0, 0))
            kept = line.verdict is Verdict.PASS
            rules[line.rule] = (passed + kept, failed + (not kept))
    return Score(calls, sum(p for p, _ in rules.values()), sum(f for _, f in rules.values()), rules)


def median(values: Sequence[float]) -> float | None:
    """The median, None on thin data."""
    if len(values) < FEWEST_MEASURED:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
