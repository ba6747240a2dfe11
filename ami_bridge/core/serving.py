"""The caller reaches somebody, waits in a queue, is put on hold; and what our dialplan says of it."""

from __future__ import annotations

from datetime import datetime
from sys import intern

from ami_bridge.core.book import CallBook
from ami_bridge.core.calls import Call, Stay, seconds_between
from ami_bridge.core.channels import LEG_ANSWERED, Channel, Leg
from ami_bridge.core.event_types import (
    DialplanFact,
    HoldChanged,
    MemberConnected,
    ParkedTaken,
    QueueCallerAbandoned,
    QueueCallerJoined,
    QueueCallerLeft,
)
from ami_bridge.core.facts import (
    CallAnswered,
    DialplanNoted,
    FailedOver,
    GreetingPlayed,
    HoldEnded,
    HoldStarted,
    QueueJoined,
    QueueLeft,
)
from ami_bridge.core.recording import party_of, ring_number_of
from ami_bridge.core.records import Greeting, Hold, Noted
from ami_bridge.core.talking import follow


def put_through(book: CallBook, leg: Leg, at: datetime | None) -> None:
    """The caller's side and the phone of ``leg`` are connected, or are about to be (greeting first)."""
    call = leg.dest.call
    caller = leg.root.uniqueid if leg.root is not None else ""
    ring = ring_number_of(call, leg, book.ring_rule_of)
    answer(book, call, leg.dest, at, caller=caller, ring=ring)


def answer(
    book: CallBook, call: Call, channel: Channel, at: datetime | None, *, caller: str, ring: int | None = None
) -> None:
    """``channel`` is somebody who serves the caller; told once."""
    if any(channel is known for _, known, _ in call.answers):
        return
    book.seq += 1
    call.answers = (*call.answers, (book.seq, channel, at))
    if call.answered_at is None:
        call.answered_at = at
    if call.handovers:
        last = call.handovers[-1]
        if last.target is None and channel is not last.transferer and channel is not last.consultation:
            last.target, last.outcome = channel, "ANSWERED"
            if channel not in last.targets:
                last.targets = (*last.targets, channel)
    book.facts.append(
        CallAnswered(call.call_id, at, channel.uniqueid, channel.name, channel.endpoint, caller, ring)
    )
    stay = call.stay
    if stay is not None:
        close_stay(book, call, stay, "answered", at)


def now_on_behalf_of(call: Call, former: Channel, heir: Channel) -> None:
    """Whatever still rings for ``former``, directly or through Local channels, now rings for ``heir``."""
    for channel in call.channels:
        leg = channel.parent
        if leg is not None and leg.state < LEG_ANSWERED:
            if leg.dialler is former:
                leg.dialler = heir
            if leg.root is former:
                leg.root = heir


# Queues -------------------------------------------------------------------------------


def on_queue_joined(book: CallBook, event: QueueCallerJoined) -> None:
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if channel is None:
        return
    call = channel.call
    if call.stay is not None:
        if call.stay.queue == event.queue:
            return book.count("doubled")
        close_stay(book, call, call.stay, "left", event.at)
    call.stays = (*call.stays, Stay(event.queue, channel, event.at, event.position))
    call.outcome = ""
    book.facts.append(QueueJoined(call.call_id, event.at, channel.uniqueid, event.queue, event.position))
    return None


def close_stay(book: CallBook, call: Call, stay: Stay, reason: str, at: datetime | None) -> None:
    stay.open = False
    stay.reason, stay.left_at = reason, at
    waited = seconds_between(stay.joined_at, at)
    if waited is not None:
        stay.waited = waited
    book.facts.append(QueueLeft(call.call_id, at, stay.who.uniqueid, stay.queue, reason, stay.waited))


def on_queue_left(book: CallBook, event: QueueCallerLeft) -> None:
    channel = book.live_channel(event.uniqueid)
    if channel is None:
        return
    call = channel.call
    if call.stay is None:
        return book.count("doubled")
    # Why is told by other events, before (abandoned, answered) or after (our dialplan's reason).
    close_stay(book, call, call.stay, "left", event.at)
    call.outcome = "NO_ANSWER"
    return None


def on_queue_abandoned(book: CallBook, event: QueueCallerAbandoned) -> None:
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if channel is None:
        return
    call = channel.call
    stay = call.stays[-1] if call.stays else None
    if stay is not None and stay.reason == "abandoned":
        return book.count("doubled")
    if stay is None or stay.queue != event.queue:
        stay = Stay(event.queue, channel, None, event.position)
        call.stays = (*call.stays, stay)
    if event.waited_seconds >= 0:
        stay.waited = event.waited_seconds
    stay.position = stay.position or event.position
    close_stay(book, call, stay, "abandoned", event.at)
    call.outcome = "ABANDONED"
    return None


