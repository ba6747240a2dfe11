"""What comes out of the AMI link, in exact order: raw events and the link's own markers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from ami_bridge.core.matched import MatchedHeaders

Headers = dict[str, str | list[str]] | MatchedHeaders


def utc_now() -> datetime:
    """This instant, with its zone."""
    return datetime.now(UTC)


class RawEvent(NamedTuple):
    """One AMI event as the PBX sent it: header names in the PBX's own case, values unchanged.

    A named tuple, not a dataclass: equally frozen and much cheaper to make, and every event becomes one.

    ``headers`` holds a list where a repeatable header (``ChanVariable``, ``Variable``) came more than once.
    ``repaired`` is True when a stranger's text broke the event's layout and only the headers that are
    certain were kept; see :mod:`ami_bridge.adapters.ami.layout`.
    """

    name: str
    headers: Headers
    received_at: datetime
    repaired: bool = False

    def get(self, header: str, default: str = "") -> str:
        """The single value of ``header``; the first one when it was repeated."""
        value = self.headers.get(header, default)
        return value if isinstance(value, str) else value[0]


@dataclass(frozen=True, slots=True)
class LinkReady:
    """The link is logged in: every later event belongs to this connection, none before it was seen."""

    at: datetime
    first: bool
    name: str = "LinkReady"


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link broke at ``at``. AMI never replays: what happens until the next LinkReady is unseen."""

    at: datetime
    reason: str
    name: str = "LinkLost"


@dataclass(frozen=True, slots=True)
class EventGap:
    """``dropped`` events after ``at`` were thrown away because the consumer was too slow."""

    at: datetime
    dropped: int
    name: str = "EventGap"


@dataclass(frozen=True, slots=True)
class SnapshotWanted:
    """Something in the stream contradicts what is known of the live channels: ask the PBX.

    The consumer answers with :meth:`AmiPort.core_show_channels` and closes only what is really gone.
    """

    at: datetime
    reason: str
    name: str = "SnapshotWanted"


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The PBX has told all its ``channels`` live channels (none is an answer too): the gap ends ``at`` this."""

    at: datetime
    channels: int
    name: str = "SnapshotTaken"


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """The PBX could not be asked, or its answer was not whole: what lives is still not known."""

    at: datetime
    reason: str
    name: str = "SnapshotFailed"


@dataclass(frozen=True, slots=True)
class LongCalls:
    """Calls go on that began long ago: entry ``since_seq`` and those after it hold their beginnings.

    ``ids`` are the uniqueids of all their channels, with a space between: so a bridge that starts again finds
    their events among those of many thousand other calls.
    """

    at: datetime
    since_seq: int
    ids: str
    name: str = "LongCalls"


StreamItem = RawEvent | LinkReady | LinkLost | EventGap | SnapshotWanted


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A piece of the stream that was not believed, kept for whoever looks into it."""

    reason: str
    at: datetime
    excerpt: bytes


def raw_event(
    name: str, headers: Mapping[str, str | list[str]], received_at: datetime | None = None
) -> RawEvent:
    """Build a RawEvent from plain headers (replay files, the fake link, tests)."""
    whole: Headers = {"Event": name, **headers}
    return RawEvent(name, whole, received_at or utc_now())
