"""A desk on a real store, with calls and callbacks in it."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from ami_bridge.adapters.store import SqlStore, Store
from ami_bridge.desk import create_app
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

TOKEN = "a-token-for-tests"


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


@pytest.fixture
async def stranger(store: Store, settings: Settings) -> AsyncIterator[TestClient]:
    """A browser that nobody knows; it treats the test server as a secure origin, as browsers treat loopback."""
    server = TestServer(create_app(store, settings, TOKEN))
    await server.start_server()
    origin = URL(f"http://{server.host}:{server.port}")
    client = TestClient(server, cookie_jar=CookieJar(unsafe=True, treat_as_secure_origin=origin))
    yield client
    await client.close()


@pytest.fixture
async def desk(store: Store, settings: Settings) -> AsyncIterator[TestClient]:
    """A program that holds the desk's token."""
    client = TestClient(
        TestServer(create_app(store, settings, TOKEN)), headers={"Authorization": f"Bearer {TOKEN}"}
    )
    await client.start_server()
    yield client
    await client.close()
