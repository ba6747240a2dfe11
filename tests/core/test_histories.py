"""Random legal histories of up to five parties, and random garbage: every call closes exactly once."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami_bridge.core.events import READ_EVENTS, parse
from ami_bridge.core.tracker import CallTracker

RELAXED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Office:
    """Five people, and Asterisk's own manners: what it would write when they do this or that."""

    def __init__(self, story: Any, choose: random.Random) -> None:
        self.story = story
        self.choose = choose
        self.made = 0
        self.rooms = 0
        self.talks: dict[str, list[str]] = {}  # bridge -> its channels, two or three
        self.last_to_ask: list[str] = []  # who ended a conversation, or gave up

    def new(self, name: str, linkedid: str = "", state: int = 0) -> str:
        self.made += 1
        uniqueid = f"n-{self.made}"
        self.story.channel(
            uniqueid, f"PJSIP/{name}-{self.made:08x}", linkedid=linkedid, number=name, state=state
        )
        return uniqueid

    def later(self) -> None:
        self.story.at(self.story.clock + self.choose.random() * 10)

    def call(self) -> None:
        """Somebody calls one to four phones; perhaps one of them answers."""
        people = self.choose.sample(["101", "102", "103", "104", "105"], self.choose.randint(2, 5))
        caller = self.new(people[0], state=4)
        self.ring_phones(caller, people[1:])

    def ring_phones(self, caller: str, people: list[str]) -> None:
        story, linkedid = self.story, self.story.channels[caller]["Linkedid"]
        phones = [self.new(name, linkedid) for name in people]
        for phone in phones:
            story.dial(caller, phone)
        for phone in phones:
            self.later()
            if self.choose.random() < 0.8:
                story.ring(phone, caller)
        self.later()
        winner = self.choose.choice([*phones, None])
        for phone in phones:
            if phone != winner:
                status = "CANCEL" if winner else self.choose.choice(["BUSY", "NOANSWER", "CONGESTION"])
                story.dial_end(caller, phone, status)
                story.hangup(phone)
        if winner is None:
            story.hangup(caller, cause=17)
            return
        story.answer(caller, winner)
        self.join(caller, winner)

    def join(self, one: str, other: str) -> None:
        self.rooms += 1
        bridge = f"b{self.rooms}"
        self.later()
        self.story.enter(bridge, one, other)
        self.talks[bridge] = [one, other]

    def speak(self) -> None:
        """Somebody says something, perhaps into the other's words; the end may never be told."""
        if self.talks:
            pair = list(self.choose.choice(list(self.talks.values())))
            self.choose.shuffle(pair)
            for channel in pair[: self.choose.randint(1, 2)]:
                self.later()
                began = self.story.clock
                self.story.begins_to_speak(channel)
                self.later()
                if self.choose.random() < 0.8:
                    self.story.ceases_to_speak(channel, max(0.0, self.story.clock - began - 0.4))

    def hold(self) -> None:
        if self.talks:
            channel = self.choose.choice(next(iter(self.talks.values())))
            self.later()
            self.story.write("Hold", **self.story.of(channel))
            self.later()
            self.story.write("Unhold", **self.story.of(channel))

    def blind(self) -> None:
        """One of two sends the other to further phones."""
        if not self.talks or len(next(reversed(self.talks.values()))) != 2:
            return
        bridge, (caller, agent) = self.talks.popitem()
        self.later()
        story = self.story
        story.write(
            "BlindTransfer",
            **story.of(agent, "Transferer"),
            **story.of(caller, "Transferee"),
            BridgeUniqueid=bridge,
            Extension="105",
            Result="Success",
        )
        story.leave(bridge, agent, caller)
        story.hangup(agent)
        self.ring_phones(caller, ["105", "104"][: self.choose.randint(1, 2)])

    def attended(self) -> None:
        """Two conversations become one: the second moves into the first one's bridge."""
        if [len(people) for people in [*self.talks.values()][-2:]] != [2, 2]:
            return
        story = self.story
        second_bridge, (second, target) = self.talks.popitem()
        first_bridge, (customer, first) = self.talks.popitem()
        self.later()
        story.leave(first_bridge, customer)
        story.leave(second_bridge, second)
        story.enter(second_bridge, customer)
        story.write(
            "AttendedTransfer",
            **story.of(first, "OrigTransferer"),
            **story.of(second, "SecondTransferer"),
            DestType="Bridge",
            DestBridgeUniqueid=second_bridge,
            Result="Success",
        )
        story.leave(first_bridge, first)
        story.hangup(first, second)
        self.talks[second_bridge] = [customer, target]

    def hang_up(self) -> None:
        if self.talks:
            bridge, people = self.talks.popitem()
            self.choose.shuffle(people)
            while len(people) > 2:  # one leaves, the others go on
                gone = people.pop()
                self.later()
                self.story.asks_to_end(gone)
                self.story.leave(bridge, gone)
                self.story.hangup(gone)
            self.later()
            self.story.asks_to_end(people[0])
            self.last_to_ask.append(people[0])
            self.story.leave(bridge, *people)
            self.choose.shuffle(people)
            self.story.hangup(*people)

    def pick_up(self) -> None:
        """A phone rings, a colleague answers; the pickup and the end of the dial may change places."""
        story = self.story
        caller = self.new("101", state=4)
        phone = self.new("102", caller)
        story.dial(caller, phone)
        story.ring(phone, caller)
        self.later()
        taker = self.new("103", state=4)
        self.later()

        def pickup() -> None:
            story.write("Pickup", **story.of(taker), **story.of(phone, "Target"))

        told = [pickup, lambda: story.dial_end(caller, taker, "ANSWER")]
        self.choose.shuffle(told)
        for tell_it in told:
            tell_it()
        story.hangup(phone, cause=26)
        self.join(caller, taker)

    def park(self) -> None:
        """One of two parks the other and leaves; somebody fetches him, or he gives up."""
        if not self.talks or len(next(reversed(self.talks.values()))) != 2:
            return
        story = self.story
        bridge, (parked, agent) = self.talks.popitem()
        self.later()
        story.leave(bridge, parked)
        story.enter("lot", parked, creator="Parking", technology="holding_bridge")
        story.asks_to_end(agent)
        story.leave(bridge, agent)
        story.hangup(agent)
        self.later()
        if self.choose.random() < 0.3:
            story.asks_to_end(parked)
            self.last_to_ask.append(parked)
            story.leave("lot", parked)
            story.hangup(parked)
            return
        taker = self.new("104", state=6)
        story.write("UnParkedCall", **story.of(parked, "Parkee"), **story.of(taker, "Retriever"))
        story.leave("lot", parked)
        self.join(parked, taker)

    def third(self) -> None:
        """Two become three: a colleague is dialled and comes in."""
        if self.talks:
            bridge, people = next(reversed(self.talks.items()))
            story = self.story
            self.later()
            story_linkedid = story.channels[people[-1]]["Linkedid"]
            guest = self.new("105", story_linkedid)
            story.dial(people[-1], guest)
            self.later()
            story.answer(people[-1], guest)
            story.enter(bridge, guest)
            people.append(guest)

    def queue(self) -> None:
        """A caller waits, alone or until 102 answers; then they talk."""
        story = self.story
        caller = self.new("101", state=4)
        story.write("QueueCallerJoin", **story.of(caller), Queue="sales", Position="1")
        self.later()
        if self.choose.random() < 0.4:
            story.asks_to_end(caller)
            self.last_to_ask.append(caller)
            story.write(
                "QueueCallerAbandon", **story.of(caller), Queue="sales", OriginalPosition="1", HoldTime="3"
            )
            story.write("QueueCallerLeave", **story.of(caller), Queue="sales")
            story.hangup(caller)
            return
        member = self.new("102", caller)
        story.dial(caller, member)
        story.ring(member, caller)
        self.later()
        story.answer(caller, member)
        story.write("QueueCallerLeave", **story.of(caller), Queue="sales")
        story.write("AgentConnect", **story.of(caller), Queue="sales", HoldTime="3")
        self.join(caller, member)

    def conference(self) -> None:
        """Two to five meet in a room: calls of their own."""
        story = self.story
        people = [self.new(str(101 + number), state=4) for number in range(self.choose.randint(2, 5))]
        self.rooms += 1
        room = f"room{self.rooms}"
        for channel in people:
            self.later()
            story.state(channel, 6)
            story.enter(room, channel, creator="ConfBridge", technology="softmix")
        self.choose.shuffle(people)
        for channel in people:
            self.later()
            story.asks_to_end(channel)
            self.last_to_ask.append(channel)
            story.leave(room, channel)
            story.hangup(channel)

    def live(self, deeds: list[str]) -> None:
        for deed in deeds:
            getattr(self, deed)()
        while self.talks:
            self.hang_up()


