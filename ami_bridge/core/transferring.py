"""Hand-overs: blind, attended, blonde, and pickups.

* blind: the transferer sends the other party to an extension (``BlindTransfer``).
* attended: the transferer has talked to the target first (``AttendedTransfer``).
* blonde: an attended transfer that is let go while the target's phone still rings.
"""

from __future__ import annotations

from ami_bridge.core.book import CallBook
from ami_bridge.core.calls import Call, Handover
from ami_bridge.core.channels import Channel, LegState, heard_by
from ami_bridge.core.event_types import AttendedTransferred, BlindTransferred, PickedUp
from ami_bridge.core.facts import TransferMade
from ami_bridge.core.recording import transfer_of

# Applications in which a consultation channel still waits for somebody to answer.
_RINGING_APPS = frozenset({"", "Dial", "Queue", "RetryDial", "FollowMe"})


def on_blind_transfer(book: CallBook, event: BlindTransferred) -> None:
    transferer = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if transferer is None or not event.succeeded:
        return
    given = None
    if event.transferee_uniqueid:
        given = book.seen(
            event.transferee_uniqueid, event.transferee_channel, event.transferee_linkedid, event.at
        )
        if given is not None and given.call is not transferer.call:
            book.join(given.call, transferer.call, event.at)
    transferee = _person(given, transferer) or transferer.partner
    call = transferer.call
    if any(
        known.kind == "blind" and known.transferer is transferer and known.extension == event.extension
        for known in call.handovers
    ):
        return book.count("doubled")
    handover = Handover("blind", event.at, transferer)
    handover.transferee = transferee
    handover.extension = event.extension
    transferer.handed_over = True
    _hand_over(book, call, handover)
    return None


def on_attended_transfer(book: CallBook, event: AttendedTransferred) -> None:
    first = book.channels.get(event.uniqueid) or book.seen(
        event.uniqueid, event.channel, event.linkedid, event.at
    )
    second = book.channels.get(event.second_uniqueid) or book.seen(
        event.second_uniqueid, event.second_channel, event.second_linkedid, event.at
    )
    if first is None or second is None or not event.succeeded:
        return
    call = book.join(first.call, second.call, event.at)
    if any(known.transferer is first and known.consultation is second for known in call.handovers):
        return book.count("doubled")
    transferee, target = _transferee_and_target(book, event, first, second)
    blonde = _is_blonde(event, second, target)
    handover = Handover("blonde" if blonde else "attended", event.at, first)
    handover.consultation = second
    handover.transferee = transferee
    handover.extension = event.second_exten
    if blonde:
        handover.targets = tuple(_ringing_for(call, (second, transferee)))
    elif target is not None:
        handover.target, handover.targets, handover.outcome = target, (target,), "ANSWERED"
    else:
        handover.application = event.dest_app
        handover.outcome = "ANSWERED"
    if event.dest_type != "Threeway":
        first.handed_over = second.handed_over = True
    _hand_over(book, call, handover)
    return None


def _hand_over(book: CallBook, call: Call, handover: Handover) -> None:
    call.handovers = (*call.handovers, handover)
    book.facts.append(TransferMade(call.call_id, handover.at, transfer_of(handover)))


def _person(channel: Channel | None, transferer: Channel) -> Channel | None:
    """The party that ``channel`` stands for: itself, or who is behind a Local channel."""
    if channel is None or channel.party:
        return channel
    return next(
        (party for party in heard_by(channel) if party is not transferer and not party.handed_over), None
    )


def _transferee_and_target(
    book: CallBook, event: AttendedTransferred, first: Channel, second: Channel
) -> tuple[Channel | None, Channel | None]:
    """Who was handed to whom. Asterisk names them only when each bridge held two (and not before 13).

    Otherwise they are those with whom the transferer's two channels last talked: a transfer by
    feature code has one channel for both, so its last partner is the target, the one before the transferee.
    """
    transferee = _person(book.channels.get(event.transferee_uniqueid), first)
    target = _person(book.channels.get(event.target_uniqueid), second)
    if first is second:
        return transferee or first.former_partner, target or first.partner
    return transferee or first.partner, target or second.partner


def _is_blonde(event: AttendedTransferred, second: Channel, target: Channel | None) -> bool:
    if event.dest_type == "App":
        return second.partner is None and event.dest_app in _RINGING_APPS
    leg = target.parent if target is not None else None
    return leg is not None and leg.state < LegState.ANSWERED


def _ringing_for(call: Call, roots: tuple[Channel, Channel | None]) -> list[Channel]:
    return [
        leg.dest
        for leg in call.legs
        if leg.state < LegState.ANSWERED and leg.root in roots and not leg.dest.gone
    ]


def on_picked_up(book: CallBook, event: PickedUp) -> None:
    """Somebody answered another's ringing phone; the dial moves over to the channel that did."""
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    target = book.seen(event.target_uniqueid, event.target_channel, event.target_linkedid, event.at)
    if channel is not None and target is not None:
        channel.far_side = True
        book.join(target.call, channel.call, event.at)
