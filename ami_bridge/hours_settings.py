"""The sections ``[hours]``, ``[departments.X.hours]`` and ``[calendar]`` of the configuration."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from ami_bridge.core.hours import Spans, Week, span_of, week_of
from ami_bridge.setting_types import Language, Section, SpokenName


def _existing_day(text: str) -> str:
    # A leap year, so that 29 February is a day; five characters are a day of every year.
    try:
        parsed = date.fromisoformat(f"2024-{text}" if len(text) == 5 else text)
    except ValueError:
        parsed = None
    if parsed is None or len(text) not in {5, 10}:
        raise ValueError(
            f"'{text}' is no day; write '12-31' for every year or '2026-12-31' for one"
        ) from None
    return text


class Hours(Section):
    """When the company, or a department, answers. Without this section: always."""

    open: list[str] = Field(default=["mon-sun 00:00-24:00"])
    closed_on_holidays: bool = False

    @field_validator("open")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        week_of(lines)
        return lines

    @property
    def week(self) -> Week:
        """The weekly hours as the core wants them."""
        return week_of(self.open)


class SpecialDay(Section):
    """A day of the company's own: other hours, or another word in greeting and farewell.

    ``open`` absent: hours as on any such weekday; empty: closed. ``greeting`` is said after the salutation,
    ``parting`` instead of the usual one.
    """

    date: Annotated[str, AfterValidator(_existing_day)]
    open: list[str] | None = None
    greeting: dict[Language, SpokenName] = Field(default={})
    parting: dict[Language, SpokenName] = Field(default={})

    @field_validator("open")
    @classmethod
    def _readable(cls, spans: list[str] | None) -> list[str] | None:
        for span in spans or ():
            span_of(span)
        return spans

    @property
    def spans(self) -> Spans | None:
        """The hours of this day as the core wants them; None when they are the usual ones."""
        return None if self.open is None else tuple(sorted(span_of(span) for span in self.open))


class Calendar(Section):
    """Days that are not like others. Public holidays are those of ``company.country``."""

    subdivision: str = ""
    days: list[SpecialDay] = Field(default=[])
