"""Talk share, overtalk and monologues from talk detection, by stories whose figures a child can add up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ami_bridge.core.event_types import ChannelShown
from ami_bridge.core.records import TalkRecord
from tests.core.conftest import START, Story, Told

JOINED = 10.0
Tell = Callable[[list[dict[str, Any]]], Told]


@pytest.fixture
def joined(story: Story) -> Story:
    """Caller c1 and agent p1 (101) hear each other from second 10 on."""
    story.direct_call(answered_after=6.0)
    story.at(JOINED).enter("b1", "c1", "p1")
    return story


def ended(story: Story, at: float) -> list[dict[str, Any]]:
    story.at(at).asks_to_end("c1")
    story.leave("b1", "c1", "p1")
    story.hangup("c1", "p1")
    return story.events


def talk_of(told: Told) -> TalkRecord:
    talk = told.record.talk
    assert talk is not None
    return talk


def test_turn_by_turn(joined: Story, tell: Tell) -> None:
    joined.speech("p1", 11, 15)
    joined.speech("c1", 16, 18)
    joined.speech("p1", 20, 21)
    assert talk_of(tell(ended(joined, 60))) == TalkRecord(
        agent_seconds=5.0,
        caller_seconds=2.0,
        agent_share=0.714,
        overtalk_seconds=0.0,
        agent_longest_seconds=4.0,
        caller_longest_seconds=2.0,
        agent_turns=2,
        caller_turns=1,
        caller_first_turn_seconds=6.0,
    )


def test_without_detection_nothing_is_claimed(joined: Story, tell: Tell) -> None:
    assert tell(ended(joined, 60)).record.talk is None


def test_a_side_that_was_never_detected_is_not_measurable(joined: Story, tell: Tell) -> None:
    joined.speech("c1", 11, 13)
    talk = talk_of(tell(ended(joined, 60)))
    assert (talk.caller_seconds, talk.agent_seconds) == (2.0, None)
    assert (talk.agent_share, talk.overtalk_seconds) == (None, None)


def test_a_word_put_in_is_overtalk_and_takes_no_floor(joined: Story, tell: Tell) -> None:
    """The caller says yes at 13 while the agent speaks from 11 to 20: one monologue of nine seconds."""
    joined.at(11).begins_to_speak("p1")
    joined.speech("c1", 13, 13.5)
    joined.at(20.4).ceases_to_speak("p1", 9)
    talk = talk_of(tell(ended(joined, 60)))
    assert (talk.overtalk_seconds, talk.agent_longest_seconds, talk.caller_longest_seconds) == (0.5, 9.0, 0.5)


def test_who_talks_the_other_down_has_the_floor(joined: Story, tell: Tell) -> None:
    joined.at(11).begins_to_speak("p1")
    joined.at(13).begins_to_speak("c1")
    joined.at(14.4).ceases_to_speak("p1", 3)
    joined.at(18.4).ceases_to_speak("c1", 5)
    joined.speech("c1", 19, 21)
    talk = talk_of(tell(ended(joined, 60)))
    assert talk.overtalk_seconds == 1.0
    assert talk.caller_longest_seconds == 8.0, "from 13 to 21, own breath included"
    assert talk.agent_longest_seconds == 3.0


def test_a_stop_is_told_late_but_ends_where_the_speech_did(joined: Story, tell: Tell) -> None:
    """The caller answers 0.1 s after the agent's last word, before the detector is sure of it: no overtalk."""
    joined.at(11).begins_to_speak("p1")
    joined.at(13.1).begins_to_speak("c1")
    joined.at(13.4).ceases_to_speak("p1", 2)
    joined.at(15.5).ceases_to_speak("c1", 2)
    talk = talk_of(tell(ended(joined, 60)))
    assert (talk.agent_seconds, talk.caller_seconds, talk.overtalk_seconds) == (2.0, 2.0, 0.0)
    assert (talk.agent_longest_seconds, talk.caller_longest_seconds) == (2.0, 2.0)


def test_a_long_silence_ends_a_monologue_and_the_other_side_does(joined: Story, tell: Tell) -> None:
    joined.speech("p1", 11, 13)
    joined.speech("p1", 14, 16)  # a breath: one monologue of five seconds
    joined.speech("p1", 30, 31)  # after looking something up
    joined.speech("c1", 32, 33)
    joined.speech("p1", 34, 35)
    assert talk_of(tell(ended(joined, 60))).agent_longest_seconds == 5.0


