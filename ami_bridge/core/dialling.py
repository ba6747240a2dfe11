"""Channels come, are dialled, ring, answer and go."""

from __future__ import annotations

from datetime import datetime
from sys import intern

from ami_bridge.core.book import CallBook
from ami_bridge.core.calls import LEG_TRANSITIONS, Call, LegInput, outcome_of_dialstatus
from ami_bridge.core.channels import (
    LEG_ANSWERED,
    LEG_DIALLED,
    LEG_ENDED,
    LEG_RINGING,
    MOST_HOPS,
    RINGING,
    UP,
    Channel,
    Leg,
    answering_party,
    dialling_root,
)
from ami_bridge.core.event_types import (
    ChannelCreated,
    ChannelRenamed,
    ChannelStateChanged,
    DialBegan,
    DialEnded,
    DialProgressed,
    LocalPaired,
    PickedUp,
)
from ami_bridge.core.facts import LegAnswered, LegDialled, LegEnded, LegRinging
from ami_bridge.core.serving import now_on_behalf_of, put_through

# Q.850 cause 21, call rejected: 603 and 403. Dial calls it no answer, but somebody or something said no.
REJECTED_CAUSE = 21
REJECTED = "REJECTED"


def note_rejection(channel: Channel, cause: int | None) -> None:
    """A phone's own no, told after its dial: by the request, or by the end where Dial was faster than that."""
    leg = channel.parent
    if leg is None or leg.status != "NOANSWER" or cause != REJECTED_CAUSE:
        return
    leg.status = REJECTED
    if leg.root is leg.dialler and channel.call.outcome == outcome_of_dialstatus("NOANSWER"):
        channel.call.outcome = outcome_of_dialstatus(REJECTED)


def on_created(book: CallBook, event: ChannelCreated) -> None:
    """A doubled ``Newchannel`` only fills in what an earlier event could not tell."""
    channel = book.channels.get(event.uniqueid)
    if channel is None:
        if event.uniqueid in book.late:
            return book.count("late")
        channel = book.add_channel(event.uniqueid, event.channel, event.linkedid, event.state, event.at)
        if channel is None:
            return None
    elif channel.context or channel.gone:
        return book.count("doubled")
    # Ten thousand calls share a few contexts; each event brings a copy of its own.
    channel.context, channel.exten = intern(event.context), intern(event.exten)
    channel.number = channel.number or event.number
    channel.shown_name = event.name
    call = channel.call
    if call.origin is channel:
        if call.complete and not call.entry_context:
            book.announce(call, event.at)
        call.complete = True  # another event of it may have overtaken this one
        call.entry_context, call.entry_exten = event.context, event.exten
    return None


def on_state(book: CallBook, event: ChannelStateChanged) -> None:
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if channel is None:
        return
    channel.state = event.state
    if event.state == RINGING:
        note_ringing(book, channel, event.at)


def on_renamed(book: CallBook, event: ChannelRenamed) -> None:
    channel = book.live_channel(event.uniqueid)
    if channel is not None:
        channel.rename(event.channel)


def on_local_paired(book: CallBook, event: LocalPaired) -> None:
    one = book.seen(event.one_uniqueid, event.one_channel, event.one_linkedid, event.at)
    two = book.seen(event.two_uniqueid, event.two_channel, event.two_linkedid, event.at)
    if one is None or two is None or one is two:
        return
    if one.call is not two.call:
        belong_together(book, one, two, event.at)
    one.pair, two.pair = two, one


def belong_together(book: CallBook, known: Channel, other: Channel, at: datetime | None) -> None:
    """Put ``other`` into the call of ``known``: alone when a linkedid misled us, else with its whole call."""
    fresh = other is not other.call.origin and other.parent is None and other.answered_leg is None
    if fresh and other.bridge is None:
        book.move(other, known.call, at)
        if other.pair is not None:
            book.move(other.pair, known.call, at)
    else:
        book.join(known.call, other.call, at)


