"""From AMI headers to typed events.

:func:`parse` turns one event's headers into a frozen value, or into None when nobody here
reads that kind or when it lacks what its kind needs. It never raises. Header names are those
of Asterisk 12 to 22 ("AMI Events" in the Asterisk documentation) and stand in
:mod:`.read_channels` and :mod:`.read_services` only. Values that a phone or a stranger may have
set are plain text here and are never interpreted further.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache, partial

from ami_bridge.core.event_types import Event
from ami_bridge.core.header_values import Headers, Reading, flat_text
from ami_bridge.core.matched import MatchedHeaders
from ami_bridge.core.read_channels import CHANNEL_READINGS
from ami_bridge.core.read_services import SERVICE_READINGS

__all__ = ["READINGS", "READ_EVENTS", "Headers", "parse"]

READINGS: dict[str, Reading] = {**CHANNEL_READINGS, **SERVICE_READINGS}

READ_EVENTS: frozenset[str] = frozenset(READINGS)
"""The names of all AMI events that anybody reads; an adapter may drop every other before decoding."""


def parse(headers: Headers, received_at: datetime | None = None, node: str = "") -> Event | None:
    """Make the typed event of ``headers``, or None.

    Args:
        headers: AMI headers by name; a repeated header's value may be a list (the first counts).
        received_at: used where Asterisk sent no ``Timestamp`` (``timestampevents=no``).
        node: when given, events of another ``SystemName`` are not ours and give None.
    """
    if type(headers) is MatchedHeaders:
        # Its values are text, none is longer than it may be, and its stamp has ten digits, a dot and six.
        form = headers.form
        reading = form.reading
        if reading is None or (node and form.system != node):
            return None
        at: datetime | None = _in_second((told := headers.found[form.stamp_place])[:10])(int(told[11:]), UTC)
        values = headers.values_taken if form.only_read else headers.values_taken[form.read]
    else:
        kind = headers.get("Event")
        reading = READINGS.get(kind) if type(kind) is str else None
        if reading is None:
            return None
        system = headers.get("SystemName")
        if node and system is not None and system != node:
            return None
        stamp = headers.get("Timestamp")
        at = received_at if stamp is None else _instant_of(stamp, received_at)
        values = reading.of(headers)
    if reading.besides is not None:
        return reading.build(at, (*values, reading.besides(headers)))
    return reading.build(at, values)


@lru_cache(maxsize=64)
def _in_second(epoch: str) -> Callable[[int, tzinfo], datetime]:
    """What makes instants of one second, of their microseconds and zone: ``fromtimestamp`` takes six times as long.

    Raises:
        ValueError: no second that a calendar has.
    """
    if not (epoch.isascii() and epoch.isdigit()):
        raise ValueError(epoch)
    at = datetime.fromtimestamp(int(epoch), UTC)
    return partial(datetime, at.year, at.month, at.day, at.hour, at.minute, at.second)


def _instant_of(stamp: object, otherwise: datetime | None) -> datetime | None:
    """The instant of a stamp as Asterisk writes it, of any other number, of the first of several."""
    try:
        if type(stamp) is str and len(stamp) == 17 and stamp[10] == "." and stamp[11:].isdigit():
            return _in_second(stamp[:10])(int(stamp[11:]), UTC)
        return datetime.fromtimestamp(float(flat_text(stamp)), UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise
