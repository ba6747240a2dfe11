"""The promise ledger: what was promised to whom by when, and whether we kept our word.

One promise belongs to one callback. It is *kept* when the customer's phone rang because of us no later than
promised (that he did not pick up is not our word broken), *broken* when that time passed without it, and
*withdrawn* when the request was called off before it was due. A customer who is reached and asks for another
time has the same promise with a new time: it is *moved*, and open again. Before one breaks it is *escalated*
once. Pure: frozen values in, frozen values out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ami_bridge.core.callbacks import AMENDABLE, FINAL, HELD, Callback, CallbackState
from ami_bridge.core.calling_time import next_common_opening
from ami_bridge.core.hours import Schedule


class PromiseState(StrEnum):
    """How a promise stands."""

    OPEN = "open"
    KEPT = "kept"
    BROKEN = "broken"
    WITHDRAWN = "withdrawn"


class Happening(StrEnum):
    """What a look at the ledger brought about."""

    MADE = "made"
    MOVED = "moved"
    ESCALATED = "escalated"
    KEPT = "kept"
    BROKEN = "broken"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Promise:
    """A line of the ledger. ``rung_at`` is when the customer's phone first rang because of it."""

    callback_id: str
    department: str
    made_by: str  # "voice", or who entered it
    made_at: datetime
    due_at: datetime
    state: PromiseState = PromiseState.OPEN
    moved: int = 0  # how often the customer named a later time
    escalated_at: datetime | None = None
    rung_at: datetime | None = None
    settled_at: datetime | None = None
    revision: int = 0

    def seconds_left(self, now: datetime) -> float:
        """The countdown; negative when it is late."""
        return (self.due_at - now).total_seconds()


@dataclass(frozen=True, slots=True)
class Standing:
    """A callback with what the ledger has of it. ``rung_at``: when its customer was rung, each time."""

    callback: Callback
    promise: Promise | None = None
    rung_at: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """The score of a stretch of time. ``rate`` is None before anything was settled."""

    open: int
    kept: int
    broken: int
    withdrawn: int

    @property
    def rate(self) -> float | None:
        """Kept promises over those that were settled by time, 0 to 1."""
        settled = self.kept + self.broken
        return self.kept / settled if settled else None


_HAS_BEEN_MADE = (AMENDABLE | HELD | {CallbackState.UNKNOWN}) - {CallbackState.CAPTURING}


def due_time(schedules: Sequence[Schedule], start: datetime, within: timedelta) -> datetime:
    """When a promise made for ``start`` is due: ``within`` of the hours in which the customer may be rung.

    What does not fit before closing is due as long after the next opening as was left. Where the hours never
    meet, time alone counts, so that the promise breaks and somebody hears of it.
    """
    at, left = start, within
    for _ in range(60):
        opens = next_common_opening(schedules, at)
        if opens is None:
            return start + within
        closes = [end for schedule in schedules if (end := schedule.closes_at(opens)) is not None]
        if not closes or opens + left <= min(closes):
            return opens + left
        left -= min(closes) - opens
        at = min(closes)
    return start + within


def look(
    standing: Standing, now: datetime, *, due_at: datetime | None = None, warn: timedelta
) -> tuple[Promise, Happening] | None:
    """What the ledger must write about ``standing`` now, and what happened; None: nothing.

    ``due_at`` is when a promise that is made now is due; ``warn`` how long before that it is escalated.
    """
    promise = standing.promise
    if promise is None:
        return _made(standing.callback, now, due_at)
    if promise.state is not PromiseState.OPEN:
        return None
    if settled := _settled(standing, promise, now):
        return settled
    if promise.escalated_at is None and promise.due_at - warn <= now:
        return _next(promise, escalated_at=now), Happening.ESCALATED
    return None


def _made(callback: Callback, now: datetime, due_at: datetime | None) -> tuple[Promise, Happening] | None:
    if callback.state not in _HAS_BEEN_MADE or not callback.dialable:
        return None
    due = callback.promised_at or due_at
    if due is None:
        return None
    by = "voice" if callback.channel_uniqueid else callback.number_source or "desk"
    return Promise(callback.id, callback.department, by, callback.created_at, due), Happening.MADE


def _settled(standing: Standing, promise: Promise, now: datetime) -> tuple[Promise, Happening] | None:
    since = [at for at in sorted(standing.rung_at) if at >= promise.made_at]
    callback, due = standing.callback, promise.due_at
    in_time = [at for at in since if at <= due]
    # After a new time was agreed on, only a call after that agreement keeps the promise.
    if in_time and not (promise.moved and promise.rung_at is not None and in_time[-1] <= promise.rung_at):
        kept = _next(promise, state=PromiseState.KEPT, rung_at=in_time[-1], settled_at=in_time[-1])
        return kept, Happening.KEPT
    if callback.state in FINAL and (callback.closed_at or now) <= due:
        at = callback.closed_at or now
        reached = callback.state is CallbackState.DONE
        state = PromiseState.KEPT if reached else PromiseState.WITHDRAWN
        return _next(promise, state=state, settled_at=at), Happening(state.value)
    if now > due:
        late = next((at for at in since if at > due), promise.rung_at)
        return _next(promise, state=PromiseState.BROKEN, rung_at=late, settled_at=due), Happening.BROKEN
    return None


def moved(promise: Promise, due_at: datetime, at: datetime) -> Promise:
    """The customer was reached ``at`` and asked for a later time: the same promise, due at ``due_at``."""
    return _next(
        promise,
        state=PromiseState.OPEN,
        due_at=due_at,
        moved=promise.moved + 1,
        escalated_at=None,
        rung_at=at,
        settled_at=None,
    )


def figures(promises: Sequence[Promise]) -> Figures:
    """Count them."""
    states = [promise.state for promise in promises]
    return Figures(*(states.count(state) for state in PromiseState))


def _next(promise: Promise, **changes: object) -> Promise:
    return replace(promise, revision=promise.revision + 1, **changes)  # type: ignore[arg-type]
