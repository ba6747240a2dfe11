"""Who gets in, what every answer carries, and what happens when things are late, big or broken."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ami_bridge.adapters.store import MemoryStore, Store, StoreUnavailable
from ami_bridge.desk import create_app, serving, words
from ami_bridge.desk.rights import public
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings

from .conftest import TOKEN, add_user, log_in

PRIVATE = ("/api/v1/calls", "/api/v1/calls/x", "/api/v1/callbacks", "/api/v1/agents", "/api/v1/live")


async def test_strangers_see_nothing(stranger: TestClient) -> None:
    wrong = ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN})
    cookies = (
        {"Cookie": "fourthring=x"},
        {"Cookie": "fourthring=9999999999.ZGVzaw.00"},
        {"Cookie": "fourthring=ÿ"},
    )
    for path in PRIVATE:
        for headers in (*wrong, *cookies):
            answer = await stranger.get(path, headers=headers)
            assert answer.status == 401, (path, headers)
            assert "Bearer" in answer.headers["WWW-Authenticate"]
            assert (await answer.json())["detail"]
    answer = await stranger.get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/login")


async def test_the_lists_tell_rings_and_callbacks(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    await log_in(stranger, "boss")
    empty = await (await stranger.get("/calls", headers={"Accept-Language": "ru"})).text()
    assert "Звонков ещё не было" in empty
    await store.save_call(
        {
            "call_id": "c1",
            "started_at": "2026-03-02T09:00:00+00:00",
            "department": "sales",
            "answered_by": {"extension": "101"},
            "answered_on_ring": 3,
            "ring_verdict": "ideal",
            "hung_up_by": "caller",
        }
    )
    await store.create_callback("k", "sales", caller_id="79161234567", name_recording="recordings/n.wav")
    page = await (await stranger.get("/calls", headers={"Accept-Language": "ru"})).text()
    for seen in ("Анна Смирнова", "отдел продаж", "02.03. 12:00:00", "3 вовремя"):
        assert seen in page
    page = await (await stranger.get("/callbacks?state=all", headers={"Accept-Language": "ru"})).text()
    for seen in ("отдел продаж", "+7 916 123-45-67", "диктует"):
        assert seen in page
    assert re.search(r'<audio [^>]*src="/api/v1/callbacks/cb[0-9a-f]+/recordings/name"', page)


async def test_every_answer_carries_the_safe_headers(stranger: TestClient) -> None:
    for path in (
        "/login",
        "/password",
        "/healthz",
        "/api/v1/calls",
        "/nonsense",
        "/static/desk.css",
        "/metrics",
    ):
        headers = (await stranger.get(path)).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "fourthring"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("ru-RU,ru;q=0.9,en;q=0.8", "ru"), ("en;q=0.2, ru;q=0.7", "ru"), ("de,fr", "en"), ("", "en"), ("ru;q=0", "en"),
     ("ru;q=x,en;q=0.1", "en"), ("*" * 9000, "en")],
)  # fmt: skip
def test_the_browser_chooses_the_language(accepted: str, language: str) -> None:
    assert words.choose(accepted) == language


def test_both_languages_have_the_same_words() -> None:
    assert words.of("ru").keys() == words.of("en").keys()


async def test_the_login_page_speaks_the_browsers_language(stranger: TestClient) -> None:
    russian = await (await stranger.get("/login", headers={"Accept-Language": "ru"})).text()
    assert 'lang="ru"' in russian
    assert "Ромашка" in russian
    assert "Romashka" in await (await stranger.get("/login", headers={"Accept-Language": "en"})).text()


async def test_ready_only_with_a_store_and_a_bridge_that_is_heard(stranger: TestClient, store: Store) -> None:
    assert await (await stranger.get("/healthz")).json() == {"status": "ok"}
    unseen = await stranger.get("/readyz")
    assert (unseen.status, (await unseen.json())["bridge"]) == (200, "unseen")
    await store.beat("bridge", "fr1", {}, at=datetime.now(UTC) - timedelta(minutes=2))
    silent = await stranger.get("/readyz")
    assert (silent.status, (await silent.json())["bridge"]) == (503, "silent")
    await store.beat("bridge", "fr1", {})
    assert (await stranger.get("/readyz")).status == 200
    await store.close()
    gone = await stranger.get("/readyz")
    assert (gone.status, await gone.json()) == (
        503,
        {"ready": False, "store": "unavailable", "bridge": "unseen"},
    )
    assert (await stranger.get("/healthz")).status == 200


async def test_a_store_that_is_away_is_said_in_one_sentence(desk: TestClient, store: Store) -> None:
    await store.close()
    answer = await desk.get("/api/v1/calls")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert (await answer.json())["detail"].endswith("try again in a moment.")
    assert "fourthring_store_up 0.0" in await (await desk.get("/metrics")).text()


class _Broken(MemoryStore):
    async def calls(self, **_: object) -> list[object]:  # type: ignore[override]
        raise RuntimeError("a secret path /srv/x")


async def test_a_fault_of_ours_gets_a_number_and_tells_nothing(settings: Settings) -> None:
    async with TestClient(TestServer(create_app(_Broken(), settings, TOKEN))) as client:
        answer = await client.get("/api/v1/calls", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status == 500
        assert "secret" not in await answer.text()
        assert "fault number" in (await answer.json())["detail"]


async def test_metrics_count_by_route_not_by_what_strangers_ask(desk: TestClient) -> None:
    for number in range(3):
        await desk.get(f"/api/v1/calls/{number}")
        await desk.get(f"/nonsense-{number}")
    text = await (await desk.get("/metrics")).text()
    assert 'fourthring_desk_requests_total{method="GET",route="/api/v1/calls/{id}",status="404"} 3.0' in text
    assert 'route="unknown",status="404"} 3.0' in text
    assert "nonsense" not in text
    assert 'fourthring_callbacks{state="queued"} 0.0' in text


def test_a_token_that_is_no_secret_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="12 characters"):
        create_app(MemoryStore(), settings, "")


# The read guard ---------------------------------------------------------------------------


async def test_a_request_head_that_dawdles_is_cut_off_and_others_are_not(settings: Settings) -> None:
    app = create_app(MemoryStore(), settings, TOKEN)
    async with serving(app, "127.0.0.1", 0, head_seconds=0.5) as port:
        silent, _ = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sluggish = asyncio.create_task(_dawdle(writer))
        assert await _status(port) == b"200"
        async with asyncio.timeout(10):
            assert await _until_closed(silent) == b""
            assert await _until_closed(reader) == b""
        sluggish.cancel()
        assert await _status(port) == b"200"


async def test_the_guard_leaves_long_answers_and_second_requests_alone(settings: Settings) -> None:
    app = create_app(MemoryStore(), settings, TOKEN)

    @public
    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.6)
        return web.Response(text="done")

    app.router.add_get("/slow", slow)
    async with serving(app, "127.0.0.1", 0, head_seconds=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(4) == b"done"
            await asyncio.sleep(0.4)  # idle between two requests is not dawdling
        writer.write(b"GET /sl")
        async with asyncio.timeout(10):
            assert await _until_closed(reader) == b""
        writer.close()


async def test_a_taken_port_is_one_sentence(settings: Settings) -> None:
    app = create_app(MemoryStore(), settings, TOKEN)
    async with serving(app, "127.0.0.1", 0) as port:
        second = create_app(MemoryStore(), settings, TOKEN)
        with pytest.raises(FourthRingError, match=rf"127\.0\.0\.1:{port} is taken; .*network\.desk_port"):
            async with serving(second, "127.0.0.1", port):
                pass


async def test_too_long_a_head_is_refused(settings: Settings) -> None:
    async with serving(create_app(MemoryStore(), settings, TOKEN), "127.0.0.1", 0) as port:
        assert await _status(port, b"GET /" + b"x" * 9000) == b"400"
        assert await _status(port, b"GET /healthz", b"X: " + b"x" * 20_000) == b"400"


async def _dawdle(writer: asyncio.StreamWriter) -> None:
    for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 1000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def _status(port: int, line: bytes = b"GET /healthz", header: bytes = b"X: y") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.split(b" ", 2)[1]


async def test_unavailable_is_an_error_for_people() -> None:
    assert issubclass(StoreUnavailable, FourthRingError)
