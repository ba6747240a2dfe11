"""The registry of actions that wait for their answer. It, and not panoramisk, decides when one is done."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from dataclasses import dataclass, field

from ami_bridge.adapters.ami.errors import AmiLost
from ami_bridge.adapters.ami.port import ActionResult
from ami_bridge.adapters.ami.raw_event import RawEvent
from ami_bridge.adapters.ami.reader import AmiReader, Answer


@dataclass(slots=True)
class _Pending:
    name: str
    future: asyncio.Future[ActionResult]
    response: RawEvent | None = None
    items: list[RawEvent] = field(default_factory=list)


class PendingActions:
    """Futures by ActionID. The ids are random, so a stranger cannot forge an answer.

    panoramisk guesses from the wording of the message whether more will follow ("Added interface to queue"
    hangs for ever); Asterisk says so itself with ``EventList: start`` and ends with ``EventList: Complete``.
    """

    def __init__(self, reader: AmiReader) -> None:
        self._reader = reader
        self._pending: dict[str, _Pending] = {}
        self._prefix = f"fr-{secrets.token_hex(12)}"
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._pending)

    def open(self, name: str) -> tuple[str, asyncio.Future[ActionResult]]:
        """A new ActionID and the future of its answer."""
        action_id = f"{self._prefix}-{next(self._numbers)}"
        future: asyncio.Future[ActionResult] = asyncio.get_running_loop().create_future()
        self._pending[action_id] = _Pending(name, future)
        self._reader.expect(action_id)
        return action_id, future

    def drop(self, action_id: str) -> None:
        """Nobody waits for this one any more."""
        if self._pending.pop(action_id, None) is not None:
            self._reader.forget(action_id)

    def deliver(self, answer: Answer) -> None:
        """A response or list item from the reader."""
        pending = self._pending.get(answer.action_id)
        if pending is None:
            return
        if not answer.is_item:
            pending.response = answer.event
            if answer.event.get("EventList").lower() != "start":
                self._settle(answer.action_id, pending, ending=None)
        elif answer.event.get("EventList"):
            self._settle(answer.action_id, pending, ending=answer.event)
        elif pending.response is not None:
            pending.items.append(answer.event)

    def fail_all(self) -> None:
        """The link broke: every outcome is unknown."""
        for action_id in list(self._pending):
            pending = self._pending[action_id]
            self.drop(action_id)
            if not pending.future.done():
                pending.future.set_exception(AmiLost(pending.name))
                pending.future.exception()  # read once, so that a caller who is gone causes no warning

    def _settle(self, action_id: str, pending: _Pending, ending: RawEvent | None) -> None:
        self.drop(action_id)
        if pending.response is None or pending.future.done():
            return
        pending.future.set_result(_result(pending.name, pending.response, tuple(pending.items), ending))


def _result(
    name: str, response: RawEvent, items: tuple[RawEvent, ...], ending: RawEvent | None
) -> ActionResult:
    whole = ending is None or (
        ending.get("EventList").lower() == "complete" and ending.get("ListItems") == str(len(items))
    )
    success = response.get("Response") in {"Success", "Goodbye"}
    return ActionResult(name, success, response.get("Message"), response.headers, items, whole)
