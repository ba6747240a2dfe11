"""The tracker's own promises: own ids, nothing impossible, joins and keeps apart, forgets, survives a lost link."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ami_bridge.core.channels import endpoint_of
from ami_bridge.core.event_types import ChannelShown
from ami_bridge.core.records import Gap
from ami_bridge.core.tracker import CallTracker


def phones_talk(story: Any) -> None:
    story.direct_call(answered_after=6)
    story.at(7).enter("b1", "c1", "p1")


def test_call_ids_are_the_same_again_and_sort_by_time(story: Any, tell: Any) -> None:
    story.at(0).caller("c1")
    story.at(1).caller("c2")
    first = [fact.call_id for fact in tell(story.events).named("CallStarted")]
    again = [fact.call_id for fact in tell(story.events).named("CallStarted")]
    elsewhere = [fact.call_id for fact in tell(story.events, CallTracker("fr2")).named("CallStarted")]
    rebooted = [fact.call_id for fact in tell(story.events, CallTracker("fr1", "boot2")).named("CallStarted")]
    assert first == again == sorted(first)
    assert len({*first, *elsewhere, *rebooted}) == 6


def test_impossible_events_are_counted_and_change_nothing(story: Any, tell: Any) -> None:
    phones_talk(story)
    before = tell(story.events).tracker.calls()
    story.dial_end("c1", "p1", "BUSY")  # answered phones do not turn busy
    story.leave("b2", "c1")  # was never there
    story.write("Hangup", Uniqueid="nobody", Cause="16")
    story.write("HangupRequest", Uniqueid="nobody", Cause="16")
    told = tell(story.events)
    assert told.tracker.calls() == before
    assert told.tracker.counters == {"impossible": 1, "late": 2, "unknown_channel": 1}


def test_a_dial_that_is_told_unanswered_and_answered_at_once_was_answered(story: Any, tell: Any) -> None:
    """Asterisk 22.10 told both of one phone, in this order, within a millisecond (under load)."""
    story.caller("c1")
    story.at(1).channel("p1", "PJSIP/101-00000001", linkedid="c1")
    story.dial("c1", "p1")
    story.state("p1", 5)
    story.at(3).state("p1", 6)
    story.dial_end("c1", "p1", "NOANSWER")
    story.dial_end("c1", "p1", "ANSWER")
    (call,) = tell(story.events).tracker.calls()
    (leg,) = call.legs
    assert (leg.outcome, leg.ended_at, leg.answered_at is not None) == ("ANSWER", None, True)
    assert call.disposition == "ANSWERED"


def test_late_events_wake_no_dead_call(story: Any, tell: Any) -> None:
    phones_talk(story)
    story.at(20).hangup("p1", "c1")
    story.state("p1", 6)
    story.enter("b1", "c1", "p1")
    story.dial_end("c1", "p1", "ANSWER")
    story.hangup("c1")
    told = tell(story.events)
    assert len(told.records) == 1
    assert told.tracker.calls() == []
    assert type(told.facts[-1]).__name__ == "CallEnded"


def test_a_conference_joins_no_calls(story: Any, tell: Any) -> None:
    for number in range(3):
        story.caller(f"c{number}")
        story.enter("8000", f"c{number}", creator="ConfBridge", technology="softmix")
    story.at(30)
    for number in range(3):
        story.leave("8000", f"c{number}")
        story.hangup(f"c{number}")
    records = tell(story.events).records
    assert len(records) == 3
    assert {record.conference for record in records} == {"8000"}


def test_a_linkedid_that_moved_misleads_nobody(story: Any, tell: Any) -> None:
    """In a conference Asterisk gives everybody the oldest linkedid; a leg dialled later carries it too."""
    story.caller("c1")
    story.caller("c2")
    story.channels["c2"]["Linkedid"] = "c1"
    story.channel("p2", "PJSIP/102-00000001", linkedid="c1")
    story.dial("c2", "p2", "102")
    story.at(1).ring("p2", "c2")
    story.at(3).answer("c2", "p2")
    story.at(9).hangup("p2", "c2", "c1")
    by_caller = {record.caller.uniqueid: record for record in tell(story.events).records}
    assert by_caller["c1"].answered_by is None
    assert by_caller["c2"].answered_by.uniqueid == "p2"
    assert set(by_caller["c2"].uniqueids) == {"c2", "p2"}


def test_ring_group_one_answers_elsewhere(story: Any, tell: Any) -> None:
    story.caller("c1")
    for number in (1, 2, 3):
        story.channel(f"p{number}", f"PJSIP/10{number}-0000000{number}", linkedid="c1")
        story.dial("c1", f"p{number}", f"10{number}")
    story.at(0.5).ring("p1", "c1")
    story.ring("p2", "c1")
    story.at(1).dial_end("c1", "p3", "BUSY")
    story.hangup("p3", cause=17)
    story.at(6).state("p2", 6)
    story.dial_end("c1", "p1", "CANCEL")
    story.hangup("p1", cause=26)
    story.dial_end("c1", "p2", "ANSWER")
    story.enter("b", "p2", "c1")
    story.at(30).hangup("p2", "c1")
    record = tell(story.events).record
    assert record.answered_by.extension == "102"
    assert [(leg.party.extension, leg.outcome) for leg in record.legs] == [
        ("101", "CANCEL"),
        ("102", "ANSWER"),
        ("103", "BUSY"),
    ]
    assert [(leg.party.extension, leg.ring_verdict) for leg in record.rung] == [
        ("101", "elsewhere"),
        ("102", None),
    ]


@pytest.mark.parametrize(
    ("statuses", "disposition"),
    [
        (("BUSY",), "BUSY"),
        (("BUSY", "NOANSWER"), "NO_ANSWER"),
        (("CHANUNAVAIL", "BUSY"), "BUSY"),
        (("CHANUNAVAIL",), "FAILED"),
        (("CONGESTION",), "CONGESTION"),
    ],
)
def test_disposition_of_a_group(story: Any, tell: Any, statuses: tuple[str, ...], disposition: str) -> None:
    story.caller("c1")
    for number, _ in enumerate(statuses):
        story.channel(f"p{number}", f"PJSIP/10{number}-0000000{number}", linkedid="c1")
        story.dial("c1", f"p{number}")
    for number, status in enumerate(statuses):
        story.at(number + 1).dial_end("c1", f"p{number}", status)
        story.hangup(f"p{number}")
    story.hangup("c1", cause=17)
    assert tell(story.events).record.disposition == disposition


@pytest.mark.parametrize(
    ("cause", "asked", "disposition"),
    [(17, False, "BUSY"), (34, False, "CONGESTION"), (1, False, "FAILED"), (127, True, "CANCELLED")],
)
def test_disposition_without_any_dial(
    story: Any, tell: Any, cause: int, asked: bool, disposition: str
) -> None:
    story.caller("c1")
    if asked:
        story.asks_to_end("c1", cause)
    story.hangup("c1", cause=cause)
    assert tell(story.events).record.disposition == disposition


def test_forwarded_phone_is_not_a_missed_one(story: Any, tell: Any) -> None:
    """302: the phone's dial ends with Forward, its place is taken by a Local channel to the new number."""
    story.direct_call()
    story.at(2).local("f1", "f2", "102", "from-agents", "c1")
    story.dial_end("c1", "p1", "CANCEL", forward="102")
    story.dial("c1", "f1", "102")
    story.hangup("p1")
    story.channel("p2", "PJSIP/102-00000005", linkedid="c1")
    story.dial("f2", "p2", "102")
    story.at(3).ring("p2", "f2")
    story.at(6).answer("f2", "p2")
    story.answer("c1", "f1")
    story.at(9).hangup("f1", "f2", "p2", "c1")
    record = tell(story.events).record
    assert record.disposition == "ANSWERED"
    assert record.answered_by.extension == "102"
    assert [(leg.party.extension, leg.ring_verdict) for leg in record.rung] == [
        ("101", "forwarded"),
        ("102", "ideal"),
    ]
    assert record.rung[0].forwarded_to == "102"


