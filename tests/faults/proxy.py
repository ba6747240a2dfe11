"""A TCP relay in front of AMI that can cut the line in the instant in which an action passes."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Relays to ``target``; counts the actions named ``watched`` and does to each what ``orders`` says.

    An order is ``pass``, ``lose`` (cut before it is sent on) or ``deafen`` (send it on, cut before its answer);
    without one left they pass.
    """

    def __init__(self, target: tuple[str, int], watched: str) -> None:
        self.orders: list[str] = []
        self.seen = self.passed = 0
        self.met = asyncio.Event()
        self.closed = False
        self.port = 0
        self._target = target
        self._mark = f"Action: {watched}\r\n".encode().lower()
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Cut everything."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._lines:
            writer.transport.abort()
        self._lines.clear()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            writer.transport.abort()
            return
        behind, onward = await asyncio.open_connection(*self._target)
        self._lines |= {writer, onward}
        back = asyncio.ensure_future(self._relay(behind, writer))
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if self._mark not in chunk.lower():
                    onward.write(chunk)
                    continue
                self.seen += 1
                self.met.set()
                order = self.orders.pop(0) if self.orders else "pass"
                if order == "pass":
                    self.passed += 1
                    onward.write(chunk)
                    continue
                back.cancel()
                if order == "deafen":
                    self.passed += 1
                    onward.write(chunk)
                    await onward.drain()
                    # Asterisk reads what came before the end of the connection; a reset would take it away.
                    onward.write_eof()
                    self._lines.discard(onward)
                writer.transport.abort()
                break
        back.cancel()
        onward.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()