_DEEDS = ["call", "speak", "hold", "blind", "attended", "hang_up", "pick_up", "park", "third", "queue"]
deeds = st.lists(
    st.sampled_from([*_DEEDS, "call", "speak", "conference"]),
    min_size=1,
    max_size=12,
)


@RELAXED
@given(deeds=deeds, seed=st.integers(0, 2**32))
def test_every_call_closes_exactly_once(new_story: Any, tell: Any, deeds: list[str], seed: int) -> None:
    story = new_story()
    office = Office(story, random.Random(seed))
    office.live(deeds)
    told = tell(story.events)
    assert told.tracker.calls() == []
    assert "impossible" not in told.tracker.counters
    started = Counter(fact.call_id for fact in told.named("CallStarted"))
    absorbed = Counter(fact.absorbed_call_id for fact in told.named("CallMerged"))
    ended = Counter(fact.call_id for fact in told.named("CallEnded"))
    assert started == absorbed + ended
    assert set(started.values()) <= {1}
    over: set[str] = set()
    for fact in told.facts:
        assert fact.call_id not in over, "a fact after the end"
        if type(fact).__name__ == "CallEnded":
            over.add(fact.call_id)
        if type(fact).__name__ == "CallMerged":
            over.add(fact.absorbed_call_id)
    for record in told.records:
        check_durations(record)
    ended_it = {story.channels[uniqueid]["Channel"] for uniqueid in office.last_to_ask}
    for record in told.records:
        check_who_hung_up(record, ended_it)
    everybody = [uniqueid for record in told.records for uniqueid in record.uniqueids]
    assert sorted(everybody) == sorted(story.channels)


