"""The stories of our own dialplan: direct with greeting, failover, queue through Local channels, callback."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest


def talk_after_greeting(
    story: Any, caller: str, agent: str, at: float, greeting_seconds: float = 3.0
) -> None:
    """``Dial(G())``: both sides hear the greeting, then join by ``Bridge()``."""
    story.at(at).says(caller, "greeting", Kind="direct", Department="sales", Agent="101", Phase="started")
    story.at(at + greeting_seconds)
    story.says(
        caller, "greeting", Kind="direct", Department="sales", Agent="101", Phase="ended", Status="SUCCESS"
    )
    story.enter("b1", caller, agent)


@pytest.mark.parametrize(
    ("after", "ring", "verdict"),
    [(0.5, 1, "early"), (5.1, 2, "ideal"), (12.0, 3, "ideal"), (15.9, 4, "ideal"), (20.5, 5, "late")],
)
def test_answered_on_ring(story: Any, tell: Any, after: float, ring: int, verdict: str) -> None:
    story.direct_call(answered_after=after)
    talk_after_greeting(story, "c1", "p1", story.clock)
    story.at(60).asks_to_end("c1")
    story.leave("b1", "c1", "p1")
    story.hangup("p1", "c1")
    told = tell(story.events)
    record = told.record
    assert record.disposition == "ANSWERED"
    assert (record.answered_on_ring, record.ring_verdict) == (ring, verdict)
    assert record.answered_by.extension == "101"
    assert record.answered_by.channel == "PJSIP/101-00000001"
    assert [leg.party.extension for leg in record.rung] == ["101"]
    assert record.rung[0].ring_seconds == after
    assert record.direction == "inbound"
    assert (record.dialled, record.department) == ("74950000001", "sales")
    assert record.answered_at - record.ring_started_at == timedelta(seconds=after)
    assert record.talk_started_at - record.answered_at == timedelta(seconds=3)
    assert record.talk_seconds == pytest.approx(60 - 3.2 - after)
    (greeting,) = record.greetings
    assert (greeting.status, greeting.agent) == ("SUCCESS", "101")
    assert greeting.ended_at - greeting.started_at == timedelta(seconds=3)
    (ringing,) = told.named("LegRinging")
    assert (ringing.dialled_from_context, ringing.dialled_from_exten) == ("direct", "sales")
    assert (ringing.caller_channel, ringing.caller_uniqueid) == ("PJSIP/carrier-00000000", "c1")
    assert [fact.answered_on_ring for fact in told.named("CallAnswered")] == [ring]


@pytest.mark.parametrize(("first", "by"), [("c1", "caller"), ("p1", "agent")])
def test_who_hung_up(story: Any, tell: Any, first: str, by: str) -> None:
    story.direct_call(answered_after=6)
    story.at(10).enter("b1", "c1", "p1")
    story.at(30).asks_to_end(first)
    story.leave("b1", *sorted(["c1", "p1"], key=lambda uniqueid: uniqueid != first))
    story.hangup("c1", "p1")  # in an order that says nothing
    record = tell(story.events).record
    assert (record.hung_up_by, record.hung_up_confidence) == (by, "high")
    assert record.hung_up_evidence[0].startswith(
        f"HangupRequest of {story.channels[first]['Channel']}, cause 16"
    )


def test_agent_drops_during_the_greeting(story: Any, tell: Any) -> None:
    story.direct_call(answered_after=6)
    story.at(7).asks_to_end("p1")
    story.hangup("p1")
    story.at(9).asks_to_end("c1")
    story.hangup("c1")
    record = tell(story.events).record
    assert (record.disposition, record.answered_by) == ("CANCELLED", None)
    assert [party.extension for party in record.answers] == ["101"], "he did pick up"
    assert record.hung_up_by == "caller", "who stayed on for two seconds more"
    assert record.answered_at is None
    assert record.talk_seconds is None
    assert record.talk_started_at is None


def test_agent_drops_during_the_greeting_and_the_queue_serves(story: Any, tell: Any) -> None:
    """answered_by is who served the caller, with the instant of that; who ran away stands in ``answers``."""
    story.direct_call(answered_after=6)
    story.at(7).asks_to_end("p1")
    story.hangup("p1")
    story.at(9).says("c1", "failover", Reason="agent_left", Department="sales")
    story.at(9.1).channel("p2", "PJSIP/102-00000002", linkedid="c1")
    story.dial("c1", "p2", "102")
    story.at(12).answer("c1", "p2")
    story.enter("b1", "c1", "p2")
    story.at(30).asks_to_end("c1")
    story.leave("b1", "c1", "p2")
    story.hangup("c1", "p2")
    record = tell(story.events).record
    assert [party.extension for party in record.answers] == ["101", "102"]
    assert (record.disposition, record.answered_by.extension) == ("ANSWERED", "102")
    assert (record.answered_at - record.started_at).total_seconds() == 12
    assert (record.failover_reason, record.hung_up_by) == ("agent_left", "caller")


def test_caller_hangs_up_during_the_greeting(story: Any, tell: Any) -> None:
    """The agent was there: he had answered, and did not run away."""
    story.direct_call(answered_after=6)
    story.at(7).asks_to_end("c1")
    story.hangup("c1")
    story.at(7.1).asks_to_end("p1")
    story.hangup("p1")
    record = tell(story.events).record
    assert (record.disposition, record.answered_by.extension) == ("ANSWERED", "101")
    assert record.hung_up_by == "caller"


def test_agent_drops_and_the_pbx_ends_the_call(story: Any, tell: Any) -> None:
    """Nobody takes the caller on: whoever ran away has ended it."""
    story.direct_call(answered_after=6)
    story.at(7).asks_to_end("p1")
    story.hangup("p1")
    story.at(7.1).hangup("c1")
    record = tell(story.events).record
    assert (record.answered_by, record.hung_up_by) == (None, "agent")


def test_the_outer_dial_may_be_told_after_the_inner_one(story: Any, tell: Any) -> None:
    """A Local channel's second half dials in a thread of its own: 101 is still the agent who is called first."""
    story.at(0).local("cb-1", "cb-2", "101", "callback-agent", "cb-1")
    story.channel("p1", "PJSIP/101-00000001", linkedid="cb-1")
    story.dial("cb-2", "p1", "101")
    story.dial("", "cb-1", "101")
    story.at(2).answer("cb-2", "p1")
    story.dial_end("", "cb-1", "ANSWER")
    story.enter("b1", "p1", "cb-2")
    story.at(3).channel("p2", "PJSIP/carrier-00000002", linkedid="cb-1")
    story.dial("cb-1", "p2", "79160000000")
    story.at(5).answer("cb-1", "p2")
    story.enter("b2", "p2", "cb-1")
    story.at(20).asks_to_end("p2")
    story.leave("b2", "p2", "cb-1")
    story.leave("b1", "cb-2", "p1")
    story.hangup("p2", "cb-1", "cb-2", "p1")
    record = tell(story.events).record
    assert record.caller.extension == "101"
    assert record.answered_by.uniqueid == "p2"
    assert record.hung_up_by == "caller", "the customer, in a callback"


