"""Records against the PBX's own story: what differs is named with both sides, and explained or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.core.audit import Audit, Deaf, OurCall, Period
from ami_bridge.core.channel_events import ChannelEvent, ChannelStories

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CALLER, AGENT = "fr1-1.0", "fr1-1.1"
NAMES = {CALLER: "PJSIP/carrier-00000000", AGENT: "PJSIP/101-00000001"}


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def line(kind: str, seconds: float, uniqueid: str, **extra: Any) -> ChannelEvent:
    return ChannelEvent(kind, at(seconds), uniqueid, CALLER, NAMES.get(uniqueid, "Local/x@y-1;1"), extra)


def told() -> list[ChannelEvent]:
    """A plain call: rung at 1 s, answered at 5 s, talked from 10 to 30 s, the caller hung up."""
    bridge = {"bridge_id": "b1", "bridge_technology": "simple_bridge"}
    ended = {"hangupcause": 16, "hangupsource": NAMES[CALLER]}
    return [
        line("CHAN_START", 0, CALLER),
        line("CHAN_START", 1, AGENT),
        line("ANSWER", 5, AGENT),
        line("ANSWER", 5.01, CALLER),
        line("BRIDGE_ENTER", 9.9, AGENT, **bridge),
        line("BRIDGE_ENTER", 10, CALLER, **bridge),
        line("BRIDGE_EXIT", 30, CALLER, **bridge),
        line("BRIDGE_EXIT", 30.1, AGENT, **bridge),
        line("HANGUP", 30.1, AGENT, **ended),
        line("CHAN_END", 30.1, AGENT),
        line("HANGUP", 30.2, CALLER, **ended),
        line("CHAN_END", 30.2, CALLER),
        line("LINKEDID_END", 30.2, CALLER),
    ]


def party(uniqueid: str, **more: Any) -> dict[str, Any]:
    return {"uniqueid": uniqueid, "channel": NAMES[uniqueid], **more}


def record(**changed: Any) -> dict[str, Any]:
    """What we stored about that call."""
    return {
        "call_id": "c1",
        "kind": "call",
        "started_at": at(0).isoformat(),
        "ended_at": at(30.2).isoformat(),
        "disposition": "ANSWERED",
        "caller": party(CALLER),
        "answered_by": party(AGENT),
        "answers": [party(AGENT)],
        "legs": [party(AGENT, answered_at=at(5).isoformat())],
        "talk_seconds": 20.0,
        "hangup_cause": 16,
        "hung_up_by": "caller",
        "transfers": [],
        "conference": "",
        "uniqueids": [CALLER, AGENT],
        "linkedids": [CALLER],
        "gaps": [],
        **changed,
    }


def found(
    records: Sequence[dict[str, Any]],
    events: Sequence[ChannelEvent],
    deaf: Sequence[Deaf] = (),
    *,
    as_of: float = 3600,
    log_since: datetime | None = None,
) -> list[tuple[str, str]]:
    stories = ChannelStories()
    stories.take_all(events)
    period = Period(at(-60), at(600), at(as_of))
    comparison = Audit(map(OurCall.of_record, records), stories, deaf, period, log_since=log_since)
    return [(difference.subject, difference.reason) for difference in comparison.differences()]


def test_the_same_call_has_no_difference() -> None:
    assert found([record()], told()) == []


def test_a_request_to_our_agi_is_no_call() -> None:
    errand = ChannelEvent("CHAN_START", at(6), "fr1-7.7", CALLER, "Local/s@errand-00000003;2", {})
    assert found([record()], [*told(), errand]) == []
    assert found([record()], [*told(), errand._replace(channel="Local/s@other-00000003;2")])


@pytest.mark.parametrize(
    ("changed", "subject"),
    [
        ({"started_at": at(-2).isoformat()}, "began"),
        ({"ended_at": at(33).isoformat()}, "ended"),
        ({"legs": [party(AGENT, answered_at=at(8).isoformat())]}, "answered"),
        ({"legs": [party(AGENT, answered_at=None)]}, "answered"),
        ({"talk_seconds": 18.0}, "talk seconds"),
        ({"talk_seconds": None}, "talk seconds"),
        ({"hangup_cause": 17}, "hang-up cause"),
        ({"hung_up_by": "agent"}, "hung up by"),
        ({"caller": {**party(CALLER), "channel": "PJSIP/102-00000000"}}, "parties"),
        ({"transfers": [{"kind": "blind", "transferer": party(AGENT)}]}, "transfers"),
        ({"uniqueids": [CALLER, AGENT, "fr1-9.9"]}, "missing at the PBX"),
        ({"uniqueids": [CALLER], "legs": [], "answers": [], "answered_by": None}, "missing here"),
        ({"ended_at": None}, "ended"),
    ],
)
def test_each_difference_is_named_and_unexplained(changed: dict[str, Any], subject: str) -> None:
    assert (subject, "") in found([record(**changed)], told())


def test_a_call_that_only_one_side_has() -> None:
    assert found([], told()) == [("missing here", "")]
    assert found([record()], []) == [("missing at the PBX", "")]
    assert found([record()], [], log_since=at(10)) == [("missing at the PBX", "not kept")]


def test_one_channel_in_two_records() -> None:
    assert ("doubled", "") in found([record(), record(call_id="c2")], told())


def test_two_who_talked_belong_into_one_record() -> None:
    ours = record(uniqueids=[CALLER], legs=[], answers=[], answered_by=None)
    other = record(call_id="c2", uniqueids=[AGENT], caller=None, legs=[], answers=[], answered_by=None)
    assert ("parties", "") in found([ours, other], told())


def test_a_transfer_that_only_the_pbx_knows() -> None:
    events = told()
    events.insert(6, line("BLINDTRANSFER", 20, AGENT, extension="102"))
    assert found([record()], events) == [("transfers", "")]
    transferred = record(transfers=[{"kind": "blind", "transferer": party(AGENT)}])
    assert found([transferred], events) == []


def test_an_attended_transfer_is_known_by_either_line() -> None:
    events = told()
    events.insert(6, line("ATTENDEDTRANSFER", 20, "fr1-1.5", channel2_uniqueid=AGENT))
    consulted = record(
        uniqueids=[CALLER, AGENT, "fr1-1.5"],
        transfers=[{"kind": "blonde", "transferer": party(AGENT), "consultation": party(CALLER)}],
    )
    assert ("transfers", "") not in found([consulted], events)


@pytest.mark.parametrize(
    ("gap", "reason"), [((20, 40), "gap"), ((31.5, 40), ""), ((1, 2), ""), ((None, 40), "before")]
)
def test_a_difference_within_a_gap_is_explained(gap: tuple[float | None, float], reason: str) -> None:
    """The record knows of its own gaps, the journal of those in which a whole call was missed."""
    lost = None if gap[0] is None else at(gap[0])
    closed = record(ended_at=at(20).isoformat(), hangup_cause=None, hung_up_by="unknown", talk_seconds=20.0)
    kind = "before" if lost is None else "gap"
    assert set(found([closed], told(), [Deaf(lost, at(gap[1]), kind)])) == {  # type: ignore[arg-type]
        ("ended", reason),
        ("hang-up cause", reason),
    }
    if lost is not None:
        own = [{"lost_at": lost.isoformat(), "found_at": at(gap[1]).isoformat()}]
        assert ("ended", reason) in found([{**closed, "gaps": own}], told())


def test_a_call_within_a_gap_is_explained_and_one_that_outlives_it_is_not() -> None:
    assert found([], told(), [Deaf(at(-1), at(31), "gap")]) == [("missing here", "gap")]
    assert found([], told(), [Deaf(at(-1), at(20), "gap")]) == [("missing here", "")]
    assert found([], told(), [Deaf(at(10), at(50), "gap")]) == [("missing here", "")]


def test_what_is_still_going_on_is_no_difference() -> None:
    assert found([record(ended_at=None)], told()[:6]) == []


def test_what_has_only_just_happened_is_open() -> None:
    assert set(found([record(ended_at=None)], told(), as_of=31)) == {("ended", "open")}
    assert found([], told()[:1], as_of=2) == [("missing here", "open")]
    assert found([], told()[:1], as_of=60) == [("missing here", "")]


def test_a_caller_who_waits_for_hours_has_more_channels_than_a_record_keeps() -> None:
    waited = [line("CHAN_START", number / 10, f"fr1-2.{number}") for number in range(500)]
    kept = record(uniqueids=[CALLER, AGENT])
    assert found([kept], [*told(), *waited]) == [("missing here", "long")]
    assert found([kept], [*told(), *waited[:10]]) == [("missing here", "")]


def test_talk_goes_through_local_channels_and_stops_in_a_holding_bridge() -> None:
    """caller – bridge 1 – Local ;1 | ;2 – bridge 2 – agent, as in a queue (docs/decisions/0004)."""
    names = {"one": "Local/101@queue-member-00000000;1", "two": "Local/101@queue-member-00000000;2"}

    def half(kind: str, seconds: float, uniqueid: str, bridge: str = "", held: bool = False) -> ChannelEvent:
        technology = "holding_bridge" if held else "simple_bridge"
        extra = {"bridge_id": bridge, "bridge_technology": technology} if bridge else {}
        return ChannelEvent(
            kind, at(seconds), uniqueid, CALLER, {**NAMES, **names}.get(uniqueid, uniqueid), extra
        )

    stories = ChannelStories()
    stories.take_all(
        [
            half("CHAN_START", 0, CALLER),
            half("CHAN_START", 1, "one"),
            half("CHAN_START", 1, "two"),
            half("CHAN_START", 1, AGENT),
            half("BRIDGE_ENTER", 5, CALLER, "b1"),
            half("BRIDGE_ENTER", 5, "one", "b1"),
            half("BRIDGE_ENTER", 8, "two", "b2"),
            half("BRIDGE_ENTER", 8, AGENT, "b2"),
            half("BRIDGE_ENTER", 20, CALLER, "parked", held=True),
            half("BRIDGE_ENTER", 20, AGENT, "parked", held=True),
            half("CHAN_END", 30, CALLER),
        ]
    )
    assert stories.talk_of([CALLER, AGENT], at(60)) == 12.0
    assert stories.partners_of(CALLER) == {AGENT}
