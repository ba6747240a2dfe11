"""The journal and its fake under one contract, then the journal's own troubles with a real disk."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest

from ami_bridge.adapters.ami import LinkLost, LinkReady, RawEvent, raw_event
from ami_bridge.adapters.journal import (
    Command,
    Journal,
    JournalError,
    JournalPort,
    read_journal,
)
from ami_bridge.adapters.memory_journal import MemoryJournal

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
QUICK_MS = 5


def numbered(number: int) -> RawEvent:
    return raw_event("Newstate", {"Uniqueid": f"fr1-1.{number}", "CallerIDName": "Иван\r\n\u2028🙂"}, AT)


def seqs_and_torn(folder: Path) -> tuple[list[int], list[int]]:
    """The sequence numbers that can be read, and the line numbers that cannot."""
    torn: list[int] = []
    entries = read_journal(folder, on_torn=lambda _path, number, _fault: torn.append(number))
    return [entry.seq for entry in entries], torn


@pytest.fixture(params=["disk", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JournalPort]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    subject = Journal(tmp_path / "journal", "fr1", fsync_ms=QUICK_MS)
    yield subject
    subject.close_now()


async def test_what_was_flushed_is_read_back_as_it_was(journal: JournalPort) -> None:
    repaired = RawEvent("Hangup", {"Event": "Hangup", "ChanVariable": ["A=1", "B=2"]}, AT, repaired=True)
    items = [
        LinkReady(AT, first=True),
        numbered(1),
        repaired,
        Command("Redirect", {"Channel": "PJSIP/a-1", "Priority": 1}, AT),
        LinkLost(AT, "gone"),
    ]
    assert [journal.append(item) for item in items] == [1, 2, 3, 4, 5]
    assert await journal.flush()
    entries = list(journal.entries())
    assert [(entry.seq, entry.kind, entry.name) for entry in entries] == [
        (1, "marker", "LinkReady"),
        (2, "event", "Newstate"),
        (3, "event", "Hangup"),
        (4, "command", "Redirect"),
        (5, "marker", "LinkLost"),
    ]
    assert entries[1].as_raw_event() == numbered(1)
    assert entries[2].as_raw_event() == repaired
    assert entries[4].headers == {"reason": "gone"}
    assert all(entry.at == AT for entry in entries)


async def test_since_gives_what_is_younger(journal: JournalPort) -> None:
    for number in range(10):
        journal.append(numbered(number))
    await journal.flush()
    assert [entry.seq for entry in journal.entries(since=8)] == [8, 9, 10]


async def test_a_closed_journal_keeps_all_and_takes_no_more(journal: JournalPort) -> None:
    journal.append(numbered(1))
    await journal.close()
    assert len(list(journal.entries())) == 1
    with pytest.raises(JournalError):
        journal.append(numbered(2))


async def test_without_a_flush_all_is_durable_within_the_batch_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "fr1", fsync_ms=20)
    journal.append(numbered(1))
    async with asyncio.timeout(5):
        while journal.synced_seq < 1:  # noqa: ASYNC110 - the thread under test has no asyncio event
            await asyncio.sleep(0.005)
    assert len(list(read_journal(tmp_path))) == 1
    await journal.close()


async def test_a_new_start_goes_on_counting_in_a_new_segment(tmp_path: Path) -> None:
    for _ in range(3):
        journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
        journal.append(numbered(1))
        await journal.close()
    assert [entry.seq for entry in read_journal(tmp_path)] == [1, 2, 3]
    assert len(list(tmp_path.glob("fr1-*.jsonl"))) == 3


async def test_a_torn_last_line_is_skipped_and_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    journal.append(numbered(1))
    journal.append(numbered(2))
    await journal.close()
    [segment] = tmp_path.glob("fr1-*.jsonl")
    whole = segment.read_bytes()
    second = whole.index(b"\n") + 1
    for size in range(second, len(whole)):
        segment.write_bytes(whole[:size])
        assert seqs_and_torn(tmp_path) == ([1], [2] if size > second else [])
    restarted = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    assert restarted.append(numbered(3)) == 2
    await restarted.close()
    assert [entry.seq for entry in read_journal(tmp_path)] == [1, 2]


async def test_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    for number in range(3):
        journal.append(numbered(number))
    await journal.close()
    [segment] = tmp_path.glob("fr1-*.jsonl")
    lines = segment.read_bytes().split(b"\n")
    for damage in (b'{"seq":2}', b"\xff\xff", b"[]", b"null", b""):
        segment.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
        told = seqs_and_torn(tmp_path)
        assert told == ([1, 3], [2])


async def test_segments_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "fr1", rotate_bytes=2000, fsync_ms=QUICK_MS, keep_bytes=6000)
    for number in range(100):
        journal.append(numbered(number))
        await journal.flush()
    await journal.close()
    segments = sorted(tmp_path.glob("fr1-*.jsonl"))
    assert 2 <= len(segments) <= 5
    kept = [entry.seq for entry in read_journal(tmp_path)]
    assert kept == list(range(kept[0], 101))
    assert kept[0] > 1
    assert [entry.seq for entry in read_journal(tmp_path, since=95)] == list(range(95, 101))
    assert [entry.seq for entry in read_journal(tmp_path, since=AT + timedelta(seconds=1))] == []


async def test_old_segments_go_by_age(tmp_path: Path) -> None:
    first = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    first.append(numbered(1))
    await first.close()
    [segment] = tmp_path.glob("fr1-*.jsonl")
    old = time.time() - 31 * 86_400
    os.utime(segment, (old, old))
    second = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS, keep_days=30)
    second.append(numbered(2))
    await second.close()
    assert [entry.seq for entry in read_journal(tmp_path)] == [2]


class Disk:
    """Opens real files that can become full: a write takes half of its bytes and then fails."""

    def __init__(self) -> None:
        self.full = False

    def open(self, path: Path) -> IO[bytes]:
        disk = self
        real: Any = path.open("ab", buffering=0)

        class Limited:
            def write(self, payload: memoryview) -> int:
                if disk.full:
                    real.write(payload[: len(payload) // 2])
                    raise OSError(errno.ENOSPC, "No space left on device")
                return int(real.write(payload))

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        limited: Any = Limited()
        return limited


async def test_a_full_disk_stops_nobody_and_is_told(tmp_path: Path) -> None:
    disk = Disk()
    journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS, max_waiting=5, opener=disk.open)
    journal.append(numbered(1))
    assert await journal.flush()
    assert (tmp_path / ".fr1.reserve").exists()
    disk.full = True
    for number in range(2, 10):
        journal.append(numbered(number))
    assert not await journal.flush()
    assert journal.trouble is not None
    assert "No space left on device" in journal.trouble
    assert not (tmp_path / ".fr1.reserve").exists()
    assert journal.waiting == 5
    assert journal.dropped == 3
    disk.full = False
    async with asyncio.timeout(5):
        while journal.trouble is not None or journal.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    journal.append(numbered(10))
    await journal.close()
    assert seqs_and_torn(tmp_path) == ([1, 2, 3, 4, 5, 6, 10], [])


async def test_close_on_a_full_disk_ends(tmp_path: Path) -> None:
    disk = Disk()
    journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS, opener=disk.open)
    disk.full = True
    journal.append(numbered(1))
    async with asyncio.timeout(5):
        await journal.close()
        assert not await journal.flush()
    assert list(read_journal(tmp_path)) == []


async def test_an_item_that_is_no_json_costs_only_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    journal.append(Command("Bad", {("tuple",): 1}, AT))  # type: ignore[dict-item]
    journal.append(numbered(2))
    assert await journal.flush()
    await journal.close()
    assert [entry.name for entry in read_journal(tmp_path)] == ["UnwritableEntry", "Newstate"]


async def test_two_processes_never_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    with pytest.raises(JournalError, match="Another process keeps the journal"):
        Journal(tmp_path, "fr1", fsync_ms=QUICK_MS)
    await journal.close()


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="Cannot keep the journal"):
        Journal(tmp_path / "file" / "journal", "fr1")


KILLED = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from ami_bridge.adapters.ami import raw_event
from ami_bridge.adapters.journal import Journal
journal = Journal(Path(sys.argv[1]), "fr1", fsync_ms=5)
while True:
    for _ in range(50):
        journal.append(raw_event("Newstate", {"Uniqueid": "fr1-1.1"}, datetime.now(UTC)))
    journal.flush_now()
    print(journal.synced_seq, flush=True)
"""


def _read_synced(process: subprocess.Popen[str], at_least: int, read: Callable[[], str]) -> int:
    synced = 0
    while synced < at_least:
        synced = int(read())
    process.send_signal(signal.SIGKILL)
    process.wait()
    return synced


def test_what_was_told_durable_survives_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        synced = _read_synced(process, 500, process.stdout.readline)
    kept = [entry.seq for entry in read_journal(tmp_path, on_torn=lambda *_: None)]
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= synced
    for segment in tmp_path.glob("*.jsonl"):
        json.loads(segment.read_text(encoding="utf-8").splitlines()[0])