def test_a_vanished_phone_is_the_network(story: Any, tell: Any) -> None:
    story.at(0).caller("c0")
    story.asks_to_end("c0", 127)  # this PBX does send HangupRequests
    story.hangup("c0")
    story.direct_call(answered_after=6)
    story.at(7).enter("b1", "c1", "p1")
    story.at(40).leave("b1", "p1", "c1")
    story.hangup("p1", cause=44)
    story.hangup("c1")
    record = tell(story.events).records[-1]
    assert record.hung_up_by == "network"


def test_caller_gives_up_while_it_rings(story: Any, tell: Any) -> None:
    story.direct_call()
    story.at(8).asks_to_end("c1", 127)
    story.dial_end("c1", "p1", "CANCEL")
    story.hangup("p1", "c1")
    record = tell(story.events).record
    assert (record.disposition, record.hung_up_by) == ("CANCELLED", "caller")
    assert record.rung[0].ring_verdict == "abandoned"
    assert record.answered_by is None


def queue_rings_102(story: Any, at: float) -> None:
    """The queue's member is Local/102@queue-member/n, whose second half dials the phone."""
    story.at(at).local("q1", "q2", "102", "queue-member", "c1")
    story.dial("c1", "q1", "102")
    story.channel("p2", "PJSIP/102-00000002", linkedid="c1")
    story.dial("q2", "p2", "102")
    story.at(at + 0.1).ring("p2", "q2")
    story.state("q1", 5)


