"""A new tracker takes up the calls that the journal holds: same ids, one gap, nothing doubled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ami_bridge.adapters.ami import LinkReady, SnapshotTaken, raw_event
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.journal import Journal, JournalEntry
from ami_bridge.core.event_types import ChannelShown
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallStarted
from ami_bridge.core.tracker import CallTracker
from ami_bridge.resume import LongCallKeeper, entries_to_resume, resume

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def created(uniqueid: str, name: str) -> dict[str, str | list[str]]:
    """The headers of a new channel of the trunk."""
    return {
        "Event": "Newchannel",
        "Channel": name,
        "ChannelState": "4",
        "ChannelStateDesc": "Ring",
        "CallerIDNum": "79165550000",
        "CallerIDName": "",
        "Context": "from-carrier",
        "Exten": "74950000001",
        "Priority": "1",
        "Uniqueid": uniqueid,
        "Linkedid": uniqueid,
    }


def shown(uniqueid: str, name: str) -> ChannelShown:
    """The same channel in a list of live ones."""
    line = parse(
        {**created(uniqueid, name), "Event": "CoreShowChannel", "Duration": "00:00:05"}, BEGAN, "fr1"
    )
    assert isinstance(line, ChannelShown)
    return line


def entries(*items: tuple[str, str, dict[str, str | list[str]]]) -> list[JournalEntry]:
    """Journal entries a second apart."""
    return [
        JournalEntry(seq, BEGAN + timedelta(seconds=seq), kind, name, headers)
        for seq, (kind, name, headers) in enumerate(items)
    ]


def test_a_call_keeps_its_id_and_what_is_gone_is_closed() -> None:
    """Two calls lived; one is still there."""
    journal = entries(
        ("marker", "LinkReady", {"first": "True"}),
        ("event", "Newchannel", created("fr1-1.0", "PJSIP/carrier-00000000")),
        ("event", "Newchannel", created("fr1-1.1", "PJSIP/carrier-00000001")),
        ("command", "Redirect", {"Channel": "PJSIP/carrier-00000000"}),
    )
    first, again = CallTracker("fr1"), CallTracker("fr1")
    for entry in journal[1:3]:
        event = parse(entry.headers, entry.at, "fr1")
        assert event is not None
        first.apply(event)
    assert resume(again, journal, "fr1") == []
    ids = [call.call_id for call in first.calls()]
    assert [call.call_id for call in again.calls()] == ids
    found = BEGAN + timedelta(seconds=60)
    facts = again.snapshot([shown("fr1-1.0", "PJSIP/carrier-00000000")], found)
    (kept,) = again.calls()
    assert kept.call_id == ids[0]
    (gap,) = kept.gaps
    assert (gap.lost_at, gap.found_at) == (journal[-1].at, found)
    assert [fact.call_id for fact in facts] == [ids[1]]


def test_an_earlier_restart_is_replayed_as_it_was() -> None:
    """A snapshot in the journal closes what it did not show then; the record comes back to be saved."""
    line: dict[str, str | list[str]] = {
        **created("fr1-1.0", "PJSIP/carrier-00000000"),
        "Event": "CoreShowChannel",
        "Duration": "00:00:05",
    }
    journal = entries(
        ("event", "Newchannel", created("fr1-1.0", "PJSIP/carrier-00000000")),
        ("event", "Newchannel", created("fr1-1.1", "PJSIP/carrier-00000001")),
        ("marker", "LinkReady", {"first": "True"}),
        ("event", "CoreShowChannel", line),
        ("event", "FullyBooted", {"Event": "FullyBooted"}),
    )
    tracker = CallTracker("fr1")
    (ended,) = resume(tracker, journal, "fr1")
    assert ended.uniqueids == ("fr1-1.1",)
    (kept,) = tracker.calls()
    assert len(kept.gaps) == 1


def test_an_empty_journal_is_no_gap() -> None:
    """The very first start."""
    tracker = CallTracker("fr1")
    assert resume(tracker, [], "fr1") == []
    assert tracker.snapshot([shown("fr1-1.0", "PJSIP/carrier-00000000")], BEGAN) != []
    assert tracker.calls()[0].gaps == ()


# Calls that are older than what is read whole ------------------------------------------------


NOISE_NAME = '"kind":"marker" "fr1-1.0"'


class Days:
    """A journal of many calls, and one that began before all of them. Bridges come and go."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.clock = FakeClock(BEGAN)
        self.count = 0
        self.start_bridge()

    def start_bridge(self) -> None:
        """A new tracker, brought to where the journal ends; then its first snapshot, in which all still live."""
        self.tracker = CallTracker("fr1")
        self.keeper = LongCallKeeper(self.tracker, self.journal, self.clock)
        resume(self.tracker, entries_to_resume(self.journal), "fr1")
        self.keeper.taken_up()
        self.journal.append(LinkReady(self.clock.now(), first=True))
        live = [record.caller for record in self.tracker.calls() if record.caller is not None]
        for party in live:
            line = {**created(party.uniqueid, party.channel), "Event": "CoreShowChannel"}
            self.journal.append(raw_event("CoreShowChannel", line, self.clock.now()))
        self.journal.append(SnapshotTaken(self.clock.now(), len(live)))
        self.tracker.snapshot([shown(party.uniqueid, party.channel) for party in live], self.clock.now())
        self.journal.flush_now()

    def hear(self, headers: dict[str, str | list[str]]) -> None:
        seq = self.journal.append(raw_event(str(headers["Event"]), headers, self.clock.now()))
        event = parse(headers, self.clock.now(), "fr1")
        for fact in self.tracker.apply(event) if event is not None else ():
            if isinstance(fact, CallStarted):
                self.keeper.began(fact.call_id, seq)
        self.keeper.look(seq)

    def pass_by(self, calls: int) -> None:
        """Short calls of other people; one of them calls himself like the old call's channel."""
        for _ in range(calls):
            self.clock.advance(timedelta(seconds=1))
            self.count += 1
            uniqueid = f"fr1-9.{self.count}"
            self.hear({**created(uniqueid, f"PJSIP/carrier-{self.count:08x}"), "CallerIDName": NOISE_NAME})
            ended = {"Event": "Hangup", "Uniqueid": uniqueid, "Linkedid": uniqueid, "Cause": "16"}
            self.hear({**created(uniqueid, f"PJSIP/carrier-{self.count:08x}"), **ended})
        self.journal.flush_now()


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    monkeypatch.setattr("ami_bridge.resume.MOST_ENTRIES", 200)
    monkeypatch.setattr("ami_bridge.resume.LONG_CALL_ENTRIES", 50)
    monkeypatch.setattr("ami_bridge.resume._MARGIN", 5)
    journal = Journal(tmp_path, "fr1", rotate_bytes=20_000)
    yield Days(journal)
    journal.close_now()


