"""Brings the two witnesses together: our records from the store, the PBX's own from its channel event log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.lost_links import Listening, listening
from ami_bridge.adapters.store import Store
from ami_bridge.core.audit import Audit, Deaf, Difference, OurCall, Period, Tolerances
from ami_bridge.core.channel_events import ChannelStories
from ami_bridge.errors import FourthRingError

# The records of so much time are loaded at once; what is kept of them is small.
_SLICE = timedelta(hours=1)
_MOST_IN_A_SLICE = 1_000_000
# The first channel of a call may begin a little before or after what the other witness says.
_MARGIN = timedelta(seconds=60)
# A bridge that beats was heard of within this time.
_BEAT_LIMIT = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What came out. ``unreadable``: lines of the log that the PBX did not write whole."""

    period: Period
    calls: int
    channels: int
    unreadable: int
    differences: tuple[Difference, ...]
    deaf: tuple[Deaf, ...]

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Those that nothing explains."""
        return tuple(difference for difference in self.differences if not difference.reason)


async def audit(
    store: Store,
    log: ChannelEventLog,
    journal: Path,
    node: str,
    *,
    since: datetime,
    until: datetime,
    tolerances: Tolerances | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AuditReport:
    """Compare the calls of ``node`` that began in ``[since, until)``.

    Raises:
        FourthRingError: there is no channel event log.
        StoreUnavailable: the store does not answer.
    """
    if not log.exists:
        raise FourthRingError(
            f"There is no channel event log at {log.file}; the PBX writes it when cel.conf and cel_custom.conf "
            f"are those of `fourthring render`."
        )
    as_of = now()
    period = Period(since, until, as_of)
    calls = await _calls(store, node, since - _MARGIN, until + _MARGIN)
    stories, unreadable = await asyncio.to_thread(_stories, log, since - _MARGIN)
    calls += await _owners_of_the_rest(store, calls, stories, period)
    heard = await asyncio.to_thread(listening, journal, node, since - _MARGIN)
    deaf = _deaf(heard, listens_now=await _listens(store, node, as_of))
    kept_since = _kept_since(log, since)
    comparison = Audit(calls, stories, deaf, period, log_since=kept_since, tolerances=tolerances)
    differences = tuple(comparison.differences())
    return AuditReport(period, comparison.calls, comparison.channels, unreadable, differences, tuple(deaf))


async def _calls(store: Store, node: str, since: datetime, until: datetime) -> list[OurCall]:
    """Our records, of an hour at a time."""
    found: list[OurCall] = []
    while since < until:
        end = min(since + _SLICE, until)
        stored = await store.calls(since=since, until=end, limit=_MOST_IN_A_SLICE)
        found += [OurCall.of_record(call.record) for call in reversed(stored) if call.node == node]
        since = end
    return found


def _stories(log: ChannelEventLog, since: datetime) -> tuple[ChannelStories, int]:
    unreadable: list[Path] = []
    stories = ChannelStories()
    stories.take_all(log.events(since, lambda path, _line: unreadable.append(path)))
    return stories, len(unreadable)


async def _owners_of_the_rest(
    store: Store, calls: list[OurCall], stories: ChannelStories, period: Period
) -> list[OurCall]:
    """The records of channels that began in the period and belong to a call that began before it."""
    known = {uniqueid for call in calls for uniqueid in call.uniqueids}
    found: dict[str, OurCall] = {}
    for story in stories.by_uniqueid.values():
        if story.uniqueid in known or not period.has(story.started_at):
            continue
        for uniqueid in (story.uniqueid, *sorted(story.linkedids)):
            stored = await store.find_call_by_uniqueid(uniqueid)
            if stored is not None:
                call = found[stored.id] = OurCall.of_record(stored.record)
                known.update(call.uniqueids)
                break
    have = {call.call_id for call in calls}
    return [call for call in found.values() if call.call_id not in have]


def _deaf(heard: Listening, *, listens_now: bool) -> list[Deaf]:
    deaf = [
        Deaf(lost.lost_at, lost.found_at, "gap" if lost.lost_at is not None else "before")
        for lost in heard.lost
    ]
    if not listens_now and heard.last_at is not None:
        deaf.append(Deaf(heard.last_at, None, "gap"))
    return deaf


async def _listens(store: Store, node: str, now: datetime) -> bool:
    beats = [beat for beat in await store.heartbeats() if (beat.service, beat.node) == ("bridge", node)]
    return any(now - beat.at < _BEAT_LIMIT and beat.detail.get("link") == "ready" for beat in beats)


def _kept_since(log: ChannelEventLog, since: datetime) -> datetime | None:
    """From when on the log was kept; None when all of the period is there."""
    return None if log.covers(since) else log.begins_at()
