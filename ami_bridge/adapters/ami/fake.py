"""The fake AMI link that ships: scripted events and answers, the same port, the same refusals."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from ami_bridge.adapters.ami.errors import AmiLost, AmiNotReady, AmiTimeout
from ami_bridge.adapters.ami.link import OnReady
from ami_bridge.adapters.ami.outgoing import OutgoingHeaders, checked_headers
from ami_bridge.adapters.ami.port import ACTION_TIMEOUT_SECONDS, ActionResult, AmiActions, LinkState
from ami_bridge.adapters.ami.raw_event import LinkLost, LinkReady, RawEvent, raw_event, utc_now
from ami_bridge.adapters.ami.stream import StreamedLink

Scripted = ActionResult | Exception | Callable[["SentAction"], ActionResult]


@dataclass(frozen=True, slots=True)
class SentAction:
    """An action that the fake was asked to send."""

    name: str
    headers: dict[str, str | list[str]]


class FakeAmiLink(StreamedLink, AmiActions):
    """An :class:`~ami_bridge.adapters.ami.port.AmiPort` without a PBX.

    ``sent`` lists every action; ``answer`` scripts the next answers of an action (default: success, an empty
    list); ``emit`` makes events arrive; ``lose`` and ``restore`` break and mend the link; ``silence`` makes
    the next action wait for an answer that never comes.
    """

    def __init__(
        self, node: str = "fr1", *, on_ready: OnReady | None = None, queue_limit: int = 100_000
    ) -> None:
        super().__init__(queue_limit)
        self.node = node
        self.on_ready = on_ready
        self.sent: list[SentAction] = []
        self._answers: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._silent: set[str] = set()
        self._waiting: dict[asyncio.Future[ActionResult], str] = {}
        self._connects = 0

    async def connect(self) -> None:
        """Become ready."""
        self.restore()

    async def close(self) -> None:
        """End the link for good."""
        self._state = LinkState.CLOSED
        if self._hook is not None:
            self._hook.cancel()
        self._fail_waiting()
        self._stream.end()

    # Scripting ----------------------------------------------------------------------------

    def answer(self, action: str, *results: Scripted) -> None:
        """Script the next answers of ``action``: a result, an exception, or a function of the action."""
        self._answers[action].extend(results)

    def silence(self, action: str) -> None:
        """From now on ``action`` gets no answer."""
        self._silent.add(action)

    def emit(self, event: RawEvent | str, **headers: str) -> None:
        """An event arrives; it is lost when the link is down, as on a real PBX."""
        item = raw_event(event, headers) if isinstance(event, str) else event
        if self._state is LinkState.READY:
            self._stream.put_event(item)

    def lose(self, reason: str = "scripted") -> None:
        """The link breaks."""
        if self._state is LinkState.READY:
            self._state = LinkState.LOST
            self._stream.put_marker(LinkLost(utc_now(), reason))
            self._fail_waiting()

    def restore(self) -> None:
        """The link is logged in (again)."""
        if self._state in {LinkState.CLOSED, LinkState.READY}:
            return
        self._state = LinkState.READY
        self._stream.put_marker(LinkReady(utc_now(), first=self._connects == 0))
        self._connects += 1
        if self.on_ready is not None:
            self._hook = asyncio.ensure_future(self._run_hook(self.on_ready))

    # The port -----------------------------------------------------------------------------

    async def action(
        self,
        name: str,
        headers: OutgoingHeaders | None = None,
        *,
        timeout_seconds: float = ACTION_TIMEOUT_SECONDS,
    ) -> ActionResult:
        """Record the action and give its scripted answer."""
        checked = checked_headers(name, headers)
        if self._state is not LinkState.READY:
            raise AmiNotReady(name, self._state.value)
        sent = SentAction(name, checked)
        self.sent.append(sent)
        if name in self._silent:
            return await self._never(name, timeout_seconds)
        scripted = self._answers[name].popleft() if self._answers[name] else ActionResult(name, True, "")
        if isinstance(scripted, Exception):
            raise scripted
        return scripted(sent) if callable(scripted) else scripted

    async def _never(self, name: str, timeout_seconds: float) -> ActionResult:
        future: asyncio.Future[ActionResult] = asyncio.get_running_loop().create_future()
        self._waiting[future] = name
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            raise AmiTimeout(name, timeout_seconds) from None
        finally:
            self._waiting.pop(future, None)

    def _fail_waiting(self) -> None:
        for future, name in self._waiting.items():
            if not future.done():
                future.set_exception(AmiLost(name))

    async def _run_hook(self, hook: OnReady) -> None:
        await hook(self)
