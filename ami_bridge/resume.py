"""A bridge that starts again takes up its calls where the journal leaves them.

A new tracker knows nothing of the calls that live: it would begin each of them in the middle, under a second
id, and what the store has of the first half would stay open for ever. So the last events of the journal are
applied first; the snapshot of the channels then closes what ended meanwhile and marks the gap.
"""

from __future__ import annotations

from collections.abc import Iterable

from ami_bridge.adapters.journal import JournalEntry
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import CallRecord
from ami_bridge.core.tracker import CallTracker
from ami_bridge.retelling import Retelling, Told

#: How much of the journal is read: some seconds of work at the most. A call that began before it is begun
#: in the middle, as without a journal.
MOST_ENTRIES = 200_000


def resume(tracker: CallTracker, entries: Iterable[JournalEntry], node: str) -> list[CallRecord]:
    """Bring ``tracker`` to where the journal ends; returns the calls that ended on the way.

    Their records may not have reached the store. From the last entry on the link counts as lost, until the
    next snapshot.
    """
    retelling = Retelling(tracker)
    facts = retelling.tell_all(
        Told(entry.at, event=parse(entry.headers, entry.at, node))
        if entry.kind == "event"
        else Told(entry.at, marker=entry.name if entry.kind == "marker" else "")
        for entry in entries
    )
    ended = [fact.record for fact in facts if isinstance(fact, CallEnded)]
    if retelling.last_at is not None:
        tracker.link_lost(retelling.last_at)
    return ended