# Dialling -----------------------------------------------------------------------------


def on_dial_began(book: CallBook, event: DialBegan) -> None:
    at = event.at
    dialler = None
    if event.uniqueid:
        dialler = book.seen(event.uniqueid, event.channel, event.linkedid, at)
        if dialler is None:
            return
        dialler.context, dialler.exten = intern(event.context), intern(event.exten)
        if event.number and event.number != dialler.number:
            dialler.number = event.number
    dest = book.seen(event.leg_uniqueid, event.leg_channel, event.leg_linkedid, at)
    if dest is None or dest is dialler:
        return
    if dialler is not None and dest.call is not dialler.call:
        belong_together(book, dialler, dest, at)
    leg = dest.parent
    if leg is not None and leg.dialler is dialler:
        return book.count("doubled")
    if leg is None:
        leg = _new_leg(dialler, dest, at)
    elif not _advance(book, leg, "redialled"):
        return None
    elif leg.dialler is not None and dialler is not None:
        now_on_behalf_of(dest.call, leg.dialler, dialler)
    leg.dialler = dialler
    leg.status = ""
    leg.ended_at = None
    leg.number = intern(event.leg_number) or leg.number
    leg.dial_string = intern(event.dial_string)
    _dialled(book, dest.call, leg, at)
    return None


def _new_leg(dialler: Channel | None, dest: Channel, at: datetime | None) -> Leg:
    leg = Leg(dialler, dest, at)
    dest.parent = leg
    if dest.party:
        dest.call.legs.append(leg)
    return leg


def _advance(book: CallBook, leg: Leg, move: LegInput) -> bool:
    """Take the leg's legal step, or count the impossible one."""
    state = LEG_TRANSITIONS.get((leg.state, move))
    if state is None:
        book.count("impossible")
        return False
    leg.state = state
    return True


def _dialled(book: CallBook, call: Call, leg: Leg, at: datetime | None) -> None:
    """Find out on whose behalf, tell it, and catch up with a ring that was reported too early."""
    dialler = leg.dialler
    if dialler is None:
        _dialled_by_nobody(call, leg)
    else:
        root, leg.originator = dialling_root(dialler)
        leg.root = root
        # The rule of the ring clock hangs on where the caller's own channel dials.
        leg.context, leg.exten = root.context, root.exten
        leg.in_queue = call.stay is not None
        if root is dialler:
            call.begin_attempt()
    if leg.dest.half == 1:
        _tell_those_within(call, leg)
    if leg.dest.party:
        _offer_to_handover(call, leg)
        caller = leg.root
        book.facts.append(
            LegDialled(
                call.call_id,
                at,
                leg.dest.uniqueid,
                leg.dest.name,
                leg.dest.endpoint,
                caller.name if caller is not None else "",
                caller.uniqueid if caller is not None else "",
                leg.context,
                leg.exten,
            )
        )
    if leg.dest.rings:
        _leg_rings(book, leg, leg.dest.ringing_at)


def _dialled_by_nobody(call: Call, leg: Leg) -> None:
    """Without a dialler: an Originate, or the consultation of a transfer by feature code."""
    leg.originator = leg.dest is call.origin
    if leg.originator and call.kind == "call":
        call.kind = "originated"


def _tell_those_within(call: Call, outer: Leg) -> None:
    """The dial of a Local channel may be told after what its second half dials, which runs in a thread of its own."""
    for inner in call.legs:
        dialler = inner.dialler
        if dialler is not None and dialler is outer.dest.pair:
            inner.root, inner.originator = dialling_root(dialler)
            inner.context, inner.exten = inner.root.context, inner.root.exten


def _offer_to_handover(call: Call, leg: Leg) -> None:
    """A phone dialled for a party that was just transferred is a target of that transfer."""
    if call.handovers:
        last = call.handovers[-1]
        waiting = last.target is None and not last.application
        if (
            waiting
            and leg.dest not in last.targets
            and leg.root in (last.transferee, last.consultation, None)
        ):
            last.targets = (*last.targets, leg.dest)


