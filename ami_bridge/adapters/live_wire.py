"""The short wire from the bridge to the desk: what goes on in every call, a few milliseconds after it happened.

A Unix socket in the state folder carries one JSON object a line. Whoever connects gets a whole picture first
(``hello``, which says how many calls follow, then those calls) and after it every change, numbered without a
hole. The bridge never waits for a reader: one that falls far behind is cut off, connects again and gets a new
picture. Only the owner of the state folder can open the socket, so it needs no password.

The ways not taken are in docs/decisions (the live feed).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

#: Events of one instant come in bursts; a call that changed five times within this is told once.
GATHER_SECONDS = 0.02
RECONNECT_SECONDS = 0.5
#: Bytes that may wait for one reader: about ten thousand changes.
MOST_WAITING = 8 * 1024 * 1024
_LONGEST_LINE = 256 * 1024

Form = Mapping[str, Any]


def wire_path(state_folder: Path) -> Path:
    """Where the socket of the bridge in ``state_folder`` lies."""
    return state_folder / "live.sock"


class LiveWire:
    """The bridge's end.

    Args:
        path: the socket; an old one is replaced.
        form_of: the newest form of a call that goes on, None when it is over.
        open_calls: the forms of all of them, for somebody who has just connected.
    """

    def __init__(
        self, path: Path, form_of: Callable[[str], Form | None], open_calls: Callable[[], Iterable[Form]]
    ) -> None:
        self._path = path
        self._form_of = form_of
        self._open_calls = open_calls
        self._readers: set[asyncio.StreamWriter] = set()
        self._changed: dict[str, Form | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._linked = False
        self._run = secrets.token_hex(8)
        self._seq = 0

    def changed(self, call_id: str) -> None:
        """The call has changed. Costs next to nothing while nobody listens."""
        if self._readers:
            self._changed.setdefault(call_id, None)
            self._soon()

    def ended(self, call_id: str, form: Form) -> None:
        """The call is over; ``form`` is the last word on it."""
        if self._readers:
            self._changed[call_id] = form
            self._soon()

    def linked(self, linked: bool) -> None:
        """Whether the PBX is heard. While it is not, what the desks show is old, and they must say so."""
        if linked != self._linked:
            self._linked = linked
            self._send([{"linked": linked}])

    def picture_changed(self) -> None:
        """After a gap every call may have changed: a new picture for everybody."""
        self._forget()
        for writer in tuple(self._readers):
            self._greet(writer)

    async def run(self) -> None:
        """Listen until cancelled. Without a socket the desks go by the store, a second later: told, not fatal."""
        try:
            self._path.unlink(missing_ok=True)
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            server = await asyncio.start_unix_server(self._serve, self._path)
            self._path.chmod(0o600)
        except OSError as error:
            log.warning("No live wire at %s (%s); the desks will be slower.", self._path, error)
            return
        try:
            await server.serve_forever()
        finally:
            # The file stays: the next bridge replaces it, and may have done so already.
            for writer in tuple(self._readers):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._readers.add(writer)
        self._greet(writer)
        try:
            while await reader.read(4096):  # nothing is expected; the end of it is
                pass
        except OSError:
            pass
        finally:
            self._readers.discard(writer)
            writer.transport.abort()

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        """The whole picture. No event can come in between, because nothing is awaited here."""
        calls = list(self._open_calls())
        hello: dict[str, Any] = {
            "hello": self._run,
            "seq": self._seq,
            "linked": self._linked,
            "calls": len(calls),
        }
        writer.write(b"".join(_line(item) for item in [hello, *({"call": call} for call in calls)]))

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._flush)

    def _forget(self) -> None:
        self._changed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, {}
        forms = [form or self._form_of(call_id) for call_id, form in changed.items()]
        self._send([{"call": form} for form in forms if form is not None])

    def _send(self, items: Iterable[dict[str, Any]]) -> None:
        lines = []
        for item in items:
            self._seq += 1
            lines.append(_line({"seq": self._seq, **item}))
        block = b"".join(lines)
        for writer in tuple(self._readers) if block else ():
            if writer.transport.get_write_buffer_size() > MOST_WAITING:
                log.warning("A desk does not read the live wire; it is cut off and may come again.")
                self._readers.discard(writer)
                writer.transport.abort()
            else:
                writer.write(block)


class WireLost(Exception):
    """The other end is gone, or a number was missing."""


async def follow_wire(path: Path) -> AsyncGenerator[dict[str, Any] | None]:
    """The desk's end: every message in order, for ever; None whenever the wire is down.

    After None a new ``hello`` begins everything afresh. A hole in the numbers counts as a lost wire.
    """
    while True:
        with contextlib.suppress(OSError, WireLost, ValueError):
            async for message in _messages(path):
                yield message
        yield None
        await asyncio.sleep(RECONNECT_SECONDS)


async def _messages(path: Path) -> AsyncGenerator[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
    try:
        seq = None
        while line := await reader.readline():
            message: dict[str, Any] = json.loads(line)
            if "hello" in message:
                seq = message["seq"]
            elif "seq" in message:
                if seq is None or message["seq"] != seq + 1:
                    raise WireLost
                seq += 1
            yield message
    finally:
        writer.transport.abort()


def _line(item: Mapping[str, Any]) -> bytes:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
