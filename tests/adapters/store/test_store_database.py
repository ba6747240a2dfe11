"""What only a database can do wrong: migrations, several processes, crashes, faults."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ami_bridge.adapters.store import SqlStore, Store, StoreUnavailable, database, opened_store
from ami_bridge.adapters.store.tables import Instant, metadata
from ami_bridge.core.callbacks import AttemptState, CallbackEvent, CallbackState, Consent

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


async def test_the_migrations_make_the_tables_that_the_code_expects(url: str) -> None:
    async with opened_store(url) as store:
        assert isinstance(store, SqlStore)
        async with store._database.reading() as connection:
            assert await connection.run_sync(_differences) == []


def _differences(connection: sa.Connection) -> list[object]:
    def same_type(
        _context: object, _column: object, _meta: object, _found: object, expected: object
    ) -> bool | None:
        return False if isinstance(expected, Instant) else None

    context = MigrationContext.configure(connection, opts={"compare_type": same_type})
    return list(compare_metadata(context, metadata))


async def test_opening_again_keeps_what_is_there(url: str) -> None:
    async with opened_store(url) as store:
        await store.save_call({"call_id": "c1"})
    async with opened_store(url) as store:
        assert await store.call("c1") is not None


_OPENER = """
import asyncio, sys
from ami_bridge.adapters.store import opened_store
async def main():
    async with opened_store(sys.argv[1]) as store:
        for number in range(5):
            await store.save_call({"call_id": f"{sys.argv[2]}-{number}"})
asyncio.run(main())
"""


async def test_several_processes_may_make_the_same_new_database_at_once(url: str) -> None:
    await asyncio.to_thread(_run_at_once, [[sys.executable, "-c", _OPENER, url, str(n)] for n in range(4)])
    async with opened_store(url) as store:
        assert len(await store.calls()) == 20


def _run_at_once(commands: list[list[str]]) -> list[str]:
    """Start all, let all go on together, and return what they print."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for command in commands]
    with ThreadPoolExecutor(len(running)) as waiting:
        printed = list(waiting.map(lambda process: process.communicate("go\n", 60)[0], running))
    assert [process.returncode for process in running] == [0] * len(running)
    return printed


