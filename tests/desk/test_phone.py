"""The way of a browser phone through the desk: whose it is, what it is told, and when it ends."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import CookieJar, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer

from ami_bridge import secrets
from ami_bridge.adapters.store import Store
from ami_bridge.desk import create_app, phone_pages
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

from .conftest import TOKEN, add_user, csrf, log_in, token_of

LINE, REGISTRATION = "/agent/phone/ws", "/agent/phone/registration"


async def asterisks_side(request: web.Request) -> web.WebSocketResponse:
    """What stands where Asterisk's WebSocket is: says everything back, and ends at BYE."""
    socket = web.WebSocketResponse(protocols=("sip",))
    await socket.prepare(request)
    async for message in socket:
        if message.data == "BYE":
            break
        await socket.send_str(f"{socket.ws_protocol} {message.data}")
    return socket


@pytest.fixture
async def pbx() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_get("/ws", asterisks_side)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
def settings(tmp_path: Path, pbx: TestServer) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(tmp_path / "state")
    document["network"]["websocket_port"] = pbx.port
    document["webrtc"] = {"enabled": True}
    document["agents"]["101"]["webrtc"] = True
    return parse_settings(document)


@pytest.fixture
async def anna(stranger: TestClient, store: Store) -> TestClient:
    """The browser of an agent who has a phone in it."""
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    return stranger


def own_origin(client: TestClient) -> dict[str, str]:
    return {"Origin": str(client.make_url("/")).rstrip("/")}


async def refused(client: TestClient, **headers: str) -> int:
    with pytest.raises(WSServerHandshakeError) as fault:
        await client.ws_connect(LINE, protocols=("sip",), headers=headers)
    return fault.value.status


async def test_what_is_said_goes_both_ways_until_the_pbx_ends_it(anna: TestClient) -> None:
    async with anna.ws_connect(LINE, protocols=("sip",), headers=own_origin(anna)) as phone:
        assert phone.protocol == "sip"
        for words in ("REGISTER", "х" * 9000):
            await phone.send_str(words)
            assert await phone.receive_str(timeout=5) == f"sip {words}"
        await phone.send_str("BYE")
        assert (await phone.receive(timeout=5)).type in {WSMsgType.CLOSE, WSMsgType.CLOSED}


async def test_only_ones_own_pages_and_sessions_have_a_line(anna: TestClient, store: Store) -> None:
    assert await refused(anna) == 403
    assert await refused(anna, Origin="https://elsewhere.example") == 403
    anna.session.cookie_jar.clear()
    assert await refused(anna, **own_origin(anna)) == 200, "a stranger is sent to the login page"
    assert await refused(anna, **own_origin(anna), **await token_of(store, "anna")) == 404
    assert await refused(anna, **own_origin(anna), Authorization=f"Bearer {TOKEN}") == 404


async def test_who_has_no_browser_phone_gets_none(stranger: TestClient, store: Store) -> None:
    await add_user(store, "pyotr", "agent", "102")
    await log_in(stranger, "pyotr")
    assert await refused(stranger, **own_origin(stranger)) == 404
    token = await csrf(stranger)
    assert (await stranger.post(REGISTRATION, headers={"X-CSRF-Token": token})).status == 404
    page = await stranger.get("/agent")
    assert 'id="phone"' not in await page.text()
    assert "microphone=()" in page.headers["Permissions-Policy"]


async def test_the_password_is_told_to_its_owner_and_stands_in_no_page(
    anna: TestClient, settings: Settings
) -> None:
    own = secrets.read_secret(settings, "web-101")
    assert (await anna.post(REGISTRATION)).status == 403, "without the page's token"
    answer = await anna.post(REGISTRATION, headers={"X-CSRF-Token": await csrf(anna)})
    assert await answer.json() == {"user": "101-web", "password": own, "domain": "127.0.0.1"}
    assert answer.headers["Cache-Control"] == "no-store"
    page = await anna.get("/agent")
    text = await page.text()
    assert own not in text
    assert "microphone=(self)" in page.headers["Permissions-Policy"]
    (library,) = re.findall(r'data-library="([^"]+)"', text)
    assert (await anna.get(library)).status == 200
    assert "microphone=()" in (await anna.get("/calls")).headers["Permissions-Policy"]


async def test_logging_out_ends_the_line(anna: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_pages, "RECHECK_SECONDS", 0.05)
    token = await csrf(anna)
    async with anna.ws_connect(LINE, protocols=("sip",), headers=own_origin(anna)) as phone:
        await phone.send_str("one")
        assert await phone.receive_str(timeout=5) == "sip one"
        await anna.post("/logout", data={"_csrf": token})
        assert (await phone.receive(timeout=5)).type in {WSMsgType.CLOSE, WSMsgType.CLOSED}


async def test_a_pbx_that_is_away_is_said_at_once(anna: TestClient, pbx: TestServer) -> None:
    await pbx.close()
    assert await refused(anna, **own_origin(anna)) == 502


async def test_too_long_a_message_ends_the_line_and_nothing_else(anna: TestClient) -> None:
    async with anna.ws_connect(LINE, protocols=("sip",), headers=own_origin(anna)) as phone:
        await phone.send_str("x" * (phone_pages.LONGEST_MESSAGE + 1))
        assert (await phone.receive(timeout=5)).type in {WSMsgType.CLOSE, WSMsgType.CLOSED}
    assert (await anna.get("/agent")).status == 200


async def test_no_more_phones_than_there_is_room_for(
    anna: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_pages, "MOST_PHONES", 1)
    async with anna.ws_connect(LINE, protocols=("sip",), headers=own_origin(anna)):
        assert await refused(anna, **own_origin(anna)) == 503
    for _ in range(50):
        try:
            async with anna.ws_connect(LINE, protocols=("sip",), headers=own_origin(anna)):
                return
        except WSServerHandshakeError:
            await asyncio.sleep(0.05)  # the one that left is still being seen off
    pytest.fail("the room of a phone that has left is not given back")


async def test_the_desk_ends_although_phones_are_on(store: Store, settings: Settings) -> None:
    await add_user(store, "anna", "agent", "101")
    client = TestClient(TestServer(create_app(store, settings, TOKEN)), cookie_jar=CookieJar(unsafe=True))
    await client.start_server()
    await log_in(client, "anna")
    phone = await client.ws_connect(LINE, protocols=("sip",), headers=own_origin(client))
    async with asyncio.timeout(5):
        await client.server.close()
    await phone.close()
    await client.close()