def test_pickup_joins_the_colleagues_channel(story: Any, tell: Any) -> None:
    story.direct_call()
    story.at(3).channel("x1", "PJSIP/103-00000009", exten="*8", state=4)
    story.write("Pickup", **story.of("x1"), **story.of("p1", "Target"))
    story.dial_end("c1", "p1", "CANCEL")
    story.dial("c1", "x1", "103")
    story.dial_end("c1", "x1", "ANSWER")
    story.hangup("p1")
    story.enter("b", "x1", "c1")
    story.at(20).asks_to_end("x1")
    story.leave("b", "x1", "c1")
    story.hangup("x1", "c1")
    told = tell(story.events)
    record = told.record
    assert record.answered_by.extension == "103"
    assert [(leg.party.extension, leg.ring_verdict) for leg in record.rung] == [("101", "elsewhere")]
    assert record.hung_up_by == "agent"
    assert len(told.named("CallMerged")) == 1
    assert record.caller.uniqueid == "c1"


# A lost link --------------------------------------------------------------------------


def shown(story: Any, uniqueid: str, bridge: str = "") -> ChannelShown:
    known = story.channels[uniqueid]
    return ChannelShown(
        None, uniqueid, known["Channel"], known["Linkedid"], 6, known["CallerIDNum"], "", "", bridge
    )


