"""A desk on a real store, with calls and callbacks in it."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, CookieJar
from aiohttp.test_utils import TestClient, TestServer

from ami_bridge import passwords
from ami_bridge.adapters.store import SqlStore, Store, TokenEntry, UserEntry
from ami_bridge.desk import create_app
from ami_bridge.desk.auth import hashed
from ami_bridge.desk.rights import ALL_SCOPES
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

TOKEN = "a-token-for-tests"
PASSWORD = "a plain long password"
#: Hashed once: argon2id is slow on purpose.
PASSWORD_HASH = asyncio.run(passwords.hash_password(PASSWORD))
NOW = datetime.now(UTC)


async def add_user(
    store: Store, name: str, role: str = "agent", extension: str = "", **more: Any
) -> UserEntry:
    """A user whose password is :data:`PASSWORD`."""
    user = UserEntry(name, role, NOW, extension, password_hash=PASSWORD_HASH, **more)
    assert await store.add_user(user)
    return user


async def token_of(store: Store, name: str, *scopes: str, **more: Any) -> dict[str, str]:
    """The headers of a program that acts as the user ``name``; without ``scopes`` it has all of them."""
    secret = f"token-of-{name}-{'-'.join(scopes)}"
    kept = tuple(scopes or sorted(ALL_SCOPES))
    await store.save_token(TokenEntry(hashed(secret)[:8], name, "", hashed(secret), kept, NOW, **more))
    return {"Authorization": f"Bearer {secret}"}


async def log_in(client: TestClient, name: str, password: str = PASSWORD, code: str = "") -> ClientResponse:
    """Fill in the form; the browser keeps the cookie."""
    form = {"name": name, "password": password, "code": code}
    return await client.post("/login", data=form, allow_redirects=False)


async def csrf(client: TestClient) -> str:
    """The token that a page of this browser carries."""
    text = await (await client.get("/password")).text()
    found = re.search(r'name="_csrf" value="([0-9a-f]{64})"', text)
    assert found, text
    return found[1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(tmp_path / "state")
    return parse_settings(document)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = SqlStore(settings.store_url)
    await opened.open()
    yield opened
    await opened.close()


@asynccontextmanager
async def browser_at(store: Store, settings: Settings) -> AsyncIterator[TestClient]:
    """A browser that nobody knows, at a desk with these ``settings``."""
    client = TestClient(TestServer(create_app(store, settings, TOKEN)), cookie_jar=CookieJar(unsafe=True))
    await client.start_server()
    yield client
    await client.close()


@pytest.fixture
async def stranger(store: Store, settings: Settings) -> AsyncIterator[TestClient]:
    """A browser that nobody knows."""
    async with browser_at(store, settings) as client:
        yield client


@pytest.fixture
async def desk(store: Store, settings: Settings) -> AsyncIterator[TestClient]:
    """A program that holds the desk's token."""
    client = TestClient(
        TestServer(create_app(store, settings, TOKEN)), headers={"Authorization": f"Bearer {TOKEN}"}
    )
    await client.start_server()
    yield client
    await client.close()
