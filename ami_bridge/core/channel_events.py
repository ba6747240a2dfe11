"""The PBX's own story of every channel, told by its channel event log (CEL) and by nothing of ours.

The tracker hears AMI; this is the second witness. It knows when each channel began, was answered and
ended, which bridge it sat in and when, and why it ended (Asterisk: ``main/cel.c``, cel.conf).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from ami_bridge.core.channels import is_party
from ami_bridge.core.errands import is_errand

#: What cel.conf asks for; a line of another kind is not ours.
EVENT_KINDS = frozenset(
    {
        "CHAN_START",
        "CHAN_END",
        "ANSWER",
        "HANGUP",
        "BRIDGE_ENTER",
        "BRIDGE_EXIT",
        "BLINDTRANSFER",
        "ATTENDEDTRANSFER",
        "PICKUP",
        "FORWARD",
        "LINKEDID_END",
        "LOCAL_OPTIMIZE",
    }
)
# Nobody hears anybody in a bridge that only holds (parking, waiting with music).
_SILENT_BRIDGE = "holding_bridge"


class ChannelEvent(NamedTuple):
    """One line of the log. ``extra`` is what the kind adds (bridge, cause, transfer), as Asterisk's JSON."""

    kind: str
    at: datetime
    uniqueid: str
    linkedid: str
    channel: str
    extra: Mapping[str, Any]


@dataclass(slots=True)
class BridgeStay:
    """One channel in one bridge; ``left_at`` is None while it is there."""

    bridge: str
    uniqueid: str
    entered_at: datetime
    left_at: datetime | None
    talk: bool


class HandOver(NamedTuple):
    """A transfer that the PBX carried out: the channels of whoever made it."""

    kind: str  # blind or attended (a blonde one is attended to the PBX)
    at: datetime
    uniqueids: tuple[str, ...]


@dataclass(slots=True)
class ChannelStory:
    """What the PBX says of one channel. ``started_at`` is None when the log was read from later on."""

    uniqueid: str
    names: set[str] = field(default_factory=set)
    linkedids: set[str] = field(default_factory=set)
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    cause: int | None = None
    hangup_source: str = ""
    stays: list[BridgeStay] = field(default_factory=list)
    hand_overs: list[HandOver] = field(default_factory=list)
    pair: ChannelStory | None = field(default=None, repr=False)

    @property
    def party(self) -> bool:
        """Somebody outside Asterisk is at its end."""
        return any(map(is_party, self.names))


