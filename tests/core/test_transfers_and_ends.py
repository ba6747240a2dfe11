"""What transfers, redirects and silent streams do to a record: who hung up, how long was talked, how it ended."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bridge.core.cadence import CADENCES
from ami_bridge.core.ringing import RingRule
from ami_bridge.core.tracker import CallTracker


def attended(story: Any) -> None:
    """101 answers at 6.2, consults 102 on a second line from 20 on, joins both at 40."""
    story.direct_call(answered_after=6)
    story.enter("b1", "c1", "p1")
    story.at(20).channel("s1", "PJSIP/101-00000005", number="101", exten="102", state=4)
    story.channel("t1", "PJSIP/102-00000006", linkedid="s1")
    story.dial("s1", "t1", "102")
    story.ring("t1", "s1")
    story.at(25).answer("s1", "t1")
    story.enter("b2", "s1", "t1")
    story.at(40).leave("b1", "c1")
    story.leave("b2", "s1")
    story.enter("b2", "c1")
    story.write(
        "AttendedTransfer",
        **story.of("p1", "OrigTransferer"),
        **story.of("s1", "SecondTransferer"),
        DestType="Bridge",
        DestBridgeUniqueid="b2",
        Result="Success",
    )
    story.asks_to_end("p1")  # the transferer's phone ends its lines: that ends no conversation
    story.asks_to_end("s1")
    story.leave("b1", "p1")
    story.hangup("p1", "s1")


@pytest.mark.parametrize(("first", "by"), [("c1", "caller"), ("t1", "agent")])
def test_attended_transfer(story: Any, tell: Any, first: str, by: str) -> None:
    attended(story)
    other = {"c1": "t1", "t1": "c1"}[first]
    story.at(70).asks_to_end(first)
    story.leave("b2", first, other)
    story.hangup(other, first)
    told = tell(story.events)
    record = told.record
    (transfer,) = record.transfers
    assert (transfer.kind, transfer.outcome) == ("attended", "ANSWERED")
    assert [party.uniqueid for party in (transfer.transferer, transfer.consultation)] == ["p1", "s1"]
    assert (transfer.transferee.uniqueid, transfer.target.uniqueid) == ("c1", "t1")
    assert (record.hung_up_by, record.hung_up_confidence) == (by, "high")
    assert record.talk_seconds == pytest.approx(70 - 6.2)
    assert set(record.linkedids) == {"c1", "s1"}
    assert record.absorbed_call_ids == tuple(fact.absorbed_call_id for fact in told.named("CallMerged"))
    assert [party.extension for party in record.answers] == ["101", "102"]


@pytest.mark.parametrize(("first", "by"), [("c1", "caller"), ("t1", "agent")])
def test_without_requests_the_last_bridge_tells(story: Any, tell: Any, first: str, by: str) -> None:
    """A stream from which somebody filtered every HangupRequest."""
    attended(story)
    story.events = [event for event in story.events if event["Event"] != "HangupRequest"]
    other = {"c1": "t1", "t1": "c1"}[first]
    story.at(70).leave("b2", first, other)
    story.hangup(other, first)
    record = tell(story.events).record
    assert (record.hung_up_by, record.hung_up_confidence) == (by, "medium")


def test_without_requests_a_blind_transfer_clears_the_first_leaver(story: Any, tell: Any) -> None:
    story.direct_call(answered_after=6)
    story.enter("b1", "c1", "p1")
    story.at(20).write(
        "BlindTransfer",
        **story.of("p1", "Transferer"),
        **story.of("c1", "Transferee"),
        BridgeUniqueid="b1",
        Extension="102",
        Result="Success",
    )
    story.leave("b1", "c1", "p1")  # the other way round than usual
    story.hangup("p1")
    story.channel("t1", "PJSIP/102-00000006", linkedid="c1")
    story.dial("c1", "t1", "102")
    story.at(25).answer("c1", "t1")
    story.enter("b2", "c1", "t1")
    story.at(60).leave("b2", "t1", "c1")
    story.hangup("c1", "t1")
    record = tell(story.events).record
    assert record.hung_up_by == "agent"
    assert record.transfers[0].target.uniqueid == "t1"
    assert record.talk_seconds == pytest.approx(20 - 6.2 + 35)


def test_a_refused_transfer_is_none(story: Any, tell: Any) -> None:
    story.direct_call(answered_after=6)
    story.enter("b1", "c1", "p1")
    story.write("BlindTransfer", **story.of("p1", "Transferer"), Extension="x", Result="Invalid")
    story.at(30).asks_to_end("p1")
    story.leave("b1", "p1", "c1")
    story.hangup("p1", "c1")
    record = tell(story.events).record
    assert record.transfers == ()
    assert record.hung_up_by == "agent"


def test_consultation_that_reached_an_application(story: Any, tell: Any) -> None:
    """The agent's second line talked to nobody but an announcement, and hands the caller to it."""
    story.direct_call(answered_after=6)
    story.enter("b1", "c1", "p1")
    story.at(20).channel("s1", "PJSIP/101-00000005", number="101", exten="8500", state=4)
    story.state("s1", 6)
    story.at(25).write(
        "AttendedTransfer",
        **story.of("p1", "OrigTransferer"),
        **story.of("s1", "SecondTransferer"),
        **story.of("c1", "Transferee"),
        DestType="App",
        DestApp="VoiceMail",
        Result="Success",
    )
    story.leave("b1", "p1", "c1")
    story.hangup("p1", "s1")
    story.at(40).asks_to_end("c1")
    story.hangup("c1")
    (transfer,) = tell(story.events).record.transfers
    assert (transfer.kind, transfer.application, transfer.target) == ("attended", "VoiceMail", None)


