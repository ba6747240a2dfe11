"""A supervisor's phone that listens in is a call of its own kind; when he takes over, it becomes part of the caller's.

Until then it is nobody's call: no record is kept of it and no desk lists it, for the person at the other end of
the caller's call has not changed. Who listened to whom and when stands in the audit trail.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ami_bridge.core.book import CallBook
from ami_bridge.core.calls import Call
from ami_bridge.core.channels import Channel
from ami_bridge.core.records import Noted
from ami_bridge.core.serving import answer

#: The kind of a supervisor's own call, and how the ids of the channels begin that make it one.
SUPERVISION, PREFIX = "supervision", "sv-"


class PartyShown(NamedTuple):
    """Somebody outside the PBX who is in a call now; ``bridged``: he hears others."""

    channel: str
    uniqueid: str
    endpoint: str
    bridged: bool


def parties_of(call: Call) -> tuple[PartyShown, ...]:
    """Everybody who is in ``call`` and has not handed it over."""
    return tuple(
        PartyShown(channel.name, channel.uniqueid, channel.endpoint, channel.bridge is not None)
        for channel in call.channels
        if channel.party and not channel.gone and not channel.handed_over
    )


def joined(book: CallBook, one: Call, other: Call, at: datetime | None) -> Call:
    """``one`` and ``other`` are bridged. When one of them is a supervisor's own call, he serves from now on."""
    if (one.kind == SUPERVISION) == (other.kind == SUPERVISION):
        return book.join(one, other, at)
    supervision, served = (one, other) if one.kind == SUPERVISION else (other, one)
    kind = served.kind
    phones = [channel for channel in supervision.channels if channel.party and not channel.gone]
    before = _who_serves(served)
    call = book.join(one, other, at)
    call.kind = kind
    for channel in before:
        channel.handed_over = True  # his end ends no call
    for phone in phones:
        _serves(book, call, phone, at)
        told = {"From": ",".join(channel.endpoint for channel in before), "To": phone.endpoint}
        call.notes = (*call.notes, Noted("taken_over", at, told))
    return call


def _who_serves(call: Call) -> list[Channel]:
    """Our people in ``call``. A callback put them on the phone first; else they answered."""
    if call.kind == "callback":
        return [leg.dest for leg in call.legs if leg.originator and not leg.dest.gone]
    return [channel for _, channel, _ in call.answers if not channel.gone]


def _serves(book: CallBook, call: Call, phone: Channel, at: datetime | None) -> None:
    """His phone was the first to be rung in its own call; in this one it is a colleague's, who answered."""
    if call.kind == "callback":
        return
    if phone.parent is not None:
        phone.parent.originator = False
    answer(book, call, phone, at, caller=call.origin.uniqueid if call.origin is not None else "")
