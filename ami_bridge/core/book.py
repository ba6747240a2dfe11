"""The book of what lives now: channels by uniqueid, calls, bridges; how they open, join and close."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime
from typing import TYPE_CHECKING

from ami_bridge.core.calls import Call
from ami_bridge.core.channels import Bridge, Channel
from ami_bridge.core.facts import CallEnded, CallMerged, CallStarted, Fact
from ami_bridge.core.recording import record_of
from ami_bridge.core.records import CallKind, Gap

if TYPE_CHECKING:
    from ami_bridge.core.ringing import RingRuleOf

MOST_CHANNELS = 200_000  # far above any Asterisk; a stream of forged channels stops here
MOST_IN_A_CALL = 400  # channels of one call; a caller waiting for hours is dialled for again and again
MOST_LEGS = 400
# Channels that we originate bear ids of ours (the dialer's, the supervisors').
_KIND_OF_PREFIX: dict[str, CallKind] = {"cb-": "callback", "sv-": "supervision"}
REMEMBERED_CHANNELS = 8192  # hung-up channels whose late events are still known to be late


def _came_before(channel: Channel, origin: Channel) -> bool:
    """Whether ``channel``, which is told after ``origin``, is the first of their call: events change places.

    A call's linkedid is the uniqueid of its first channel; and a second half is dialled after its first.
    """
    if channel.uniqueid == channel.linkedid == origin.linkedid:
        return True
    return channel.half == 1 and origin.half == 2 and channel.name[:-1] == origin.name[:-1]


class CallBook:
    """State of one node's PBX. Everything here is found by uniqueid; a linkedid is only a hint."""

    def __init__(self, node: str, boot: str, ring_rule_of: RingRuleOf) -> None:
        self.node = node
        self.boot = boot
        self.ring_rule_of = ring_rule_of
        self.channels: dict[str, Channel] = {}
        self.calls: dict[str, Call] = {}
        self.by_linkedid: dict[str, Call] = {}
        self.bridges: dict[str, Bridge] = {}
        # Insertion order is age. Not a dict: taking its first key costs more the more were taken before.
        self.late: OrderedDict[str, None] = OrderedDict()
        self.counters: dict[str, int] = {}
        self.facts: list[Fact] = []
        self.seq = 0
        self.requests_heard = False
        self.link_lost_at: datetime | None = None
        self.link_is_lost = False

    def count(self, what: str) -> None:
        """An event was impossible, late or doubled: it is counted and changes nothing."""
        self.counters[what] = self.counters.get(what, 0) + 1

    # Channels -------------------------------------------------------------------------

    def live_channel(self, uniqueid: str) -> Channel | None:
        """The channel ``uniqueid`` when it is known and lives; else counted and None."""
        channel = self.channels.get(uniqueid)
        if channel is None:
            self.count("late" if uniqueid in self.late else "unknown_channel")
            return None
        if channel.gone:
            self.count("late")
            return None
        return channel

    def seen(self, uniqueid: str, name: str, linkedid: str, at: datetime | None) -> Channel | None:
        """The channel that an event speaks of, made known when its beginning was missed."""
        channel = self.channels.get(uniqueid)
        if channel is None:
            if uniqueid in self.late or not uniqueid:
                self.count("late" if uniqueid else "malformed")
                return None
            channel = self.add_channel(uniqueid, name, linkedid, -1, at, whole=False)
            if channel is None:
                return None
        elif channel.gone:
            self.count("late")
            return None
        if linkedid and linkedid != channel.linkedid:
            channel.linkedid = linkedid
            channel.call.note_linkedid(linkedid)
        return channel

    def add_channel(
        self,
        uniqueid: str,
        name: str,
        linkedid: str,
        state: int,
        at: datetime | None,
        *,
        whole: bool = True,
    ) -> Channel | None:
        """A new channel, in the call that its linkedid hints at or in one of its own."""
        if len(self.channels) >= MOST_CHANNELS:
            self.count("too_many_channels")
            return None
        linkedid = linkedid or uniqueid
        call = self.by_linkedid.get(linkedid)
        first = call is None
        if call is None:
            call = self._open_call(uniqueid, linkedid, at)
            call.complete = whole
        if linkedid == call.linkedids[0]:
            linkedid = call.linkedids[0]  # one text for all of the call, not one for each event's copy
        channel = Channel(uniqueid, name, linkedid, state, call)
        self.channels[uniqueid] = channel
        call.channels.append(channel)
        call.live += 1
        if first:
            call.origin = channel
            if not whole:
                self.announce(call, at)
        elif call.origin is not None and _came_before(channel, call.origin):
            call.origin = channel
        if len(call.channels) > MOST_IN_A_CALL:
            self._forget_spent_channels(call)
        return channel

    def _open_call(self, uniqueid: str, linkedid: str, at: datetime | None) -> Call:
        self.seq += 1
        call = Call(self._call_id(uniqueid, at), self.seq, at, _KIND_OF_PREFIX.get(uniqueid[:3], "call"))
        call.requests_heard = self.requests_heard
        call.linkedids = (linkedid,)
        self.calls[call.call_id] = call
        self.by_linkedid[linkedid] = call
        return call

    def _call_id(self, uniqueid: str, at: datetime | None) -> str:
        """Sortable by time, and the same again when the same events are replayed."""
        milliseconds = int(at.timestamp() * 1000) if at is not None else 0
        mark = hashlib.blake2s(
            f"{self.node}\0{self.boot}\0{uniqueid}".encode(errors="replace"), digest_size=6
        )
        return f"{milliseconds:013d}-{mark.hexdigest()}"

    def announce(self, call: Call, at: datetime | None) -> None:
        """Say that ``call`` exists."""
        channel = call.origin
        if channel is not None:
            self.facts.append(
                CallStarted(
                    call.call_id,
                    at,
                    channel.uniqueid,
                    channel.name,
                    channel.number,
                    channel.context,
                    channel.exten,
                )
            )

    def _forget_spent_channels(self, call: Call) -> None:
        kept = []
        answering = {channel for _, channel, _ in call.answers}
        for channel in call.channels:
            if channel.gone and channel is not call.origin and channel not in answering:
                self._remember_late(self.channels.pop(channel.uniqueid).uniqueid)
            else:
                kept.append(channel)
        call.channels = kept
        if len(call.legs) > MOST_LEGS:
            call.legs = [
                leg for leg in call.legs[:-100] if leg.answered_at or leg.dest in answering
            ] + call.legs[-100:]

    def _remember_late(self, uniqueid: str) -> None:
        self.late[uniqueid] = None
        if len(self.late) > REMEMBERED_CHANNELS:
            self.late.popitem(last=False)

    # Calls ----------------------------------------------------------------------------

    def move(self, channel: Channel, call: Call, at: datetime | None) -> None:
        """``channel`` came under another call by a misleading linkedid; put it where it belongs."""
        former = channel.call
        if former is call:
            return
        former.channels.remove(channel)
        if former.talk is not None:
            former.talk.turns.pop(channel, None)
        call.channels.append(channel)
        channel.call = call
        call.note_linkedid(channel.linkedid)
        if not channel.gone:
            former.live -= 1
            call.live += 1
        if not former.channels:
            self._drop(former)
        elif former.live == 0:
            self.finish(former, at)

    def join(self, one: Call, other: Call, at: datetime | None) -> Call:
        """Two calls turn out to be one: the older keeps its id."""
        if one is other:
            return one
        kept, absorbed = (one, other) if one.seq < other.seq else (other, one)
        for channel in absorbed.channels:
            channel.call = kept
        kept.channels += absorbed.channels
        kept.legs += absorbed.legs
        kept.live += absorbed.live
        kept.group_open += absorbed.group_open
        kept.answers = tuple(sorted((*kept.answers, *absorbed.answers), key=lambda answer: answer[0]))
        kept.answered_at = kept.answers[0][2] if kept.answers else None
        kept.handovers += absorbed.handovers
        kept.stays = (*absorbed.stays, *kept.stays)
        kept.holds += absorbed.holds
        kept.greetings += absorbed.greetings
        kept.notes += absorbed.notes
        kept.gaps = tuple(dict.fromkeys((*kept.gaps, *absorbed.gaps)))
        kept.absorbed += (absorbed.call_id, *absorbed.absorbed)
        kept.failover = kept.failover or absorbed.failover
        kept.department = kept.department or absorbed.department
        kept.conference = kept.conference or absorbed.conference
        kept.complete = kept.complete and absorbed.complete
        if kept.talk_started_at is None:
            # Else what was said in the absorbed call was a consultation, which the caller did not hear.
            kept.talk = kept.talk or absorbed.talk
        if absorbed.talking and not kept.talking:
            kept.talking, kept.talk_since = True, absorbed.talk_since
        for linkedid in absorbed.linkedids:
            kept.note_linkedid(linkedid)
        del self.calls[absorbed.call_id]
        for linkedid in absorbed.linkedids:
            if self.by_linkedid.get(linkedid) is absorbed:
                self.by_linkedid[linkedid] = kept
        self.facts.append(CallMerged(kept.call_id, at, absorbed.call_id))
        return kept

    def finish(self, call: Call, at: datetime | None) -> None:
        """The last channel is gone: the record is made, the call forgotten."""
        if self.link_is_lost:
            # Heard again, but not yet told which calls live: what this one missed stays unknown.
            call.gaps = (*call.gaps, Gap(self.link_lost_at, None))
        record = record_of(call, self.node, self.ring_rule_of, at)
        self.facts.append(CallEnded(call.call_id, at, record))
        for channel in call.channels:
            self.channels.pop(channel.uniqueid, None)
            self._remember_late(channel.uniqueid)
        self._drop(call)
        # Channels, legs and calls point at each other; without this each would wait for the
        # cycle collector, which then stalls the stream when it comes.
        for channel in call.channels:
            channel.pair = channel.parent = channel.answered_leg = channel.partner = None
            channel.former_partner = channel.bridge = None
        for leg in call.legs:
            leg.dialler = leg.root = None
        call.channels.clear()
        call.legs.clear()
        call.origin = call.first_left = call.talk = None
        call.answers = call.talk_group = call.handovers = call.stays = ()

    def _drop(self, call: Call) -> None:
        self.calls.pop(call.call_id, None)
        for linkedid in call.linkedids:
            if self.by_linkedid.get(linkedid) is call:
                del self.by_linkedid[linkedid]