def on_picked_up(book: CallBook, event: PickedUp) -> None:
    """Somebody answers another's ringing phone: the dial moves over to the channel that did."""
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    target = book.seen(event.target_uniqueid, event.target_channel, event.target_linkedid, event.at)
    if channel is None or target is None or channel is target:
        return
    call = book.join(target.call, channel.call, event.at)
    channel.far_side = True
    leg = target.parent
    if leg is None or not _advance(book, leg, "failed"):
        return
    leg.status, leg.ended_at = "CANCEL", event.at
    if target.party:
        endpoint = target.endpoint
        book.facts.append(
            LegEnded(call.call_id, event.at, target.uniqueid, target.name, endpoint, "CANCEL", leg.rang)
        )
    # The end of the dial, answered by the channel that took it, may be told before the pickup itself.
    taken = channel.parent or _new_leg(leg.dialler, channel, event.at)
    taken.root, taken.originator, taken.in_queue = leg.root, leg.originator, leg.in_queue
    taken.context, taken.exten, taken.dial_string = leg.context, leg.exten, leg.dial_string


def on_dial_state(book: CallBook, event: DialProgressed) -> None:
    # PROGRESS is early media: the phone network plays the ringing itself.
    if event.status in ("RINGING", "PROGRESS"):
        channel = book.live_channel(event.leg_uniqueid)
        if channel is not None:
            note_ringing(book, channel, event.at)


def note_ringing(book: CallBook, channel: Channel, at: datetime | None) -> None:
    """Ringing may be told twice, and before the dial itself (then the leg catches up)."""
    if channel.rings:
        return
    channel.rings = True
    channel.ringing_at = at
    if channel.parent is not None:
        _leg_rings(book, channel.parent, at)


def _leg_rings(book: CallBook, leg: Leg, at: datetime | None) -> None:
    if leg.state is not LEG_DIALLED:
        if not leg.rang:
            # Overtaken by its own answer: events of different channels may change places.
            leg.rang, leg.rang_at = True, leg.answered_at or leg.ended_at or at
        return
    leg.state = LEG_RINGING
    if leg.rang:
        return
    leg.rang, leg.rang_at = True, at
    dest = leg.dest
    if not dest.party:
        return
    call, caller = dest.call, leg.root
    if call.ring_started_at is None and not leg.originator and not leg.in_queue:
        call.ring_started_at = at
    book.facts.append(
        LegRinging(
            call.call_id,
            at,
            dest.uniqueid,
            dest.name,
            dest.endpoint,
            caller.name if caller is not None else "",
            caller.uniqueid if caller is not None else "",
            leg.context,
            leg.exten,
        )
    )


def on_dial_ended(book: CallBook, event: DialEnded) -> None:
    leg = _leg_of_end(book, event)
    if leg is None:
        return
    at = event.at
    if event.status == "ANSWER":
        # Asterisk 22 may tell of one dial NOANSWER and ANSWER in the same millisecond (seen under load): the
        # phone that lives and is up has answered.
        corrected = leg.state is LEG_ENDED and leg.status == "NOANSWER" and leg.dest.state == UP
        if _advance(book, leg, "corrected" if corrected and not leg.dest.gone else "answered"):
            leg.ended_at = None
            _leg_answered(book, leg, at)
    elif _advance(book, leg, "failed"):
        _leg_failed(book, leg, event.status, event.forward, at)