def failed_over(story: Any) -> None:
    """At the deadline the caller's channel is redirected: the dial ends CANCEL, the call goes on."""
    story.direct_call()
    story.at(16.2).dial_end("c1", "p1", "CANCEL")
    story.hangup("p1", cause=26)
    story.goto("c1", "failover", "sales")
    story.says("c1", "failover", Reason="ring_deadline", Department="sales")
    story.goto("c1", "queue", "sales")
    story.at(20).write("QueueCallerJoin", **story.of("c1"), Queue="sales", Position="1", Count="1")


def test_failover_then_the_queue_answers(story: Any, tell: Any) -> None:
    failed_over(story)
    queue_rings_102(story, 20.5)
    story.at(26).answer("q2", "p2")
    story.state("q2", 6)
    story.answer("c1", "q1")
    story.write("QueueCallerLeave", **story.of("c1"), Queue="sales", Position="1", Count="0")
    story.write("AgentConnect", **story.of("c1"), Queue="sales", HoldTime="6", MemberName="102")
    story.at(29).enter("inner", "p2", "q2")
    story.enter("outer", "q1", "c1")
    story.at(60).asks_to_end("c1")
    story.leave("outer", "c1", "q1")
    story.leave("inner", "q2", "p2")
    story.hangup("q1", "q2", "p2", "c1")
    told = tell(story.events)
    record = told.record
    assert record.disposition == "ANSWERED"
    assert record.answered_by.extension == "102"
    assert record.answered_by.channel == "PJSIP/102-00000002"
    assert [(leg.party.extension, leg.ring_verdict) for leg in record.rung] == [
        ("101", "missed"),
        ("102", None),
    ]
    assert (record.ring_verdict, record.answered_on_ring) == ("missed", None)
    assert record.failover_reason == "ring_deadline"
    assert (record.queue.name, record.queue.left_reason, record.queue.position) == ("sales", "answered", 1)
    assert record.queue.wait_seconds == pytest.approx(6.0)
    assert record.talk_seconds == pytest.approx(31.0)
    assert (record.hung_up_by, record.hung_up_confidence) == ("caller", "high")
    assert set(record.uniqueids) == {"c1", "p1", "q1", "q2", "p2"}
    assert [fact.uniqueid for fact in told.named("LegRinging")] == ["p1", "p2"]
    assert {fact.caller_uniqueid for fact in told.named("LegRinging")} == {"c1"}
    assert [fact.reason for fact in told.named("FailedOver")] == ["ring_deadline"]
    assert len(told.named("CallAnswered")) == 1


def test_gave_up_in_the_queue(story: Any, tell: Any) -> None:
    failed_over(story)
    queue_rings_102(story, 20.5)
    story.at(50).asks_to_end("c1")
    story.dial_end("c1", "q1", "CANCEL")
    story.dial_end("q2", "p2", "CANCEL")
    story.write(
        "QueueCallerAbandon",
        **story.of("c1"),
        Queue="sales",
        Position="1",
        OriginalPosition="1",
        HoldTime="30",
    )
    story.write("QueueCallerLeave", **story.of("c1"), Queue="sales", Position="1", Count="0")
    story.hangup("q1", "q2", "p2", "c1")
    record = tell(story.events).record
    assert (record.disposition, record.hung_up_by) == ("ABANDONED", "caller")
    assert (record.queue.left_reason, record.queue.wait_seconds) == ("abandoned", 30.0)
    assert [(leg.party.extension, leg.ring_verdict) for leg in record.rung] == [
        ("101", "missed"),
        ("102", "abandoned"),
    ]


