"""What a desk is shown of a call while it goes on."""

from __future__ import annotations

from datetime import timedelta

from ami_bridge.core.live_calls import RingClockShown, WaitShown, ended_form

from .conftest import START, Story, Told


def test_a_ringing_call_shows_whose_phone_rings_and_the_clock_that_the_caller_hears(
    story: Story, tell: type[Told]
) -> None:
    story.direct_call()
    shown = tell(story.events).tracker.live_calls()[0]
    assert (shown.phase, shown.ringing, shown.agents) == ("ringing", ("101",), ())
    assert (shown.number, shown.did) == ("79161234567", "74950000001")
    assert shown.ring == RingClockShown(START + timedelta(seconds=0.2), 1.0, 5.0, 4)
    form = shown.as_json()
    assert form["ring"]["started_at"] == "2026-11-23T09:00:00.200+00:00"
    assert form["ringing"] == ["101"]


def test_who_picked_up_greets_and_then_talks(story: Story, tell: type[Told]) -> None:
    story.direct_call(answered_after=7)
    shown = tell(story.events).tracker.live_calls()[0]
    assert (shown.phase, shown.ringing, shown.agents, shown.ring) == ("greeting", (), ("101",), None)
    story.at(9).enter("b1", "c1", "p1")
    talking = tell(story.events).tracker.live_calls()[0]
    assert (talking.phase, talking.talk_started_at) == ("talking", START + timedelta(seconds=9))
    story.at(12).write("Hold", **story.of("p1"))
    assert tell(story.events).tracker.live_calls()[0].held_since == START + timedelta(seconds=12)
    story.at(15).write("Unhold", **story.of("p1"))
    held = tell(story.events).tracker.live_calls()[0]
    assert (held.held_since, held.held_seconds) == (None, 3.0)


def test_in_the_queue_there_is_a_wait_and_no_ring_clock(story: Story, tell: type[Told]) -> None:
    story.direct_call()
    story.at(16.2).dial_end("c1", "p1", "CANCEL")
    story.hangup("p1")
    story.goto("c1", "queue", "sales")
    story.at(17).write("QueueCallerJoin", **story.of("c1"), Queue="sales", Position="2", Count="2")
    shown = tell(story.events).tracker.live_calls()[0]
    assert (shown.phase, shown.ring) == ("waiting", None)
    assert shown.wait == WaitShown("sales", START + timedelta(seconds=17), 2)


def test_a_call_that_is_over_says_who_had_it(story: Story, tell: type[Told]) -> None:
    story.direct_call(answered_after=7)
    story.at(9).enter("b1", "c1", "p1")
    story.at(20).asks_to_end("c1")
    story.hangup("c1", "p1")
    told = tell(story.events)
    assert told.tracker.live_calls() == []
    assert told.tracker.live(told.record.call_id) is None
    form = ended_form(told.record)
    assert (form["phase"], form["agents"], form["hung_up_by"]) == ("ended", ["101"], "caller")
    assert form["ended_at"] == "2026-11-23T09:00:20.000+00:00"