def check_durations(record: Any) -> None:
    length = (record.ended_at - record.started_at).total_seconds()
    assert 0 <= (record.talk_seconds or 0) <= length + 0.01
    left_busy = bool(record.transfers) and record.transfers[-1].outcome == "BUSY" == record.disposition
    assert (record.disposition == "ANSWERED" or left_busy) == (record.answered_by is not None)
    for leg in record.legs:
        assert leg.ring_seconds is None or 0 <= leg.ring_seconds <= length + 0.01
        assert leg.rung == (leg.rang_at is not None)
    check_talk(record)
    for hold in record.holds:
        assert 0 <= hold.seconds <= length + 0.01
    assert record.hung_up_by in ("caller", "agent", "system", "unknown")
    for transfer in record.transfers:
        assert transfer.transferee is not None
        assert transfer.outcome
    record.as_json()


def check_who_hung_up(record: Any, ended_it: set[str]) -> None:
    """Never somebody whose leaving ended nothing: who parked, transferred, or left two others talking."""
    if record.hung_up_by in ("caller", "agent"):
        named = record.hung_up_evidence[0].removeprefix("HangupRequest of ").partition(",")[0]
        assert named in ended_it or named == record.caller.channel


def check_talk(record: Any) -> None:
    talk = record.talk
    if talk is None:
        return
    limit = (record.talk_seconds or 0) + 0.01
    for seconds, longest, turns in [
        (talk.agent_seconds, talk.agent_longest_seconds, talk.agent_turns),
        (talk.caller_seconds, talk.caller_longest_seconds, talk.caller_turns),
    ]:
        assert (seconds is None) == (longest is None) == (turns is None)
        # Two colleagues who speak at once in a talk of three are two who speak.
        at_once = 1 if len(record.uniqueids) == 2 else len(record.uniqueids)
        assert seconds is None or 0 <= seconds <= limit * at_once
        assert longest is None or 0 <= longest <= limit
        assert not turns or longest > 0
    if talk.agent_share is not None:
        assert 0 <= talk.agent_share <= 1
        assert 0 <= talk.overtalk_seconds <= min(talk.agent_seconds, talk.caller_seconds)
    if talk.caller_first_turn_seconds is not None:
        assert 0 <= talk.caller_first_turn_seconds <= (record.ended_at - record.started_at).total_seconds()


