"""One AMI connection on panoramisk 1.4, with its traps closed. A session lives once and never reconnects.

What panoramisk does here: opens the socket, logs in, renders actions (``Manager``, ``AMIProtocol``,
``Action``). What it must not do, and how it is kept from it (each was reproduced, see the docstrings):

* decode each read on its own, buffer without bound, dispatch through patterns: ``data_received`` is ours;
* send an unanswered action again after a reconnect: its ``responses`` registry is emptied after each send, so
  that ``close()`` has nothing to put into ``awaiting_actions``; every connection gets a new Manager;
* reconnect by itself (also after ``close()``), and retry a wrong password for ever: ``connection_lost`` and a
  failed ``connection_made`` only report to the link;
* ping without looking at the answer: ``ping`` is empty, the link has its own watchdog.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

from ami_bridge.adapters.ami.pending import PendingActions
from ami_bridge.adapters.ami.port import ActionResult

_log = logging.getLogger(__name__)
# panoramisk logs whole actions, the login's secret among them, when it cannot write: keep it quiet.
_silent = logging.getLogger(f"{__name__}.panoramisk")
_silent.disabled = True

_NEVER_SECONDS = 10**9


class _Protocol(AMIProtocol):
    """The socket's protocol: bytes go to the link, the end of the connection is told once."""

    def __init__(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_bytes = on_bytes
        self._on_lost = on_lost

    def data_received(self, data: bytes) -> None:
        self._on_bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        # panoramisk's own version calls factory.connection_lost, which reconnects.
        self.closed = True
        self._on_lost(str(exc) if exc else "the PBX closed the connection")

    def abort(self) -> None:
        """Drop the connection now; ``transport.close()`` would wait for a dead peer to take its bytes."""
        self.closed = True
        self.responses.clear()
        self.transport.abort()


class _Manager(Manager):
    """A Manager that logs in once and reports; see the module's docstring."""

    opened: asyncio.Future[None]

    def connection_made(self, f: Any) -> None:
        if self.opened.done():
            if not f.cancelled() and f.exception() is None:
                f.result()[0].abort()
            return
        if f.cancelled():
            self.opened.cancel()
        elif f.exception() is not None:
            self.opened.set_exception(f.exception())
        else:
            super().connection_made(f)  # type: ignore[no-untyped-call]
            self.opened.set_result(None)

    def ping(self) -> None:
        self.pinger = None

    def connection_lost(self, exc: Any) -> None:
        """Never reconnect from here."""


class AmiSession:
    """One connection: open, send, abort."""

    def __init__(
        self, pending: PendingActions, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        self._pending = pending
        self._callbacks = (on_bytes, on_lost)
        self._aborted = False
        self._manager: _Manager | None = None
        self._task: asyncio.Task[Any] | None = None

    async def open(self, host: str, port: int) -> None:
        """Connect.

        Raises:
            OSError: nobody listens there.
        """
        loop = asyncio.get_running_loop()
        # No 'username' in the config: panoramisk's own login neither times out nor tells a refusal.
        manager = _Manager(  # type: ignore[no-untyped-call]
            host=host,
            port=port,
            loop=loop,
            log=_silent,
            protocol_factory=lambda: _Protocol(*self._callbacks),
            ping_delay=_NEVER_SECONDS,
        )
        manager.opened = loop.create_future()
        self._manager = manager
        self._task = manager.connect()  # type: ignore[no-untyped-call]
        await manager.opened

    async def login(self, username: str, secret: str, timeout_seconds: float) -> ActionResult:
        """Log in; the result says whether the PBX took the account."""
        headers: dict[str, str | list[str]] = {"Username": username, "Secret": secret, "Events": "on"}
        async with asyncio.timeout(timeout_seconds):
            return await self.send("Login", headers)[1]

    def send(
        self, name: str, headers: dict[str, str | list[str]]
    ) -> tuple[str, asyncio.Future[ActionResult]]:
        """Write one action, whose headers are checked already; return its id and the future of its answer."""
        if self._aborted or self._manager is None or self._manager.protocol is None:
            raise ConnectionError("not connected")
        action_id, answered = self._pending.open(name)
        action = Action({**headers, "Action": name, "ActionID": action_id})  # type: ignore[no-untyped-call]
        self._manager.send_action(action)  # type: ignore[no-untyped-call]
        self._manager.protocol.responses.clear()
        return action_id, answered

    def abort(self) -> None:
        """Drop the connection at once and leave nothing that panoramisk could send or do later."""
        self._aborted = True
        if self._task is not None:
            self._task.cancel()
        manager = self._manager
        if manager is None:
            return
        if not manager.opened.done():
            manager.opened.cancel()
        if manager.pinger is not None:
            manager.pinger.cancel()
        if manager.protocol is not None:
            manager.protocol.abort()
        manager.awaiting_actions.clear()
