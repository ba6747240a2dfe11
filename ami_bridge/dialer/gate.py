"""What holds a callback back at the moment of dialling, whatever was right when it was taken.

A number may have become one that we do not ring; somebody may use us to ring others again and again; a mistake may
cost a fortune. Looked at anew before every launch, and counted over all dialers of a store: the counts of others are
:data:`_LOOK_SECONDS` old at the most, so a limit may be passed by what they launch in that time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ami_bridge.adapters.store import AuditEntry, Store
from ami_bridge.core.callbacks import UNRUNG, Attempt, Callback, CallbackEvent, IllegalTransition
from ami_bridge.core.follow_ups import other_party
from ami_bridge.numbers import Refusal, check_number, e164_of
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_HOUR = timedelta(hours=1)
# A call that goes on for longer is one whose end nobody has told: the bridge is away.
_LONGEST_CALL = timedelta(hours=2)


class Gate:
    """The limits of the section ``[callback]``, and the switch that stops everything."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._zone = ZoneInfo(settings.company.time_zone)
        self._looked_at: datetime | None = None
        self._closed = ""
        self._rung: list[tuple[datetime, str]] = []
        self._rung_today: Counter[str] = Counter()
        self._counted_from: datetime | None = None
        # Asked for every callback that is due, every second; the rules are those of the start.
        self._refused = lru_cache(maxsize=20_000)(self._judge)

    async def left(self, now: datetime) -> int:
        """How many may be launched now. 0 with a line in the log when that is because of a limit."""
        if self._looked_at is None or (now - self._looked_at).total_seconds() >= _LOOK_SECONDS:
            await self._look(now)
        if self._closed:
            return 0
        limit = self._settings.callback.calls_per_hour
        left = limit - sum(at > now - _HOUR for at, _ in self._rung)
        return max(0, left)

    def launched(self, number: str, now: datetime) -> None:
        """Counted at once, not only at the next look."""
        self._count_from(self._midnight(now))
        self._rung.append((now, number))
        self._rung_today[number] += 1

    async def refusals(self, callbacks: Collection[Callback]) -> dict[str, str]:
        """Which of ``callbacks`` must never be rung, and why, in a word: by id."""
        numbers = {callback.id: callback.number or "" for callback in callbacks}
        forbidden = await self._store.do_not_call(sorted(set(numbers.values()))) if numbers else ()
        found = {
            each: "do_not_call" if number in forbidden else self._refused(number)
            for each, number in numbers.items()
        }
        return {each: why for each, why in found.items() if why}

    async def on_the_phone(self, now: datetime) -> set[str]:
        """Whose call goes on, with whomever of us: they need not be rung, and an agent would find them busy."""
        calls = await self._store.live_calls(now - _LONGEST_CALL)
        told = {other_party(call.record) for call in calls if call.record.get("kind") != "callback"}
        numbers = {e164_of(each, self._settings.company.country) for each in told if each}
        return {each for each in numbers if each is not None}

    def _judge(self, number: str) -> str:
        rules = self._settings.callback
        own = [did for department in self._settings.departments.values() for did in department.dids]
        country = self._settings.company.country
        checked = check_number(number, country, rules.allowed_regions, own, rules.denied_prefixes)
        return checked.value if isinstance(checked, Refusal) else ""

    async def call_off(self, callback: Callback, why: str, now: datetime) -> None:
        """Close what must never be rung, and keep why."""
        log.warning("callback %s is called off at dial time: %s", callback.id, why)
        try:
            await self._store.update_callback(
                callback.id, event=CallbackEvent.CANCELLED, by="dialer", reason=why, at=now
            )
        except IllegalTransition:
            return  # somebody was quicker
        detail = {"reason": why, "department": callback.department}
        await self._store.audit(
            AuditEntry(f"gate:{callback.id}", now, "dialer", "callback.refused", callback.id, detail)
        )

    def rings_again_at(self, number: str, now: datetime) -> datetime:
        """``now``, or tomorrow when ``number`` has been rung often enough today."""
        today = self._midnight(now)
        self._count_from(today)
        if self._rung_today[number] < self._settings.callback.rings_per_number_per_day:
            return now
        return self._midnight(today + timedelta(hours=30))

    def _count_from(self, today: datetime) -> None:
        """Counted once a day and at each look: asked for every callback that is due, every second."""
        if today != self._counted_from:
            self._counted_from = today
            self._rung_today = Counter(number for at, number in self._rung if at >= today)

    def _midnight(self, at: datetime) -> datetime:
        local = at.astimezone(self._zone)
        return local.replace(hour=0, minute=0, second=0, microsecond=0)

    async def _look(self, now: datetime) -> None:
        halt = await self._store.halted()
        today = self._midnight(now)
        attempts = await self._store.attempts_since(min(today, now - _HOUR))
        self._rung = [(each.started_at, each.number) for each in attempts if each.state not in UNRUNG]
        self._counted_from = None
        minutes = sum(_minutes(each, now) for each in attempts if each.started_at >= today)
        closed = ""
        if halt is not None:
            closed = f"stopped by {halt.by}: {halt.reason}"
        elif minutes >= self._settings.callback.minutes_per_day:
            closed = f"{minutes:.0f} minutes were talked today, callback.minutes_per_day allows no more"
        if closed and closed != self._closed:
            log.error("No callbacks are dialled: %s", closed)
        self._closed, self._looked_at = closed, now


def _minutes(attempt: Attempt, now: datetime) -> float:
    if attempt.connected_at is None:
        return 0.0
    return ((attempt.finished_at or now) - attempt.connected_at).total_seconds() / 60