class ChannelStories:
    """All stories of a stretch of the log, by uniqueid; feed it the events in order."""

    def __init__(self) -> None:
        self.by_uniqueid: dict[str, ChannelStory] = {}
        self._by_name: dict[str, ChannelStory] = {}
        self._in_bridge: dict[str, list[BridgeStay]] = defaultdict(list)

    def take_all(self, events: Iterable[ChannelEvent]) -> None:
        """Take every event."""
        for event in events:
            self.take(event)

    def take(self, event: ChannelEvent) -> None:
        """Take one event; what it says twice or too late changes nothing, and a request to our AGI is no call."""
        if is_errand(event.channel):
            return
        story = self.by_uniqueid.get(event.uniqueid)
        if story is None:
            story = self.by_uniqueid[event.uniqueid] = ChannelStory(event.uniqueid)
        story.names.add(event.channel)
        story.linkedids.add(event.linkedid)
        match event.kind:
            case "CHAN_START":
                story.started_at = story.started_at or event.at
                self._pair(story, event.channel)
            case "ANSWER":
                story.answered_at = story.answered_at or event.at
            case "BRIDGE_ENTER":
                self._enter(story, event)
            case "BRIDGE_EXIT":
                _leave(story, event.at, str(event.extra.get("bridge_id", "")))
            case "HANGUP":
                story.cause = _number(event.extra.get("hangupcause"))
                story.hangup_source = str(event.extra.get("hangupsource", ""))
            case "CHAN_END":
                story.ended_at = event.at
                _leave(story, event.at)
            case "BLINDTRANSFER" | "ATTENDEDTRANSFER":
                story.hand_overs.append(_hand_over(event))

    def _pair(self, story: ChannelStory, name: str) -> None:
        """Both halves of a Local channel hear what either hears. Names come again after a restart of the PBX."""
        if not name.endswith((";1", ";2")):
            return
        other = self._by_name.get(f"{name[:-1]}{'2' if name.endswith('1') else '1'}")
        if other is not None and other.ended_at is None and other.pair is None:
            story.pair, other.pair = other, story
        self._by_name[name] = story

    def _enter(self, story: ChannelStory, event: ChannelEvent) -> None:
        bridge = str(event.extra.get("bridge_id", ""))
        _leave(story, event.at)
        talk = event.extra.get("bridge_technology") != _SILENT_BRIDGE
        stay = BridgeStay(bridge, story.uniqueid, event.at, None, talk)
        story.stays.append(stay)
        self._in_bridge[bridge].append(stay)

    def talk_of(self, uniqueids: Collection[str], until: datetime) -> float:
        """Seconds in which a party of ``uniqueids`` was connected with another, up to ``until`` at the most."""
        stays = self._stays_around(uniqueids)
        own = frozenset(uniqueids)
        moments = sorted({instant for stay in stays for instant in (stay.entered_at, stay.left_at or until)})
        talked = 0.0
        for begin, end in pairwise(moments):
            here = [stay for stay in stays if stay.entered_at <= begin and (stay.left_at or until) >= end]
            if self._connects(here, own):
                talked += (end - begin).total_seconds()
        return round(talked, 3)

    def partners_of(self, uniqueid: str) -> frozenset[str]:
        """Every party whom this one was ever bridged with, two by two, through Local channels."""
        found: set[str] = set()
        for stay in self._stays_around([uniqueid]):
            story = self.by_uniqueid[stay.uniqueid]
            if story.party:
                found.add(stay.uniqueid)
        return frozenset(found - {uniqueid})

    def _stays_around(self, uniqueids: Iterable[str]) -> list[BridgeStay]:
        """The stays of these channels, and of all that they met there, through Local channels too."""
        found: dict[int, BridgeStay] = {}
        waiting = [
            stay
            for uniqueid in uniqueids
            if uniqueid in self.by_uniqueid
            for stay in self.by_uniqueid[uniqueid].stays
        ]
        while waiting:
            stay = waiting.pop()
            if id(stay) in found or not stay.talk:
                continue
            found[id(stay)] = stay
            waiting += [other for other in self._in_bridge[stay.bridge] if _overlap(stay, other)]
            pair = self.by_uniqueid[stay.uniqueid].pair
            if pair is not None:
                waiting += [other for other in pair.stays if _overlap(stay, other)]
        return list(found.values())

    def _connects(self, stays: list[BridgeStay], own: frozenset[str]) -> bool:
        """Whether one of ``own`` hears another party, all ``stays`` being at the same time."""
        place = {stay.uniqueid: stay.bridge for stay in stays}
        joined = {bridge: bridge for bridge in place.values()}

        def room(bridge: str) -> str:
            while joined[bridge] != bridge:
                bridge = joined[bridge]
            return bridge

        for uniqueid, bridge in place.items():
            pair = self.by_uniqueid[uniqueid].pair
            if pair is not None and pair.uniqueid in place:
                joined[room(bridge)] = room(place[pair.uniqueid])
        parties: dict[str, set[str]] = defaultdict(set)
        for uniqueid, bridge in place.items():
            if self.by_uniqueid[uniqueid].party:
                parties[room(bridge)].add(uniqueid)
        return any(len(group) > 1 and group & own for group in parties.values())


def _overlap(one: BridgeStay, other: BridgeStay) -> bool:
    """Whether both were there at one time."""
    return (other.left_at is None or other.left_at > one.entered_at) and (
        one.left_at is None or one.left_at > other.entered_at
    )


def _leave(story: ChannelStory, at: datetime, bridge: str = "") -> None:
    for stay in story.stays:
        if stay.left_at is None and (not bridge or stay.bridge == bridge):
            stay.left_at = at


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _hand_over(event: ChannelEvent) -> HandOver:
    """The other line of an attended transfer is ``channel2``; Asterisk may name the two in either order."""
    second = str(event.extra.get("channel2_uniqueid", ""))
    kind = "blind" if event.kind == "BLINDTRANSFER" else "attended"
    return HandOver(kind, event.at, tuple(filter(None, (event.uniqueid, second))))
