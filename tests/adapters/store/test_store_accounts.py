"""Users, sessions and tokens: the contract of every store."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.ext.asyncio import create_async_engine

from ami_bridge.adapters.store import (
    NotStored,
    SessionEntry,
    Store,
    TokenEntry,
    UserEntry,
    database,
    opened_store,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANNA = UserEntry("anna", "agent", NOW, "101", ("sales",), "$argon2id$x", one_time=True)
TOKEN = TokenEntry("tk1", "anna", "crm", "ab" * 32, ("calls:read",), NOW)


def session(number: int, user: str = "anna", hours: float = 12) -> SessionEntry:
    return SessionEntry(f"hash{number}", f"s{number}", user, NOW, NOW + timedelta(hours=hours))


async def test_a_name_is_given_once(store: Store) -> None:
    assert await store.add_user(ANNA)
    assert not await store.add_user(replace(ANNA, role="admin"))
    assert await store.user("anna") == ANNA
    assert await store.amend_user("anna", one_time=False) == replace(ANNA, one_time=False)
    assert await store.users() == [replace(ANNA, one_time=False)]
    assert await store.user("boris") is None
    with pytest.raises(NotStored, match="'boris'"):
        await store.amend_user("boris", active=False)


async def test_a_token_opens_until_it_ends_or_its_user_does(store: Store) -> None:
    await store.add_user(ANNA)
    await store.save_token(TOKEN)
    assert await store.user_of_token("ab" * 32, NOW) == (ANNA, TOKEN)
    assert await store.user_of_token("cd" * 32, NOW) is None
    ending = replace(TOKEN, expires_at=NOW + timedelta(hours=1))
    await store.save_token(ending)
    assert await store.user_of_token("ab" * 32, NOW) == (ANNA, ending)
    assert await store.user_of_token("ab" * 32, NOW + timedelta(hours=1)) is None
    await store.save_token(replace(TOKEN, revoked_at=NOW))
    assert await store.user_of_token("ab" * 32, NOW) is None
    await store.save_token(TOKEN)
    await store.amend_user("anna", active=False)
    assert await store.user_of_token("ab" * 32, NOW) is None
    assert await store.tokens("anna") == await store.tokens() == [TOKEN]
    assert await store.tokens("boris") == []


async def test_sessions_end_by_time_by_hand_and_with_their_user(store: Store) -> None:
    await store.add_user(ANNA)
    await store.add_user(replace(ANNA, name="boris"))
    for entry in (session(1), session(2), session(3), session(4, "boris"), session(5, hours=-1)):
        await store.open_session(entry)
    assert await store.user_of_session("hash1", NOW) == (ANNA, session(1))
    assert await store.user_of_session("hash1", NOW + timedelta(hours=12)) is None
    assert await store.user_of_session("hash5", NOW) is None
    assert [entry.id for entry in await store.sessions("anna", NOW)] == ["s1", "s2", "s3"]
    assert await store.end_sessions("anna", only="s1") == 1
    assert await store.end_sessions("anna", only="s4") == 0
    assert await store.end_sessions("anna", but="s3") in {1, 2}  # with the one that is over
    assert await store.user_of_session("hash2", NOW) is None
    assert await store.user_of_session("hash3", NOW) is not None
    await store.amend_user("anna", active=False)
    assert await store.user_of_session("hash3", NOW) is None
    assert await store.user_of_session("hash4", NOW) is not None


async def test_a_code_of_the_second_factor_is_good_for_one_login(store: Store) -> None:
    await store.add_user(ANNA)
    assert sorted(await asyncio.gather(*(store.take_totp_step("anna", 7) for _ in range(5)))) == [
        False,
        False,
        False,
        False,
        True,
    ]
    assert not await store.take_totp_step("anna", 6)
    assert await store.take_totp_step("anna", 8)
    await store.amend_user("anna", totp_secret="x")  # from what was read before the login
    assert not await store.take_totp_step("anna", 8)
    assert not await store.take_totp_step("boris", 8)


async def test_tokens_from_before_the_scopes_still_open(url: str) -> None:
    await _at_first_revision(url)
    async with opened_store(url) as store:
        found = await store.user_of_token("ef" * 32, NOW)
        assert found is not None
        user, token = found
        assert (user.name, user.role, user.departments, user.one_time) == ("old", "supervisor", (), False)
        assert set(token.scopes) >= {"calls:read", "notes:write"}
        assert "users:write" not in token.scopes


async def _at_first_revision(url: str) -> None:
    """A database as the first version left it, with a user in it."""
    if url.startswith("sqlite"):
        path = Path(url.partition("///")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        sqlite3.connect(path).close()
    engine = create_async_engine(url)

    def upgrade(connection: sa.Connection) -> None:
        config = database._alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
        await connection.execute(
            sa.text(
                'INSERT INTO "user" (name, role, token_hash, created_at, active) '
                "VALUES ('old', 'supervisor', :hash, '2026-01-01 00:00:00', true)"
            ),
            {"hash": "ef" * 32},
        )
    await engine.dispose()
