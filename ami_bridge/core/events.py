"""From AMI headers to typed events.

:func:`parse` turns one event's headers into a frozen value, or into None when nobody here
reads that kind or when it lacks what its kind needs. It never raises. Header names are those
of Asterisk 12 to 22 ("AMI Events" in the Asterisk documentation) and stand in
:mod:`.read_channels` and :mod:`.read_services` only. Values that a phone or a stranger may have
set are plain text here and are never interpreted further.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ami_bridge.core.event_types import Event
from ami_bridge.core.header_values import Headers, flat_text
from ami_bridge.core.matched import MatchedHeaders
from ami_bridge.core.read_channels import CHANNEL_READERS
from ami_bridge.core.read_services import SERVICE_READERS

__all__ = ["READ_EVENTS", "Headers", "parse"]

_READERS = CHANNEL_READERS | SERVICE_READERS

_OPENING = ("Event", "SystemName", "Timestamp")

READ_EVENTS: frozenset[str] = frozenset(_READERS)
"""The names of all AMI events that anybody reads; an adapter may drop every other before decoding."""


def parse(headers: Headers, received_at: datetime | None = None, node: str = "") -> Event | None:
    """Make the typed event of ``headers``, or None.

    Args:
        headers: AMI headers by name; a repeated header's value may be a list (the first counts).
        received_at: used where Asterisk sent no ``Timestamp`` (``timestampevents=no``).
        node: when given, events of another ``SystemName`` are not ours and give None.
    """
    kind: object
    system: object
    stamp: Any
    if type(headers) is MatchedHeaders:
        form = headers.form
        kind, system, stamp = form.kind, form.system, headers.found[form.stamp_place]
    else:
        kind, system, stamp = map(headers.get, _OPENING)
    reader = _READERS.get(kind) if type(kind) is str else None
    if reader is None or (node and system != node and system is not None):
        return None
    if stamp is None:
        return reader(headers, received_at)
    at: datetime | None
    try:
        at = datetime.fromtimestamp(float(stamp), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        at = _instant_of_odd(stamp, received_at)
    return reader(headers, at)


def _instant_of_odd(stamp: object, otherwise: datetime | None) -> datetime | None:
    """The first of several timestamps; ``otherwise`` when that is none either."""
    try:
        return datetime.fromtimestamp(float(flat_text(stamp)), UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise
