"""Real calls on Asterisk 22 with chan_pjsip, recorded with scripted phones: the truth is what they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.replay import replay_events, replay_file
from tests.scenarios.truth import told

FOLDER = Path(__file__).resolve().parents[1] / "recordings" / "asterisk22"
TRUTHS = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
# A scene has one call, or several in the order in which they end.
EXPECTED: dict[str, list[dict[str, Any]]] = {
    name: truth if isinstance(truth, list) else [truth] for name, truth in TRUTHS.items()
}


def events_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_scene_and_its_truth(name: str) -> None:
    records = list(replay_file(FOLDER / f"{name}.jsonl"))
    assert [told(record) for record in records] == EXPECTED[name]
    assert all(record.complete for record in records)
    channels = [headers["Uniqueid"] for headers in events_of(name) if headers["Event"] == "Newchannel"]
    assert sorted(uniqueid for record in records for uniqueid in record.uniqueids) == sorted(channels)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_doubled(name: str) -> None:
    whole = list(replay_events(events_of(name)))
    assert list(replay_events(headers for headers in events_of(name) for _ in range(2))) == whole


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_any_beginning_or_end_may_be_missing(name: str) -> None:
    events = events_of(name)
    for cut in range(len(events)):
        for part in (events[cut:], events[:cut]):
            for record in replay_events(part):
                record.as_json()


def test_a_phone_that_declines_says_so_by_its_end_where_dial_was_faster_than_its_request() -> None:
    """Seen on a busy machine: Dial had let go of the phone before its hang-up request was told."""
    events = events_of("dnd_603")
    phone = next(headers["Channel"] for headers in events if headers["Event"] == "HangupRequest")
    assert phone.startswith("PJSIP/101-")
    told_late = [
        headers for headers in events if (headers["Event"], headers["Channel"]) != ("HangupRequest", phone)
    ]
    assert len(told_late) == len(events) - 1
    (record,) = replay_events(told_late)
    assert (record.disposition, record.legs[0].outcome) == ("BUSY", "REJECTED")


def test_durations_come_from_the_events() -> None:
    """The scripted phone answered after 0.25 s of ringing, the caller hung up 0.4 s later."""
    (record,) = replay_file(FOLDER / "plain_a.jsonl")
    assert record.rung[0].ring_seconds == pytest.approx(0.25, abs=0.1)
    assert record.talk_seconds == pytest.approx(0.4, abs=0.1)
    (queued,) = replay_file(FOLDER / "queue_abandon.jsonl")
    assert queued.queue is not None
    assert (queued.queue.name, queued.queue.left_reason) == ("sales", "abandoned")
    assert queued.queue.wait_seconds == pytest.approx(8.5, abs=0.6)


def channel_of(headers: dict[str, Any]) -> str:
    return str(headers.get("Uniqueid") or headers.get("TransfererUniqueid") or headers.get("BridgeUniqueid"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_channels_may_change_places_within_a_millisecond(name: str) -> None:
    """Asterisk's threads write to the manager side by side: what is told in one millisecond has no order."""
    events = events_of(name)
    for first in range(len(events) - 1):
        one, other = events[first], events[first + 1]
        at_once = float(other["Timestamp"]) - float(one["Timestamp"]) <= 0.001
        if at_once and channel_of(one) != channel_of(other):
            swapped = [*events[:first], other, one, *events[first + 2 :]]
            told_so = [told(record) for record in replay_events(swapped)]
            assert sorted(told_so, key=str) == sorted(EXPECTED[name], key=str), f"{first}: {one} and {other}"