def on_member_connected(book: CallBook, event: MemberConnected) -> None:
    channel = book.live_channel(event.uniqueid)
    if channel is None:
        return
    call = channel.call
    if not call.stays:
        call.stays = (Stay(event.queue, channel, None, 0),)
    stay = call.stays[-1]
    if stay.waited is None and event.waited_seconds >= 0:
        stay.waited = event.waited_seconds
    stay.open = False
    stay.reason = "answered"
    stay.left_at = stay.left_at or event.at


def on_unparked(book: CallBook, event: ParkedTaken) -> None:
    retriever = book.live_channel(event.retriever_uniqueid)
    parked = book.live_channel(event.uniqueid)
    if retriever is None or parked is None or retriever is parked:
        return
    call = book.join(parked.call, retriever.call, event.at)
    retriever.far_side, retriever.handed_over = True, False
    answer(book, call, retriever, event.at, caller=parked.uniqueid)


# Hold ---------------------------------------------------------------------------------


def on_hold(book: CallBook, event: HoldChanged) -> None:
    channel = book.live_channel(event.uniqueid)
    if channel is None:
        return
    if event.held == (channel.held is not None):
        return book.count("doubled")
    if event.held:
        channel.held = (event.at,)
        book.facts.append(HoldStarted(channel.call.call_id, event.at, channel.uniqueid))
        follow(channel.call, event.at)
    else:
        end_hold(book, channel, event.at)
    return None


def end_hold(book: CallBook, channel: Channel, at: datetime | None) -> None:
    started_at = channel.held[0] if channel.held is not None else None
    channel.held = None
    call = channel.call
    hold = Hold(party_of(channel), started_at, at, seconds_between(started_at, at))
    call.holds = (*call.holds, hold)
    book.facts.append(HoldEnded(call.call_id, at, channel.uniqueid))
    follow(call, at)


# Our own dialplan ---------------------------------------------------------------------


def on_dialplan_fact(book: CallBook, event: DialplanFact) -> None:
    channel = book.seen(event.uniqueid, event.channel, event.linkedid, event.at)
    if channel is None:
        return
    call, fields = channel.call, event.fields
    if call.last_said == event:
        return book.count("doubled")
    call.last_said = event
    call.department = call.department or fields.get("Department", "")
    if event.name == "greeting":
        _greeting(book, call, event)
        return None
    if event.name == "failover":
        call.failover = fields.get("Reason", "") or "unknown"
        if call.outcome in ("", "CANCELLED"):
            call.outcome = "NO_ANSWER"  # it was us who broke the dial off, not the caller
        book.facts.append(
            FailedOver(call.call_id, event.at, event.uniqueid, call.failover, fields.get("Department", ""))
        )
        return None
    if event.name == "moved":  # by a supervisor, to another department
        call.department = fields.get("Department", "") or call.department
        _left_because(call, "moved")
    if event.name == "queue" and fields.get("Phase") == "left":
        _left_because(call, fields.get("Reason", ""))
    call.notes = (*call.notes, Noted(event.name, event.at, fields))
    book.facts.append(DialplanNoted(call.call_id, event.at, event.uniqueid, event.name, fields))
    return None


def _left_because(call: Call, reason: str) -> None:
    if call.stays and reason:
        stay = call.stays[-1]
        # The PBX calls a wait abandoned whose time was over, or that somebody was moved out of. A caller who really
        # left hears no more of our dialplan.
        if stay.reason == "abandoned" and call.outcome == "ABANDONED":
            call.outcome = "NO_ANSWER"
        if stay.reason != "answered":
            stay.reason = reason.lower()


def _greeting(book: CallBook, call: Call, event: DialplanFact) -> None:
    fields = event.fields
    kind, department, agent = (intern(fields.get(name, "")) for name in ("Kind", "Department", "Agent"))
    if fields.get("Phase") == "started":
        call.greetings = (*call.greetings, Greeting(kind, department, agent, event.at, None, ""))
        return
    status = intern(fields.get("Status", ""))
    started_at = None
    last = call.greetings[-1] if call.greetings else None
    if last is not None and last.ended_at is None and not last.status and last.kind == kind:
        started_at = last.started_at
        call.greetings = call.greetings[:-1]
    played = Greeting(kind, department, agent, started_at, event.at, status or "UNKNOWN")
    call.greetings = (*call.greetings, played)
    book.facts.append(
        GreetingPlayed(call.call_id, event.at, event.uniqueid, kind, department, agent, played.status)
    )