def test_moved_elsewhere_while_it_rang_is_no_cancel(story: Any, tell: Any) -> None:
    """A Redirect by anybody ends the dial with CANCEL though the caller is still there."""
    story.at(0).caller("c0")
    story.asks_to_end("c0", 127)  # this PBX does send HangupRequests
    story.hangup("c0")
    story.direct_call()
    story.at(9).dial_end("c1", "p1", "CANCEL")
    story.hangup("p1")
    story.at(30).asks_to_end("c1")
    story.hangup("c1")
    record = tell(story.events).records[-1]
    assert (record.disposition, record.hung_up_by) == ("NO_ANSWER", "caller")
    assert record.rung[0].ring_verdict == "missed"


def test_our_own_failover_is_no_cancel_even_without_requests(story: Any, tell: Any) -> None:
    story.direct_call()
    story.at(16.2).dial_end("c1", "p1", "CANCEL")
    story.hangup("p1")
    story.says("c1", "failover", Reason="ring_deadline", Department="sales")
    story.at(60).hangup("c1")
    record = tell(story.events).record
    assert record.disposition == "NO_ANSWER"
    assert (record.rung[0].ring_verdict, record.failover_reason) == ("missed", "ring_deadline")


def test_a_refusal_by_the_pbx_is_not_the_callers(story: Any, tell: Any) -> None:
    """chan_pjsip tells the end of the refused INVITE as the caller's HangupRequest, cause 17."""
    story.direct_call()
    story.at(3).dial_end("c1", "p1", "BUSY")
    story.hangup("p1", cause=17)
    story.asks_to_end("c1", 17)
    story.hangup("c1", cause=17)
    record = tell(story.events).record
    assert (record.disposition, record.hung_up_by) == ("BUSY", "system")
    assert record.rung[0].ring_verdict == "refused"


def test_in_a_queue_each_phone_counts_its_own_rings(story: Any, tell: Any) -> None:
    tracker = CallTracker("fr1", ring_rule_of=lambda _context, _exten: RingRule(CADENCES["ru"]))
    story.direct_call()
    story.at(16.2).dial_end("c1", "p1", "CANCEL")
    story.says("c1", "failover", Reason="ring_deadline", Department="sales")
    story.write("QueueCallerJoin", **story.of("c1"), Queue="sales", Position="1")
    story.channel("p2", "PJSIP/102-00000002", linkedid="c1")
    story.dial("c1", "p2", "102")
    story.at(20).ring("p2", "c1")
    story.at(26).answer("c1", "p2")
    story.at(40).hangup("p1", "p2", "c1")
    record = tell(story.events, tracker).record
    assert [(leg.party.extension, leg.answered_on_ring, leg.ring_verdict) for leg in record.rung] == [
        ("101", None, "missed"),
        ("102", 2, "ideal"),
    ]
    assert (record.answered_on_ring, record.ring_verdict) == (None, "missed")


def test_ringing_told_before_the_dial(story: Any, tell: Any) -> None:
    story.caller("c1")
    story.goto("c1", "direct", "sales")
    story.channel("p1", "PJSIP/101-00000001", linkedid="c1")
    story.at(1).ring("p1")
    story.at(2).dial("c1", "p1")
    story.at(7.5).answer("c1", "p1")
    story.at(9).hangup("p1", "c1")
    told = tell(story.events)
    assert told.record.rung[0].ring_seconds == 6.5
    assert told.record.answered_on_ring == 2
    assert [type(fact).__name__ for fact in told.facts[1:4]] == ["LegDialled", "LegRinging", "LegAnswered"]
    (ringing,) = told.named("LegRinging")
    assert ringing.at == told.record.ring_started_at


def test_masqueraded_into_a_running_dial(story: Any, tell: Any) -> None:
    """Asterisk 22, blonde transfer by REFER: the dial's end names another dialler than its beginning."""
    story.direct_call(answered_after=6)
    story.enter("b1", "c1", "p1")
    story.at(20).channel("s1", "PJSIP/101-00000005", number="101", exten="102", state=4)
    story.channel("t1", "PJSIP/102-00000006", linkedid="s1")
    story.dial("s1", "t1", "102")
    story.ring("t1", "s1")
    story.at(22).write(
        "AttendedTransfer",
        **story.of("p1", "OrigTransferer"),
        **story.of("s1", "SecondTransferer"),
        **story.of("c1", "Transferee"),
        DestType="App",
        DestApp="Dial",
        Result="Success",
    )
    story.leave("b1", "p1", "c1")
    story.hangup("p1", "s1")
    story.at(24).answer("c1", "t1")
    story.enter("b2", "t1", "c1")
    story.at(50).asks_to_end("t1")
    story.leave("b2", "t1", "c1")
    story.hangup("t1", "c1")
    told = tell(story.events)
    (transfer,) = told.record.transfers
    assert (transfer.kind, transfer.outcome) == ("blonde", "ANSWERED")
    assert transfer.target.extension == "102"
    assert told.record.hung_up_by == "agent"
    assert [fact.transfer.outcome for fact in told.named("TransferMade")] == [
        ""
    ]  # still ringing when it was made
