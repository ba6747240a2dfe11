"""The kinds of values that a configuration holds, and the base of its sections.

Each value is checked to hold nothing that could end a line, a string or an argument in Asterisk's files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

FORMS: dict[str, str] = {}
"""Pattern → what is to be written instead."""


def form(pattern: str, remedy: str, max_length: int | None = None) -> StringConstraints:
    """Text of the form ``pattern``; ``remedy`` is what the error sentence tells whoever wrote another."""
    FORMS[pattern] = remedy
    return StringConstraints(pattern=pattern, max_length=max_length)


def _not_reserved(slug: str) -> str:
    # Sections of pjsip.conf and queues.conf, and an extension of Asterisk's own, that a slug would become.
    if slug in {"general", "global", "fax"}:
        raise ValueError(f"'{slug}' means something to Asterisk; choose another word")
    return slug


Extension = Annotated[str, form(r"^[0-9]{2,6}$", "an extension has 2 to 6 digits")]
Did = Annotated[str, form(r"^[0-9]{3,15}$", "write 3 to 15 digits, without a plus")]
# Two characters at least: h, i, s, t … are Asterisk's own extensions, and a slug becomes one.
Slug = Annotated[
    str,
    form(r"^[a-z][a-z0-9_]{1,29}$", "write 2 to 30 of a-z, 0-9 and _, a letter first"),
    AfterValidator(_not_reserved),
]
Language = Annotated[str, form(r"^[a-z]{2}$", "write two small letters, such as 'ru'")]
Port = Annotated[int, Field(ge=1, le=65535)]
# Spoken and shown names: any letters, but nothing that could end a line or a string in an Asterisk file.
SpokenName = Annotated[
    str,
    form(
        r'^[^\x00-\x1f\x7f"\\;\[\]$%{}|&]+$',
        'leave out control characters and " \\ ; [ ] $ % { } | &',
        max_length=70,
    ),
]
Prefix = Annotated[str, form(r"^[1-9][0-9]{0,14}$", "write a number's first digits, country code first")]
Region = Annotated[str, form(r"^[A-Z]{2}$", "write two capital letters, such as 'RU'")]
NodeName = Annotated[str, form(r"^[a-z0-9]{1,16}$", "write 1 to 16 of a-z and 0-9")]
# Paths in it become arguments of dialplan applications.
_UNFIT_FOR_DIALPLAN = re.compile(r"""[\x00-\x1f\x7f,;&|$"'\\()\[\]{}^%=<>*?!]""")


def fit_for_dialplan(folder: Path) -> Path:
    """``folder`` itself.

    Raises:
        ValueError: it holds a character that the dialplan would misread.
    """
    if found := _UNFIT_FOR_DIALPLAN.search(str(folder)):
        raise ValueError(
            f"{str(folder)!r} holds {found[0]!r}, which the dialplan would misread; choose another folder"
        )
    return folder


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(
            f"'{name}' is not a time zone of the IANA database; write one such as 'Europe/Moscow'"
        )
    return name


TimeZone = Annotated[str, AfterValidator(_known_time_zone)]


class Section(BaseModel):
    """A table of the file: frozen, and no key but those that are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")
