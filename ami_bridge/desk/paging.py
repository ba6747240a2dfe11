"""Pages of a long list. A cursor says behind which entry to go on, so nothing is skipped or shown twice while
new entries come in at the top (which a page number would do)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from ami_bridge.adapters.store import Place
from ami_bridge.desk.faults import Invalid
from ami_bridge.desk.shapes import FieldFault

_Entry = TypeVar("_Entry")


def place_of(cursor: str | None) -> Place | None:
    """The place that ``cursor`` stands for.

    Raises:
        Invalid: it was not given out by this desk.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        at, _, entry_id = text.partition("|")
        place = Place(datetime.fromisoformat(at), entry_id)
    except (ValueError, binascii.Error):
        place = None
    if place is None or place.at.tzinfo is None or not place.id:
        raise Invalid("query", [FieldFault(field="cursor", detail="it is not one that was given out")])
    return place


def cursor_of(place: Place) -> str:
    """What stands for ``place`` in an address."""
    return base64.urlsafe_b64encode(f"{place.at.isoformat()}|{place.id}".encode()).decode().rstrip("=")


def page(found: Sequence[_Entry], limit: int, places: Sequence[Place]) -> tuple[list[_Entry], str | None]:
    """The page of ``limit`` entries out of ``found`` (asked for one more), and the cursor of the next page."""
    more = len(found) > limit
    return list(found[:limit]), cursor_of(places[limit - 1]) if more else None
