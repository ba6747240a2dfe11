"""The wire from the bridge to the desk, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ami_bridge.adapters import live_wire
from ami_bridge.adapters.live_wire import DeskWire, LiveWire, WireLost
from ami_bridge.desk.board import Board


@pytest.fixture
def path() -> Any:
    with TemporaryDirectory(prefix="fr-") as folder:  # a socket's path is short
        yield Path(folder) / "live.sock"


class Calls(dict[str, dict[str, Any]]):
    """The calls of a bridge."""

    def put(self, call_id: str, **more: Any) -> None:
        plain = {"call_id": call_id, "phase": "ringing", "department": "sales", "ringing": ["101"]}
        self[call_id] = {**plain, "agents": [], "absorbed": [], **more}


@contextlib.asynccontextmanager
async def listening(path: Path, calls: Calls) -> AsyncIterator[LiveWire]:
    wire = LiveWire(path, calls.get, lambda: list(calls.values()))
    running = asyncio.create_task(wire.run())
    async with asyncio.timeout(5):
        while not (path.exists() and path.is_socket()):  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0.01)
    yield wire
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def desk(path: Path) -> AsyncIterator[Board]:
    """A board that follows the wire."""
    board = Board()

    async def follow() -> None:
        async with contextlib.aclosing(DeskWire(path).messages()) as messages:
            async for message in messages:
                board.told(message)

    running = asyncio.create_task(follow())
    yield board
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(reached: Any) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - the board has no event to wait for
            await asyncio.sleep(0.005)


async def test_who_connects_sees_what_goes_on_and_every_change_after_it(path: Path) -> None:
    calls = Calls()
    calls.put("c1")
    async with listening(path, calls) as wire, desk(path) as board:
        wire.linked(True)
        await until(lambda: board.linked)
        assert set(board.calls) == {"c1"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        calls.put("c2")
        calls.put("c1", phase="talking")
        for changed in ("c2", "c1", "c1"):
            wire.changed(changed)
        await until(lambda: "c2" in board.calls)
        assert board.calls["c1"]["phase"] == "talking"
        before = board.n
        wire.ended("c1", {**calls.pop("c1"), "phase": "ended"})
        await until(lambda: "c1" not in board.calls)
        assert board.n == before + 1
        (frame,) = board.after(before) or []
        assert frame.audience is not None
        assert frame.audience.includes("101", ())
        assert not frame.audience.includes("103", ("support",))


async def test_a_call_that_becomes_part_of_another_leaves_the_board(path: Path) -> None:
    calls = Calls()
    calls.put("c1")
    calls.put("c2")
    async with listening(path, calls) as wire, desk(path) as board:
        await until(lambda: len(board.calls) == 2)
        calls.put("c1", absorbed=["c2"])
        del calls["c2"]
        wire.changed("c2")
        wire.changed("c1")
        await until(lambda: set(board.calls) == {"c1"})


async def test_a_bridge_that_was_killed_comes_back_with_a_new_picture(path: Path) -> None:
    calls = Calls()
    calls.put("old")
    async with desk(path) as board:
        async with listening(path, calls) as wire:
            wire.linked(True)
            await until(lambda: board.linked)
        await until(lambda: not board.linked)
        assert set(board.calls) == {"old"}, "what was last known stays, marked as old"
        later = Calls()
        later.put("new")
        async with listening(path, later) as wire:
            wire.linked(True)
            await until(lambda: board.linked and set(board.calls) == {"new"})


async def test_a_desk_that_does_not_read_is_cut_off_and_the_others_miss_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_wire, "MOST_WAITING", 200_000)
    monkeypatch.setattr(live_wire, "GATHER_SECONDS", 0.0)
    calls = Calls()
    async with listening(path, calls) as wire, desk(path) as board:
        stuck, _writer = await asyncio.open_unix_connection(path, limit=16)
        await until(lambda: len(wire._readers) == 2)
        told = 0
        while len(wire._readers) == 2:
            for _ in range(50):
                calls.put("c1", number="7" * 2000, told=told)
                wire.changed("c1")
                wire._flush()
                told += 1
            await asyncio.sleep(0)
            assert told < 20_000, "nobody was cut off"
        await until(lambda: board.calls["c1"]["told"] == told - 1)
        assert stuck is not None


async def test_without_a_place_for_the_socket_the_bridge_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wire = LiveWire(tmp_path / ("x" * 200) / "live.sock", lambda _: None, list)
    await asyncio.wait_for(wire.run(), 5)
    assert "the desks will be slower" in caplog.text


async def test_a_desk_asks_and_is_answered_and_says_so_when_nobody_is_there(path: Path) -> None:
    wire, asked = DeskWire(path), []

    async def answer(question: Any) -> dict[str, Any]:
        asked.append(question)
        return {"ok": question["paused"]}

    async def follow() -> None:
        async for _ in wire.messages():
            pass

    with pytest.raises(WireLost):
        await wire.ask({"pause": "101", "paused": True})
    async with listening(path, Calls()) as bridge:
        bridge.answer = answer
        following = asyncio.create_task(follow())
        await until(lambda: bool(bridge._readers))
        await until(lambda: wire._writer is not None)
        first, second = await asyncio.gather(
            wire.ask({"pause": "101", "paused": True}), wire.ask({"pause": "102", "paused": False})
        )
    assert (first["ok"], second["ok"]) == (True, False)
    assert [question["pause"] for question in asked] == ["101", "102"]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
