"""Options that many commands share, worded once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ami_bridge.errors import FourthRingError

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file (default: $FOURTHRING_CONFIG, else the demo's)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Since = Annotated[
    str | None,
    typer.Option("--since", help="From this instant: 2026-11-23, 2026-11-23T09:00+03:00, or 2h, 3d ago."),
]
Until = Annotated[str | None, typer.Option("--until", help="Up to this instant; same forms as --since.")]

_AGO = re.compile(r"^(\d{1,6})([smhdw])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_instant(text: str | None, option: str) -> datetime | None:
    """Read an instant as a person writes it; one without a zone is in this machine's zone.

    Raises:
        FourthRingError: the text is neither a span such as ``2h`` nor an ISO 8601 instant.
    """
    if text is None:
        return None
    try:
        if match := _AGO.match(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise FourthRingError(
            f"{option} '{text}' is no instant; write one such as 2026-11-23T09:00+03:00, 2026-11-23, 2h or 3d."
        ) from None