async def test_answers_at_once_hold_up_nobody(sqlite_url: str) -> None:
    """Statements run where they are asked for; waiting for another writer does not."""
    store = SqlStore(sqlite_url, at_once=True)
    await store.open()
    await asyncio.gather(*(store.save_call({"call_id": f"c{number}"}) for number in range(20)))
    assert len(await store.calls()) == 20
    other = sqlite3.connect(str(store.database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.save_call({"call_id": "late"}))
    looks = 0
    for _ in range(20):
        await asyncio.sleep(0.01)
        looks += await store.call("c1") is not None
    assert looks == 20
    assert not waiting.done(), "the other writer's lock is respected"
    other.execute("COMMIT")
    other.close()
    await waiting
    assert await store.call("late") is not None
    await store.close()


async def test_who_is_cut_off_at_once_leaves_no_lock(sqlite_url: str) -> None:
    store = SqlStore(sqlite_url, at_once=True)
    await store.open()

    async def cut_off() -> None:
        async with store.together():
            await store.save_call({"call_id": "half"})
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await cut_off()
    with sqlite3.connect(str(store.database.url.database), timeout=1) as other:
        other.execute("BEGIN IMMEDIATE")
    assert await store.call("half") is None
    await store.close()


_CLAIMER = """
import asyncio, sys
from datetime import datetime, UTC
from ami_bridge.adapters.store import opened_store
async def main():
    async with opened_store(sys.argv[1]) as store:
        sys.stdin.readline()
        for _ in range(30):
            for claimed in await store.claim_due(datetime.fromisoformat(sys.argv[2]), sys.argv[3], 60, limit=2):
                print(claimed.id)
asyncio.run(main())
"""


async def test_workers_in_several_processes_never_share_a_callback_or_a_number(url: str) -> None:
    async with opened_store(url) as store:
        for number in range(40):
            await _queued(store, f"k{number}", f"+791612345{number // 2:02}")
        command = [sys.executable, "-c", _CLAIMER, url, NOW.isoformat()]
        printed = await asyncio.to_thread(_run_at_once, [[*command, f"w{n}"] for n in range(3)])
        claimed = " ".join(printed).split()
        held = await store.callbacks(states=[CallbackState.CLAIMED], limit=100)
        assert sorted(claimed) == sorted(callback.id for callback in held)
        assert len(claimed) == len({callback.number for callback in held}) == 20


_DIALER = """
import asyncio, os, signal, sys
from datetime import datetime, UTC
from ami_bridge.adapters.store import opened_store
async def main():
    async with opened_store(sys.argv[1]) as store:
        now = datetime.fromisoformat(sys.argv[2])
        (claimed,) = await store.claim_due(now, "w", 60)
        await store.begin_attempt(claimed.id, claimed.fence, "the-channel", agent="101", at=now)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_a_dialler_killed_at_the_originate_leaves_the_channel_to_look_for(url: str) -> None:
    async with opened_store(url) as store:
        made = await _queued(store, "k", "+79161234567")
        killed = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", _DIALER, url, NOW.isoformat()], timeout=60
        )
        assert killed.returncode == -signal.SIGKILL
        (attempt,) = await store.attempts(made)
        assert (attempt.state, attempt.channel_id) == (AttemptState.DIALING, "the-channel")
        assert await store.claim_due(NOW, "w2", 60) == []


async def _queued(store: Store, key: str, number: str) -> str:
    consent = Consent("1", "permission-ru-1", NOW, number)
    made = await store.create_callback(
        key, "sales", event=CallbackEvent.CAPTURED, at=NOW, number=number, consent=consent
    )
    return made.id


async def test_the_database_itself_refuses_a_second_hand_on_a_number(url: str) -> None:
    """Should a query ever be wrong: the unique index is the last word."""
    async with opened_store(url) as store:
        assert isinstance(store, SqlStore)
        for key in ("a", "b"):
            await _queued(store, key, "+79161234567")
        with pytest.raises(sa.exc.IntegrityError):
            async with store._database.writing() as connection:
                await connection.execute(sa.text("UPDATE callback SET state = 'dialing'"))
        assert len(await store.callbacks(states=[CallbackState.QUEUED])) == 2


async def test_sqlite_is_private_and_durable(sqlite_url: str) -> None:
    async with opened_store(sqlite_url) as store:
        assert isinstance(store, SqlStore)
        for read in (store._database.reading, store._database.writing):
            async with read() as connection:
                found = [
                    (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                ]
            assert found == ["wal", 2, 1, 10_000]
        path = Path(store._database.url.database or "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_writer_waits_for_a_foreign_lock_instead_of_failing(sqlite_url: str) -> None:
    async with opened_store(sqlite_url) as store:
        assert isinstance(store, SqlStore)
        foreign = sqlite3.connect(store._database.url.database or "", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.save_call({"call_id": "c1"}))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert await store.calls() == [], "reading does not wait"
        foreign.execute("ROLLBACK")
        foreign.close()
        await waiting
        assert await store.call("c1") is not None


async def test_a_cancelled_write_leaves_the_store_usable(url: str) -> None:
    async with opened_store(url) as store:
        for number in range(30):
            writing = asyncio.create_task(
                store.save_call({"call_id": f"c{number}", "legs": [{"uniqueid": "u"}]})
            )
            await asyncio.sleep(0.001 * (number % 7))
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            # What was cancelled must not keep the write lock until the busy time-out.
            async with asyncio.timeout(database._BUSY_SECONDS / 2):
                await store.save_call({"call_id": "next"})
        assert await store.call("next") is not None


# Faults, each one sentence ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://x/y", "driver 'mysql'"),
        ("sqlite+aiosqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_wrong_url_is_one_sentence(wrong: str, sentence: str) -> None:
    with pytest.raises(StoreUnavailable, match=sentence) as refused:
        SqlStore(wrong)
    assert "\n" not in str(refused.value)


async def test_a_postgresql_that_is_not_there_is_one_sentence_without_the_password() -> None:
    store = SqlStore("postgresql://fr:very-secret@127.0.0.1:1/fr")
    with pytest.raises(StoreUnavailable, match="start PostgreSQL") as refused:
        await store.open()
    assert "very-secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()


async def test_an_unknown_postgresql_database_is_one_sentence(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        await SqlStore(postgres_url.replace("@/t", "@/missing")).open()


async def test_a_sqlite_file_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="make its folder writable"):
        await SqlStore(f"sqlite:///{tmp_path}/file/x.db").open()
    (tmp_path / "x.db").write_text("this is no database, but long enough to be taken for one " * 10)
    with pytest.raises(StoreUnavailable, match="move the file away"):
        await SqlStore(f"sqlite:///{tmp_path}/x.db").open()


async def test_tables_of_a_newer_program_are_left_alone(sqlite_url: str) -> None:
    async with opened_store(sqlite_url) as store:
        assert isinstance(store, SqlStore)
        async with store._database.writing() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="newer fourthring"):
        await SqlStore(sqlite_url).open()


async def test_a_disk_that_is_full_is_one_sentence_and_reading_goes_on(sqlite_url: str) -> None:
    async with opened_store(sqlite_url) as store:
        assert isinstance(store, SqlStore)
        await store.save_call({"call_id": "c1"})
        async with store._database.writing() as connection:
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
            await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreUnavailable, match=r"full.*free some disk space"):
            await _fill(store)
        assert await store.call("c1") is not None


async def _fill(store: Store) -> None:
    for number in range(200):
        await store.save_call({"call_id": f"big{number}", "note": "x" * 10_000})


async def test_postgresql_restarting_under_us_is_an_error_once_and_then_works(postgres_url: str) -> None:
    async with opened_store(postgres_url) as store:
        assert isinstance(store, SqlStore)
        await store.ping()
        with pytest.raises(StoreUnavailable):
            async with store._database.writing() as connection:
                await connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await store.save_call({"call_id": "c1"})
        assert await store.call("c1") is not None


async def test_pruning_keeps_the_newest_changes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami_bridge.adapters.store.database.KEPT_CHANGES", 5)
    monkeypatch.setattr("ami_bridge.adapters.store.database._PRUNE_EVERY", 10)
    async with opened_store(url) as store:
        for number in range(12):
            await store.save_call({"call_id": f"c{number}"})
        assert [change.seq for change in await store.changes(0)] == [6, 7, 8, 9, 10, 11, 12]
        assert await store.last_change() == 12
