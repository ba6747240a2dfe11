"""Logs of real Asterisks, made by others: whole, cut, doubled and shuffled, they tell one story."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import CallRecord
from ami_bridge.core.tracker import CallTracker

# Where the recordings' own verdict is opinion, and why ours differs.
OPINIONS = {
    "queue/queue_a_cancel.json": {
        "ABANDONED"
    },  # hung up while waiting in a queue, though the PBX had answered
    "simple/a_created_no_answer.json": {"NO_ANSWER"},  # the PBX answered, no person did
}
DISPOSITION_OF_REASON = {
    "completed": "ANSWERED",
    "busy": "BUSY",
    "no-answer": "NO_ANSWER",
    "cancelled": "CANCELLED",
}
TRANSFERS = {"on_blind_transfer": "blind", "on_attended_transfer": "attended", "on_blonde_transfer": "blonde"}

Events = list[dict[str, Any]]


def run(events: Iterable[dict[str, Any]]) -> tuple[list[CallRecord], CallTracker]:
    tracker = CallTracker("test")
    ended = []
    for headers in events:
        event = parse(headers)
        if event is not None:
            ended += [fact.record for fact in tracker.apply(event) if isinstance(fact, CallEnded)]
    assert "fault" not in tracker.counters, tracker.counters
    assert max(Counter(record.call_id for record in ended).values(), default=0) <= 1
    return ended, tracker


def story_of(records: list[CallRecord]) -> list[Any]:
    """What must not change however the events arrive."""
    return sorted(
        (
            record.kind,
            record.disposition.value,
            record.caller.uniqueid if record.caller else "",
            [party.uniqueid for party in record.answers],
            sorted(leg.party.uniqueid for leg in record.rung),
            [(t.kind, t.outcome, t.target.uniqueid if t.target else "") for t in record.transfers],
            sorted(record.uniqueids),
            sorted(record.linkedids),
        )
        for record in records
    )


def names() -> list[str]:
    # Listed by name so that a missing folder shows as skips, not as an empty run.
    return [
        "mobile/acceptance_reject.json",
        "mobile/simple_mobile.json",
        "originate/ctd-account-account.json",
        "originate/ctd-account-world-deny-b.json",
        "queue/queue_a_cancel.json",
        "queue/queue_simple.json",
        "simple/a_created_no_answer.json",
        "simple/ab_callgroup.json",
        "simple/ab_dnd.json",
        "simple/ab_success_b_hangup.json",
        "simple/ab_success_twoclients.json",
        "xfer_attended/xfer_abbcac.json",
        "xfer_attended/xfer_abcbac.json",
        "xfer_blind/xfer_blind_abbcac.json",
        "xfer_blind/xfer_blind_b_no_answer.json",
        "xfer_blind/xfer_blind_group.json",
        "xfer_blonde/xfer_blonde_abbcac.json",
        "xfer_blonde/xfer_blonde_reject.json",
        "xfer_misc/call_forwarding.json",
        "xfer_misc/sip_pickup.json",
    ]


@pytest.fixture(params=names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def events(recordings: Path, name: str) -> Events:
    loaded: Events = json.loads((recordings / name).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def expected(recordings: Path, name: str) -> Events:
    hooks: Events = json.loads((recordings / "expected.json").read_text(encoding="utf-8"))[name]
    return hooks


def uniqueids(hook: dict[str, Any]) -> list[str]:
    return [target["uniqueid"] for target in hook.get("targets") or [hook["target"]]]


def test_no_recording_is_forgotten(recordings: Path) -> None:
    assert sorted(json.loads((recordings / "expected.json").read_text(encoding="utf-8"))) == names()


def test_whole_recording_tells_the_expected_story(name: str, events: Events, expected: Events) -> None:
    records, tracker = run(events)
    assert tracker.calls() == [], "every call ended"
    ends = [hook for hook in expected if hook["hook"] == "on_hangup"]
    assert len(records) == len(ends)
    for end in ends:
        (record,) = [record for record in records if end["caller"]["uniqueid"] in record.uniqueids]
        assert end["caller"]["linkedid"] in record.linkedids
        assert record.disposition in OPINIONS.get(name, {DISPOSITION_OF_REASON[end["reason"]]})
    rung = {leg.party.uniqueid for record in records for leg in record.rung}
    dialled = [hook for hook in expected if hook["hook"] in ("on_b_dial", "on_blind_transfer")]
    assert rung == {uniqueid for hook in dialled for uniqueid in uniqueids(hook)}
    up = [hook["target"]["uniqueid"] for hook in expected if hook["hook"] == "on_up"]
    assert Counter(party.uniqueid for record in records for party in record.answers) == Counter(up)


def test_whole_recording_tells_the_expected_transfers(events: Events, expected: Events) -> None:
    records, _ = run(events)
    # The recordings' authors tell a blind transfer only when a phone rang for it; ours tells every one.
    rung = {leg.party.uniqueid for record in records for leg in record.rung}
    transfers = [transfer for record in records for transfer in record.transfers]
    made = [t for t in transfers if t.kind != "blind" or rung & {party.uniqueid for party in t.targets}]
    told = [hook for hook in expected if hook["hook"] in TRANSFERS]
    assert [transfer.kind for transfer in made] == [TRANSFERS[hook["hook"]] for hook in told]
    for transfer, hook in zip(made, told, strict=True):
        transferers = {transfer.transferer.uniqueid, getattr(transfer.consultation, "uniqueid", "")}
        assert hook["transferer"]["uniqueid"] in transferers
        assert transfer.transferee is not None
        assert transfer.transferee.uniqueid == hook["caller"]["uniqueid"]
        assert {party.uniqueid for party in transfer.targets} == set(uniqueids(hook))


def test_doubled_events_change_nothing(events: Events) -> None:
    whole, _ = run(events)
    doubled, tracker = run(headers for headers in events for _ in range(2))
    assert doubled == whole
    assert tracker.calls() == []


def test_any_beginning_may_be_missing(events: Events) -> None:
    for missing in range(1, len(events)):
        run(events[missing:])


def test_any_end_may_be_missing(events: Events) -> None:
    for kept in range(len(events)):
        records, tracker = run(events[:kept])
        for record in [*records, *tracker.calls()]:
            record.as_json()


def test_any_one_event_may_be_missing(events: Events) -> None:
    for lost in range(len(events)):
        run(events[:lost] + events[lost + 1 :])


def channel_of(headers: dict[str, Any]) -> str:
    return str(headers.get("Uniqueid") or headers.get("TransfererUniqueid") or headers.get("BridgeUniqueid"))


def test_neighbours_of_different_channels_may_change_places(events: Events) -> None:
    told = story_of(run(events)[0])
    for first in range(len(events) - 1):
        if channel_of(events[first]) != channel_of(events[first + 1]):
            swapped = [*events[:first], events[first + 1], events[first], *events[first + 2 :]]
            assert story_of(run(swapped)[0]) == told, f"events {first} and {first + 1}"


@pytest.mark.parametrize("seed", range(20))
def test_channels_may_be_shuffled_within_a_moment(events: Events, seed: int) -> None:
    """Each channel's own events keep their order; those of different channels mix within four events."""
    choose = random.Random(seed)
    shuffled: Events = []
    for start in range(0, len(events), 4):
        queues: dict[str, Events] = defaultdict(list)
        for headers in events[start : start + 4]:
            queues[channel_of(headers)].append(headers)
        order = [channel_of(headers) for headers in events[start : start + 4]]
        choose.shuffle(order)
        shuffled += [queues[channel].pop(0) for channel in order]
    assert story_of(run(shuffled)[0]) == story_of(run(events)[0])


def test_two_recordings_at_once_stay_apart(recordings: Path) -> None:
    """Interleaved event by event, as if both calls had happened at the same time."""
    one, other = (json.loads((recordings / name).read_text()) for name in (names()[11], names()[16]))
    mixed = [headers for pair in zip(one, other, strict=False) for headers in pair]
    mixed += one[len(other) :] + other[len(one) :]
    assert story_of(run(mixed)[0]) == sorted(story_of(run(one)[0]) + story_of(run(other)[0]))
