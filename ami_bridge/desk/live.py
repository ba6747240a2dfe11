"""The live feed: server-sent events (WHATWG HTML, section "Server-sent events") from the store's change feed.

One task asks the store for the newest number; each client reads on only when there is something new. A client
that lost its connection sends ``Last-Event-ID`` and misses nothing, or is told to ``reset`` (load everything
again) when the feed no longer goes back that far.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from ami_bridge.adapters.store import Change, Store, StoreUnavailable
from ami_bridge.desk.endpoint import STORE, Ask, Endpoint, fault

log = logging.getLogger(__name__)

POLL_SECONDS = 0.3
KEEP_ALIVE_SECONDS = 15.0
#: A client that takes no byte for this long is gone.
WRITE_SECONDS = 10.0
MOST_CLIENTS = 200
_BATCH = 500


class Feed:
    """Knows the newest change and wakes those who wait for a newer one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._news = asyncio.Condition()
        self.latest = 0
        self.clients = 0
        self.closing = False

    async def follow(self, app: web.Application) -> AsyncIterator[None]:
        """aiohttp ``cleanup_ctx``: poll while the application runs."""
        task = asyncio.create_task(self._poll())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self, app: web.Application) -> None:
        """aiohttp ``on_shutdown``: let every client go, so that the server can stop."""
        self.closing = True
        async with self._news:
            self._news.notify_all()

    async def wait_beyond(self, seq: int) -> bool:
        """Wait for a change after ``seq``; False when there was none for :data:`KEEP_ALIVE_SECONDS`."""
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS), self._news:
                await self._news.wait_for(lambda: self.latest > seq or self.closing)
        except TimeoutError:
            return False
        return True

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self.clients:
                continue
            try:
                latest = await self._store.last_change()
            except StoreUnavailable as error:
                log.warning("live feed: %s", error)
                await asyncio.sleep(1)
                continue
            if latest != self.latest:
                async with self._news:
                    self.latest = latest
                    self._news.notify_all()


FEED: web.AppKey[Feed] = web.AppKey("feed", Feed)


async def live(ask: Ask) -> web.StreamResponse:
    """One client until it leaves."""
    feed = ask.request.app[FEED]
    if feed.clients >= MOST_CLIENTS:
        raise fault(503, "Too many desks listen already; close one.")
    last = _last_seen(ask.request)
    newest = await ask.store.last_change()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(ask.request)
    feed.clients += 1
    try:
        if last is not None and last > newest:  # another store, or one restored from a backup
            await _send(response, newest, "reset", {})
            last = newest
        await _talk(
            response, feed, ask.request.app[STORE], newest if last is None else last, last is not None
        )
    except (ConnectionResetError, TimeoutError):
        pass  # the client left or is stuck; it will come back with Last-Event-ID
    finally:
        feed.clients -= 1
    return response


async def _talk(response: web.StreamResponse, feed: Feed, store: Store, seq: int, resumed: bool) -> None:
    await _write(response, f": welcome\nretry: 2000\nid: {seq}\n\n")
    while not feed.closing:
        changes = await _changes(store, seq)
        if changes and resumed and changes[0].seq > seq + 1:
            await _send(response, changes[0].seq - 1, "reset", {})
        resumed = False
        for change in changes:
            shown = {"kind": change.kind, "subject": change.subject, "at": change.at.isoformat()}
            await _send(response, change.seq, change.kind, shown)
            seq = change.seq
        if not changes and not await feed.wait_beyond(seq):
            await _write(response, ": still here\n\n")


async def _changes(store: Store, seq: int) -> list[Change]:
    try:
        return await store.changes(seq, _BATCH)
    except StoreUnavailable:
        await asyncio.sleep(1)  # _poll has logged it; the client stays and gets everything later
        return []


async def _send(response: web.StreamResponse, seq: int, kind: str, shown: dict[str, str]) -> None:
    await _write(response, f"id: {seq}\nevent: {kind}\ndata: {json.dumps(shown)}\n\n")


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(text.encode())


def _last_seen(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise fault(400, "Last-Event-ID is not a number that this feed has given out.")
    return int(text)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/live",
        live,
        "Follow changes as server-sent events: call, note, callback, directory, reset",
        media="text/event-stream",
        headers_in=(("Last-Event-ID", "Continue after this event."),),
    ),
)
