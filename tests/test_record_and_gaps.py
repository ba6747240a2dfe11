"""A stretch of the journal tells again what the store holds; calls touched by a lost link say what is not known."""

from __future__ import annotations

import asyncio
import json
import stat
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.ami import ActionResult, FakeAmiLink, raw_event
from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.journal import Journal
from ami_bridge.adapters.lost_links import Listening, LostLink
from ami_bridge.adapters.store import MemoryStore
from ami_bridge.bench.alive import headers_of
from ami_bridge.bench.stream import NODE, ami_events
from ami_bridge.bridge import Bridge
from ami_bridge.cli.recording import gap_rows, record_stretch, silence_rows
from ami_bridge.errors import FourthRingError
from ami_bridge.replay import replay_file
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings

START = datetime(2026, 2, 23, 9, 0, tzinfo=UTC)


class Office:
    """A bridge with a real journal, fed with the calls of the bench's stream."""

    def __init__(self, folder: Path) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        self.folder = folder
        self.link, self.store, self.clock = FakeAmiLink(NODE), MemoryStore(), FakeClock(START)
        self.journal = Journal(folder, NODE)
        self.bridge = Bridge(parse_settings(document), self.link, self.journal, self.store, self.clock)
        self.link.restore()

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def hear(self, events: list[bytes]) -> None:
        for block in events:
            headers = headers_of(block)
            self.link.emit(raw_event(headers["Event"], headers, START))
        await self.settle()

    async def stored(self) -> dict[str, dict[str, Any]]:
        await self.bridge.writer.flush()
        await self.journal.flush()
        return {call.id: dict(call.record) for call in await self.store.calls(limit=1000)}

    def told_again(self) -> dict[str, dict[str, Any]]:
        out = self.folder.parent / "stretch.jsonl"
        record_stretch(self.folder, NODE, None, None, out, replace=True)
        return {record.call_id: record.as_json() for record in replay_file(out, NODE, self.bridge._rule_at)}

    def shown(self, *channels: tuple[str, str]) -> ActionResult:
        items = tuple(
            raw_event("CoreShowChannel", {"Channel": name, "Uniqueid": uniqueid, "Linkedid": uniqueid}, START)
            for name, uniqueid in channels
        )
        return ActionResult("CoreShowChannels", True, "", items=items)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path / "journal")
    running = asyncio.create_task(made.bridge.run())
    async with asyncio.timeout(10):
        # The bridge reads what an earlier one has left, in a thread, before it takes up the link.
        while not list(made.journal.entries()):
            await asyncio.sleep(0.01)
            await made.journal.flush()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.journal.close()