def test_a_member_who_lets_it_ring_misses_each_time(story: Any, tell: Any) -> None:
    failed_over(story)
    queue_rings_102(story, 20.5)
    story.at(40).dial_end("c1", "q1", "NOANSWER")
    story.hangup("q1")
    story.dial_end("q2", "p2", "CANCEL")  # the queue hangs the Local channel up, which cancels within
    story.hangup("p2", "q2")
    story.at(41).asks_to_end("c1")
    story.write("QueueCallerAbandon", **story.of("c1"), Queue="sales", OriginalPosition="1", HoldTime="21")
    story.hangup("c1")
    record = tell(story.events).record
    assert [(leg.party.extension, leg.ring_verdict) for leg in record.rung] == [
        ("101", "missed"),
        ("102", "missed"),
    ]


def test_key_one_in_the_queue_leads_to_a_callback(story: Any, tell: Any) -> None:
    failed_over(story)
    story.at(35).write("QueueCallerLeave", **story.of("c1"), Queue="sales", Position="1", Count="0")
    story.says("c1", "queue", Phase="left", Department="sales", Reason="KEY")
    story.at(36).says("c1", "callback", Phase="accepted", Callback="42")
    story.at(70).asks_to_end("c1")
    story.hangup("c1")
    record = tell(story.events).record
    assert (record.disposition, record.hung_up_by) == ("NO_ANSWER", "caller")
    assert (record.queue.left_reason, record.queue.wait_seconds) == ("key", 15.0)
    assert ("callback", {"Phase": "accepted", "Callback": "42"}) in [
        (note.name, dict(note.fields)) for note in record.notes
    ]


def test_whose_wait_was_over_did_not_give_up(story: Any, tell: Any) -> None:
    """The PBX says "abandoned" of a time-out, too; the dialplan, which the caller still hears, knows better."""
    failed_over(story)
    story.at(320).write("QueueCallerAbandon", **story.of("c1"), Queue="sales", Position="1", HoldTime="300")
    story.write("QueueCallerLeave", **story.of("c1"), Queue="sales", Position="1", Count="0")
    story.says("c1", "queue", Phase="left", Department="sales", Reason="TIMEOUT")
    story.at(350).asks_to_end("c1")
    story.hangup("c1")
    record = tell(story.events).record
    assert (record.disposition, record.queue.left_reason) == ("NO_ANSWER", "timeout")


def test_whom_a_supervisor_moved_did_not_give_up(story: Any, tell: Any) -> None:
    """The PBX says "abandoned" of a Redirect out of the queue, too."""
    failed_over(story)
    story.at(30).write("QueueCallerAbandon", **story.of("c1"), Queue="sales", Position="1", HoldTime="10")
    story.write("QueueCallerLeave", **story.of("c1"), Queue="sales", Position="1", Count="0")
    story.says("c1", "moved", Department="support")
    story.at(34).write("QueueCallerJoin", **story.of("c1"), Queue="support", Position="1", Count="1")
    story.at(40).asks_to_end("c1")
    story.write("QueueCallerAbandon", **story.of("c1"), Queue="support", Position="1", HoldTime="6")
    story.write("QueueCallerLeave", **story.of("c1"), Queue="support", Position="1", Count="0")
    story.hangup("c1")
    record = tell(story.events).record
    assert (record.disposition, record.department) == ("ABANDONED", "support")
    assert [(stay.name, stay.left_reason, stay.wait_seconds) for stay in record.queues] == [
        ("sales", "moved", 10.0),
        ("support", "abandoned", 6.0),
    ]


