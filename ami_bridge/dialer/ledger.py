"""Keeps the promise ledger: makes, warns, settles; tells people before a promise breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from ami_bridge.adapters.clock import Clock
from ami_bridge.adapters.store import Store, StoreUnavailable
from ami_bridge.core.promises import Happening, Promise, Standing, due_time, look
from ami_bridge.dialer.calling_hours import CallingHours
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
_TOLD = frozenset({Happening.ESCALATED, Happening.BROKEN})


class Messenger(Protocol):
    """A way to tell people that a promise is about to break, or broke."""

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Deliver; raises OSError when that was not possible."""


class Ledger:
    """One look every few seconds. Any number may look at one store: the store lets one of them write."""

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, messengers: Sequence[Messenger] = ()
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._messengers = messengers
        self._hours = CallingHours(settings)
        self._telling: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("The promises wait: %s", error)
            except Exception:
                log.exception("This look at the promises was given up")
            await asyncio.sleep(ROUND_SECONDS)

    async def look(self) -> list[tuple[Promise, Happening]]:
        """One round; returns what happened, told or not."""
        now = self._clock.now()
        warn = timedelta(minutes=self._settings.promises.escalate_minutes)
        happened = []
        for standing in await self._store.standings():
            due_at = self._due(standing, now) if standing.promise is None else None
            found = look(standing, now, due_at=due_at, warn=warn)
            if found is not None and await self._store.write_promise(found[0], at=now):
                happened.append(found)
                self._say(standing, *found, now)
        return happened

    def _due(self, standing: Standing, now: datetime) -> datetime:
        callback = standing.callback
        start = max(callback.due_at or callback.created_at, callback.created_at)
        both = self._hours.schedules(callback.department, callback.number or "")
        return due_time(both, start, timedelta(minutes=self._settings.promises.minutes))

    def _say(self, standing: Standing, promise: Promise, happening: Happening, now: datetime) -> None:
        left = promise.seconds_left(now)
        level = logging.WARNING if happening in _TOLD else logging.INFO
        log.log(
            level, "promise %s: %s, due %s", promise.callback_id, happening.value, promise.due_at.isoformat()
        )
        if happening not in _TOLD:
            return
        callback = standing.callback
        message = {
            "event": f"promise.{happening.value}",
            "at": now.isoformat(),
            "callback": promise.callback_id,
            "department": promise.department,
            "promised_by": promise.made_by,
            "made_at": promise.made_at.isoformat(),
            "due_at": promise.due_at.isoformat(),
            "seconds_left": round(left),
            "state": callback.state.value,
            "attempts": callback.attempts,
            "last_result": callback.last_result,
        }
        for messenger in self._messengers:
            task = asyncio.ensure_future(_deliver(messenger, message))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


async def _deliver(messenger: Messenger, message: Mapping[str, Any]) -> None:
    """A mail server that is away must not hold up the ledger; the feed and the log have it in any case."""
    try:
        await messenger.tell(message)
    except Exception as error:
        log.error("%s about callback %s was not delivered: %s", message["event"], message["callback"], error)
