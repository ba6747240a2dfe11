"""One process of the claims bench: ``bare|claim URL BATCH`` or ``dial URL FOLDER NODE``; see claims.py."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # an extra, like PostgreSQL itself

from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.store import opened_store
from ami_bridge.bench.claims import MAX_ATTEMPTS
from ami_bridge.bench.paper_pbx import PaperPbx, cel_of
from ami_bridge.core.callbacks import RetryPolicy
from ami_bridge.dialer.dialer import Dialer, Pace
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings

_EMPTY_LOOKS = 5
_BARE = (
    "UPDATE bare_queue SET state = 'claimed' WHERE id IN (SELECT id FROM bare_queue"
    " WHERE state = 'queued' AND due_at <= now() ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id"
)


async def _claim(url: str, batch: int) -> None:
    async with opened_store(url) as store:

        async def take() -> list[str]:
            return [each.id for each in await store.claim_due(SystemClock().now(), "bench", 600, batch)]

        await _work(take)


async def _bare(url: str, batch: int) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))

    async def take() -> list[str]:
        return [row["id"] for row in await connection.fetch(_BARE, batch)]

    await _work(take)


async def _work(take: Callable[[], Awaitable[list[str]]]) -> None:
    """Say that we are ready, wait for the word, take until nothing is left, and tell what and when."""
    print("ready", flush=True)  # noqa: T201 - the pipe to the parent
    await asyncio.to_thread(sys.stdin.readline)
    claimed: list[str] = []
    empty, last_at = 0, time.perf_counter()
    while empty < _EMPTY_LOOKS:
        taken = await take()
        empty = 0 if taken else empty + 1
        if taken:
            claimed += taken
            last_at = time.perf_counter()
        else:
            await asyncio.sleep(0.01)
    print(json.dumps({"claimed": claimed, "last_at": last_at}))  # noqa: T201


# Everything a hundred times quicker than in earnest, so that leases run out and retries come due in the run.
_PACE = Pace(tick=0.02, lease=2.0, settle=0.3)
_POLICY = RetryPolicy(max_attempts=MAX_ATTEMPTS, delays_minutes=(0.005,))


async def _dial(url: str, folder: Path, node: str) -> None:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"] = {"name": node, "state_folder": str(folder / node)}
    document["callback"] |= {
        "minutes_per_day": 100_000,
        "calls_per_hour": 100_000,
        "rings_per_number_per_day": 100,
    }
    settings = parse_settings(document)
    pbx = PaperPbx(folder, node, settings.trunk_out(), first_agent=1000 if node == "fr1" else 2000)
    async with opened_store(url) as store:
        dialer = Dialer(settings, pbx, store, SystemClock(), cel_of(folder, node), pace=_PACE, policy=_POLICY)
        await dialer.run()


def main() -> None:
    """Run what the command line says."""
    logging.disable(logging.CRITICAL)
    kind, url, *rest = sys.argv[1:]
    if kind == "dial":
        asyncio.run(_dial(url, Path(rest[0]), rest[1]))
    else:
        asyncio.run((_claim if kind == "claim" else _bare)(url, int(rest[0])))


if __name__ == "__main__":
    main()
