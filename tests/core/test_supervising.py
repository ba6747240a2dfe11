"""A supervisor's phone is nobody's call until he takes over; then the caller's call goes on with him."""

from __future__ import annotations

from .conftest import Story, Told


def talk(story: Story) -> None:
    """A direct call: answered, and the two hear each other."""
    story.direct_call(answered_after=7)
    story.at(9).enter("b1", "c1", "p1")


def supervisor(story: Story) -> None:
    """The bridge originates Local/104@supervise/n; the phone behind it answers and listens."""
    story.at(20).local("sv-fr1-a", "sv-fr1-a-2", "104", "supervise", "sv-fr1-a")
    story.dial("", "sv-fr1-a", "104")
    story.channel("s1", "PJSIP/104-00000009", linkedid="sv-fr1-a")
    story.dial("sv-fr1-a-2", "s1", "104")
    story.answer("sv-fr1-a-2", "s1")
    story.answer("", "sv-fr1-a")
    story.at(21).enter("b2", "sv-fr1-a-2", "s1")


def test_who_listens_is_in_a_call_of_another_kind(story: Story, tell: type[Told]) -> None:
    talk(story)
    supervisor(story)
    tracker = tell(story.events).tracker
    caller_call, own = tracker.call_ids()
    assert (tracker.is_supervision(caller_call), tracker.is_supervision(own)) == (False, True)
    assert [party.endpoint for party in tracker.parties(caller_call)] == ["carrier", "101"]
    assert tracker.channel_name("sv-fr1-a") == "Local/104@supervise-00000002;1"
    assert tracker.live_calls()[0].agents == ("101",)


def test_his_leaving_leaves_no_trace_in_the_callers_record(story: Story, tell: type[Told]) -> None:
    talk(story)
    supervisor(story)
    story.at(30).hangup("s1", "sv-fr1-a-2", "sv-fr1-a")
    story.at(40).asks_to_end("c1")
    story.hangup("c1", "p1")
    records = tell(story.events).records
    assert [record.kind for record in records] == ["supervision", "call"]
    assert [party.endpoint for party in records[1].answers] == ["101"]
    assert records[1].hung_up_by == "caller"


def test_taken_over_the_caller_goes_on_with_him(story: Story, tell: type[Told]) -> None:
    talk(story)
    supervisor(story)
    story.at(30).leave("b1", "c1")
    story.enter("b3", "c1", "sv-fr1-a")
    live = tell(story.events).tracker.live_calls()
    assert [call.agents for call in live] == [("104",)], "the agent has handed the caller over"
    story.at(31).asks_to_end("p1")
    story.leave("b1", "p1")
    story.hangup("p1")
    story.at(50).asks_to_end("s1")
    story.leave("b2", "s1", "sv-fr1-a-2")
    story.leave("b3", "sv-fr1-a", "c1")
    story.hangup("s1", "sv-fr1-a-2", "sv-fr1-a", "c1")
    record = tell(story.events).record
    assert (record.kind, record.disposition) == ("call", "ANSWERED")
    assert record.answered_by is not None
    assert record.answered_by.endpoint == "101"
    assert [party.endpoint for party in record.answers] == ["101", "104"]
    assert record.hung_up_by == "agent", record.hung_up_evidence
    (note,) = [note for note in record.notes if note.name == "taken_over"]
    assert note.fields == {"From": "101", "To": "104"}