_names = sorted(READ_EVENTS)
_some_id = st.sampled_from(["n-1", "n-2", "n-3", "g-1", "g-2", "g-3", "g-4", "", "<unknown>"])


_strangers_id = st.sampled_from(["g-1", "g-2", "g-3", "g-4", "", "<unknown>"])


@st.composite
def garbage(draw: st.DrawFn, ids: st.SearchStrategy[str] = _some_id) -> dict[str, Any]:
    """Well-formed headers in no sensible order: every kind, about channels that exist and that do not."""
    headers: dict[str, Any] = {"Event": draw(st.sampled_from(_names))}
    for name in [
        "Uniqueid",
        "Linkedid",
        "DestUniqueid",
        "DestLinkedid",
        "BridgeUniqueid",
        "SwapUniqueid",
        "LocalOneUniqueid",
        "LocalTwoUniqueid",
        "TransfererUniqueid",
        "TransfereeUniqueid",
        "OrigTransfererUniqueid",
        "SecondTransfererUniqueid",
        "TransferTargetUniqueid",
        "TargetUniqueid",
        "RetrieverUniqueid",
        "ParkeeUniqueid",
        "DestBridgeUniqueid",
    ]:
        if draw(st.booleans()):
            headers[name] = draw(ids)
    headers["Channel"] = draw(st.sampled_from(["PJSIP/101-1", "Local/1@x-1;1", "Local/1@x-1;2", "", "x"]))
    headers["DestChannel"] = draw(st.sampled_from(["PJSIP/102-1", "Local/2@x-1;1", "Local/2@x-1;2", ""]))
    headers["DialStatus"] = draw(st.sampled_from(["ANSWER", "BUSY", "CANCEL", "RINGING", "", "xyz"]))
    headers["ChannelState"] = draw(st.sampled_from(["0", "4", "5", "6", "", "-7"]))
    headers["DestType"] = draw(st.sampled_from(["App", "Bridge", "Threeway", "Fail", ""]))
    headers["Duration"] = draw(st.sampled_from(["0", "700", "-5", "x", "99999999999999999999"]))
    headers["Queue"] = draw(st.sampled_from(["sales", ""]))
    headers |= {
        "UserEvent": "FourthRing",
        "Fact": draw(st.sampled_from(["greeting", "queue", "failover", "x"])),
    }
    return headers


@RELAXED
@given(events=st.lists(garbage(), max_size=60))
def test_garbage_never_raises_and_all_of_it_ends(tell: Any, events: list[dict[str, Any]]) -> None:
    told = tell(events)  # asserts that no handler failed
    for record in told.tracker.calls():
        record.as_json()
    told.tracker.link_lost(None)
    told.tracker.snapshot([], None)
    assert told.tracker.calls() == []
    assert "fault" not in told.tracker.counters
    book = told.tracker._book
    assert (book.channels, book.by_linkedid, book.bridges) == ({}, {}, {})


@RELAXED
@given(
    deeds=deeds,
    seed=st.integers(0, 2**32),
    thrown_in=st.lists(st.tuples(st.integers(0, 300), garbage(_strangers_id)), max_size=40),
)
def test_garbage_between_changes_nothing(
    new_story: Any, tell: Any, deeds: list[str], seed: int, thrown_in: list[tuple[int, dict[str, Any]]]
) -> None:
    """Whatever is told of channels that these people have not: each of their records stays as it was."""
    story = new_story()
    Office(story, random.Random(seed)).live(deeds)
    mixed = list(story.events)
    for place, headers in thrown_in:
        mixed.insert(place, headers)
    told = tell(mixed)
    theirs = [record for record in told.records if story.channels.keys() & set(record.uniqueids)]
    assert theirs == tell(story.events).records


@RELAXED
@given(deeds=deeds, seed=st.integers(0, 2**32), skipped=st.integers(0, 200))
def test_histories_joined_in_the_middle_end_too(
    new_story: Any, tell: Any, deeds: list[str], seed: int, skipped: int
) -> None:
    story = new_story()
    Office(story, random.Random(seed)).live(deeds)
    told = tell(story.events[skipped:])
    assert told.tracker.calls() == []


@RELAXED
@given(headers=st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=8))
def test_text_of_no_kind_changes_nothing(headers: dict[str, str]) -> None:
    tracker = CallTracker("fr1")
    event = parse(headers)
    assert event is None
    assert tracker.calls() == []