def _leg_of_end(book: CallBook, event: DialEnded) -> Leg | None:
    """The leg that ``event`` ends. Its channel may be gone already; its beginning may never have come."""
    dest = book.channels.get(event.leg_uniqueid)
    leg = dest.parent if dest is not None else None
    if leg is not None:
        return leg if _is_dialled_by(book, leg, event.uniqueid) else None
    if dest is None:
        dest = book.seen(event.leg_uniqueid, event.leg_channel, event.leg_linkedid, event.at)
    dialler = book.channels.get(event.uniqueid)
    if dialler is None and event.uniqueid:
        dialler = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if dest is None or dialler is dest or (event.uniqueid and dialler is None):
        return None
    if dialler is not None and dialler.call is not dest.call:
        belong_together(book, dialler, dest, event.at)
    leg = _new_leg(dialler, dest, None)
    leg.number = event.leg_number
    if dialler is not None:
        leg.root, leg.originator = dialling_root(dialler)
        if leg.root is dialler:
            dest.call.begin_attempt()
    else:
        _dialled_by_nobody(dest.call, leg)
    if dest.rings:
        leg.rang, leg.rang_at = True, dest.ringing_at
    return leg


def _is_dialled_by(book: CallBook, leg: Leg, dialler_id: str) -> bool:
    """Whether the dial that ends is this one.

    A masquerade (a blonde transfer's) may have put another channel in the place of a dialler that
    is gone, without a word; but the end of a dial that has passed to another since is only late.
    """
    former = leg.dialler
    if (former.uniqueid if former is not None else "") == dialler_id:
        return True
    heir = book.channels.get(dialler_id)
    if former is None or not former.gone or heir is None or heir.gone or leg.state >= LEG_ANSWERED:
        book.count("late")
        return False
    now_on_behalf_of(leg.dest.call, former, heir)
    return True


def _leg_answered(book: CallBook, leg: Leg, at: datetime | None) -> None:
    leg.status, leg.answered_at = "ANSWER", at
    dest, call = leg.dest, leg.dest.call
    if leg.dialler is not None:
        leg.dialler.answered_leg = leg
        if leg.root is leg.dialler:
            call.group_open = max(0, call.group_open - 1)
    if dest.party:
        caller = leg.root
        book.facts.append(
            LegAnswered(
                call.call_id,
                at,
                dest.uniqueid,
                dest.name,
                dest.endpoint,
                caller.name if caller is not None else "",
                caller.uniqueid if caller is not None else "",
            )
        )
    reached = _reached_by_caller(leg)
    if reached is not None:
        put_through(book, reached, at)


def _reached_by_caller(leg: Leg) -> Leg | None:
    """The answering phone's leg when every dial between it and the caller has been answered.

    A Local channel's inner dial answers first; the phone may still refuse (call acceptance), so
    only the answer of the outermost dial puts it through to the caller.
    """
    top = leg
    for _ in range(MOST_HOPS):
        dialler = top.dialler
        if dialler is None:
            return None
        if dialler.half != 2 or dialler.pair is None or dialler.pair.parent is None:
            break
        up = dialler.pair.parent
        if up.dialler is None or up.state is not LEG_ANSWERED:
            return None
        top = up
    return answering_party(top)


def _leg_failed(book: CallBook, leg: Leg, status: str, forward: str, at: datetime | None) -> None:
    leg.ended_at = at
    leg.forward = forward
    dest, call = leg.dest, leg.dest.call
    if status == "NOANSWER" and dest.requested is not None and dest.requested[2] == REJECTED_CAUSE:
        status = REJECTED
    leg.status = "FORWARDED" if forward else status or "NOANSWER"
    own_dial = leg.dialler is not None and (leg.root is leg.dialler)
    if forward:
        # The deflected leg is replaced by the next dial of the same attempt: nothing has failed yet.
        if own_dial:
            call.group_open = max(0, call.group_open - 1)
    elif own_dial:
        call.end_attempt(status)
    elif leg.originator:
        call.originator_outcome = outcome_of_dialstatus(status)
    if dest.party:
        book.facts.append(
            LegEnded(call.call_id, at, dest.uniqueid, dest.name, dest.endpoint, leg.status, leg.rang)
        )
