"""The live feed: server-sent events (WHATWG HTML, section "Server-sent events").

One task reads the bridge's wire, one the store's change feed; both write frames on the :class:`Board`, and each
client is sent the frames that it has not seen. A client that lost its connection sends ``Last-Event-ID`` and
misses nothing; when that is not possible it is told to ``reset`` (load everything again).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from aiohttp import web

from ami_bridge.adapters.live_wire import DeskWire, wire_path
from ami_bridge.adapters.store import Store, StoreUnavailable
from ami_bridge.desk.auth import account_of
from ami_bridge.desk.board import Audience, Board, Frame, Position, audience_of, change_form, event_block, iso
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.rights import Account, Scope
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

POLL_SECONDS = 0.3
KEEP_ALIVE_SECONDS = 15.0
#: A client that takes no byte for this long is gone.
WRITE_SECONDS = 10.0
#: After a write the next waits this long, so that two hundred desks cost twenty writes a second each at the most.
PACE_SECONDS = 0.05
MOST_CLIENTS = 400
#: How long somebody who was logged out may go on listening.
RECHECK_SECONDS = 15.0
_BATCH = 500

Sees = Callable[[Audience], bool]


class Feed:
    """Keeps the board up to date and wakes those who wait for a newer frame."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.board = Board()
        self.clients = 0
        self.closing = False
        self._store = store
        self.wire = DeskWire(wire_path(settings.state_folder))
        self._waiting: set[asyncio.Event] = set()
        self._reading = asyncio.Lock()
        self._begun = False

    async def follow(self, app: web.Application) -> AsyncIterator[None]:
        """aiohttp ``cleanup_ctx``: read both sources while the application runs."""
        tasks = [asyncio.create_task(self._follow_store()), asyncio.create_task(self._follow_wire())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self, app: web.Application) -> None:
        """aiohttp ``on_shutdown``: let every client go, so that the server can stop."""
        self.closing = True
        self._wake()

    async def news_after(self, n: int) -> bool:
        """Wait for a frame after ``n``; False when there was none for :data:`KEEP_ALIVE_SECONDS`."""
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            if self.board.n > n or self.closing:
                return True
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await woken.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(woken)
        return True

    async def catch_up(self) -> None:
        """Read what the store has now. Raises StoreUnavailable."""
        async with self._reading:
            if not self._begun:
                self.board.store_seq = await self._store.last_change()
                self._begun = True
            before = self.board.n
            while changes := await self._store.changes(self.board.store_seq, _BATCH):
                self.board.stored(changes)
        if self.board.n != before:
            self._wake()

    def _wake(self) -> None:
        for woken in self._waiting:
            woken.set()

    async def _follow_wire(self) -> None:
        async with contextlib.aclosing(self.wire.messages()) as messages:
            async for message in messages:
                self.board.told(message)
                self._wake()

    async def _follow_store(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self.clients:
                continue
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                log.warning("live feed: %s", error)
                await asyncio.sleep(1)


FEED: web.AppKey[Feed] = web.AppKey("feed", Feed)


def _sight_of(account: Account) -> Sees:
    """Which calls ``account`` is told of: all of its departments', and its own phone's."""
    departments, extension = account.departments, account.extension
    if departments is None:
        return lambda _audience: True
    return lambda audience: audience.includes(extension, departments)


async def live(ask: Ask) -> web.StreamResponse:
    """One client until it leaves."""
    feed = ask.request.app[FEED]
    if feed.clients >= MOST_CLIENTS:
        raise fault(503, "Too many desks listen already; close one.")
    last = _last_seen(ask.request)
    with contextlib.suppress(StoreUnavailable):  # a ringing call waits for no database
        await feed.catch_up()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(ask.request)
    feed.clients += 1
    try:
        await _Client(response, feed, ask).talk(last)
    except (ConnectionResetError, TimeoutError):
        pass  # the client left or is stuck; it will come back with Last-Event-ID
    finally:
        feed.clients -= 1
    return response


class _Client:
    """Sends to one browser what it has not seen yet and may see."""

    def __init__(self, response: web.StreamResponse, feed: Feed, ask: Ask) -> None:
        self._response, self._feed, self._store = response, feed, ask.store
        self._request, self._account, self._sees = ask.request, ask.account, _sight_of(ask.account)
        self._checked_at = time.monotonic()

    async def talk(self, last: Position | None) -> None:
        board = self._feed.board
        n = await self._resume(last)
        while not self._feed.closing and await self._may_stay():
            frames = board.after(n)
            if frames is None:  # it reads slower than things happen
                n = await self._begin_again(reset=True)
            elif frames:
                n = frames[-1].n
                await self._send(frames)
                await asyncio.sleep(PACE_SECONDS)
            elif not await self._feed.news_after(n):
                await self._write(b": still here\n\n")

    async def _may_stay(self) -> bool:
        """Whether this is still the account that was let in: logging out and losing a right end a stream too."""
        now = time.monotonic()
        if now - self._checked_at < RECHECK_SECONDS:
            return True
        self._checked_at = now
        try:
            return await account_of(self._request) == self._account
        except StoreUnavailable:
            return True  # nobody can be asked; the next look tells

    async def _resume(self, last: Position | None) -> int:
        board = self._feed.board
        welcome = f": welcome\nretry: 2000\nid: {last or board.position}\n\n"
        await self._write(welcome.encode())
        if last is None:
            return await self._begin_again(reset=False)
        if last.run == board.run and last.n <= board.n and board.after(last.n) is not None:
            return last.n
        # Another desk gave this number out, or this one before it was started again. What happened in the
        # store can still be told one by one, and of the calls the whole picture.
        whole = await self._tell_stored(last.store, board.store_seq)
        return await self._begin_again(reset=not whole)

    async def _tell_stored(self, after: int, upto: int) -> bool:
        """Whether nothing was missing."""
        if after > upto:  # another store, or one restored from a backup
            return False
        while after < upto:
            changes = [change for change in await self._store.changes(after, _BATCH) if change.seq <= upto]
            if not changes or changes[0].seq > after + 1:
                return False
            for change in changes:
                position = Position(change.seq)
                await self._write(event_block(position, change.kind, change_form(change)))
            after = changes[-1].seq
        return True

    async def _begin_again(self, *, reset: bool) -> int:
        """The whole picture, as of one frame."""
        position = self._feed.board.position
        first = event_block(position, "reset", {}) if reset else b""
        await self._write(first + self._picture())
        return position.n

    def _picture(self) -> bytes:
        board = self._feed.board
        calls = [call for call in board.calls.values() if self._sees(audience_of(call))]
        shown = {"linked": board.linked, "calls": calls, "now": iso(datetime.now(UTC))}
        return event_block(board.position, "picture", shown)

    async def _send(self, frames: list[Frame]) -> None:
        blocks = [frame.block for frame in frames if frame.audience is None or self._sees(frame.audience)]
        if b"" in blocks:  # it holds everything that the frames told of calls, and is newer
            blocks.append(self._picture())
        if blocks:
            await self._write(b"".join(blocks))

    async def _write(self, block: bytes) -> None:
        async with asyncio.timeout(WRITE_SECONDS):
            await self._response.write(block)


def _last_seen(request: web.Request) -> Position | None:
    text = request.headers.get("Last-Event-ID", "")
    try:
        return Position.of(text) if text else None
    except ValueError:
        raise fault(400, "Last-Event-ID is not a number that this feed has given out.") from None


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/live",
        live,
        "Follow what happens as server-sent events: picture, live, link (calls that go on), call, note, callback, "
        "directory (what is stored), reset (load everything again)",
        scope=Scope.LIVE_READ,
        media="text/event-stream",
        headers_in=(("Last-Event-ID", "Continue after this event."),),
    ),
)
