"""Webhooks from the change to the receiver: signed, tried again, seen by the admin."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ami_bridge.adapters.store import DeliveryEntry, DeliveryState, Store
from ami_bridge.desk import hooks

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Receiver:
    """A program that is told; ``statuses`` are its next answers, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    heard: asyncio.Queue[tuple[dict[str, str], bytes]] = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        await self.heard.put((headers, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    async def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        async with asyncio.timeout(30):
            headers, body = await self.heard.get()
        return headers, json.loads(body)


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    monkeypatch.setattr(hooks, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hooks, "RETRY_SECONDS", (0.05, 0.05, 0.05))
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("/hook"))
    yield made
    await server.close()


async def add(desk: TestClient, receiver: Receiver, *events: str) -> dict[str, Any]:
    answer = await desk.post("/api/v1/webhooks", json={"url": receiver.url, "events": list(events)})
    assert answer.status == 201, await answer.text()
    return dict(await answer.json())


async def until(desk: TestClient, webhook: str, state: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            query = {"state": state}
            found = await (await desk.get(f"/api/v1/webhooks/{webhook}/deliveries", params=query)).json()
            if found["deliveries"]:
                return dict(found["deliveries"][0])
            await asyncio.sleep(0.05)


async def test_a_receiver_is_told_and_can_prove_who_told_it(
    desk: TestClient, store: Store, receiver: Receiver
) -> None:
    made = await add(desk, receiver, "call", "callback")
    await store.save_call({"call_id": "c1", "caller": {"number": "+79161234567", "name": "<script>"}})
    headers, message = await receiver.next()
    assert (message["type"], message["subject"]) == ("call.changed", "c1")
    assert message["data"]["caller_number"] == "+79161234567"
    body = json.dumps(message, ensure_ascii=False).encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    proof = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{proof}"
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    callback = await store.create_callback("k", "sales")
    _, message = await receiver.next()
    assert (message["type"], message["data"]["id"]) == ("callback.changed", callback.id)
    assert (await until(desk, made["id"], "arrived"))["attempts"] == 1
    listed = (await (await desk.get("/api/v1/webhooks")).json())["webhooks"]
    assert listed[0]["secret"] is None
    assert made["secret"] not in str([entry.detail for entry in await store.audits()])


async def test_what_does_not_arrive_is_sent_again_with_the_same_id(
    desk: TestClient, store: Store, receiver: Receiver
) -> None:
    receiver.statuses = [500, 302]
    made = await add(desk, receiver, "call")
    await store.save_call({"call_id": "c1"})
    ids = [(await receiver.next())[0]["webhook-id"] for _ in range(3)]
    assert len(set(ids)) == 1
    done = await until(desk, made["id"], "arrived")
    assert (done["attempts"], done["status"], done["fault"]) == (3, 200, "")
    assert receiver.heard.empty()  # the redirect was not followed, and nothing came twice


async def test_what_is_given_up_is_seen_by_the_admin_who_may_send_it_again(
    desk: TestClient, store: Store, receiver: Receiver
) -> None:
    receiver.statuses = [503] * 4
    made = await add(desk, receiver, "call")
    await store.save_call({"call_id": "c1"})
    lost = await until(desk, made["id"], "given_up")
    assert (lost["attempts"], lost["status"], lost["fault"]) == (4, 503, "the receiver answered 503")
    path = f"/api/v1/webhooks/{made['id']}/deliveries"
    assert (await desk.post(f"{path}/{lost['seq']}/resend")).status == 200
    assert (await until(desk, made["id"], "arrived"))["attempts"] == 1
    assert (await desk.post(f"{path}/99999/resend")).status == 404


async def test_a_receiver_that_is_away_stops_nobody_else(
    desk: TestClient, store: Store, receiver: Receiver, unused_tcp_port: int
) -> None:
    away = Receiver(f"http://127.0.0.1:{unused_tcp_port}/hook")
    broken = await add(desk, away, "call")
    await add(desk, receiver, "call")
    await store.save_call({"call_id": "c1"})
    assert (await receiver.next())[1]["subject"] == "c1"
    lost = await until(desk, broken["id"], "given_up")
    assert lost["status"] is None
    assert lost["fault"].startswith("not reached")
    assert (await desk.delete(f"/api/v1/webhooks/{broken['id']}")).status == 204
    assert (await desk.get(f"/api/v1/webhooks/{broken['id']}/deliveries")).status == 404


async def test_a_paused_webhook_catches_up(desk: TestClient, store: Store, receiver: Receiver) -> None:
    made = await add(desk, receiver, "call")
    await desk.post(f"/api/v1/webhooks/{made['id']}/pause")
    await store.save_call({"call_id": "c1"})
    await asyncio.sleep(0.3)
    assert receiver.heard.empty()
    await desk.post(f"/api/v1/webhooks/{made['id']}/resume")
    assert (await receiver.next())[1]["subject"] == "c1"


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.com/hook",
        "ftp://127.0.0.1/",
        "https://user:secret@crm.example.com/",
        "https://",
        "https://[",
        "https://a b.example/",
        "file:///etc/passwd",
        "https://crm.example:99999/",
        "",
    ],
)
async def test_numbers_are_not_sent_over_an_open_line(desk: TestClient, store: Store, url: str) -> None:
    answer = await desk.post("/api/v1/webhooks", json={"url": url, "events": ["call"]})
    assert answer.status == 400
    assert (await answer.json())["errors"][0]["field"] == "url"
    assert await store.webhooks() == []


def test_the_waits_grow_and_end() -> None:
    entry = DeliveryEntry("wh1", 1, "call", "c1", NOW, DeliveryState.WAITING, 0, NOW)
    waits = []
    while entry.state is DeliveryState.WAITING:
        entry = hooks.after_failure(entry, NOW, 500, "x" * 9000)
        waits.append((entry.due_at - NOW).total_seconds())
    *real, last = waits
    assert last == 0
    for wait, planned in zip(real, hooks.RETRY_SECONDS, strict=True):
        assert planned <= wait <= planned * 1.2
    assert timedelta(days=2) < timedelta(seconds=sum(real)) < timedelta(days=4)
    assert len(entry.fault) == 500
    gone = hooks.after_failure(entry, NOW, 410, "")
    assert gone.state is DeliveryState.GIVEN_UP