def callback(story: Any) -> None:
    """Originate Local/101@callback-agent/n: half two rings the agent, half one dials the customer."""
    story.at(0).local("cb-1", "cb-1-2", "101", "callback-agent", "cb-1")
    story.dial("", "cb-1")
    story.at(0.1).channel("a1", "PJSIP/101-00000007", linkedid="cb-1")
    story.dial("cb-1-2", "a1")
    story.at(0.3).ring("a1", "cb-1-2")
    story.at(4).answer("cb-1-2", "a1")
    story.state("cb-1-2", 6)
    story.dial_end("", "cb-1", "ANSWER")
    story.enter("agent", "a1", "cb-1-2")
    story.says("cb-1", "attempt", Phase="agent_answered", Callback="42", Attempt="7")
    story.at(12).channel("k1", "PJSIP/carrier-00000008", linkedid="cb-1")
    story.dial("cb-1", "k1", "79161234567")
    story.at(13).ring("k1", "cb-1")


def test_callback_agent_first_then_customer(story: Any, tell: Any) -> None:
    callback(story)
    story.at(20).answer("cb-1", "k1")
    story.at(22).enter("customer", "k1", "cb-1")
    story.at(80).asks_to_end("k1")
    story.leave("customer", "k1", "cb-1")
    story.leave("agent", "cb-1-2", "a1")
    story.hangup("k1", "cb-1", "cb-1-2", "a1")
    record = tell(story.events).record
    assert (record.kind, record.direction, record.disposition) == ("callback", "outbound", "ANSWERED")
    assert record.caller.extension == "101"
    assert record.answered_by.extension == "79161234567"
    assert [leg.party.extension for leg in record.rung] == ["79161234567"]
    assert {leg.party.extension: leg.originator for leg in record.legs} == {"101": True, "79161234567": False}
    assert (record.hung_up_by, record.hung_up_confidence) == ("caller", "high")  # the customer's side
    assert record.talk_seconds == pytest.approx(58.0)
    assert set(record.uniqueids) == {"cb-1", "cb-1-2", "a1", "k1"}


def test_callback_customer_is_busy(story: Any, tell: Any) -> None:
    callback(story)
    story.at(15).dial_end("cb-1", "k1", "BUSY")
    story.hangup("k1", cause=17)
    story.asks_to_end("a1")
    story.leave("agent", "a1", "cb-1-2")
    story.hangup("a1", "cb-1-2", "cb-1")
    record = tell(story.events).record
    assert (record.kind, record.disposition, record.answered_by) == ("callback", "BUSY", None)
    assert record.hung_up_by == "agent"


def test_callback_agent_does_not_answer(story: Any, tell: Any) -> None:
    story.at(0).local("cb-1", "cb-1-2", "101", "callback-agent", "cb-1")
    story.dial("", "cb-1")
    story.channel("a1", "PJSIP/101-00000007", linkedid="cb-1")
    story.dial("cb-1-2", "a1")
    story.at(0.3).ring("a1", "cb-1-2")
    story.at(20).dial_end("cb-1-2", "a1", "NOANSWER")
    story.hangup("a1", "cb-1-2")
    story.dial_end("", "cb-1", "NOANSWER")
    story.hangup("cb-1")
    record = tell(story.events).record
    assert (record.kind, record.disposition) == ("callback", "NO_ANSWER")
    assert record.rung == ()


def test_doubled_events_tell_the_same(story: Any, new_story: Any, tell: Any) -> None:
    failed_over(story)
    queue_rings_102(story, 20.5)
    story.at(26).answer("q2", "p2")
    story.answer("c1", "q1")
    story.write("QueueCallerLeave", **story.of("c1"), Queue="sales")
    story.at(29).enter("inner", "p2", "q2")
    story.enter("outer", "q1", "c1")
    story.write("Hold", **story.of("p2"))
    story.at(31).write("Unhold", **story.of("p2"))
    story.at(60).asks_to_end("p2")
    story.leave("inner", "p2", "q2")
    story.leave("outer", "q1", "c1")
    story.hangup("p2", "q2", "q1", "c1")
    whole = tell(story.events)
    doubled = tell([event for event in story.events for _ in range(2)])
    assert doubled.record == whole.record
    assert doubled.facts == whole.facts
    assert whole.record.holds[0].seconds == 2.0
    assert whole.record.holds[0].by.extension == "102"
