"""Who hears whom: bridges, and the conversations that they make."""

from __future__ import annotations

from datetime import datetime

from ami_bridge.core.book import CallBook
from ami_bridge.core.calls import Call, seconds_between
from ami_bridge.core.channels import Bridge, Channel, heard_by
from ami_bridge.core.event_types import BridgeEntered, BridgeLeft
from ami_bridge.core.facts import CallBridged
from ami_bridge.core.serving import answer
from ami_bridge.core.supervising import joined
from ami_bridge.core.talking import follow


def on_bridge_entered(book: CallBook, event: BridgeEntered) -> None:
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if channel is None:
        return
    if channel.bridge is not None:
        if channel.bridge.bridge_id == event.bridge:
            return book.count("doubled")
        leave_bridge(book, channel, event.at)
    bridge = book.bridges.get(event.bridge)
    if bridge is None:
        bridge = book.bridges[event.bridge] = Bridge(event.bridge, event.conference, talk=event.talk)
    if event.swap:
        swapped = book.channels.get(event.swap)
        if swapped is not None and swapped.bridge is bridge:
            leave_bridge(book, swapped, event.at)
            book.bridges[event.bridge] = bridge
    call = _same_call(book, bridge, channel, event.at)
    bridge.members.append(channel)
    channel.bridge = bridge
    if not bridge.talk:
        _was_let_go(channel)
        return None
    call.conference = call.conference or bridge.conference
    call.first_left = None
    if len(bridge.members) > 1 or (channel.pair is not None and channel.pair.bridge is not None):
        _converse(book, call, channel, event.at)
        if call.talk is not None:
            follow(call, event.at)
    return None


def _was_let_go(channel: Channel) -> None:
    """Parked: whoever talked to this one has seen to it that another will; his hanging up ends no call."""
    if channel.partner is not None:
        channel.partner.handed_over = True


def _same_call(book: CallBook, bridge: Bridge, channel: Channel, at: datetime | None) -> Call:
    """Those who are bridged two by two belong to one call; those who meet in a conference do not."""
    call = channel.call
    if bridge.talk and not bridge.conference:
        for member in bridge.members:
            if member.call is not call:
                call = joined(book, call, member.call, at)
    return call


def _converse(book: CallBook, call: Call, channel: Channel, at: datetime | None) -> None:
    group = [party for party in heard_by(channel) if party.call is call or call.conference]
    if len(group) < 2:
        return
    for party in group:
        party.talked = True
    if not call.talking:
        call.talking, call.talk_since = True, at
    if call.talk_started_at is None:
        call.talk_started_at = at
    if len(group) == 2:
        _now_partners(group[0], group[1])
        _now_partners(group[1], group[0])
    if set(group) != set(call.talk_group):
        call.talk_group = tuple(group)
        book.facts.append(CallBridged(call.call_id, at, tuple(sorted(party.uniqueid for party in group))))
        if not call.answers and not call.conference:
            _answered_unseen(book, call, group, at)


def _now_partners(one: Channel, other: Channel) -> None:
    if one.partner is not other:
        one.former_partner, one.partner = one.partner, other


def _answered_unseen(book: CallBook, call: Call, group: list[Channel], at: datetime | None) -> None:
    """People talk though no dial was seen to be answered: the dial was before we listened, or none was needed."""
    others = [party for party in group if party is not call.origin and not party.handed_over]
    dialled = [party for party in others if party.parent is not None and not party.parent.originator]
    chosen = next(iter(dialled or [party for party in others if party.parent is None]), None)
    if chosen is not None:
        caller = next((party.uniqueid for party in group if party is not chosen), "")
        answer(book, call, chosen, at, caller=caller)


def on_bridge_left(book: CallBook, event: BridgeLeft) -> None:
    channel = book.channels.get(event.uniqueid)
    if channel is None or channel.bridge is None or channel.bridge.bridge_id != event.bridge:
        return book.count("late")
    leave_bridge(book, channel, event.at)
    return None


def leave_bridge(book: CallBook, channel: Channel, at: datetime | None) -> None:
    bridge = channel.bridge
    if bridge is None:
        return
    members = bridge.members
    members.remove(channel)
    channel.bridge = None
    if not members:
        book.bridges.pop(bridge.bridge_id, None)
    call = channel.call
    # Whoever hangs up leaves first, under the bridge's lock; only then is the other one let go.
    if channel.party and members and bridge.talk and call.first_left is None:
        call.first_left = channel
    if call.talk is not None:
        follow(call, at)
    if not call.talking:
        return
    still = _still_talking(call)
    if still:
        # Two of three go on: who has left the conversation did not end it.
        call.talk_group, call.first_left = still, None
    else:
        call.talking = False
        talked = seconds_between(call.talk_since, at)
        if talked is not None:
            call.talk_seconds = round((call.talk_seconds or 0.0) + talked, 3)


def _still_talking(call: Call) -> tuple[Channel, ...]:
    return tuple(
        party
        for party in call.talk_group
        if not party.gone and party.bridge is not None and len(heard_by(party)) > 1
    )