def agent_hangs_up(story: Any, after: Any) -> Any:
    """The events by which ``story`` ends half a minute later, told by ``after``."""
    after.channels = story.channels
    after.at(30).asks_to_end("p1")
    after.leave("b1", "p1", "c1")
    after.hangup("p1", "c1")
    return after.events


def test_calls_that_vanished_are_unknown_those_that_live_go_on(story: Any, tell: Any, new_story: Any) -> None:
    phones_talk(story)
    story.at(8).caller("c2")
    told = tell(story.events)
    started_at = told.tracker.calls()[0].started_at
    lost, found = started_at + timedelta(seconds=10), started_at + timedelta(seconds=20)
    told.tracker.link_lost(lost)
    facts = told.tracker.snapshot([shown(story, "c1"), shown(story, "p1")], found)
    (gone,) = [fact.record for fact in facts]
    assert (gone.disposition, gone.hung_up_by, gone.complete) == ("UNKNOWN", "unknown", False)
    assert gone.gaps == (Gap(lost, found),)
    (alive,) = told.tracker.calls()
    assert alive.gaps == (Gap(lost, found),)
    (ended,) = tell(agent_hangs_up(story, new_story()), told.tracker).records
    assert (ended.disposition, ended.hung_up_by) == ("ANSWERED", "agent")
    assert ended.gaps == alive.gaps


def test_who_is_joined_while_nobody_listens_has_talked(story: Any, tell: Any, new_story: Any) -> None:
    """The bridge is killed during the greeting; the agent, who hangs up first later, was heard all the same."""
    story.direct_call(answered_after=6)
    told = tell(story.events)
    lost = told.tracker.calls()[0].started_at + timedelta(seconds=8)
    told.tracker.link_lost(lost)
    found = lost + timedelta(seconds=10)
    assert told.tracker.snapshot([shown(story, "c1", "b1"), shown(story, "p1", "b1")], found)
    (ended,) = tell(agent_hangs_up(story, new_story()), told.tracker).records
    assert (ended.disposition, ended.hung_up_by) == ("ANSWERED", "agent")
    assert ended.answered_by.uniqueid == "p1"
    assert ended.talk_started_at == found, "not before anybody knew"