def without_department(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The configuration names the department of a DID; a replay alone does not know it."""
    return {key: {**record, "department": ""} for key, record in records.items()}


async def test_a_recorded_stretch_is_replayed_into_the_stored_records(office: Office) -> None:
    await office.hear(list(ami_events(25, alive=6, detail="account")))
    stored = await office.stored()
    assert len(stored) == 25
    assert any(record["answered_on_ring"] for record in stored.values())
    assert without_department(office.told_again()) == without_department(stored)


async def test_a_lost_link_is_replayed_too(office: Office) -> None:
    """The link is away while two calls talk; one of them survives, and its end is heard."""
    gone, kept = (
        list(ami_events(1, alive=1, detail="account", first=0)),
        list(ami_events(1, alive=1, detail="account", first=5)),
    )
    await office.hear(gone[:16] + kept[:16])
    office.link.lose()
    await office.settle()
    office.clock.advance(timedelta(seconds=10))
    living = {
        (headers["Channel"], headers["Uniqueid"])
        for headers in map(headers_of, kept[:16])
        if headers["Event"] == "Newchannel"
    }
    office.link.answer("CoreShowChannels", office.shown(*sorted(living)))
    office.link.restore()
    await office.settle()
    await office.hear(kept[16:])
    stored, again = await office.stored(), office.told_again()
    assert sorted(record["disposition"] for record in stored.values()) == ["ANSWERED", "UNKNOWN"]
    assert all(len(record["gaps"]) == 1 for record in stored.values())
    assert again.keys() == stored.keys()
    assert without_department(again) == without_department(stored)


async def test_a_stretch_has_its_ends_and_is_the_owners_alone(office: Office, tmp_path: Path) -> None:
    await office.hear(list(ami_events(1, alive=1, detail="read")))
    await office.journal.flush()
    out = tmp_path / "out.jsonl"
    later = START + timedelta(seconds=1)
    # The link's own marker carries this machine's time, which is after these events.
    count = record_stretch(office.folder, NODE, None, later, out)
    first, *names = [json.loads(line)["name"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert first == "SnapshotTaken"
    assert len(names) == count - 1 == sum(1 for _ in ami_events(1, alive=1, detail="read"))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with pytest.raises(FourthRingError, match="exists"):
        record_stretch(office.folder, NODE, None, None, out)
    with pytest.raises(FourthRingError, match="nothing of that time"):
        record_stretch(office.folder, NODE, None, START - timedelta(days=1), tmp_path / "none.jsonl")


def test_what_a_gap_leaves_unknown_is_said() -> None:
    gap = {"lost_at": "2026-02-23T09:00:10+00:00", "found_at": "2026-02-23T09:00:20.500+00:00"}
    vanished = {
        "call_id": "a",
        "started_at": "2026-02-23T09:00:00+00:00",
        "ended_at": gap["lost_at"],
        "disposition": "UNKNOWN",
        "hung_up_by": "unknown",
        "complete": False,
        "caller": {"number": "79161234567"},
        "gaps": [gap],
    }
    survived = {
        **vanished,
        "call_id": "b",
        "ended_at": "2026-02-23T09:01:00+00:00",
        "disposition": "ANSWERED",
        "hung_up_by": "caller",
        "complete": True,
    }
    untouched = {**survived, "gaps": []}
    first, second = gap_rows([vanished, survived, untouched])
    assert first["unknown"] == ["how it went on", "when it ended", "who hung up first"]
    assert first["seconds"] == 10.5
    assert second["unknown"] == ["holds, transfers and queue moves during the gap"]


def test_a_gap_that_touched_no_known_call_is_told_too(tmp_path: Path) -> None:
    """A call that came and went meanwhile is in no record; the PBX's own log counts it."""
    lost = LostLink(START, START + timedelta(seconds=10), "cut")
    before = LostLink(None, START - timedelta(days=1), "before the journal begins")
    open_end = LostLink(START + timedelta(hours=1), None, "gone")
    log = ChannelEventLog(tmp_path / "fourthring.csv")

    def line(kind: str, seconds: float, uniqueid: str, linkedid: str) -> str:
        stamp = (START + timedelta(seconds=seconds)).timestamp()
        return f'"{kind}","{stamp:.6f}","{uniqueid}","{linkedid}","PJSIP/101-1","",""\n'

    within = (("a", "a", 1, 9), ("b", "a", 2, 8), ("c", "c", -1, 5), ("d", "d", 5, 11), ("e", "e", 3, 4))
    log.file.write_text(
        "".join(
            line("CHAN_START", first, uniqueid, linkedid) + line("CHAN_END", last, uniqueid, linkedid)
            for uniqueid, linkedid, first, last in within
        )
    )
    heard = Listening((before, lost, open_end), None)
    closed, still = silence_rows(heard, log, None, None)
    assert (closed["call_id"], closed["seconds"]) == ("", 10.0)
    assert closed["unknown"] == ["calls that began and ended meanwhile: 2 in the PBX's log"]
    assert (still["found_at"], still["seconds"]) == (None, None)
    assert list(silence_rows(heard, log, START + timedelta(minutes=1), START + timedelta(minutes=5))) == []
    log.file.unlink()
    assert next(silence_rows(heard, log, None, None))["unknown"] == ["calls that began and ended meanwhile"]
