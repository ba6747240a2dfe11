"""Records reach the store: in batches, the newest form, however long the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ami_bridge import records_writer
from ami_bridge.adapters.store import StoreUnavailable
from ami_bridge.records_writer import RecordsWriter


class Shelf:
    """The part of a store that the writer uses."""

    def __init__(self) -> None:
        self.written: list[list[Mapping[str, Any]]] = []
        self.faults: list[Exception | None] = []
        self.before_write = lambda: None

    async def save_calls(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.before_write()
        await asyncio.sleep(0)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        if any(record.get("bad") for record in records):
            raise ValueError("no store can take this")
        self.written.append(list(records))


def version(call_id: str, number: int) -> dict[str, Any]:
    return {"call_id": call_id, "version": number}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def test_ten_changes_cost_one_write_of_the_newest_form(shelf: Shelf) -> None:
    newest = {"n": 0}
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, newest["n"]))  # type: ignore[arg-type]
    for number in range(10):
        newest["n"] = number
        writer.changed("c1")
    assert writer.waiting == 1
    await writer.flush()
    assert shelf.written == [[version("c1", 9)]]
    await writer.flush()
    assert len(shelf.written) == 1, "nothing waits, nothing is written"


async def test_a_finished_record_stands_against_later_changes(shelf: Shelf) -> None:
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, 1))  # type: ignore[arg-type]
    writer.changed("c1")
    writer.finished("c1", version("c1", 2))
    writer.changed("c1")
    await writer.flush()
    assert shelf.written == [[version("c1", 2)]]


async def test_a_call_that_ends_while_its_earlier_form_cannot_be_written(shelf: Shelf) -> None:
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, 1))  # type: ignore[arg-type]
    shelf.faults = [StoreUnavailable("away"), None]
    writer.changed("c1")
    shelf.before_write = lambda: writer.finished("c1", version("c1", 2))
    with pytest.raises(StoreUnavailable):
        await writer.flush()
    shelf.before_write = lambda: None
    await writer.flush()
    assert shelf.written == [[version("c1", 2)]]
    assert writer.waiting == 0


async def test_a_finished_record_outlives_a_write_that_fails(shelf: Shelf) -> None:
    writer = RecordsWriter(shelf, lambda _call_id: None)  # type: ignore[arg-type]
    shelf.faults = [StoreUnavailable("away"), None]
    writer.finished("c1", version("c1", 2))
    with pytest.raises(StoreUnavailable):
        await writer.flush()
    assert writer.waiting == 1
    await writer.flush()
    assert shelf.written == [[version("c1", 2)]]


async def test_a_cancelled_write_is_made_up_for(shelf: Shelf) -> None:
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, 1))  # type: ignore[arg-type]
    writer.changed("c1")
    writing = asyncio.create_task(writer.flush())
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert writer.waiting == 1


async def test_records_nobody_can_store_or_tell_are_left_out(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    def record_of(call_id: str) -> Mapping[str, Any] | None:
        if call_id == "untellable":
            raise KeyError(call_id)
        return None if call_id == "forgotten" else version(call_id, 1)

    writer = RecordsWriter(shelf, record_of)  # type: ignore[arg-type]
    for call_id in ("untellable", "forgotten", "good"):
        writer.changed(call_id)
    writer.finished("bad", {"call_id": "bad", "bad": True})
    await writer.flush()
    assert [record["call_id"] for batch in shelf.written for record in batch] == ["good"]
    assert writer.waiting == 0
    assert caplog.text.count("left out") == 2


async def test_it_writes_by_itself_and_tries_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_writer, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(records_writer, "_LONGEST_PAUSE", 0.02)
    written = asyncio.Event()
    shelf.faults = [StoreUnavailable("away"), StoreUnavailable("away"), None]
    shelf.before_write = lambda: written.set() if len(shelf.faults) <= 1 else None
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, 1))  # type: ignore[arg-type]
    running = asyncio.create_task(writer.run())
    writer.changed("c1")
    await asyncio.wait_for(written.wait(), 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert writer.failures == 2
    assert shelf.written == [[version("c1", 1)]]


async def test_what_waits_is_written_at_the_end(shelf: Shelf) -> None:
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, 1))  # type: ignore[arg-type]
    running = asyncio.create_task(writer.run())
    await asyncio.sleep(0)
    writer.finished("c1", version("c1", 2))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert shelf.written == [[version("c1", 2)]]


async def test_a_store_that_hangs_does_not_hold_up_the_end(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_writer, "_LAST_WRITE_SECONDS", 0.05)

    async def never(records: object) -> None:
        await asyncio.Event().wait()

    shelf.save_calls = never  # type: ignore[method-assign]
    writer = RecordsWriter(shelf, lambda call_id: version(call_id, 1))  # type: ignore[arg-type]
    running = asyncio.create_task(writer.run())
    await asyncio.sleep(0)
    writer.changed("c1")
    running.cancel()
    await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 5)
