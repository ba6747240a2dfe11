"""What a period came to: service level with its formula, who was served, which promises were kept.

The wallboard and ``fourthring report`` count by the same rule, so that no two numbers of ours differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

from ami_bridge.adapters.store import Place, Store, StoredCall
from ami_bridge.adapters.store.sight import Sight
from ami_bridge.core.callbacks import Callback

#: A caller who is answered from the queue within this time was served well.
QUEUE_SECONDS = 20.0
#: Below so many calls there is no percentage: thin data rank nobody.
FEWEST_CALLS = 20
FORMULA = (
    "100 × in_time ÷ counted; in_time: answered by the last ring of the ring clock, or after "
    f"{QUEUE_SECONDS:.0f} s in the queue at most; "
    "counted: finished calls from outside, without those who gave up while the phone still rang; "
    f"no figure below {FEWEST_CALLS} counted calls"
)
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Day:
    """The figures of a period. ``counted`` leaves out who gave up before anybody could have answered."""

    calls: int
    answered: int
    gave_up: int
    counted: int
    in_time: int

    @property
    def level(self) -> int | None:
        """Service level in per cent, None on thin data."""
        return round(100 * self.in_time / self.counted) if self.counted >= FEWEST_CALLS else None


@dataclass(frozen=True, slots=True)
class Line:
    """One department's figures, or everybody's (department ""). Seconds are means, None without a case."""

    department: str
    calls: int
    answered: int
    gave_up: int
    counted: int
    in_time: int
    service_level: int | None
    answer_seconds: float | None
    talk_seconds: float | None
    verdicts: Mapping[str, int]
    callbacks: int
    callbacks_by_state: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """A period, [since, until)."""

    since: datetime | None
    until: datetime | None
    formula: str
    total: Line
    departments: tuple[Line, ...]


def day_of(calls: Iterable[StoredCall]) -> Day:
    """Count them. In time: answered by the 4th ring, or within :data:`QUEUE_SECONDS` in the queue."""
    inbound = [call for call in calls if _is_inbound(call)]
    answered = [call for call in inbound if call.disposition == "ANSWERED"]
    gave_up = [call for call in inbound if call.disposition in {"ABANDONED", "CANCELLED"}]
    counted = [call for call in inbound if call.disposition != "CANCELLED"]
    in_time = [call for call in answered if call.ring_verdict in {"early", "ideal"} or _short_wait(call)]
    return Day(len(inbound), len(answered), len(gave_up), len(counted), len(in_time))


async def report_of(
    store: Store, since: datetime | None, until: datetime | None, sight: Sight | None = None
) -> Report:
    """The report on what the store has of the period. Raises StoreUnavailable."""
    calls: list[StoredCall] = []
    place = None
    while found := await store.calls(since=since, until=until, sight=sight, before=place, limit=_BATCH):
        calls += found
        place = Place(found[-1].started_at, found[-1].id)
    callbacks: list[Callback] = []
    place = None
    while asked := await store.callbacks(since=since, until=until, sight=sight, before=place, limit=_BATCH):
        callbacks += asked
        place = Place(asked[-1].created_at, asked[-1].id)
    slugs = sorted({*(call.department for call in calls), *(each.department for each in callbacks)} - {""})
    lines = tuple(
        _line(
            slug,
            [call for call in calls if call.department == slug],
            [callback for callback in callbacks if callback.department == slug],
        )
        for slug in slugs
    )
    return Report(since, until, FORMULA, _line("", calls, callbacks), lines)


def _line(department: str, calls: Sequence[StoredCall], callbacks: Sequence[Callback]) -> Line:
    day = day_of(calls)
    served = [call.record for call in calls if _is_inbound(call) and call.disposition == "ANSWERED"]
    return Line(
        department,
        day.calls,
        day.answered,
        day.gave_up,
        day.counted,
        day.in_time,
        day.level,
        _mean(_seconds_to_answer(record) for record in served),
        _mean(_number(record.get("talk_seconds")) for record in served),
        dict(Counter(call.ring_verdict for call in calls if call.ring_verdict)),
        len(callbacks),
        dict(Counter(callback.state.value for callback in callbacks)),
    )


def _is_inbound(call: StoredCall) -> bool:
    return call.record.get("kind", "call") == "call" and call.ended_at is not None


def _short_wait(call: StoredCall) -> bool:
    queue = call.record.get("queue")
    waited = _number(queue.get("wait_seconds")) if isinstance(queue, Mapping) else None
    return waited is not None and waited <= QUEUE_SECONDS


def _seconds_to_answer(record: Mapping[str, Any]) -> float | None:
    """From the call's first instant to the person: the caller counts our greeting as waiting too."""
    start, end = record.get("started_at"), record.get("talk_started_at") or record.get("answered_at")
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 1) if known else None
