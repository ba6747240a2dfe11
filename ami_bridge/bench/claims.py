"""Several dialers on one PostgreSQL: how fast callbacks are claimed, and whether killing dialers does harm.

Speed is told beside a *bare* queue in the same run: one table, one statement with SKIP LOCKED, no fence, no
consent, no rule of one call a number, no change feed. Below that floor nobody can go; what we add should
not cost much more.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from ami_bridge.adapters.store import opened_store
from ami_bridge.adapters.store import tables as t
from ami_bridge.adapters.store.rows import columns_of
from ami_bridge.bench.paper_pbx import rung_channels
from ami_bridge.bench.postgres import create_database, temporary_postgres
from ami_bridge.core.callbacks import FINAL, UNRUNG, Attempt, Callback, CallbackState, Consent

# The bare queue: the same callbacks with nothing but an id, a time and a state.
_BARE = (
    "CREATE TABLE bare_queue AS SELECT id, due_at, state FROM callback",
    "CREATE INDEX ON bare_queue (due_at, id) WHERE state = 'queued'",
    "ANALYZE",
)
#: Tries per person while dialers are killed.
MAX_ATTEMPTS = 3
_CHUNK = 500
_WORKER = "ami_bridge.bench.claims_worker"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run with killed dialers left behind. Every ``faults`` line is a broken promise."""

    callbacks: int
    kills: int
    attempts: int
    rung: int
    states: dict[str, int]
    results: dict[str, int]
    seconds: float
    faults: tuple[str, ...]


async def fill(url: str, count: int, *, shared: int = 0) -> None:
    """Put ``count`` due callbacks into the store, the last ``shared`` of them with the numbers of the first."""
    now = datetime.now(UTC)
    async with opened_store(url):
        pass  # the schema
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for start in range(0, count, _CHUNK):
                made = [
                    _due(index, count - shared, now) for index in range(start, min(start + _CHUNK, count))
                ]
                await connection.execute(
                    sa.insert(t.callback), [columns_of(each, t.callback) for each in made]
                )
                consents = [
                    columns_of(each.consent, t.callback_consent) | {"callback_id": each.id} for each in made
                ]
                await connection.execute(sa.insert(t.callback_consent), consents)
            for statement in _BARE:
                await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()


def _due(index: int, persons: int, now: datetime) -> Callback:
    number = f"+7916{index % persons:07}"
    due = now - timedelta(hours=1) + timedelta(milliseconds=index)
    return Callback(
        id=f"cb{index:06}",
        key=f"bench:{index}",
        department="sales",
        state=CallbackState.QUEUED,
        created_at=due,
        updated_at=due,
        number=number,
        consent=Consent("1", "bench", due, number),
        due_at=due,
    )


def measure(*, callbacks: int = 10_000, workers: int = 4, batches: Sequence[int] = (1, 10)) -> dict[str, Any]:
    """Claims per second of ``workers`` processes, one and ten at a time, beside the bare queue's.

    Raises:
        FourthRingError: PostgreSQL is not installed.
    """
    figures: dict[str, Any] = {"callbacks": callbacks, "workers": workers}
    with temporary_postgres() as socket:
        for batch in batches:
            suffix = "_one_by_one" if batch == 1 else ""
            url = create_database(socket)
            asyncio.run(fill(url, callbacks))
            bare = _claims_per_second(url, "bare", batch, callbacks, workers)
            ours = _claims_per_second(url, "claim", batch, callbacks, workers)
            figures[f"claims_per_second{suffix}"] = ours
            figures[f"bare_claims_per_second{suffix}"] = bare
            figures[f"ratio_bare{suffix}"] = ours / bare
    return figures


def _claims_per_second(url: str, kind: str, batch: int, callbacks: int, workers: int) -> float:
    """All workers start together; the time ends when the last callback has been claimed."""
    started = [_Process(kind, url, str(batch)) for _ in range(workers)]
    try:
        for worker in started:
            worker.told()  # it is connected
        began = time.perf_counter()
        for worker in started:
            worker.go()
        told = [json.loads(worker.told()) for worker in started]
    finally:
        # PostgreSQL's end waits for those who are connected.
        for worker in started:
            worker.end()
    claimed = [one for each in told for one in each["claimed"]]
    if len(claimed) != callbacks or len(set(claimed)) != callbacks:
        raise AssertionError(
            f"{kind}: {len(claimed)} claims of {len(set(claimed))} callbacks, not {callbacks}"
        )
    last_at: float = max(each["last_at"] for each in told)
    return callbacks / (last_at - began)


