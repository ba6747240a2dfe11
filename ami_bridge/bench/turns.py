"""How long a turn of a conversation takes while every other service writes to the same store.

Everything is real but Asterisk: the AGI with its own connection to the store, and processes beside it that write as
bridge, dialer and desk do, without a rest. Callers leave callbacks, one turn after another.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from agi.server import AgiServer
from agi.variables import Variable
from agi.voice import sound
from agi.voice.cache import VoiceCache
from ami_bridge.adapters.store import SqlStore, Store, opened_store
from ami_bridge.bench.greeting import TOKEN, ask, free_port, percentile
from ami_bridge.bench.machine import machine
from ami_bridge.settings import Settings

WANTED = {"turns_failed": "0", "turn_p99_ms": "≤ 1350"}
#: What a caller answers: agrees, takes the number, says name and subject, soon, all is right.
_ANSWERS = ("", "1", "1", "DTMF", "DTMF", "1", "1")
_BETWEEN_SECONDS = 0.2
_WRITERS = ("bridge", "dialer", "desk")
_RECORDS_AT_ONCE = 30
_START_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many callers at once, for how long, beside how many writing processes."""

    callers: int = 4
    seconds: float = 15.0
    writers: int = 3


async def measure(settings: Settings, crowd: Crowd) -> dict[str, Any]:
    """Figures of one run."""
    network = settings.network.model_copy(update={"agi_port": free_port(str(settings.network.address))})
    settings = settings.model_copy(update={"network": network})
    url = f"sqlite+aiosqlite:///{settings.state_folder}/bench-turns-{secrets.token_hex(4)}.db"
    voice, store = VoiceCache(settings), SqlStore(url, at_once=True)
    missing = await asyncio.to_thread(voice.prepare)
    await store.open()
    server = AgiServer(settings, store, voice, TOKEN)
    await server.start()
    kinds = [_WRITERS[number % len(_WRITERS)] for number in range(crowd.writers)]
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, url, kind, str(crowd.seconds + 2 * _START_SECONDS)
        )
        for kind in kinds
    ]
    try:
        await asyncio.sleep(_START_SECONDS if writers else 0.0)
        until = time.monotonic() + crowd.seconds
        found = await asyncio.gather(
            *(_caller(server.port, number, until) for number in range(crowd.callers))
        )
    finally:
        for writer in writers:
            writer.terminate()
            await writer.wait()
        await server.stop()
        await store.close()
        voice.close()
    told = list(chain.from_iterable(found))
    turns = [seconds for seconds, _ in told]
    for file in settings.state_folder.glob(f"{Path(url).name}*"):
        file.unlink()
    return {
        "machine": machine(),
        "prompts_missing": missing,
        "callers": crowd.callers,
        "writers": crowd.writers,
        "turns": len(turns),
        "turns_failed": sum(not answered for _, answered in told),
        "turn_p50_ms": percentile(turns, 0.50),
        "turn_p99_ms": percentile(turns, 0.99),
        "turn_slowest_ms": max(turns) * 1000,
        "outcomes": dict(Counter(server.counters)),
    }


async def _caller(port: int, number: int, until: float) -> list[tuple[float, bool]]:
    """(seconds, answered) of each turn of one caller after another."""
    told = []
    while time.monotonic() < until:
        uniqueid, caller = f"bench-{secrets.token_hex(6)}.1", f"+7916{secrets.randbelow(10**7):07d}"
        for answer in _ANSWERS:
            result = base64.b64encode(f"={answer}".encode()).decode()
            asked = ("capture", "sales", result)
            seconds, variables = await ask(port, "turn", asked, uniqueid=uniqueid, caller=caller)
            told.append((seconds, Variable.STEP_OK in variables))
            if not told[-1][1]:
                break
            if place := variables.get(Variable.RECORDING):
                Path(f"{place}.wav").write_bytes(_SPOKEN)
            await asyncio.sleep(_BETWEEN_SECONDS)
    return told


def _hum() -> bytes:
    seconds = np.arange(sound.RATE) / sound.RATE
    return sound.wav_bytes(0.1 * np.sin(2 * np.pi * 300 * seconds))


_SPOKEN = _hum()


async def _write(url: str, kind: str, seconds: float) -> None:
    """Write as ``kind`` does, without a rest, until it is time."""
    until = time.monotonic() + seconds
    async with opened_store(url) as store:
        number = 0
        while time.monotonic() < until:
            number += 1
            await _write_once(store, kind, number)
            await asyncio.sleep(0.01)


async def _write_once(store: Store, kind: str, number: int) -> None:
    if kind == "bridge":
        started_at = datetime.now(UTC).isoformat()
        legs = [{"extension": "101", "talk": "x" * 50}] * 10
        await store.save_calls(
            [
                {
                    "call_id": secrets.token_hex(8),
                    "started_at": started_at,
                    "department": "sales",
                    "legs": legs,
                }
                for _ in range(_RECORDS_AT_ONCE)
            ]
        )
    elif kind == "dialer":
        await store.create_callback(secrets.token_hex(8), "sales", number=f"+7915{number:07d}")
    else:
        await store.beat("desk", "bench", {"number": number})


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1], sys.argv[2], float(sys.argv[3])))
