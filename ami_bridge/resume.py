"""A bridge that starts again takes up its calls where the journal leaves them.

A new tracker knows nothing of the calls that live: it would begin each of them in the middle, under a second
id, and what the store has of the first half would stay open for ever. So the last events of the journal are
applied first; the snapshot of the channels then closes what ended meanwhile and marks the gap.
"""

from __future__ import annotations

from collections.abc import Iterable

from ami_bridge.adapters.journal import JournalEntry
from ami_bridge.core.event_types import ChannelShown
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import CallRecord
from ami_bridge.core.tracker import CallTracker

#: How much of the journal is read: some seconds of work at the most. A call that began before it is begun
#: in the middle, as without a journal.
MOST_ENTRIES = 200_000


def resume(tracker: CallTracker, entries: Iterable[JournalEntry], node: str) -> list[CallRecord]:
    """Bring ``tracker`` to where the journal ends; returns the calls that ended on the way.

    Their records may not have reached the store. From the last entry on the link counts as lost, until the
    next snapshot.
    """
    ended: list[CallRecord] = []
    shown: list[ChannelShown] = []
    last = None
    for entry in entries:
        event = parse(entry.headers, entry.at, node) if entry.kind == "event" else None
        if shown and not isinstance(event, ChannelShown):
            facts = tracker.snapshot(shown, last)
            ended += [fact.record for fact in facts if isinstance(fact, CallEnded)]
            shown = []
        if isinstance(event, ChannelShown):
            shown.append(event)
        elif event is not None:
            ended += [fact.record for fact in tracker.apply(event) if isinstance(fact, CallEnded)]
        elif entry.kind == "marker" and entry.name in {"LinkLost", "EventGap"}:
            tracker.link_lost(entry.at)
        elif entry.kind == "marker" and entry.name == "LinkReady":
            if not tracker.calls():
                # The snapshot that follows may be empty; then it has no entry of its own.
                tracker.snapshot((), entry.at)
            else:
                # An earlier bridge was killed before it could say that it heard nothing more.
                tracker.link_lost(last)
        last = entry.at
    if last is not None:
        tracker.link_lost(last)
    return ended