class _Process:
    """A worker process; see :mod:`ami_bridge.bench.claims_worker`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", _WORKER, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told(self) -> str:
        """Its next line."""
        return self._process.stdout.readline() if self._process.stdout else ""

    def go(self) -> None:
        """Let it begin."""
        if self._process.stdin:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def end(self) -> None:
        """kill -9, as a power cut would; harmless to one that has ended."""
        self._process.kill()
        self._process.communicate()


def survive(
    *,
    callbacks: int = 10_000,
    workers: int = 4,
    kill_every_seconds: float = 2.0,
    most_kills: int = 1_000,
    limit_seconds: float = 1800.0,
    seed: int = 1,
    told: Callable[[int, int], None] = lambda _left, _kills: None,
) -> Verdict:
    """Let ``workers`` dialers work off ``callbacks`` while one of them is killed (-9) again and again.

    Half of the dialers share one PBX (on paper, see :mod:`ami_bridge.bench.paper_pbx`), half another. One
    callback in twenty is a second one of a person who has one already. ``told`` hears again and again how many
    are left and how many dialers have been killed.

    Raises:
        FourthRingError: PostgreSQL is not installed.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret, and the same again is wanted
    with temporary_postgres() as socket, tempfile.TemporaryDirectory(prefix="fr-claims-") as folder:
        url = create_database(socket)
        asyncio.run(fill(url, callbacks, shared=callbacks // 20))
        began = time.monotonic()
        crew = [_Process("dial", url, folder, f"fr{index % 2 + 1}") for index in range(workers)]
        kills = 0
        try:
            while (left := asyncio.run(_left(url))) and time.monotonic() - began < limit_seconds:
                told(left, kills)
                time.sleep(kill_every_seconds * chance.uniform(0.5, 1.5))
                if kills == most_kills:
                    continue
                victim = chance.randrange(workers)
                crew[victim].end()
                crew[victim] = _Process("dial", url, folder, f"fr{victim % 2 + 1}")
                kills += 1
        finally:
            for worker in crew:
                worker.end()
        seconds = time.monotonic() - began
        return asyncio.run(_judge(url, Path(folder), kills, seconds))


async def _left(url: str) -> int:
    async with opened_store(url) as store:
        counted = await store.count_callbacks()
    return sum(count for state, count in counted.items() if state not in FINAL)


async def _judge(url: str, folder: Path, kills: int, seconds: float) -> Verdict:
    async with opened_store(url) as store:
        callbacks = await store.callbacks(limit=1_000_000)
        attempts = [attempt for callback in callbacks for attempt in await store.attempts(callback.id)]
    rung = Counter(rung_channels(folder))
    return Verdict(
        callbacks=len(callbacks),
        kills=kills,
        attempts=len(attempts),
        rung=rung.total(),
        states=dict(Counter(callback.state.value for callback in callbacks)),
        results=dict(Counter(attempt.state.value for attempt in attempts)),
        seconds=seconds,
        faults=tuple(faults_of(callbacks, attempts, rung)),
    )


def faults_of(
    callbacks: Sequence[Callback], attempts: Sequence[Attempt], rung: Counter[tuple[str, str]]
) -> list[str]:
    """What the store says against what the telephones say; ``rung`` counts (channel id, callback's id)."""
    faults = [f"{each.id} was forgotten: {each.state}" for each in callbacks if each.state not in FINAL]
    known = {(each.channel_id, each.callback_id): each for each in attempts}
    for (channel_id, callback_id), times in rung.items():
        attempt = known.get((channel_id, callback_id))
        if times > 1:
            faults.append(f"{callback_id} was rung {times} times by attempt {channel_id}")
        if attempt is None:
            faults.append(f"{callback_id} was rung and no attempt {channel_id} is stored")
        elif attempt.state in UNRUNG:
            faults.append(f"{callback_id} was rung by {channel_id}, which the store calls {attempt.state}")
    for attempt in attempts:
        if attempt.state not in UNRUNG and (attempt.channel_id, attempt.callback_id) not in rung:
            faults.append(f"{attempt.id} is {attempt.state}, but nobody's telephone rang")
    tries = Counter(each.callback_id for each in attempts if each.state not in UNRUNG)
    faults += [f"{each} was tried {times} times" for each, times in tries.items() if times > MAX_ATTEMPTS]
    return faults + _at_the_same_time(attempts)


def _at_the_same_time(attempts: Sequence[Attempt]) -> list[str]:
    """Attempts to one number must follow one another."""
    ended: dict[str, Attempt] = {}
    faults = []
    for attempt in sorted(attempts, key=lambda each: each.started_at):
        before = ended.get(attempt.number)
        if before is not None and (before.finished_at is None or before.finished_at > attempt.started_at):
            faults.append(f"{attempt.number} was dialled by {before.id} and {attempt.id} at the same time")
        ended[attempt.number] = attempt
    return faults


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Plain values, at most twenty faults."""
    return {**asdict(verdict), "faults": list(verdict.faults[:20])}
