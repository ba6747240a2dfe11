"""A bridge that starts again takes up its calls where the journal leaves them.

A new tracker knows nothing of the calls that live: it would begin each of them in the middle, under a second
id, and what the store has of the first half would stay open for ever. So the last events of the journal are
applied first; the snapshot of the channels then closes what ended meanwhile and marks the gap.

Calls that are older than what is read are found too: the bridge writes down from time to time which calls began
long ago, and their events alone are taken out of the older part (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ami_bridge.adapters.ami import LongCalls
from ami_bridge.adapters.clock import Clock
from ami_bridge.adapters.journal import JournalEntry, JournalPort
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import CallRecord
from ami_bridge.core.tracker import CallTracker
from ami_bridge.retelling import Retelling, Told

#: How much of the journal is read whole: some seconds of work at the most.
MOST_ENTRIES = 200_000
#: After so many entries it is written down which calls are older than that. Well below MOST_ENTRIES, so that the
#: last such entry, and the beginning of every call that it could not name, lie in what is read whole.
LONG_CALL_ENTRIES = 50_000
# A call is told a few entries after its first one.
_MARGIN = 200


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


def entries_to_resume(journal: JournalPort) -> Iterator[JournalEntry]:
    """The last :data:`MOST_ENTRIES` entries, and before them those of calls that are older."""
    whole_from = journal.synced_seq - MOST_ENTRIES
    if whole_from > 0:
        since, ids = _long_calls(journal)
        for entry in journal.entries(since, ids) if ids else ():
            if entry.seq >= whole_from:
                break
            yield entry
    yield from journal.entries(max(0, whole_from))


def _long_calls(journal: JournalPort) -> tuple[int, list[str]]:
    """From where on, and by which channels, the older calls are found."""
    since, ids = 0, ""
    for entry in journal.entries(max(0, journal.synced_seq - 2 * LONG_CALL_ENTRIES), ()):
        if entry.kind == "marker" and entry.name == "LongCalls":
            since, ids = int(str(entry.headers["since_seq"])), str(entry.headers["ids"])
    return since, ids.split()


class LongCallKeeper:
    """Remembers at which entry each call began, and writes from time to time which are old."""

    def __init__(self, tracker: CallTracker, journal: JournalPort, clock: Clock) -> None:
        self._tracker = tracker
        self._journal = journal
        self._clock = clock
        self._began: dict[str, int] = {}
        self._due = journal.synced_seq + LONG_CALL_ENTRIES

    def taken_up(self) -> None:
        """The calls that live now were read from the journal; how far back they began is not known exactly."""
        since, ids = _long_calls(self._journal)
        whole_from = max(0, self._journal.synced_seq - MOST_ENTRIES)
        earliest = min(since, whole_from) if ids else whole_from
        self._began = dict.fromkeys(self._tracker.call_ids(), earliest)
        if self._began:
            self._due = 0  # bridges that start again and again must not outrun what the last one wrote down

    def began(self, call_id: str, seq: int) -> None:
        """``call_id`` was told after entry ``seq``."""
        self._began.setdefault(call_id, max(0, seq - _MARGIN))

    def look(self, seq: int) -> None:
        """Entry ``seq`` was written; write down which calls are old when it is time."""
        if seq < self._due:
            return
        self._due = seq + LONG_CALL_ENTRIES
        live = set(self._tracker.call_ids())
        self._began = {call_id: since for call_id, since in self._began.items() if call_id in live}
        old = {call_id: since for call_id, since in self._began.items() if seq - since >= LONG_CALL_ENTRIES}
        self._journal.append(LongCalls(self._clock.now(), min(old.values(), default=seq), self._ids_of(old)))

    def _ids_of(self, calls: Mapping[str, int]) -> str:
        return " ".join(sorted({uniqueid for call in calls for uniqueid in self._tracker.uniqueids_of(call)}))
