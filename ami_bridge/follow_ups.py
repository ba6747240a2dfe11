"""After each call: close captures that were broken off, note who was missed, close what was settled otherwise.

Works beside the bridge's loop on finished records, and waits for a store that is away. Each write has its own
key, so that the calls of the last hours, which are looked through once more at every start, change nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agi.capture_end import end_capture
from ami_bridge.adapters.clock import Clock
from ami_bridge.adapters.store import HistoryEntry, Store, StoreUnavailable
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.core.follow_ups import Missed, Reached, judge
from ami_bridge.numbers import CheckedNumber, check_number
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

#: How far back calls are looked through at the start: what ended while nobody could write it.
LOOK_BACK = timedelta(hours=2)
_MOST_CALLS = 5000
_RETRY_SECONDS = 1.0


class FollowUps:
    """Takes finished records through :meth:`ended`; :meth:`run` writes what follows from them."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many finished calls have not been looked at yet."""
        return len(self._waiting)

    def ended(self, record: Mapping[str, Any]) -> None:
        """A call has ended; ``record`` is ``CallRecord.as_json()`` with its department."""
        self._waiting.append(record)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        looked_back = False
        while True:
            try:
                if not looked_back:
                    await self.look_back()
                    looked_back = True
                await self.work()
            except StoreUnavailable as error:
                log.warning("%s %d calls wait to be followed up.", error, len(self._waiting))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await self._wake.wait()
            self._wake.clear()

    async def look_back(self) -> None:
        """Take up calls that ended shortly before we were started, oldest first.

        Raises:
            StoreUnavailable: nothing was taken up.
        """
        since = self._clock.now() - LOOK_BACK
        calls = await self._store.calls(since=since, limit=_MOST_CALLS)
        earlier = [call.record for call in reversed(calls) if call.ended_at is not None]
        self._waiting.extendleft(reversed(earlier))

    async def work(self) -> None:
        """Follow up everything that waits.

        Raises:
            StoreUnavailable: the rest still waits.
        """
        while self._waiting:
            record = self._waiting[0]
            try:
                await self._follow_up(record)
            except StoreUnavailable:
                raise
            except Exception:
                # One bad call never stops the next.
                log.exception("Call %r could not be followed up", record.get("call_id"))
            self._waiting.popleft()

    async def _follow_up(self, record: Mapping[str, Any]) -> None:
        captured = False
        for uniqueid in record.get("uniqueids") or ():
            captured |= await end_capture(self._store, str(uniqueid), self._clock.now())
        match judge(record, self._settings.callback.reached_seconds):
            case Reached(number=number, at=at, seconds=seconds):
                await self._reached(record, number, at, seconds)
            case Missed() as missed if not captured:
                await self._missed(record, missed)

    async def _reached(self, record: Mapping[str, Any], told: str, at: datetime, seconds: float) -> None:
        number = self._checked(told)
        if number is None:
            return
        call_id = str(record.get("call_id"))
        detail = {"call": call_id, "talk_seconds": round(seconds, 1), "direction": record.get("direction")}
        for callback in await self._store.reached(number.e164, key=call_id, at=at, detail=detail):
            log.info("callback %s is done: they talked in call %s", callback.id, call_id)

    async def _missed(self, record: Mapping[str, Any], missed: Missed) -> None:
        number, department = self._checked(missed.number), str(record.get("department") or "")
        if number is None or department not in self._settings.departments:
            return
        if await self._store.do_not_call([number.e164]):
            return
        call_id = str(record.get("call_id"))
        detail = {"call": call_id, "why": missed.why.value}
        key = f"missed:{call_id}"
        uniqueids = record.get("uniqueids") or (None,)
        callback = await self._store.create_callback(
            key,
            department,
            channel_uniqueid=uniqueids[0],
            at=missed.at,
            call_id=call_id,
            language=self._settings.language_of(department),
            caller_id=missed.number,
            number=number.e164,
            number_source="caller_id",
            place_at=missed.since or missed.at,
            origin="missed",
        )
        goes_on = await self._store.settle_capture(
            callback.id, event=CallbackEvent.BROKEN_OFF, by="call", reason=missed.why.value, at=missed.at
        )
        await self._store.add_history(HistoryEntry(key, goes_on.id, missed.at, "missed_call", detail))

    def _checked(self, number: str) -> CheckedNumber | None:
        settings = self._settings
        own = [did for department in settings.departments.values() for did in department.dids]
        rules = settings.callback
        checked = check_number(
            number, settings.company.country, rules.allowed_regions, own, rules.denied_prefixes
        )
        return checked if isinstance(checked, CheckedNumber) else None
