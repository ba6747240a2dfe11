"""The callback half of :class:`ami_bridge.adapters.store.memory.MemoryStore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Unpack

from ami_bridge.adapters.store.entries import (
    AgentTaken,
    DoNotCall,
    NotStored,
    StaleFence,
    callback_id,
    clean,
    utc,
)
from ami_bridge.adapters.store.fences import (
    changed_by,
    check_claim,
    check_dialling,
    check_renewal,
    claimed_by,
)
from ami_bridge.adapters.store.sight import Place, Sight
from ami_bridge.core import callbacks as core
from ami_bridge.core.callbacks import (
    Attempt,
    AttemptState,
    Callback,
    CallbackEvent,
    CallbackFields,
    CallbackState,
    Consent,
    RetryPolicy,
)


class MemoryCallbacks:
    """See :class:`ami_bridge.adapters.store.port.CallbackStore`."""

    def __init__(self) -> None:
        self._callbacks: dict[str, Callback] = {}
        self._consents: dict[str, list[Consent]] = {}
        self._attempts: dict[str, Attempt] = {}
        self._forbidden: dict[str, DoNotCall] = {}

    def _announce(self, kind: str, subject: str, at: datetime) -> None:
        raise NotImplementedError

    def _keep(self, after: Callback, at: datetime) -> Callback:
        given = self._consents.setdefault(after.id, [])
        if after.consent is not None and after.consent not in given:
            given.append(after.consent)
        self._callbacks[after.id] = after
        self._announce("callback", after.id, at)
        return after

    def _known(self, wanted: str) -> Callback:
        found = self._callbacks.get(wanted)
        if found is None:
            raise NotStored("callback", wanted)
        return found

    def _known_attempt(self, wanted: str) -> tuple[Callback, Attempt]:
        attempt = self._attempts.get(wanted)
        if attempt is None:
            raise NotStored("attempt", wanted)
        return self._known(attempt.callback_id), attempt

    async def create_callback(
        self,
        key: str,
        department: str,
        *,
        event: CallbackEvent | None = None,
        channel_uniqueid: str | None = None,
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Insert once per ``key``."""
        at = utc(at)
        key, department, channel_uniqueid = clean(key), clean(department), clean(channel_uniqueid)
        new_id = callback_id(key, at)
        blank = Callback(
            new_id, key, department, CallbackState.CAPTURING, at, at, channel_uniqueid=channel_uniqueid
        )
        after = changed_by(blank, event, at, fields)
        known = next((callback for callback in self._callbacks.values() if callback.key == key), None)
        return known or self._keep(after, at)

    async def update_callback(
        self,
        callback_id: str,
        *,
        event: CallbackEvent | None = None,
        by: str = "",
        reason: str = "",
        department: str | None = None,
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Fields first, then the event."""
        at = utc(at)
        before = self._known(callback_id)
        after = changed_by(before, event, at, fields, by=by, reason=reason, department=department)
        return before if after is before else self._keep(after, at)

    async def callback(self, callback_id: str) -> Callback | None:
        """One callback."""
        return self._callbacks.get(callback_id)

    async def callback_of_channel(self, channel_uniqueid: str) -> Callback | None:
        """The newest, should a channel ever have had two."""
        found = (
            callback for callback in self._newest_first() if callback.channel_uniqueid == channel_uniqueid
        )
        return next(found, None)

    def _newest_first(self) -> list[Callback]:
        return sorted(
            self._callbacks.values(), key=lambda callback: (callback.created_at, callback.id), reverse=True
        )

    async def callbacks(
        self,
        *,
        states: Collection[CallbackState] | None = None,
        department: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        sight: Sight | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[Callback]:
        """Newest first."""
        return [
            callback
            for callback in self._newest_first()
            if (states is None or callback.state in states)
            and department in (None, callback.department)
            and (since is None or callback.created_at >= since)
            and (until is None or callback.created_at < until)
            and (sight is None or sight.covers(callback.department))
            and (before is None or (callback.created_at, callback.id) < before)
        ][:limit]

    async def count_callbacks(self) -> dict[CallbackState, int]:
        """By state."""
        return dict(Counter(callback.state for callback in self._callbacks.values()))

    async def consents(self, callback_id: str) -> list[Consent]:
        """Oldest first."""
        return sorted(self._consents.get(callback_id, ()), key=lambda consent: consent.given_at)

    async def claim_due(
        self,
        now: datetime,
        worker: str,
        lease_seconds: float,
        limit: int = 1,
        *,
        departments: Collection[str] | None = None,
        only: Collection[str] | None = None,
    ) -> list[Callback]:
        """Longest due first."""
        now = utc(now)
        await self.expire_overdue(now)
        ready = [each for each in self._ready(now, departments) if only is None or each.id in only]
        return [self._keep(core.claim(each, worker, now, lease_seconds), now) for each in ready[:limit]]

    async def due_callbacks(
        self, now: datetime, *, departments: Collection[str] | None = None, limit: int = 200
    ) -> list[Callback]:
        """Longest kept place first."""
        ready = self._ready(utc(now), departments)
        return sorted(ready, key=lambda each: (each.came_at, each.id))[:limit]

    def _ready(self, now: datetime, departments: Collection[str] | None) -> list[Callback]:
        in_use = {callback.number for callback in self._callbacks.values() if _in_use(callback, now)}
        found = []
        for callback in sorted(self._callbacks.values(), key=_turn(now)):
            ready = (
                callback.state in core.CLAIMABLE and callback.due_at is not None and callback.due_at <= now
            )
            ready = ready and (departments is None or callback.department in departments)
            ready = ready and callback.number not in self._forbidden
            if ready and callback.dialable and callback.number not in in_use:
                in_use.add(callback.number)
                found.append(callback)
        return found

    async def claim_callback(
        self, callback_id: str, worker: str, lease_seconds: float, *, at: datetime | None = None
    ) -> Callback:
        """Unless somebody else has the number."""
        at, before = utc(at), self._known(callback_id)
        others = (other for other in self._callbacks.values() if other.number == before.number is not None)
        if any(other.state in core.HELD and other.id != before.id for other in others):
            raise core.IllegalTransition(
                f"callback {callback_id}", before.state, "claim", "its number is in other hands"
            )
        return self._keep(claimed_by(before, clean(worker), at, lease_seconds), at)

    async def renew_lease(
        self, callback_id: str, fence: int, lease_seconds: float, *, now: datetime | None = None
    ) -> Callback:
        """Only the holder may."""
        now = utc(now)
        before = self._known(callback_id)
        check_renewal(before, fence, now)
        if before.state is CallbackState.UNKNOWN:
            before = self._regain(before, now)
        until = now + timedelta(seconds=lease_seconds)
        after = replace(before, lease_until=until, revision=before.revision + 1)
        self._callbacks[after.id] = after
        return after

    def _regain(self, lost: Callback, now: datetime) -> Callback:
        others = (other for other in self._callbacks.values() if other.number == lost.number)
        if any(other.state in core.HELD for other in others):
            raise StaleFence(lost.id, lost.fence)
        attempt = next(
            known
            for known in self._attempts.values()
            if known.fence == lost.fence and known.callback_id == lost.id
        )
        after, found = core.regain(lost, attempt, now)
        self._attempts[found.id] = found
        return self._keep(after, now)

    async def release_claim(
        self, callback_id: str, fence: int, *, due_at: datetime | None = None, at: datetime | None = None
    ) -> Callback:
        """Back to the queue, due at once or at ``due_at``."""
        at = utc(at)
        before = self._known(callback_id)
        check_claim(before, fence, at)
        after = core.advance(before, CallbackEvent.RELEASED, at)
        return self._keep(replace(after, due_at=due_at or before.due_at), at)

    async def begin_attempt(
        self, callback_id: str, fence: int, channel_id: str, *, agent: str, at: datetime | None = None
    ) -> Attempt:
        """Stored when it returns."""
        at = utc(at)
        before = self._known(callback_id)
        for known in self._attempts.values():
            if (known.callback_id, known.fence, known.channel_id) == (callback_id, fence, channel_id):
                return known
        check_claim(before, fence, at)
        after, attempt = core.dial(before, channel_id, agent, at)
        for known in self._attempts.values():
            if agent and known.agent == agent and known.state in core.OPEN_ATTEMPT:
                raise AgentTaken(agent)
        self._attempts[attempt.id] = attempt
        self._keep(after, at)
        return attempt

    async def connect_attempt(self, attempt_id: str, *, at: datetime | None = None) -> Callback:
        """Talking."""
        at = utc(at)
        before, attempt = self._known_attempt(attempt_id)
        if attempt.state is AttemptState.TALKING:
            return before
        check_dialling(before, attempt)
        after = core.connect(before, attempt, at)
        self._attempts[attempt_id] = core.step_attempt(attempt, AttemptState.TALKING, at)
        return self._keep(after, at)

    async def finish_attempt(
        self,
        attempt_id: str,
        result: AttemptState,
        *,
        policy: RetryPolicy,
        detail: str = "",
        at: datetime | None = None,
    ) -> Callback:
        """Result and consequence together."""
        at = utc(at)
        before, attempt = self._known_attempt(attempt_id)
        if attempt.state is result:
            return before
        check_dialling(before, attempt)
        ended = core.step_attempt(attempt, result, at, clean(detail))
        after = core.settle(before, attempt, result, at, policy)
        self._attempts[attempt_id] = ended
        return self._keep(after, at)

    async def attempts(self, callback_id: str) -> list[Attempt]:
        """Oldest first."""
        found = [attempt for attempt in self._attempts.values() if attempt.callback_id == callback_id]
        return sorted(found, key=lambda attempt: (attempt.started_at, attempt.fence))

    async def open_attempts(self) -> list[tuple[Callback, Attempt]]:
        """Oldest first."""
        found = [(self._callbacks[each.callback_id], each) for each in self._attempts.values()]
        return [
            (callback, attempt)
            for callback, attempt in sorted(found, key=lambda pair: pair[1].started_at)
            if callback.state in core.DIALLED and attempt.fence == callback.fence
        ]

    async def expire_overdue(self, now: datetime) -> list[Callback]:
        """What time demands."""
        now = utc(now)
        found = [core.overdue(callback, now) for callback in self._callbacks.values()]
        changed = [after for after in found if after is not None]
        for after in changed:
            self._keep(after, now)
            if after.state is CallbackState.UNKNOWN:
                self._lose_attempts(after, now)
        return changed

    def _lose_attempts(self, callback: Callback, now: datetime) -> None:
        for attempt in list(self._attempts.values()):
            if attempt.callback_id == callback.id and attempt.state in core.OPEN_ATTEMPT:
                self._attempts[attempt.id] = core.step_attempt(attempt, AttemptState.UNKNOWN, now)


def _in_use(callback: Callback, now: datetime) -> bool:
    lost = callback.state is CallbackState.UNKNOWN and callback.updated_at > now - core.UNKNOWN_HOLD
    return callback.state in core.HELD or lost


def _turn(now: datetime) -> Callable[[Callback], tuple[datetime, datetime, str]]:
    return lambda callback: (callback.due_at or now, callback.created_at, callback.id)
