"""What aiohttp lacks: a limit on how long a client may take to send a request's head.

Without it a stranger opens some hundred connections, sends a byte a minute on each, and nobody else gets in.
The guard stands between the socket and aiohttp's protocol. Its clock runs from the connection's first instant,
and from the first byte of each further request, until the request's head is complete (the outermost middleware
says so); bodies have their own limit where they are read.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from ami_bridge.errors import FourthRingError

HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 15.0
MOST_CONNECTIONS = 500
#: Bytes of the request line and of one header: enough for cookies and long paths, too little to fill memory.
LONGEST_LINE, LONGEST_FIELD = 4096, 8190


class ReadGuard(asyncio.Protocol):
    """Forwards everything to ``inner`` and closes a connection whose request head is late."""

    def __init__(self, inner: asyncio.Protocol, open_guards: set[ReadGuard], head_seconds: float) -> None:
        self._inner = inner
        self._open = open_guards
        self._head_seconds = head_seconds
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._serving = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock, or turn away what is too much."""
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(transport)
        if len(self._open) >= MOST_CONNECTIONS:
            self._transport.abort()
            return
        self._open.add(self)
        self._start()

    def data_received(self, data: bytes) -> None:
        """A byte while nothing is being served begins a request."""
        if not self._serving and self._timer is None:
            self._start()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Forward."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._open.discard(self)
        self._stop()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Forward."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Forward."""
        self._inner.resume_writing()

    def head_complete(self) -> None:
        """A request is being served."""
        self._serving += 1
        self._stop()

    def served(self) -> None:
        """It has been served; the next byte begins another."""
        self._serving -= 1

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._head_seconds, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._transport is not None:
            self._transport.abort()


@web.middleware
async def tell_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the guard of this connection that the head is complete; outermost middleware."""
    transport = request.transport
    guard: Any = transport.get_protocol() if transport is not None else None
    if not isinstance(guard, ReadGuard):
        return await handler(request)
    guard.head_complete()
    try:
        return await handler(request)
    finally:
        guard.served()


@asynccontextmanager
async def serving(
    app: web.Application, address: str, port: int, *, head_seconds: float = HEAD_SECONDS
) -> AsyncIterator[int]:
    """Serve ``app`` behind the guard while the block runs; gives the port (for port 0: the one it got).

    Raises:
        FourthRingError: the port is taken or the address is not ours.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=3.0,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_FIELD,
    )
    await runner.setup()
    open_guards: set[ReadGuard] = set()
    factory = cast(Any, runner.server)
    server = None
    try:
        server = await _listen(lambda: ReadGuard(factory(), open_guards, head_seconds), address, port)
        yield server.sockets[0].getsockname()[1]
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()


async def _listen(factory: Any, address: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(factory, address, port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = "stop what listens there or change network.desk_port" if taken else "change network.address"
        reason = "is taken" if taken else f"cannot be used ({error.strerror or error})"
        raise FourthRingError(f"The desk's address {address}:{port} {reason}; {remedy}.") from None
