"""Conversations, people, the change feed and the rest: the contract of every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ami_bridge.adapters.store import (
    AgentEntry,
    AuditEntry,
    DepartmentEntry,
    PromptEntry,
    Store,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


async def test_a_conversation_survives_between_two_turns(store: Store) -> None:
    await store.put_conversation("fr1-1.1", {"step": "name", "tries": 1}, at=NOW)
    await store.put_conversation(
        "fr1-1.1", {"step": "subject", "said": "\x00да"}, at=NOW + timedelta(seconds=9)
    )
    kept = await store.get_conversation("fr1-1.1")
    assert kept is not None
    assert (dict(kept.state), kept.updated_at) == (
        {"step": "subject", "said": "\ufffdда"},
        NOW + timedelta(seconds=9),
    )
    assert await store.get_conversation("fr1-1.2") is None


async def test_old_conversations_are_forgotten(store: Store) -> None:
    await store.put_conversation("old", {}, at=NOW)
    await store.put_conversation("new", {}, at=NOW + timedelta(hours=2))
    assert await store.drop_conversations(NOW + timedelta(hours=1)) == 1
    assert await store.get_conversation("old") is None
    assert await store.get_conversation("new") is not None


async def test_the_directory_follows_the_configuration_and_keeps_those_who_left(store: Store) -> None:
    sales = DepartmentEntry("sales", {"ru": "отдел продаж"}, "ru", "Europe/Moscow", ("74950000001",))
    anna = AgentEntry("101", {"ru": "Анна"}, {"ru": "менеджер"}, ("sales",))
    boris = AgentEntry("102", {"ru": "Борис"})
    await store.save_directory([sales], [anna, boris])
    await store.save_directory([sales], [replace(anna, names={"ru": "Анна Смирнова"})])
    assert await store.departments() == [sales]
    assert await store.agents() == [
        replace(anna, names={"ru": "Анна Смирнова"}),
        replace(boris, active=False),
    ]


async def test_a_prompt_version_never_changes_its_words(store: Store) -> None:
    first = PromptEntry("permission-ru-1", "permission", "ru", "Перезвонить вам?")
    await store.save_prompt(first)
    await store.save_prompt(replace(first, text="other"))
    assert await store.prompt("permission-ru-1") == first
    assert await store.prompt("other") is None


async def test_the_last_heartbeat_counts(store: Store) -> None:
    await store.beat("bridge", "fr1", {"link": "down"}, at=NOW)
    await store.beat("bridge", "fr1", {"link": "ready"}, at=NOW + timedelta(seconds=5))
    (beat,) = await store.heartbeats()
    assert (beat.at, dict(beat.detail)) == (NOW + timedelta(seconds=5), {"link": "ready"})


async def test_an_audit_entry_is_written_once(store: Store) -> None:
    entry = AuditEntry("a1", NOW, "anna", "cancel", "cb1", {"reason": "rang us"})
    await store.audit(entry)
    await store.audit(replace(entry, actor="someone else"))
    await store.audit(replace(entry, key="a2", at=NOW + timedelta(minutes=1)))
    assert [found.key for found in await store.audits()] == ["a2", "a1"]
    assert (await store.audits())[1] == entry
    assert [found.key for found in await store.audits(since=NOW + timedelta(seconds=1))] == ["a2"]


async def test_every_change_is_seen_once_and_in_order(store: Store) -> None:
    """Many writers, one reader that polls: no number may turn up behind the reader's back."""
    assert await store.last_change() == 0
    writers = asyncio.gather(*(_write_some(store, writer) for writer in range(5)))
    seen, after = [], 0
    while not writers.done() or after < await store.last_change():
        for change in await store.changes(after, limit=7):
            seen.append(change.subject)
            assert change.seq > after
            after = change.seq
        await asyncio.sleep(0)
    await writers
    assert sorted(seen) == sorted(f"c{writer}-{number}" for writer in range(5) for number in range(10))


async def _write_some(store: Store, writer: int) -> None:
    for number in range(10):
        await store.save_call({"id": f"c{writer}-{number}"})


async def test_a_store_that_is_open_answers(store: Store) -> None:
    await store.ping()
    await store.open()
    await store.ping()
