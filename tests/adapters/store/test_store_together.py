"""Several things kept altogether or not at all, and read at one instant: the contract of every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from ami_bridge.adapters.store import PromptEntry, SqlStore, Store
from ami_bridge.core.callbacks import CallbackState

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WORDS = PromptEntry("v1", "capture.permission", "en", "May we ring you back?")


async def test_what_is_written_together_is_there_afterwards(store: Store) -> None:
    async with store.together():
        callback = await store.create_callback("k", "sales", at=NOW)
        await store.update_callback(callback.id, at=NOW, name_recording="/x/name.wav")
        await store.put_conversation("fr1-1.1", {"callback": callback.id}, at=NOW)
        await store.save_prompt(WORDS)
        seen = await store.callback(callback.id)
        assert seen is not None, "what was written can be read on"
        assert seen.name_recording == "/x/name.wav"
    kept = await store.get_conversation("fr1-1.1")
    assert kept is not None
    assert kept.state["callback"] == callback.id
    assert await store.prompt("v1") == WORDS
    assert [change.subject for change in await store.changes(0)] == [callback.id, callback.id]


async def test_nothing_stays_of_what_broke_half_way(store: Store) -> None:
    before = await store.create_callback("earlier", "sales", at=NOW)

    async def broken() -> None:
        async with store.together():
            await store.create_callback("k", "sales", at=NOW)
            await store.update_callback(before.id, at=NOW, name_recording="/x/name.wav")
            await store.put_conversation("fr1-1.1", {}, at=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()
    assert await store.get_conversation("fr1-1.1") is None
    assert [callback.id for callback in await store.callbacks()] == [before.id]
    assert (await store.callbacks())[0].name_recording is None
    assert len(await store.changes(0)) == 1


async def test_who_is_cut_off_keeps_nobody_from_writing(store: Store) -> None:
    async def cut_off() -> None:
        async with store.together():
            await store.put_conversation("fr1-1.1", {}, at=NOW)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await cut_off()
    async with asyncio.timeout(5):
        await store.put_conversation("fr1-1.2", {}, at=NOW)
    assert await store.get_conversation("fr1-1.1") is None
    assert await store.get_conversation("fr1-1.2") is not None


async def test_many_at_once_do_not_mix(store: Store) -> None:
    """A MemoryStore only as long as nobody fails: it has one world, databases have one for each."""

    async def one(number: int) -> None:
        async with store.together():
            callback = await store.create_callback(f"k{number}", "sales", at=NOW)
            await store.put_conversation(f"fr1-{number}.1", {"callback": callback.id}, at=NOW)

    await asyncio.gather(*(one(number) for number in range(20)))
    found = {callback.key: callback.id for callback in await store.callbacks(limit=100)}
    assert len(found) == 20
    for number in range(20):
        kept = await store.get_conversation(f"fr1-{number}.1")
        assert kept is not None
        assert kept.state["callback"] == found[f"k{number}"]


async def test_looking_sees_one_world_and_writes_nothing(store: Store) -> None:
    callback = await store.create_callback("k", "sales", at=NOW)
    async with store.looking():
        found = await store.callback(callback.id)
        assert found is not None
        assert found.state is CallbackState.CAPTURING
        assert await store.do_not_call(["+79161234567"]) == []
        if isinstance(store, SqlStore):
            with pytest.raises(AssertionError, match="nothing would be"):
                await store.put_conversation("fr1-1.1", {}, at=NOW)
