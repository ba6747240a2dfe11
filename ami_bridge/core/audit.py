"""Holds our call records against the PBX's own story of the same channels, and names each difference.

Two witnesses: the records were made from AMI events, the stories (:mod:`ami_bridge.core.channel_events`)
from the channel event log. Where they differ one of them is wrong, unless there is a reason that is known:
nobody listened (a gap), the call still goes on, or it was there before anybody listened. Such a difference
is told too, with its reason; only the others are unexplained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from ami_bridge.core.book import MOST_IN_A_CALL
from ami_bridge.core.channel_events import ChannelStories, ChannelStory
from ami_bridge.core.records import Gap
from ami_bridge.core.supervising import PREFIX

Subject = Literal[
    "missing here",  # the PBX had a call, or a channel of one, that no record has
    "missing at the PBX",  # a record has a call, or a channel, that the PBX never had
    "doubled",  # two records have the same channel
    "began",
    "answered",
    "talk seconds",
    "ended",
    "hang-up cause",
    "hung up by",
    "parties",
    "transfers",
]
#: ``gap``: nobody listened to the PBX · ``before``: nor before the first start · ``open``: it goes on, or has
#: only just changed · ``not kept``: the log of that time was removed · ``long``: a record keeps
#: MOST_IN_A_CALL channels · "": unexplained.
Reason = Literal["", "gap", "before", "open", "not kept", "long"]


class Tolerances(NamedTuple):
    """How much the two may differ. AMI stamps an event when it sends it, the log when it happens."""

    instant: timedelta = timedelta(seconds=1)
    talk: timedelta = timedelta(seconds=1)
    settle: timedelta = timedelta(seconds=5)  # what is younger may be on its way into store or log


class Deaf(NamedTuple):
    """From when to when nobody listened; an open end is None."""

    lost_at: datetime | None
    found_at: datetime | None
    reason: Reason


class OurLeg(NamedTuple):
    """A phone that was dialled, as the record has it."""

    uniqueid: str
    channel: str
    answered_at: datetime | None


class OurCall(NamedTuple):
    """What of a call record is held against the log."""

    call_id: str
    kind: str
    started_at: datetime
    ended_at: datetime | None
    caller: OurLeg | None
    answered: bool
    answered_by: OurLeg | None
    answers: tuple[str, ...]
    legs: tuple[OurLeg, ...]
    talk_seconds: float | None
    hangup_cause: int | None
    hung_up_by: str
    transfers: tuple[tuple[str, tuple[str, ...]], ...]
    conference: bool
    uniqueids: tuple[str, ...]
    linkedids: tuple[str, ...]
    gaps: tuple[Gap, ...]

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> OurCall:
        """From ``CallRecord.as_json()``, as a store keeps it."""
        return cls(
            call_id=str(record["call_id"]),
            kind=str(record.get("kind", "call")),
            started_at=_required(record.get("started_at")),
            ended_at=_instant(record.get("ended_at")),
            caller=_leg(record.get("caller")),
            answered=record.get("disposition") == "ANSWERED",
            answered_by=_leg(record.get("answered_by")),
            answers=tuple(str(party["uniqueid"]) for party in record.get("answers") or ()),
            legs=tuple(leg for leg in map(_leg, record.get("legs") or ()) if leg is not None),
            talk_seconds=record.get("talk_seconds"),
            hangup_cause=record.get("hangup_cause"),
            hung_up_by=str(record.get("hung_up_by", "unknown")),
            transfers=tuple(_transfer(item) for item in record.get("transfers") or ()),
            conference=bool(record.get("conference")),
            uniqueids=tuple(record.get("uniqueids") or ()),
            linkedids=tuple(record.get("linkedids") or ()),
            gaps=tuple(
                Gap(_instant(gap.get("lost_at")), _instant(gap.get("found_at")))
                for gap in record.get("gaps") or ()
            ),
        )


class Difference(NamedTuple):
    """One thing that the two say differently. ``reason`` is empty when nothing explains it."""

    subject: Subject
    reason: Reason
    call_id: str
    uniqueid: str
    at: datetime | None
    ours: str
    pbx: str


class Period(NamedTuple):
    """Which calls are held against each other: those that began in ``[since, until)``; ``as_of``: when it was read."""

    since: datetime
    until: datetime
    as_of: datetime

    def has(self, instant: datetime | None) -> bool:
        """Whether a call that began then is meant."""
        return instant is not None and self.since <= instant < self.until


class Audit:
    """One comparison. ``log_since``: from when on the log was kept (None: always)."""

    def __init__(
        self,
        calls: Iterable[OurCall],
        stories: ChannelStories,
        deaf: Sequence[Deaf],
        period: Period,
        *,
        log_since: datetime | None = None,
        tolerances: Tolerances | None = None,
    ) -> None:
        self._stories = stories
        self._deaf = deaf
        self._period = period
        self._log_since = log_since
        self._tolerances = tolerances or Tolerances()
        self._calls = list(calls)
        self._owners: dict[str, list[OurCall]] = defaultdict(list)
        for call in self._calls:
            for uniqueid in call.uniqueids:
                self._owners[uniqueid].append(call)
        #: How many calls and channels of the period were compared.
        self.calls = self.channels = 0

    def differences(self) -> Iterator[Difference]:
        """Each difference, in the order of the records, then what the log alone has."""
        for call in self._calls:
            known = [self._stories.by_uniqueid[key] for key in call.uniqueids if self._has(key)]
            began = min((story.started_at for story in known if story.started_at), default=call.started_at)
            if not self._period.has(min(began, call.started_at)):
                continue
            self.calls += 1
            self.channels += len(known)
            yield from self._compare(call, known)
        yield from self._missing_here()

    def _has(self, uniqueid: str) -> bool:
        return uniqueid in self._stories.by_uniqueid

    # One call -----------------------------------------------------------------------------

    def _compare(self, call: OurCall, known: list[ChannelStory]) -> Iterator[Difference]:
        if not known:
            yield self._of(call, "missing at the PBX", call.started_at, "a call", "nothing")
            return
        yield from self._compare_channels(call)
        yield from self._compare_beginning(call, known)
        yield from self._compare_answers(call)
        yield from self._compare_transfers(call, known)
        yield from self._compare_end(call, known)

    def _compare_channels(self, call: OurCall) -> Iterator[Difference]:
        for uniqueid in call.uniqueids:
            if not self._has(uniqueid):
                yield self._of(call, "missing at the PBX", call.started_at, "a channel", "nothing", uniqueid)
            for other in self._owners[uniqueid]:
                if other.call_id > call.call_id:
                    yield self._of(
                        call, "doubled", call.started_at, f"also in {other.call_id}", "one channel", uniqueid
                    )
        for leg in filter(None, (call.caller, call.answered_by, *call.legs)):
            names = (
                self._stories.by_uniqueid[leg.uniqueid].names if self._has(leg.uniqueid) else {leg.channel}
            )
            if leg.channel not in names:
                yield self._of(
                    call, "parties", call.started_at, leg.channel, ", ".join(sorted(names)), leg.uniqueid
                )
        if not call.conference:
            yield from self._compare_partners(call)

    def _compare_partners(self, call: OurCall) -> Iterator[Difference]:
        """Who talked with each other is in one record."""
        for uniqueid in call.uniqueids:
            for partner in self._stories.partners_of(uniqueid):
                owners = self._owners.get(partner, [])
                if owners and call not in owners and not any(owner.conference for owner in owners):
                    story = self._stories.by_uniqueid[partner]
                    yield self._of(
                        call,
                        "parties",
                        story.started_at,
                        f"not with {owners[0].call_id}",
                        f"talked with {partner}",
                        uniqueid,
                    )

    def _compare_beginning(self, call: OurCall, known: list[ChannelStory]) -> Iterator[Difference]:
        began = min((story.started_at for story in known if story.started_at), default=None)
        if began is not None and abs(began - call.started_at) > self._tolerances.instant:
            yield self._of(call, "began", began, _shown(call.started_at), _shown(began))

    def _compare_answers(self, call: OurCall) -> Iterator[Difference]:
        for leg in call.legs:
            story = self._stories.by_uniqueid.get(leg.uniqueid)
            if story is None or not self._differ(leg.answered_at, story.answered_at):
                continue
            at = story.answered_at or leg.answered_at
            yield self._of(
                call, "answered", at, _shown(leg.answered_at), _shown(story.answered_at), leg.uniqueid
            )
        party = call.answered_by
        if call.answered and party is not None and self._has(party.uniqueid):
            story = self._stories.by_uniqueid[party.uniqueid]
            if story.answered_at is None:
                yield self._of(
                    call, "answered", call.started_at, "answered the caller", "never answered", party.uniqueid
                )

    def _compare_transfers(self, call: OurCall, known: list[ChannelStory]) -> Iterator[Difference]:
        theirs = [hand_over for story in known for hand_over in story.hand_overs]
        for hand_over in theirs:
            if not any(
                (kind == "blind") == (hand_over.kind == "blind") and set(made_by) & set(hand_over.uniqueids)
                for kind, made_by in call.transfers
            ):
                told = f"{hand_over.kind} at {_shown(hand_over.at)}"
                yield self._of(call, "transfers", hand_over.at, "none", told, hand_over.uniqueids[0])
        for kind, made_by in call.transfers:
            if not any(set(made_by) & set(hand_over.uniqueids) for hand_over in theirs):
                yield self._of(call, "transfers", call.started_at, kind, "none", made_by[0])

    def _compare_end(self, call: OurCall, known: list[ChannelStory]) -> Iterator[Difference]:
        ended = max((story.ended_at for story in known if story.ended_at), default=None)
        if any(story.ended_at is None for story in known):
            ended = None
        if ended is None and call.ended_at is None:
            return  # it goes on, and both say so
        if self._differ(call.ended_at, ended):
            yield self._of(call, "ended", ended or call.ended_at, _shown(call.ended_at), _shown(ended))
        if ended is None or call.ended_at is None:
            return
        yield from self._compare_talk(call, ended)
        yield from self._compare_hanging_up(call, ended)

    def _compare_talk(self, call: OurCall, ended: datetime) -> Iterator[Difference]:
        talked = self._stories.talk_of(call.uniqueids, ended)
        if abs((call.talk_seconds or 0.0) - talked) > self._tolerances.talk.total_seconds():
            ours = "none" if call.talk_seconds is None else f"{call.talk_seconds:.3f}"
            yield self._of(call, "talk seconds", call.started_at, ours, f"{talked:.3f}", until=ended)

    def _compare_hanging_up(self, call: OurCall, ended: datetime) -> Iterator[Difference]:
        caller = self._stories.by_uniqueid.get(call.caller.uniqueid) if call.caller else None
        if caller is None:
            return
        if call.hangup_cause != caller.cause:
            yield self._of(
                call,
                "hang-up cause",
                caller.ended_at,
                str(call.hangup_cause),
                str(caller.cause),
                caller.uniqueid,
            )
        side = self._side_that_hung_up(call, caller)
        if side and call.hung_up_by in ("caller", "agent") and side != call.hung_up_by:
            yield self._of(
                call,
                "hung up by",
                ended,
                call.hung_up_by,
                f"{side} ({caller.hangup_source})",
                caller.uniqueid,
            )

    def _side_that_hung_up(self, call: OurCall, caller: ChannelStory) -> str:
        """Whose channel the PBX names as the source of the caller's hang-up; "" when it names none of them."""
        first, other = ("agent", "caller") if call.kind == "callback" else ("caller", "agent")
        if caller.hangup_source in caller.names:
            return first
        for uniqueid in call.answers:
            story = self._stories.by_uniqueid.get(uniqueid)
            if story is not None and caller.hangup_source in story.names:
                return other
        return ""

    # What the log alone has ---------------------------------------------------------------

    def _missing_here(self) -> Iterator[Difference]:
        long_calls = {linkedid: call for call in self._calls for linkedid in call.linkedids}
        strangers: dict[str, list[ChannelStory]] = defaultdict(list)
        for story in self._stories.by_uniqueid.values():
            listening = any(linkedid.startswith(PREFIX) for linkedid in story.linkedids)
            if story.uniqueid not in self._owners and not listening and self._period.has(story.started_at):
                strangers[min(story.linkedids)].append(story)
        for linkedid, stories in strangers.items():
            call = next((long_calls[key] for key in stories[0].linkedids if key in long_calls), None)
            told = f"{len(stories)} channels: " + ", ".join(sorted(min(story.names) for story in stories)[:6])
            yield Difference(
                "missing here",
                self._why_unheard(call, stories),
                call.call_id if call is not None else "",
                linkedid,
                min(story.started_at for story in stories if story.started_at),
                "nothing" if call is None else f"{len(call.uniqueids)} other channels",
                told,
            )

    def _why_unheard(self, call: OurCall | None, stories: list[ChannelStory]) -> Reason:
        reasons = {self._why_story_unheard(story) for story in stories}
        if "" not in reasons:
            return min(reasons)
        if call is not None and len(stories) + len(call.uniqueids) > MOST_IN_A_CALL:
            return "long"
        return ""

    def _why_story_unheard(self, story: ChannelStory) -> Reason:
        """A channel that is there before or after a gap is heard or shown; one that lived within it is not."""
        began, ended = story.started_at, story.ended_at or self._period.as_of
        if began is None:
            return "before"
        if self._is_new(began):
            return "open"
        margin = self._tolerances.instant
        for deaf in self._deaf:
            if (deaf.lost_at is None or began >= deaf.lost_at - margin) and (
                deaf.found_at is None or ended <= deaf.found_at + margin
            ):
                return deaf.reason
        return ""

    # Reasons ------------------------------------------------------------------------------

    def _differ(self, ours: datetime | None, theirs: datetime | None) -> bool:
        if ours is None or theirs is None:
            return ours is not theirs
        return abs(ours - theirs) > self._tolerances.instant

    def _of(  # noqa: PLR0917 - a difference has that many sides
        self,
        call: OurCall,
        subject: Subject,
        at: datetime | None,
        ours: str,
        pbx: str,
        uniqueid: str = "",
        *,
        until: datetime | None = None,
    ) -> Difference:
        reason = self._reason(call, subject, at, until or at)
        named = uniqueid or next(iter(call.uniqueids), "")
        return Difference(subject, reason, call.call_id, named, at, ours, pbx)

    def _reason(
        self, call: OurCall, subject: Subject, first: datetime | None, last: datetime | None
    ) -> Reason:
        """Why the two may differ about what happened between ``first`` and ``last``."""
        if subject == "doubled":
            return ""
        if first is None or last is None:
            return "before"
        if subject == "missing at the PBX" and self._log_since is not None and first < self._log_since:
            return "not kept"
        margin = self._tolerances.instant
        own = [Deaf(gap.lost_at, gap.found_at, "gap") for gap in call.gaps]
        for deaf in (*own, *self._deaf):
            if (deaf.lost_at is None or last >= deaf.lost_at - margin) and (
                deaf.found_at is None or first <= deaf.found_at + margin
            ):
                return "" if subject == "missing at the PBX" else deaf.reason
        return "open" if self._is_new(last) else ""

    def _is_new(self, instant: datetime) -> bool:
        return instant > self._period.as_of - self._tolerances.settle


def _leg(party: Mapping[str, Any] | None) -> OurLeg | None:
    if not party:
        return None
    return OurLeg(str(party["uniqueid"]), str(party["channel"]), _instant(party.get("answered_at")))


def _transfer(item: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    channels = (item.get("transferer"), item.get("consultation"))
    return str(item["kind"]), tuple(str(channel["uniqueid"]) for channel in channels if channel)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _required(text: str | None) -> datetime:
    instant = _instant(text)
    if instant is None:
        raise ValueError("a call record without started_at")
    return instant


def _shown(instant: datetime | None) -> str:
    return "never" if instant is None else instant.isoformat(timespec="milliseconds")
