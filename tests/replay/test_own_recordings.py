"""Real calls on Asterisk 22 with chan_pjsip, recorded with scripted phones: the truth is what they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.core.records import CallRecord
from ami_bridge.replay import replay_events, replay_file

FOLDER = Path(__file__).resolve().parents[1] / "recordings" / "asterisk22"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


def told(record: CallRecord) -> dict[str, Any]:
    return {
        "disposition": record.disposition.value,
        "answered": [party.extension for party in record.answers],
        "rung": [[leg.party.extension, leg.ring_verdict] for leg in record.rung],
        "transfers": [
            [
                transfer.kind,
                transfer.transferer.extension,
                transfer.transferee.extension if transfer.transferee else None,
                transfer.target.extension if transfer.target else None,
                transfer.outcome,
            ]
            for transfer in record.transfers
        ],
        "hung_up_by": record.hung_up_by,
    }


def events_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_one_call_and_its_truth(name: str) -> None:
    (record,) = replay_file(FOLDER / f"{name}.jsonl")
    assert told(record) == EXPECTED[name]
    assert record.complete
    assert set(record.uniqueids) == {
        headers["Uniqueid"] for headers in events_of(name) if headers["Event"] == "Newchannel"
    }


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_doubled(name: str) -> None:
    (whole,) = replay_events(events_of(name))
    (doubled,) = replay_events(headers for headers in events_of(name) for _ in range(2))
    assert doubled == whole


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_any_beginning_or_end_may_be_missing(name: str) -> None:
    events = events_of(name)
    for cut in range(len(events)):
        for part in (events[cut:], events[:cut]):
            for record in replay_events(part):
                record.as_json()


def test_durations_come_from_the_events() -> None:
    """The scripted phone answered after 0.8 s of ringing, the caller hung up 4 s after the call's start."""
    (record,) = replay_file(FOLDER / "plain_a.jsonl")
    assert record.rung[0].ring_seconds == pytest.approx(0.8, abs=0.05)
    assert record.talk_seconds == pytest.approx(3.2, abs=0.05)
    (queued,) = replay_file(FOLDER / "queue_abandon.jsonl")
    assert queued.queue is not None
    assert (queued.queue.name, queued.queue.left_reason) == ("sales", "abandoned")
    assert queued.queue.wait_seconds == pytest.approx(8.5, abs=0.6)
