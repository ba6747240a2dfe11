"""What the tests with real calls have in common: finding the record of a call, speaking, waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from agi.voice.cache import say
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackState, Consent
from ami_bridge.demo.stage import Stage

T = TypeVar("T")


async def eventually(ask: Callable[[], Awaitable[T | None]], what: str, seconds: float = 15.0) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = await ask()
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.1)


async def record_of(store: SqlStore, number: str, since: datetime, seconds: float = 15.0) -> dict[str, Any]:
    """The finished record of the call from ``number``."""

    async def ask() -> dict[str, Any] | None:
        for call in await store.calls(since=since, limit=100):
            if call.caller_number.lstrip("+") == number and call.ended_at is not None:
                return dict(call.record)
        return None

    return await eventually(ask, f"the record of {number}", seconds)


async def callback_of(
    store: SqlStore, number: str, states: set[CallbackState], since: datetime, seconds: float = 15.0
) -> Callback:
    """The callback that the caller ``number`` left, once it is in one of ``states``."""

    async def ask() -> Callback | None:
        for callback in await store.callbacks(since=since, limit=100):
            if callback.caller_id.lstrip("+") == number and callback.state in states:
                return callback
        return None

    return await eventually(ask, f"a callback of {number} in {sorted(states)}", seconds)


async def due_callback(
    store: SqlStore,
    number: str,
    at: datetime,
    department: str,
    *,
    language: str = "ru",
    number_source: str = "caller_id",
) -> Callback:
    """A callback as the capture leaves it: due at once, with consent given ``at``."""
    return await store.create_callback(
        f"test:{number}:{at.isoformat()}",
        department,
        event=CallbackEvent.CAPTURED,
        number=f"+{number}",
        number_confirmed=True,
        number_source=number_source,
        caller_id=number,
        language=language,
        consent=Consent(key="1", prompt_version="test", given_at=at, number=f"+{number}"),
    )


async def spoken(stage: Stage, words: str, language: str = "ru") -> Path:
    """A WAV of somebody saying ``words``."""
    path = stage.phones_folder / f"words-{abs(hash((words, language))):x}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(say, words, language, path)
    return path


def leg_of(record: dict[str, Any], agent: str) -> dict[str, Any]:
    """The leg of ``agent`` that was rung first."""
    legs = [
        leg for leg in record["legs"] if agent in (leg.get("endpoint"), leg.get("number"), leg.get("agent"))
    ]
    assert legs, f"no leg of {agent} in {record['legs']}"
    return legs[0]


def now() -> datetime:
    """This instant."""
    return datetime.now(UTC)
