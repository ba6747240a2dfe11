"""The call tracker: typed events in, facts out. No clock, no loop, no log; it never raises.

A doubled, late or impossible event is counted and changes nothing; :attr:`CallTracker.counters`
tells how many of which sort there were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ami_bridge.core import bridging, dialling, ending, event_types, serving, talking, transferring
from ami_bridge.core.book import CallBook
from ami_bridge.core.channels import Channel, is_stand_in
from ami_bridge.core.errands import is_errand
from ami_bridge.core.event_types import ChannelShown, Event
from ami_bridge.core.facts import Fact
from ami_bridge.core.live_calls import LiveCall, live_form
from ami_bridge.core.recording import record_of
from ami_bridge.core.records import CallRecord, Gap
from ami_bridge.core.ringing import RingRuleOf, no_ring_rule
from ami_bridge.core.served import Served, served_by
from ami_bridge.core.supervising import SUPERVISION, PartyShown, parties_of

_HANDLERS: dict[type, Callable[[CallBook, Any], None]] = {
    event_types.ChannelCreated: dialling.on_created,
    event_types.ChannelStateChanged: dialling.on_state,
    event_types.ChannelRenamed: dialling.on_renamed,
    event_types.LocalPaired: dialling.on_local_paired,
    event_types.DialBegan: dialling.on_dial_began,
    event_types.DialProgressed: dialling.on_dial_state,
    event_types.DialEnded: dialling.on_dial_ended,
    event_types.HangupRequested: ending.on_hangup_requested,
    event_types.SoftHangupRequested: ending.on_soft_hangup_requested,
    event_types.HungUp: ending.on_hung_up,
    event_types.BridgeEntered: bridging.on_bridge_entered,
    event_types.BridgeLeft: bridging.on_bridge_left,
    event_types.BlindTransferred: transferring.on_blind_transfer,
    event_types.AttendedTransferred: transferring.on_attended_transfer,
    event_types.PickedUp: dialling.on_picked_up,
    event_types.QueueCallerJoined: serving.on_queue_joined,
    event_types.QueueCallerLeft: serving.on_queue_left,
    event_types.QueueCallerAbandoned: serving.on_queue_abandoned,
    event_types.MemberConnected: serving.on_member_connected,
    event_types.ParkedTaken: serving.on_unparked,
    event_types.HoldChanged: serving.on_hold,
    event_types.TalkingChanged: talking.on_talking,
    event_types.DialplanFact: serving.on_dialplan_fact,
}


class CallTracker:
    """All calls of one PBX node.

    Args:
        node: the node's name; part of every call id.
        boot: tells one run of Asterisk from the next, since uniqueids may repeat after a restart.
        ring_rule_of: what a caller hears while a phone rings, by the context and extension that
            dialled it; without it rings are not counted.
    """

    def __init__(self, node: str = "", boot: str = "", ring_rule_of: RingRuleOf = no_ring_rule) -> None:
        self._book = CallBook(node, boot, ring_rule_of)

    def apply(self, event: Event) -> Sequence[Fact]:
        """What ``event`` means, in order; empty for most events."""
        handler = _HANDLERS.get(type(event))
        book = self._book
        if handler is None:
            book.count("unread")
            return ()
        try:
            handler(book, event)
        except Exception:  # one bad call must never stop the next; a test asserts that this stays zero
            book.count("fault")
        facts = book.facts
        if not facts:
            return ()
        book.facts = []
        return facts

    def _told(self) -> list[Fact]:
        facts = self._book.facts
        self._book.facts = []
        return facts

    # What is known ------------------------------------------------------------------------

    @property
    def counters(self) -> Mapping[str, int]:
        """How many events were doubled, late, impossible, of unknown channels, or a fault of ours."""
        return dict(self._book.counters)

    def calls(self) -> list[CallRecord]:
        """A record of every call that goes on, oldest first."""
        book = self._book
        return [
            record_of(call, book.node, book.ring_rule_of, None, over=False) for call in book.calls.values()
        ]

    def record(self, call_id: str) -> CallRecord | None:
        """The record so far of a call that goes on; None when it is over or was never there."""
        call = self._book.calls.get(call_id)
        if call is None:
            return None
        return record_of(call, self._book.node, self._book.ring_rule_of, None, over=False)

    def call_ids(self) -> list[str]:
        """Every call that goes on, by its id alone: with thousands of them their records take a second."""
        return list(self._book.calls)

    def uniqueids_of(self, call_id: str) -> tuple[str, ...]:
        """All channels of a call that goes on; none when it is over."""
        call = self._book.calls.get(call_id)
        return () if call is None else tuple(channel.uniqueid for channel in call.channels)

    def parties(self, call_id: str) -> tuple[PartyShown, ...]:
        """Who is in a call that goes on; nobody when it is over."""
        call = self._book.calls.get(call_id)
        return () if call is None else parties_of(call)

    def channel_name(self, uniqueid: str) -> str | None:
        """What a live channel is called now."""
        channel = self._book.channels.get(uniqueid)
        return channel.name if channel is not None and not channel.gone else None

    def is_supervision(self, call_id: str) -> bool:
        """Whether a call that goes on is a supervisor's who listens in: nobody's call."""
        call = self._book.calls.get(call_id)
        return call is not None and call.kind == SUPERVISION

    def live_calls(self) -> list[LiveCall]:
        """Every call that goes on, as a desk shows it, oldest first."""
        return [live_form(call, self._book.ring_rule_of) for call in self._book.calls.values()]

    def live(self, call_id: str) -> LiveCall | None:
        """One of them; None when it is over or was never there."""
        call = self._book.calls.get(call_id)
        return None if call is None else live_form(call, self._book.ring_rule_of)

    def call_id_of(self, uniqueid: str) -> str | None:
        """The call that a live channel belongs to."""
        channel = self._book.channels.get(uniqueid)
        return channel.call.call_id if channel is not None else None

    def served_by(self, extension: str) -> Served | None:
        """Whom the agent at the phone ``extension`` talks with now."""
        return None if self._book.link_is_lost else served_by(self._book.calls.values(), extension)

    # A lost link --------------------------------------------------------------------------

    def link_lost(self, at: datetime | None) -> None:
        """Nothing is heard from now on: whatever happens until :meth:`snapshot` is a gap."""
        book = self._book
        if not book.link_is_lost:
            book.link_is_lost, book.link_lost_at = True, at

    def snapshot(self, channels: Iterable[ChannelShown], at: datetime | None) -> list[Fact]:
        """Compare with what lives now (all lines of ``CoreShowChannels``), as of ``at``.

        Every call that was open during the gap is marked with it. What is gone is closed as
        UNKNOWN, what survived goes on, what is new begins in the middle. Stand-ins are no calls: one may be
        listed long after its call.
        """
        book = self._book
        gap = Gap(book.link_lost_at, at) if book.link_is_lost else None
        book.link_is_lost, book.link_lost_at = False, None
        shown = {
            line.uniqueid: line
            for line in channels
            if not is_errand(line.channel) and not is_stand_in(line.channel)
        }
        for call in list(book.calls.values()):
            if gap is not None:
                call.gaps = (*call.gaps, gap)
                talking.fall_silent_all(call, gap.lost_at)
            gone = [
                channel for channel in call.channels if not channel.gone and channel.uniqueid not in shown
            ]
            if len(gone) == call.live:
                call.vanished = True
            for channel in gone:
                self._close_unseen(channel, gap.lost_at if gap is not None else at)
        for line in shown.values():
            self._open_shown(line, at, gap)
        return self._told()

    def _close_unseen(self, channel: Channel, at: datetime | None) -> None:
        """The last that is known of it is the start of the gap; when it ended, nobody knows."""
        ending.on_hung_up(self._book, event_types.HungUp(at, channel.uniqueid, "", -1))

    def _open_shown(self, line: ChannelShown, at: datetime | None, gap: Gap | None) -> None:
        book = self._book
        known = book.channels.get(line.uniqueid)
        if known is not None:
            # Joined unheard: who greeted during the gap, say, talks by now, and has not left unheard.
            # Without a gap every bridge was told, and the list may only be a moment behind.
            if gap is not None and (known.bridge is None or known.bridge.bridge_id != line.bridge):
                self._enter_shown(line, at)
            return
        channel = book.add_channel(line.uniqueid, line.channel, line.linkedid, line.state, at, whole=False)
        if channel is None:
            return
        channel.number, channel.context, channel.exten = line.number, line.context, line.exten
        call = channel.call
        if gap is not None and gap not in call.gaps:
            call.gaps = (*call.gaps, gap)
        self._enter_shown(line, at)

    def _enter_shown(self, line: ChannelShown, at: datetime | None) -> None:
        """Into the bridge in which the list has it, if in any."""
        if line.bridge:
            event = event_types.BridgeEntered(
                at,
                line.uniqueid,
                line.channel,
                line.linkedid,
                line.bridge,
                talk=True,
                conference="",
                swap="",
            )
            bridging.on_bridge_entered(self._book, event)