def test_a_call_older_than_what_is_read_whole_keeps_its_id(days: Days) -> None:
    """Through several bridges, each of which hears more than is read whole, and some that hear little."""
    days.pass_by(3)
    days.hear(created("fr1-1.0", "PJSIP/carrier-00000000"))
    (first,) = days.tracker.calls()
    for heard in (400, 10, 10, 10, 300, 20, 120, 1):
        days.pass_by(heard)
        days.start_bridge()
        (call,) = days.tracker.calls()
        assert (call.call_id, call.started_at) == (first.call_id, first.started_at)
    assert len(call.gaps) == 8, "every bridge that was missing is told, however long ago"


def test_calls_that_ended_are_not_dug_out_again(days: Days) -> None:
    days.hear(created("fr1-1.0", "PJSIP/carrier-00000000"))
    days.pass_by(150)
    days.hear({**created("fr1-1.0", "PJSIP/carrier-00000000"), "Event": "Hangup", "Cause": "16"})
    days.pass_by(20)
    days.start_bridge()
    assert days.tracker.calls() == []
    days.pass_by(200)
    days.start_bridge()
    assert days.tracker.calls() == []


def test_what_the_journal_no_longer_holds_begins_in_the_middle(days: Days) -> None:
    days.hear(created("fr1-1.0", "PJSIP/carrier-00000000"))
    days.pass_by(400)
    for segment in sorted(days.journal.folder.glob("*.jsonl"))[:-2]:
        segment.unlink()
    days.start_bridge()
    assert all(not call.complete for call in days.tracker.calls())
