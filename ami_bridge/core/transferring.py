"""Hand-overs: blind, attended, blonde.

* blind: the transferer sends the other party to an extension (``BlindTransfer``).
* attended: the transferer has talked to the target first (``AttendedTransfer``).
* blonde: an attended transfer that is let go while the target's phone still rings.
"""

from __future__ import annotations

from ami_bridge.core.book import CallBook
from ami_bridge.core.calls import Call, Handover
from ami_bridge.core.channels import LEG_ANSWERED, Channel, heard_by
from ami_bridge.core.event_types import AttendedTransferred, BlindTransferred
from ami_bridge.core.facts import TransferMade
from ami_bridge.core.recording import transfer_of
from ami_bridge.core.serving import now_on_behalf_of

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
    if any(_same_hands(known, first, second) for known in call.handovers):
        return book.count("doubled")
    transferee, target = _transferee_and_target(book, event, first, second)
    # Who still rings: for the consultation, or behind the Local channel that a feature code dials with.
    consulted = book.channels.get(event.target_uniqueid)
    waiting = {second, transferee, consulted, consulted.pair if consulted is not None else None}
    ringing = [leg.dest for leg in call.legs if leg.state < LEG_ANSWERED and leg.root in waiting]
    blonde = _is_blonde(event, second, target, ringing)
    handover = Handover("blonde" if blonde else "attended", event.at, first)
    handover.consultation = second if second is not first else None
    handover.transferee = transferee
    handover.extension = event.second_exten
    if blonde:
        handover.targets = tuple(channel for channel in ringing if not channel.gone)
        if transferee is not None and second is not first:
            # Asterisk 22 masquerades the transferee into the running Dial and tells no new DialBegin.
            now_on_behalf_of(call, second, transferee)
    elif target is not None:
        handover.target, handover.targets, handover.outcome = target, (target,), "ANSWERED"
    else:
        handover.application, handover.outcome = event.dest_app, "ANSWERED"
    if event.dest_type != "Threeway":
        first.handed_over = second.handed_over = True
    _hand_over(book, call, handover)
    return None


def _same_hands(known: Handover, first: Channel, second: Channel) -> bool:
    return known.kind != "blind" and known.transferer is first and (known.consultation or first) is second


def _hand_over(book: CallBook, call: Call, handover: Handover) -> None:
    call.handovers = (*call.handovers, handover)
    book.facts.append(TransferMade(call.call_id, handover.at, transfer_of(handover)))


def _person(channel: Channel | None, *others: Channel | None) -> Channel | None:
    """The party that ``channel`` stands for: itself, or who is behind a Local channel."""
    if channel is None or channel.party:
        return channel
    behind = [party for party in heard_by(channel) if party not in others and not party.handed_over]
    return behind[0] if behind else None


def _transferee_and_target(
    book: CallBook, event: AttendedTransferred, first: Channel, second: Channel
) -> tuple[Channel | None, Channel | None]:
    """Who was handed to whom. Asterisk names them only when each bridge held two (and not before 13).

    Otherwise they are those with whom the transferer's two channels last talked: a transfer by
    feature code has one channel for both, so its last partner is the target, the one before the transferee.
    """
    named = book.channels.get(event.transferee_uniqueid)
    transferee = _person(named, first, second) or (first.former_partner if first is second else first.partner)
    consulted = book.channels.get(event.target_uniqueid)
    target = _person(consulted, first, second, transferee)
    if target is None and second.partner is not transferee:
        target = second.partner
    return transferee, target


def _is_blonde(
    event: AttendedTransferred, second: Channel, target: Channel | None, ringing: list[Channel]
) -> bool:
    if event.dest_type == "App":
        return second.partner is None and event.dest_app in _RINGING_APPS
    return bool(ringing) and (target is None or target in ringing)
