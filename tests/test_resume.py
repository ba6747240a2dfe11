"""A new tracker takes up the calls that the journal holds: same ids, one gap, nothing doubled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ami_bridge.adapters.journal import JournalEntry
from ami_bridge.core.event_types import ChannelShown
from ami_bridge.core.events import parse
from ami_bridge.core.tracker import CallTracker
from ami_bridge.resume import resume

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
