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
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

#: Events of one instant come in bursts; a call that changed five times within this is told once.
GATHER_SECONDS = 0.05
RECONNECT_SECONDS = 0.5
ANSWER_SECONDS = 6.0
#: Bytes that may wait for one reader: about ten thousand changes.
MOST_WAITING = 8 * 1024 * 1024
_LONGEST_LINE = 256 * 1024

Form = Mapping[str, Any]
Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def wire_path(state_folder: Path) -> Path:
    """Where the socket of the bridge in ``state_folder`` lies."""
    return state_folder / "live.sock"


def answered_by(**answers: Answer) -> Answer:
    """What gives each request to whoever knows its first word: ``{"pause": …}`` to ``pause``."""

    async def answer(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        for word, answers_it in answers.items():
            if word in asked:
                return await answers_it(asked)
        return {"ok": False, "why": "unknown"}

    return answer


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
        self._members: Mapping[str, Any] = {}
        self._trunks: Mapping[str, str] = {}
        self.answer: Answer | None = None
        """What a desk's requests are given to."""
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

    def listened(self) -> bool:
        """Whether a desk is there."""
        return bool(self._readers)

    def members(self, members: Mapping[str, Any]) -> None:
        """The state of the queues' members changed."""
        self._members = members
        self._send([{"members": members}])

    def trunks(self, trunks: Mapping[str, str]) -> None:
        """A carrier answers no longer, or again."""
        self._trunks = trunks
        self._send([{"trunks": trunks}])

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
            while line := await reader.readline():
                await self._reply(line, writer)
        except (OSError, ValueError):
            pass  # gone, or no desk of ours
        finally:
            self._readers.discard(writer)
            writer.transport.abort()

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(line)
        done = await self.answer(asked) if self.answer is not None else {"ok": False}
        writer.write(_line({"answer": asked.get("ask"), **done}))

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        """The whole picture. No event can come in between, because nothing is awaited here."""
        calls = list(self._open_calls())
        hello: dict[str, Any] = {"hello": self._run, "seq": self._seq, "linked": self._linked}
        hello |= {"calls": len(calls), "members": self._members, "trunks": self._trunks}
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


class DeskWire:
    """The desk's end of the wire at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._last = 0

    async def messages(self) -> AsyncGenerator[dict[str, Any] | None]:
        """Every message in order, for ever; None whenever the wire is down.

        After None a new ``hello`` begins everything afresh. A hole in the numbers counts as a lost wire.
        """
        while True:
            with contextlib.suppress(OSError, WireLost, ValueError):
                async for message in self._read():
                    yield message
            yield None
            await asyncio.sleep(RECONNECT_SECONDS)

    async def ask(self, what: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have the bridge do something. It comes back with ``ok``.

        Raises:
            WireLost: nobody answered in time; it may have been done.
        """
        if self._writer is None:
            raise WireLost
        self._last += 1
        number = self._last
        waiting: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = waiting
        self._writer.write(_line({**what, "ask": number}))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await waiting
        except TimeoutError:
            raise WireLost from None
        finally:
            self._asked.pop(number, None)

    async def _read(self) -> AsyncGenerator[dict[str, Any]]:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=_LONGEST_LINE)
        self._writer = writer
        try:
            seq = None
            while line := await reader.readline():
                message: dict[str, Any] = json.loads(line)
                if "answer" in message:
                    self._answered(message)
                    continue
                if "hello" in message:
                    seq = message["seq"]
                elif "seq" in message:
                    if seq is None or message["seq"] != seq + 1:
                        raise WireLost
                    seq += 1
                yield message
        finally:
            self._writer = None
            writer.transport.abort()

    def _answered(self, message: Mapping[str, Any]) -> None:
        waiting = self._asked.get(message["answer"])
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


# Made once: json.dumps with arguments of our own would make one for every line.
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _line(item: Mapping[str, Any]) -> bytes:
    return _encoded(item).encode("utf-8", "replace") + b"\n"
