"""The bench runs and its ratios are of the right size. Bounds are generous: other work shares these cores."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ami_bridge.adapters.ami import AmiReader, RawEvent
from ami_bridge.bench import tracker as bench
from ami_bridge.bench import turns
from ami_bridge.bench.peer import measure_peer
from ami_bridge.bench.stream import NODE, Detail, ami_events, in_chunks
from ami_bridge.core.events import READ_EVENTS, parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import Disposition
from ami_bridge.core.tracker import CallTracker
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings


@pytest.mark.parametrize("detail", ["read", "account", "everything"])
def test_the_stream_is_what_a_pbx_would_send(detail: Detail) -> None:
    """Every event is believed, and the calls come out as the stories tell them: else the bench measures refusals."""
    reader, tracker = AmiReader(NODE, wanted=READ_EVENTS), CallTracker(NODE)
    ended = []
    for chunk in in_chunks(b"".join(ami_events(10, alive=3, detail=detail))):
        for item in reader.feed(chunk, bench._AT):
            assert isinstance(item, RawEvent)
            event = parse(item.headers, item.received_at, NODE)
            assert event is not None
            ended += [fact.record for fact in tracker.apply(event) if isinstance(fact, CallEnded)]
    assert not reader.refused
    # Of each queued call: who is answered has left the queue before QueueCallerLeave says so, as on a real PBX.
    assert tracker.counters == {"doubled": 2}
    assert tracker.calls() == []
    by_number = sorted(ended, key=lambda record: record.started_at or bench._AT)
    dispositions = [record.disposition for record in by_number]
    answered, cancelled = Disposition.ANSWERED, Disposition.CANCELLED
    assert sorted(dispositions) == [*[answered] * 8, *[cancelled] * 2]
    assert {record.hung_up_by for record in ended} == {"caller", "agent"}
    assert sum(bool(record.failover_reason) for record in ended) == 2
    assert all(record.complete for record in ended)


def test_all_contenders_see_the_same_calls() -> None:
    reads = in_chunks(b"".join(ami_events(20, alive=5, detail="account")))
    assert bench.through_panoramisk(reads) == 20
    assert bench.plain_dicts(reads) == sum(1 for _ in ami_events(20, alive=5, detail="account"))
    assert bench.bytes_to_facts(reads) > 20 * 5


def test_without_the_peer_there_is_a_reason_and_no_ratio(tmp_path: Path) -> None:
    figures = measure_peer(tmp_path, None, 1)
    assert figures["ratio_peer"] is None
    assert str(tmp_path) in figures["ratio_peer_reason"]


@pytest.mark.slow
def test_ratios_in_one_run() -> None:
    figures = bench.measure(finished_calls=20_000, rounds=3)
    assert figures["machine"]["python"]
    assert figures.keys() >= bench.WANTED.keys()
    assert figures["ratio_panoramisk"] > 1.5
    assert figures["ratio_panoramisk_everything"] > 1.8
    assert figures["ratio_plain_dicts"] > 0.3
    assert figures["bytes_per_live_call"] < 6_000
    assert figures["flatness_10_to_10000"] < 1.6
    assert figures["objects_kept_per_finished_call"] < 0.05
    assert figures["memory_at_end_over_a_tenth"] < 1.2
    assert figures["calls_left_open"] == 0
    assert "ratio_peer" in figures


async def test_turns_while_others_write(tmp_path: Path) -> None:
    """Turns are taken and the writers write; how long it takes is the machine's business."""
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(tmp_path)
    settings = parse_settings(document)
    figures = await turns.measure(settings, turns.Crowd(callers=1, seconds=1.0, writers=1))
    assert figures["prompts_missing"] == 0
    assert figures["turns"] >= 1
    assert sum(figures["outcomes"].values()) == 2 * figures["turns"], (
        "each is counted as connected and by its end"
    )
    assert list(tmp_path.glob("bench-turns*")) == []