def test_what_was_said_before_they_were_joined_does_not_count(story: Story, tell: Tell) -> None:
    """The agent speaks into the greeting, from 9 on; the caller hears from 10 on."""
    story.direct_call(answered_after=6.0)
    story.at(9).begins_to_speak("p1")
    story.at(JOINED).enter("b1", "c1", "p1")
    story.at(12.4).ceases_to_speak("p1", 3)
    story.speech("c1", 13, 14)
    assert talk_of(tell(ended(story, 60))).agent_seconds == 2.0


def test_hold_does_not_count(joined: Story, tell: Tell) -> None:
    """He speaks on from 12 to 30 (to the music from 15 to 25), and the agent to a colleague from 16 to 20."""
    joined.at(12).begins_to_speak("c1")
    joined.at(15).write("Hold", **joined.of("p1"))
    joined.speech("p1", 16, 20)
    joined.at(25).write("Unhold", **joined.of("p1"))
    joined.at(30.4).ceases_to_speak("c1", 18)
    talk = talk_of(tell(ended(joined, 60)))
    assert (talk.caller_seconds, talk.agent_seconds) == (8.0, 0.0)
    assert talk.caller_first_turn_seconds == 2.0


@pytest.mark.parametrize("told_in_time", [False, True])
def test_open_turns_end_with_the_conversation(joined: Story, tell: Tell, told_in_time: bool) -> None:
    """The stop is missing when the channel dies; when it comes after the bridge's end, it still shortens."""
    joined.speech("p1", 11, 12)
    joined.at(15).begins_to_speak("c1")
    joined.at(18).asks_to_end("p1")
    joined.leave("b1", "p1", "c1")
    if told_in_time:
        joined.at(18.1).ceases_to_speak("c1", 2.7)
    joined.at(19).hangup("p1", "c1")
    assert talk_of(tell(joined.events)).caller_seconds == pytest.approx(2.7 if told_in_time else 3.0)


def test_a_consultation_is_no_talk_with_the_caller(joined: Story, tell: Tell) -> None:
    """101 asks 102 while the caller waits alone in the first bridge; then 102 talks to the caller."""
    joined.speech("p1", 11, 12)
    joined.speech("c1", 13, 14)
    joined.at(15).leave("b1", "p1")
    joined.channel("p2", "PJSIP/102-00000009", linkedid="c1")
    joined.dial("p1", "p2", number="102")
    joined.at(16).answer("p1", "p2")
    joined.enter("b2", "p1", "p2")
    joined.speech("p1", 17, 27)
    joined.at(28).leave("b2", "p1", "p2")
    joined.hangup("p1")
    joined.enter("b1", "p2")
    joined.speech("p2", 29, 31)
    joined.at(40).asks_to_end("c1")
    joined.leave("b1", "c1", "p2")
    joined.hangup("c1", "p2")
    talk = talk_of(tell(joined.events))
    assert (talk.agent_seconds, talk.agent_turns, talk.caller_seconds) == (3.0, 2, 1.0)


def test_a_gap_ends_turns_where_the_link_was_lost(joined: Story, tell: Tell) -> None:
    joined.speech("p1", 11, 12)
    joined.at(13).begins_to_speak("c1")
    told = tell(joined.events)
    lost, found = START + timedelta(seconds=15), START + timedelta(seconds=40)
    told.tracker.link_lost(lost)
    alive = [
        ChannelShown(found, uniqueid, name, "c1", 6, "", "", "", "b1")
        for uniqueid, name in [("c1", "PJSIP/carrier-00000000"), ("p1", "PJSIP/101-00000001")]
    ]
    told.tracker.snapshot(alive, found)
    after = Story()
    after.channels = joined.channels
    after.at(42).ceases_to_speak("c1", 29)  # its start is before the gap: not known when it really spoke
    after.speech("c1", 50, 51)
    record = Told(ended(after, 60), told.tracker).record
    assert record.gaps
    assert record.talk is not None
    assert record.talk.caller_seconds == 3.0


def test_doubled_events_change_nothing(joined: Story, tell: Tell) -> None:
    joined.speech("p1", 11, 15)
    joined.speech("c1", 13, 18)
    events = ended(joined, 60)
    assert talk_of(tell([event for event in events for _ in range(2)])) == talk_of(tell(events))
