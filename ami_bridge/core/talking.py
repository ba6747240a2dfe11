"""Who speaks when: turns, overtalk and monologues, from talk detection (etiquette rules S14 and S23).

Asterisk's ``TALK_DETECT`` says when the far end of a channel begins and ceases to speak. A pause shorter than
its silence limit belongs to the turn; a turn's end is told that much late, with its true length beside it.
What counts is said in a conversation: to somebody of the other side, who hears it, and while nobody holds. What
an agent says to a colleague in a consultation, or a caller to the music, does not.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ami_bridge.core.calls import Call, seconds_between
from ami_bridge.core.channels import Channel, heard_by
from ami_bridge.core.event_types import TalkingChanged
from ami_bridge.core.hanging_up import side_of
from ami_bridge.core.records import TalkRecord

if TYPE_CHECKING:
    from ami_bridge.core.book import CallBook
    from ami_bridge.core.records import HungUpBy

# A silence of both that is longer ends a monologue: whoever speaks then begins anew.
LONGEST_BREATH_SECONDS = 2.0


class Turn:
    """One stretch of speech that is going on. ``cut_at``: when the other side ceased to hear it."""

    __slots__ = ("began_at", "cut_at", "side")

    def __init__(self, side: HungUpBy, began_at: datetime) -> None:
        self.side = side
        self.began_at = began_at
        self.cut_at: datetime | None = None


class Side:
    """What one side has said so far, all its people together. A monologue runs from ``since`` to ``until``."""

    __slots__ = ("longest", "seconds", "since", "turns", "until")

    def __init__(self) -> None:
        self.seconds = self.longest = 0.0
        self.turns = 0
        self.since: datetime | None = None
        self.until: datetime | None = None


class Talk:
    """The talk of one call; made when the first word is detected, since most events come before it."""

    __slots__ = ("first_turn", "floor", "overtalk", "sides", "turns")

    def __init__(self) -> None:
        self.sides: dict[HungUpBy, Side] = {}  # a side of which nothing was ever detected is not there
        self.turns: dict[Channel, Turn] = {}
        self.overtalk = 0.0
        self.floor: Side | None = None  # whose turn it is; a word put in meanwhile does not take it
        self.first_turn: float | None = None

    def side(self, name: HungUpBy) -> Side:
        if name not in self.sides:
            self.sides[name] = Side()
        return self.sides[name]


def on_talking(book: CallBook, event: TalkingChanged) -> None:
    """Somebody begins or ceases to speak."""
    channel = book.live_channel(event.uniqueid)
    if channel is None:
        return None
    if event.at is None or not channel.party:
        return book.count("unread")
    if event.talking == (channel.speaks_since is not None):
        return book.count("doubled")
    call = channel.call
    if event.talking:
        channel.speaks_since = event.at
        if call.talk is None:
            call.talk = Talk()
        call.talk.side(side_of(call, channel))
        _follow(call, call.talk, event.at)
        return None
    fall_silent(channel, _end_of_speech(channel.speaks_since, event))
    return None


def _end_of_speech(since: datetime | None, event: TalkingChanged) -> datetime | None:
    """The stop is told after the silence that proves it; the length beside it is that of the speech."""
    if since is None or event.at is None or event.lasted_ms < 0:
        return event.at
    return min(event.at, since + timedelta(milliseconds=event.lasted_ms))


def fall_silent(channel: Channel, at: datetime | None) -> None:
    """``channel`` says no more: it paused at ``at``, or it is gone."""
    channel.speaks_since = None
    talk = channel.call.talk
    turn = talk.turns.pop(channel, None) if talk is not None else None
    if talk is not None and turn is not None:
        _close(talk, turn, turn.began_at if at is None else at)


def fall_silent_all(call: Call, at: datetime | None) -> None:
    """Nothing is known from ``at`` on: what is said in a gap does not count."""
    if call.talk is not None:
        for channel in call.channels:
            if channel.speaks_since is not None:
                fall_silent(channel, at)


def follow(call: Call, at: datetime | None) -> None:
    """The conversation changed: somebody came, left, was put on hold or is back."""
    if call.talk is not None and at is not None:
        _follow(call, call.talk, at)


def _follow(call: Call, talk: Talk, at: datetime) -> None:
    for channel in call.channels:
        if channel.speaks_since is None:
            continue
        turn, heard = talk.turns.get(channel), _is_heard(call, channel)
        if turn is None:
            if heard:
                _open(call, talk, channel, at)
        elif not heard:
            # Not closed yet: the stop that is still to come may say that the speech ended before.
            turn.cut_at = turn.cut_at or at
        elif turn.cut_at is not None:
            _close(talk, talk.turns.pop(channel), turn.cut_at)
            _open(call, talk, channel, at)


def _is_heard(call: Call, channel: Channel) -> bool:
    """Somebody of the other side listens, and nobody holds."""
    if channel.gone or channel.bridge is None:
        return False
    group = heard_by(channel)
    if any(party.held is not None for party in group):
        return False
    own = side_of(call, channel)
    return any(side_of(party.call, party) != own for party in group)


def _open(call: Call, talk: Talk, channel: Channel, at: datetime) -> None:
    turn = talk.turns[channel] = Turn(side_of(call, channel), at)
    side = talk.side(turn.side)
    if turn.side == "caller" and talk.first_turn is None:
        talk.first_turn = seconds_between(call.talk_started_at, at)
    others = any(other.side != turn.side and other.cut_at is None for other in talk.turns.values())
    if not others or talk.floor is None:
        _take_floor(talk, side, at)


def _take_floor(talk: Talk, side: Side, at: datetime) -> None:
    breath = seconds_between(side.until, at)
    if talk.floor is not side or breath is None or breath > LONGEST_BREATH_SECONDS:
        side.since = at
    talk.floor = side


def _close(talk: Talk, turn: Turn, at: datetime) -> None:
    ended_at = max(turn.began_at, min(at, turn.cut_at) if turn.cut_at is not None else at)
    side = talk.side(turn.side)
    length = (ended_at - turn.began_at).total_seconds()
    side.seconds += length
    side.turns += length > 0
    against = [other for other in talk.turns.values() if other.side != turn.side]
    for other in against:
        # Of two turns at once the one that ends first counts what they share.
        until = min(ended_at, other.cut_at) if other.cut_at is not None else ended_at
        talk.overtalk += max(0.0, (until - max(turn.began_at, other.began_at)).total_seconds())
    side.until = ended_at
    holds_floor = talk.floor is side and side.since is not None
    since = side.since if holds_floor and side.since is not None else turn.began_at
    side.longest = max(side.longest, (ended_at - since).total_seconds())
    own_go_on = any(other.side == turn.side for other in talk.turns.values())
    if holds_floor and against and not own_go_on:
        # The other one did not only put in a word: he has it now.
        _take_floor(talk, talk.side(against[0].side), min(other.began_at for other in against))


def talk_record(talk: Talk | None) -> TalkRecord | None:
    """The figures so far; turns that are going on are not in them."""
    if talk is None:
        return None
    agent, caller = talk.sides.get("agent"), talk.sides.get("caller")
    spoken, overtalk = 0.0, None
    if agent is not None and caller is not None:
        spoken = agent.seconds + caller.seconds
        # Where several of a side speak at once, each pair was counted.
        overtalk = round(min(talk.overtalk, agent.seconds, caller.seconds), 3)
    return TalkRecord(
        agent_seconds=round(agent.seconds, 3) if agent is not None else None,
        caller_seconds=round(caller.seconds, 3) if caller is not None else None,
        agent_share=round(agent.seconds / spoken, 3) if agent is not None and spoken > 0 else None,
        overtalk_seconds=overtalk,
        agent_longest_seconds=round(agent.longest, 3) if agent is not None else None,
        caller_longest_seconds=round(caller.longest, 3) if caller is not None else None,
        agent_turns=agent.turns if agent is not None else None,
        caller_turns=caller.turns if caller is not None else None,
        caller_first_turn_seconds=talk.first_turn,
    )