def test_a_stand_in_that_was_left_in_the_list_is_no_call(story: Any, tell: Any) -> None:
    """Asterisk may list it for ever: neither does it begin a call nor keep one from being closed."""
    phones_talk(story)
    left = ChannelShown(None, "s1", "Surrogate/PJSIP/101-00000001", "c1", 0, "", "answered", "sales", "")
    assert CallTracker("fr1").snapshot([left], None) == []
    told = tell(story.events)
    lost = told.tracker.calls()[0].started_at + timedelta(seconds=10)
    told.tracker.link_lost(lost)
    facts = told.tracker.snapshot([left], lost + timedelta(seconds=10))
    assert [fact.record.disposition for fact in facts] == ["UNKNOWN"]
    assert told.tracker.calls() == []


def test_calls_found_in_the_middle(story: Any, tell: Any, new_story: Any) -> None:
    phones_talk(story)
    tracker = CallTracker("fr1")
    facts = tracker.snapshot([shown(story, "c1", "b1"), shown(story, "p1", "b1")], None)
    assert type(facts[0]).__name__ == "CallStarted"
    (record,) = tracker.calls()
    assert record.complete is False
    assert record.answered_by is not None
    assert tracker.snapshot([shown(story, "c1", "b1"), shown(story, "p1", "b1")], None) == []
    story.events.clear()
    story.at(60).hangup("p1", "c1")
    assert len(tell(story.events, tracker).records) == 1


# Memory -------------------------------------------------------------------------------


def test_finished_calls_leave_nothing_behind(story: Any, tell: Any) -> None:
    for number in range(3000):
        story.channels.clear()
        story.caller(f"c{number}")
        story.channel(f"p{number}", "PJSIP/101-1", linkedid=f"c{number}")
        story.dial(f"c{number}", f"p{number}")
        story.answer(f"c{number}", f"p{number}")
        story.enter(f"b{number}", f"c{number}", f"p{number}")
        story.hangup(f"p{number}", f"c{number}")
    told = tell(story.events)
    book = told.tracker._book
    assert (book.channels, book.calls, book.by_linkedid, book.bridges) == ({}, {}, {}, {})
    assert len(book.late) <= 8192


def test_a_caller_who_waits_for_hours_stays_small(story: Any, tell: Any) -> None:
    story.caller("c1")
    story.write("QueueCallerJoin", **story.of("c1"), Queue="sales", Position="1")
    for number in range(2000):
        one, two, phone = f"q{number}", f"r{number}", f"p{number}"
        story.at(number * 10).local(one, two, "102", "queue-member", "c1")
        story.dial("c1", one, "102")
        story.channel(phone, "PJSIP/102-1", linkedid="c1")
        story.dial(two, phone, "102")
        story.ring(phone, two)
        story.dial_end("c1", one, "NOANSWER")
        story.dial_end(two, phone, "CANCEL")
        story.hangup(one, phone, two)
    story.at(30000).hangup("c1")
    told = tell(story.events)
    record = told.record
    assert record.disposition == "ABANDONED"
    assert len(record.legs) <= 500
    assert len(record.uniqueids) <= 500


def test_a_flood_of_forged_channels_stops(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami_bridge.core.book.MOST_CHANNELS", 50)
    events = [
        {"Event": "Newchannel", "Uniqueid": f"u{n}", "Linkedid": f"u{n}", "Channel": "SIP/x-1"}
        for n in range(99)
    ]
    told = tell(events)
    assert len(told.tracker.calls()) == 50
    assert told.tracker.call_ids() == [record.call_id for record in told.tracker.calls()]
    assert all(
        told.tracker.uniqueids_of(record.call_id) == record.uniqueids for record in told.tracker.calls()
    )
    assert told.tracker.uniqueids_of("gone") == ()
    assert told.tracker.counters["too_many_channels"] == 49


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/101-0000002a", "101"),
        ("PJSIP/101-web-0000002a", "101"),  # the same person's phone in the browser
        ("PJSIP/sales-web-0000002a", "sales-web"),
        ("PJSIP/-web-0000002a", "-web"),
        ("Local/101@queue-member-00000001;2", "101@queue-member"),
        ("SIP/101-web", "101"),
    ],
)
def test_whose_channel_it_is(channel: str, endpoint: str) -> None:
    assert endpoint_of(channel) == endpoint
