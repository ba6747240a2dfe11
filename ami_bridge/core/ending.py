"""Channels end: who asked for it, and what closes with them."""

from __future__ import annotations

from ami_bridge.core.book import CallBook
from ami_bridge.core.bridging import leave_bridge
from ami_bridge.core.channels import UP
from ami_bridge.core.dialling import note_rejection
from ami_bridge.core.event_types import HangupRequested, HungUp, SoftHangupRequested
from ami_bridge.core.serving import end_hold
from ami_bridge.core.talking import fall_silent

# Causes with which the PBX itself refuses a call. Sending that refusal ends the SIP session, which
# chan_pjsip reports as a HangupRequest of the caller, who did nothing (tried: Busy, 486, cause 17).
_REFUSALS = frozenset({1, 2, 3, 17, 18, 19, 20, 21, 22, 27, 28, 29, 34, 38, 41, 42, 44, 58, 88})


def on_hangup_requested(book: CallBook, event: HangupRequested) -> None:
    channel = book.channels.get(event.uniqueid)
    if channel is None or channel.gone:
        return book.count("late")
    book.requests_heard = channel.call.requests_heard = True
    refused_by_us = channel.parent is None and channel.state != UP and event.cause in _REFUSALS
    if channel.requested is None and not refused_by_us:
        book.seq += 1
        channel.requested = (book.seq, event.at, event.cause)
        note_rejection(channel, event.cause)
    return None


def on_soft_hangup_requested(book: CallBook, event: SoftHangupRequested) -> None:
    """No evidence of who asked; but where these arrive, a hard request would have arrived too."""
    channel = book.channels.get(event.uniqueid)
    if channel is not None:
        book.requests_heard = channel.call.requests_heard = True


def on_hung_up(book: CallBook, event: HungUp) -> None:
    channel = book.live_channel(event.uniqueid)
    if channel is None:
        return
    channel.gone = True
    channel.hangup_cause = event.cause
    note_rejection(channel, event.cause)
    call = channel.call
    if event.linkedid and event.linkedid != channel.linkedid:
        channel.linkedid = event.linkedid
        call.note_linkedid(event.linkedid)
    if channel.bridge is not None:
        leave_bridge(book, channel, event.at)
    if channel.held is not None:
        end_hold(book, channel, event.at)
    if channel.speaks_since is not None:
        fall_silent(channel, event.at)
    call.live -= 1
    if call.live <= 0:
        book.finish(call, event.at)
