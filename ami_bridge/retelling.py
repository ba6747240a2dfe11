"""What a journal tells, told to a tracker again: events, lost links, and the channels found after them.

Both who replays a recording and a bridge that takes up its calls read the journal through here, so that
they make the same of it as the bridge that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from ami_bridge.core.event_types import ChannelShown, Event
from ami_bridge.core.facts import Fact
from ami_bridge.core.tracker import CallTracker

_LOST = frozenset({"LinkLost", "EventGap"})


class Told(NamedTuple):
    """One entry: a marker by its name, or an event that the core reads, or neither."""

    at: datetime | None
    marker: str = ""
    event: Event | None = None


class Retelling:
    """Tells one tracker entry after entry.

    Journals from before there were ``SnapshotTaken`` and ``SnapshotFailed`` are understood: a list of channels
    that just ends counts as whole, and none at all as not taken, unless there was nothing to close.
    """

    def __init__(self, tracker: CallTracker) -> None:
        self._tracker = tracker
        self._shown: list[ChannelShown] = []
        self._shown_at: datetime | None = None
        self._ready = False  # a link is there, and nothing was said yet of the channels
        self.last_at: datetime | None = None

    def tell(self, entry: Told) -> Iterator[Fact]:
        """The facts that follow from one entry."""
        if isinstance(entry.event, ChannelShown):
            self._shown.append(entry.event)
            self._shown_at, self._ready = entry.at, False
        elif entry.marker in {"SnapshotTaken", "SnapshotFailed"}:
            if entry.marker == "SnapshotTaken":
                yield from self._tracker.snapshot(self._shown, entry.at)
            self._shown, self._ready = [], False
        else:
            yield from self._end_of_list(entry)
            yield from self._tell(entry)
        self.last_at = entry.at or self.last_at

    def tell_all(self, entries: Iterable[Told]) -> Iterator[Fact]:
        """The facts that follow from all of them."""
        for entry in entries:
            yield from self.tell(entry)

    def _end_of_list(self, entry: Told) -> Iterator[Fact]:
        """What follows from a list of channels that nothing closed."""
        if self._shown:
            shown, self._shown = self._shown, []
            yield from self._tracker.snapshot(shown, self._shown_at)
        elif self._ready and entry.event is not None and not self._tracker.calls():
            yield from self._tracker.snapshot((), self.last_at)
        self._ready = self._ready and entry.event is None

    def _tell(self, entry: Told) -> Iterator[Fact]:
        if entry.event is not None:
            yield from self._tracker.apply(entry.event)
        elif entry.marker in _LOST:
            self._tracker.link_lost(entry.at)
        elif entry.marker == "LinkReady":
            self._ready = True
            if self.last_at is not None:
                # An earlier bridge may have been killed before it could say that it heard nothing more.
                self._tracker.link_lost(self.last_at)
