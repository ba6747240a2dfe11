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
from ami_bridge.core.read_channels import CHANNEL_READINGS
from ami_bridge.core.read_services import SERVICE_READINGS

__all__ = ["READ_EVENTS", "Headers", "parse"]

_READINGS = {**CHANNEL_READINGS, **SERVICE_READINGS}

READ_EVENTS: frozenset[str] = frozenset(_READINGS)
"""The names of all AMI events that anybody reads; an adapter may drop every other before decoding."""


def parse(headers: Headers, received_at: datetime | None = None, node: str = "") -> Event | None:
    """Make the typed event of ``headers``, or None.

    Args:
        headers: AMI headers by name; a repeated header's value may be a list (the first counts).
        received_at: used where Asterisk sent no ``Timestamp`` (``timestampevents=no``).
        node: when given, events of another ``SystemName`` are not ours and give None.
    """
    form = headers.form if type(headers) is MatchedHeaders else None
    kind = headers.get("Event") if form is None else form.kind
    reading = _READINGS.get(kind) if type(kind) is str else None
    if reading is None:
        return None
    stamp: Any
    if type(headers) is MatchedHeaders:
        # Its values are text, none is longer than it may be, and what it lacks has a group that is empty.
        system, stamp = headers.form.system, headers.found[headers.form.stamp_place]
        values = headers.found.group(*headers.form.places[reading])
    else:
        system, stamp = headers.get("SystemName"), headers.get("Timestamp")
        values = reading.of(headers)
    if node and system != node and system is not None:
        return None
    at = received_at
    if stamp is not None:
        try:
            at = datetime.fromtimestamp(float(stamp), UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            at = _instant_of_odd(stamp, received_at)
    if reading.besides is not None:
        return reading.build(at, (*values, reading.besides(headers)))
    return reading.build(at, values)


def _instant_of_odd(stamp: object, otherwise: datetime | None) -> datetime | None:
    """The first of several timestamps; ``otherwise`` when that is none either."""
    try:
        return datetime.fromtimestamp(float(flat_text(stamp)), UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise
