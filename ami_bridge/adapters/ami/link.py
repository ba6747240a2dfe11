"""The AMI link: one owner of the connection, its state, its actions and its ordered stream of events."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from ami_bridge.adapters.ami.errors import (
    AmiAuthError,
    AmiError,
    AmiLost,
    AmiMisconfigured,
    AmiNotReady,
    AmiTimeout,
)
from ami_bridge.adapters.ami.outgoing import OutgoingHeaders, checked_headers
from ami_bridge.adapters.ami.pending import PendingActions
from ami_bridge.adapters.ami.port import ACTION_TIMEOUT_SECONDS, ActionResult, AmiActions, AmiPort, LinkState
from ami_bridge.adapters.ami.raw_event import (
    LinkLost,
    LinkReady,
    Quarantined,
    RawEvent,
    SnapshotWanted,
    utc_now,
)
from ami_bridge.adapters.ami.reader import AmiReader, Answer
from ami_bridge.adapters.ami.session import AmiSession
from ami_bridge.adapters.ami.stream import StreamedLink

_log = logging.getLogger(__name__)

OnReady = Callable[[AmiPort], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LinkTimings:
    """All of them in seconds. A half-open link is found after at most ping_interval + ping_limit."""

    connect_limit: float = 5.0
    login_limit: float = 5.0
    ping_interval: float = 2.0
    ping_limit: float = 3.0
    backoff_first: float = 0.25
    backoff_most: float = 10.0
    snapshot_pause: float = 5.0


@dataclass(frozen=True, slots=True)
class _Account:
    host: str
    port: int
    username: str
    secret: str

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def _settle(future: asyncio.Future[str], reason: str) -> None:
    if not future.done():
        future.set_result(reason)


class AmiLink(StreamedLink, AmiActions):
    """See :class:`~ami_bridge.adapters.ami.port.AmiPort`.

    ``on_ready(link)`` is awaited after every login: :meth:`events` hands out the LinkReady marker first, then
    waits for the hook, so that a snapshot taken in it is older than every event that follows, while the live
    events are buffered in order.
    """

    def __init__(
        self,
        node: str,
        *,
        wanted: Collection[str] | None = None,
        on_ready: OnReady | None = None,
        on_quarantine: Callable[[Quarantined], None] | None = None,
        timings: LinkTimings | None = None,
        queue_limit: int = 100_000,
    ) -> None:
        """
        Args:
            node: Asterisk's ``systemname``; events of another node are refused.
            wanted: names of the events that anybody reads; None reads all.
            on_ready: called after each login.
            on_quarantine: told of every piece of the stream that is not believed.
            timings: limits and pauses.
            queue_limit: how many events may wait for the consumer before an EventGap.
        """
        super().__init__(queue_limit)
        self.reader = AmiReader(node, wanted=wanted, on_quarantine=on_quarantine)
        self.node = node
        self.on_ready = on_ready
        self.connects = self.losses = 0
        self._timings = timings or LinkTimings()
        self._pending = PendingActions(self.reader)
        self._settled = asyncio.Event()
        self._session: AmiSession | None = None
        self._broken: asyncio.Future[str] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self._snapshot_at = float("-inf")
        self._refusal: AmiError | None = None

    @property
    def dropped_events(self) -> int:
        """Events thrown away because the consumer was too slow; each run of them is an EventGap."""
        return self._stream.dropped

    @property
    def waiting_events(self) -> int:
        """Items in the stream that the consumer has not taken yet."""
        return len(self._stream)

    # Life -------------------------------------------------------------------------------

    async def connect(
        self, host: str, port: int, username: str, secret: str, *, timeout_seconds: float | None = None
    ) -> None:
        """Start the link and wait until it is ready for the first time; from then on it reconnects by itself.

        Raises:
            AmiAuthError: the PBX refused the account; the link has stopped.
            AmiMisconfigured: the PBX has another systemname; the link has stopped.
            AmiNotReady: not ready within ``timeout_seconds``; the link keeps trying until :meth:`close`.
        """
        if self._supervisor is not None:
            raise RuntimeError("an AmiLink connects once; make a new one")
        account = _Account(host, port, username, secret)
        checked_headers("Login", {"Username": username, "Secret": secret})
        self._supervisor = asyncio.create_task(self._supervise(account), name=f"ami {account.address}")
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._settled.wait()
        except TimeoutError:
            raise AmiNotReady(f"login at {account.address}", self._state.value) from None
        if self._refusal is not None:
            raise self._refusal

    async def close(self) -> None:
        """End the link for good: pending actions fail, the stream ends, nothing reconnects."""
        if self._state is not LinkState.REFUSED:
            self._state = LinkState.CLOSED
        self._break("closed")
        self._drop_session()
        for task in (self._hook, self._supervisor):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._stream.end()
        self._settled.set()

    async def _supervise(self, account: _Account) -> None:
        pause = self._timings.backoff_first
        while self._state is not LinkState.CLOSED:
            self._state = LinkState.CONNECTING
            try:
                reason = await self._live_once(account)
                pause = self._timings.backoff_first
                self._lose(reason)
            except (AmiAuthError, AmiMisconfigured) as error:
                self._refuse(error)
                return
            except (OSError, AmiError, TimeoutError) as error:
                self._lose(str(error) or "time-out")
                _log.warning(
                    "No AMI link to %s (%s); next try in about %.1f s",
                    account.address,
                    str(error) or "time-out",
                    pause,
                )
            # Jitter, so that many bridges do not knock at a restarted PBX in step.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(self._timings.backoff_most, pause * 2)

    async def _live_once(self, account: _Account) -> str:
        """One connection from its opening to its loss; returns the reason of the loss."""
        self.reader.start()
        loop = asyncio.get_running_loop()
        broken = self._broken = loop.create_future()
        session = self._session = AmiSession(self._pending, self._on_bytes, self._on_lost)
        async with asyncio.timeout(self._timings.connect_limit):
            await session.open(account.host, account.port)
        login = await session.login(account.username, account.secret, self._timings.login_limit)
        if not login.success:
            raise AmiAuthError(account.username, account.address, login.message or "no reason given")
        await self._check_node(account)
        self._settled.set()
        return await self._serve(broken)

    async def _check_node(self, account: _Account) -> None:
        """Another systemname would have every event refused without a word that an admin sees."""
        settings = await self.action("CoreSettings", timeout_seconds=self._timings.login_limit)
        found = settings.headers.get("SystemName")
        if isinstance(found, str) and found != self.node:
            raise AmiMisconfigured(account.address, found, self.node)

    async def _serve(self, broken: asyncio.Future[str]) -> str:
        watchdog = asyncio.create_task(self._watch())
        try:
            return await broken
        finally:
            watchdog.cancel()

    def _become_ready(self) -> None:
        """Called the instant the login's answer is read: LinkReady stands before the first event."""
        self._state = LinkState.READY
        self._stream.put_marker(LinkReady(utc_now(), first=self.connects == 0))
        self.connects += 1
        if self._hook is not None:
            self._hook.cancel()
        if self.on_ready is not None and self._broken is not None:
            self._hook = asyncio.create_task(self._run_hook(self.on_ready, self._broken))

    async def _run_hook(self, hook: OnReady, broken: asyncio.Future[str]) -> None:
        try:
            await hook(self)
        except AmiError as error:
            # The link broke again, or the PBX is slow: only a new connection brings a snapshot that can be
            # trusted.
            _log.warning("The snapshot after the login failed: %s", error)
            _settle(broken, "the snapshot after the login failed")
        except Exception:
            _log.exception("The hook after the AMI login failed")
            _settle(broken, "the hook after the login failed")

    def _lose(self, reason: str) -> None:
        was_ready = self._state is LinkState.READY
        self._drop_session()
        if self._state is LinkState.CLOSED:
            return
        self._state = LinkState.LOST
        if was_ready:
            self.losses += 1
            self._stream.put_marker(LinkLost(utc_now(), reason))
            _log.warning("The AMI link is lost: %s", reason)

    def _refuse(self, error: AmiError) -> None:
        self._drop_session()
        self._state = LinkState.REFUSED
        self._refusal = error
        self._stream.end(error)
        self._settled.set()
        _log.error("%s", error)

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.abort()
            self._session = None
        self._pending.fail_all()

    def _break(self, reason: str) -> None:
        if self._broken is not None:
            _settle(self._broken, reason)

    # What the session tells ---------------------------------------------------------------

    def _on_lost(self, reason: str) -> None:
        if self._state is LinkState.READY:
            # In the same instant, not when the supervisor wakes: no action may be sent into a dead socket.
            self._lose(reason)
        else:
            self._pending.fail_all()
        self._break(reason)

    def _on_bytes(self, chunk: bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        try:
            arrived = self.reader.feed(chunk, utc_now())
        except Exception:
            # One bad event must not stop the stream; asyncio would close the connection.
            _log.exception("The AMI reader failed; the link starts anew")
            self._break("the reader failed")
            return
        for item in arrived:
            if isinstance(item, Answer):
                self._on_answer(item)
            else:
                self._on_event(item)
        if self.reader.snapshot_reason is not None:
            self._want_snapshot()

    def _on_answer(self, answer: Answer) -> None:
        is_login = self._state is LinkState.CONNECTING and not answer.is_item
        if is_login and answer.event.get("Response") == "Success":
            self._become_ready()
        self._pending.deliver(answer)

    def _on_event(self, event: RawEvent) -> None:
        if self._state is LinkState.READY:
            self._stream.put_event(event)

    def _want_snapshot(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._state is not LinkState.READY or now - self._snapshot_at < self._timings.snapshot_pause:
            return
        self._snapshot_at = now
        reason, self.reader.snapshot_reason = self.reader.snapshot_reason or "", None
        self._stream.put_marker(SnapshotWanted(utc_now(), reason))

    # What others ask -------------------------------------------------------------------------

    async def action(
        self,
        name: str,
        headers: OutgoingHeaders | None = None,
        *,
        timeout_seconds: float = ACTION_TIMEOUT_SECONDS,
    ) -> ActionResult:
        """Send one action once and wait for its whole answer (a list until its Complete).

        Raises:
            AmiValueError: a header must not go out; nothing was sent.
            AmiNotReady: the link is down; nothing was sent and nothing will be.
            AmiLost, AmiTimeout: unknown outcome; it is never sent again.
        """
        checked = checked_headers(name, headers)
        if self._state is not LinkState.READY or self._session is None:
            raise AmiNotReady(name, self._state.value)
        action_id, answered = self._session.send(name, checked)
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that meets the answer, and close() hangs.
            async with asyncio.timeout(timeout_seconds):
                return await answered
        except TimeoutError:
            raise AmiTimeout(name, timeout_seconds) from None
        finally:
            self._pending.drop(action_id)

    async def core_show_channels(self) -> ActionResult:
        """CoreShowChannels; a complete answer also becomes the reader's list of live channels."""
        mark = self.reader.live.mark()
        result = await super().core_show_channels()
        if result.success and result.complete:
            self.reader.live.adopt(
                [(item.get("Uniqueid"), item.get("Channel")) for item in result.items], mark
            )
        return result

    async def _watch(self) -> None:
        """Ping, with a limit. A late answer is forgiven while bytes still come: then only we are slow."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timings.ping_interval)
            asked_at = loop.time()
            try:
                await self.action("Ping", timeout_seconds=self._timings.ping_limit)
            except AmiTimeout:
                if self._heard_at < asked_at:
                    self._break(f"no answer to a ping within {self._timings.ping_limit:g} s")
                    return
            except (AmiNotReady, AmiLost):
                return
