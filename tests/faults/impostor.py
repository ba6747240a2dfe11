"""Whoever listens on the AGI port in our service's place, or our service gone mad."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import Counter
from types import TracebackType
from typing import Self

_SET = b'SET VARIABLE %s "%s"\n'

#: What the impostor does, by the department that asks (the second argument of each of our steps).
AGI_FAULTS = ("noise", "unended", "half", "silent", "closes", "resets", "misshapen", "answers", "flood")


class Impostor:
    """An AGI server that answers every department with the fault it is named after, others with silence."""

    def __init__(self, host: str, port: int) -> None:
        self.asked: Counter[str] = Counter()
        self._address = (host, port)
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, *self._address)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                asked = (await reader.readuntil(b"\n\n")).decode(errors="replace")
                fault = next((name for name in AGI_FAULTS if f"agi_arg_2: {name}\n" in asked), "silent")
                self.asked[fault] += 1
                await getattr(self, f"_{fault}")(reader, writer)
        finally:
            writer.close()

    async def _noise(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Random bytes, with and without line ends and NULs among them, then nothing more."""
        for _turn in range(8):
            writer.write(os.urandom(700) + b"\n" * (_turn % 2))
            await writer.drain()
            await asyncio.sleep(0.05)
        await asyncio.sleep(60)

    async def _unended(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A line that never ends: Asterisk 22 spins in run_agi() and looks at no time-out meanwhile."""
        writer.write(b"SET VARIABLE FR_DO")
        await writer.drain()
        await asyncio.sleep(15)  # five times as long as a caller may wait; each second costs a core

    async def _flood(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As many lines as are taken, for ever; whoever drives the flood never reads an answer."""
        while True:
            writer.write(b"NOOP\n" * 200)
            await writer.drain()
            await asyncio.sleep(0)

    async def _half(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Half of a good answer: what to play and to do, but not that it is all; then the connection ends."""
        writer.write(
            _SET % (b"FR_FILES", b"/nowhere/at/all") + _SET % (b"FR_DO", b"end") + b"SET VARIABLE FR_ST"
        )
        await writer.drain()
        await asyncio.sleep(0.2)

    async def _silent(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        """Never answers."""
        await reader.read()

    async def _closes(self, _: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Closes at once."""

    async def _resets(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Breaks the connection off (RST)."""
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _misshapen(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Commands of wrong shapes, then silence."""
        for line in (
            b"SET VARIABLE\n",
            b"SET VARIABLE FR_STEP_OK\n",
            b'SET VARIABLE FR_STEP_OK "0\n',
            b'SET VARIABLE "FR_STEP_OK" \n',
            b"set variable FR_STEP_OK '1'\n",
            b'SET VARIABLE FR_FILES "/nowhere" "1" "2"\n',
            b'SET VARIABLE FR_DO "../../h,1"\n',
            b"EXEC\n",
            b"GET VARIABLE\n",
            b"\n\n\n",
        ):
            writer.write(line)
            await writer.drain()
        await asyncio.sleep(60)

    async def _answers(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speaks as Asterisk would: results, a hang-up, an environment."""
        writer.write(b"200 result=1\n510 Invalid\nHANGUP\nagi_request: x\nagi_arg_1: y\n\n")
        await writer.drain()
        await asyncio.sleep(60)
