"""A synthetic AMI stream: bytes as Asterisk 22 with chan_pjsip writes them, with any number of calls alive.

Headers, their order and the order of events were taken from recordings of Asterisk 22.10.1
(``tests/recordings/asterisk22``, ``tests/adapters/ami_captures``). The stream is the same on every run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

NODE = "fr1"
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
_EPOCH = 1_795_400_000

Detail = Literal["read", "account", "everything"]
"""``read``: only events that the tracker reads. ``account``: what an account with our ``eventfilter`` gets.
``everything``: no filter at all; two thirds of it are VarSet, Newexten and their like."""

_NOT_READ = frozenset({"NewConnectedLine", "BridgeCreate", "BridgeDestroy", "AgentCalled", "AgentComplete"})
_FILTERED = frozenset({"VarSet", "Newexten", "DeviceStateChange", "TestEvent", "MusicOnHoldStart"})
_LEFT_OUT: dict[Detail, frozenset[str]] = {
    "read": _NOT_READ | _FILTERED,
    "account": _FILTERED,
    "everything": frozenset(),
}
_PRIVILEGES = {
    "VarSet": "dialplan,all",
    "Newexten": "dialplan,all",
    "UserEvent": "user,all",
    "TestEvent": "reporting,all",
    **dict.fromkeys(("QueueCallerJoin", "QueueCallerLeave", "QueueCallerAbandon"), "agent,all"),
    **dict.fromkeys(("AgentCalled", "AgentConnect", "AgentComplete"), "agent,all"),
}
_STATES = {0: "Down", 4: "Ring", 5: "Ringing", 6: "Up"}

Event = tuple[str, str]
"""The name of an event and its lines after the opening."""


@dataclass
class _Channel:
    name: str
    uniqueid: str
    linkedid: str
    number: str = "<unknown>"
    connected: str = "<unknown>"
    context: str = "from-carrier"
    exten: str = "s"
    priority: int = 1
    state: int = 0

    def block(self, prefix: str = "") -> str:
        values = (
            ("Channel", self.name),
            ("ChannelState", self.state),
            ("ChannelStateDesc", _STATES[self.state]),
            ("CallerIDNum", self.number),
            ("CallerIDName", "<unknown>"),
            ("ConnectedLineNum", self.connected),
            ("ConnectedLineName", "<unknown>"),
            ("Language", "ru"),
            ("AccountCode", ""),
            ("Context", self.context),
            ("Exten", self.exten),
            ("Priority", self.priority),
            ("Uniqueid", self.uniqueid),
            ("Linkedid", self.linkedid),
        )
        return "".join(f"{prefix}{name}: {value}\r\n" for name, value in values)


@dataclass
class _Story:
    """One call being told: its channels, and what happens to them in order."""

    number: int
    channels: int = 0
    events: list[Event] = field(default_factory=list)

    def channel(self, name: str, **values: str | int) -> _Channel:
        serial = self.number * 8 + self.channels
        self.channels += 1
        uniqueid = f"{NODE}-{_EPOCH + self.number // 50}.{serial}"
        linkedid = f"{NODE}-{_EPOCH + self.number // 50}.{self.number * 8}"
        named = name if name.startswith("Local/") else f"{name}-{serial:08x}"
        return _Channel(named, uniqueid, linkedid, **values)  # type: ignore[arg-type]

    def tell(self, name: str, *blocks: str, **tail: str | int) -> None:
        lines = "".join(f"{header.replace('_', '-')}: {value}\r\n" for header, value in tail.items())
        self.events.append((name, "".join(blocks) + lines))

    # What happens again and again ---------------------------------------------------------

    def begin(self, channel: _Channel) -> None:
        self.tell("Newchannel", channel.block())

    def becomes(self, channel: _Channel, state: int) -> None:
        channel.state = state
        self.tell("Newstate", channel.block())
        self.tell("DeviceStateChange", Device=channel.name.rpartition("-")[0], State="INUSE")

    def goes_to(self, channel: _Channel, application: str, arguments: str) -> None:
        """One step of the dialplan, with the variables that it sets."""
        channel.priority += 1
        self.tell(
            "Newexten",
            channel.block(),
            Extension=channel.exten,
            Application=application,
            AppData=arguments,
        )
        for name in ("FR_STEP_OK", "SYSTEMSTATUS", "PLAYBACKSTATUS"):
            self.tell("VarSet", channel.block(), Variable=name, Value="SUCCESS: 1")

    def dials(self, caller: _Channel, phone: _Channel) -> None:
        self.tell("DialBegin", caller.block(), phone.block("Dest"), DialString="101/sip:101@127.0.0.1:5061")

    def rings(self, caller: _Channel, phone: _Channel) -> None:
        self.becomes(phone, 5)
        self.tell("DialState", caller.block(), phone.block("Dest"), DialStatus="RINGING")

    def dial_ends(self, caller: _Channel, phone: _Channel, status: str) -> None:
        self.tell("DialEnd", caller.block(), phone.block("Dest"), DialStatus=status)

    def meet(self, *channels: _Channel, bridge: str = "46ee") -> str:
        bridge = f"{bridge}4c07-9888-426d-8c17-{self.number:012x}"
        self.tell("BridgeCreate", self._bridge(bridge, 0))
        for count, channel in enumerate(channels, start=1):
            self.tell("BridgeEnter", self._bridge(bridge, count), channel.block())
        return bridge

    def part(self, bridge: str, *channels: _Channel) -> None:
        for left, channel in zip(range(len(channels) - 1, -1, -1), channels, strict=True):
            self.tell("BridgeLeave", self._bridge(bridge, left), channel.block())
        self.tell("BridgeDestroy", self._bridge(bridge, 0))

    def _bridge(self, bridge: str, count: int) -> str:
        return (
            f"BridgeUniqueid: {bridge}\r\nBridgeType: basic\r\nBridgeTechnology: simple_bridge\r\n"
            f"BridgeCreator: <unknown>\r\nBridgeName: <unknown>\r\nBridgeNumChannels: {count}\r\n"
            "BridgeVideoSourceMode: none\r\n"
        )

    def asks_to_end(self, channel: _Channel) -> None:
        self.tell("HangupRequest", channel.block(), Cause=16, TechCause=16)

    def hangs_up(self, channel: _Channel, cause: int = 16) -> None:
        self.tell("TestEvent", Type="StateChange", State="HANGUP", AppFunction="hangup")
        self.tell("Hangup", channel.block(), Cause=cause, Cause_txt="Normal Clearing", TechCause=cause)

    def notes(self, channel: _Channel, fact: str, **fields: str) -> None:
        self.tell("UserEvent", channel.block(), UserEvent="FourthRing", Fact=fact, **fields)


def _comes_in(story: _Story) -> _Channel:
    number = f"7916{story.number % 10_000_000:07d}"
    caller = story.channel("PJSIP/carrier", number=number, exten="74955550100", state=4)
    story.begin(caller)
    story.goes_to(caller, "Set", "FR_DEPARTMENT=sales")
    caller.context, caller.exten = "direct", "sales"
    story.goes_to(caller, "Ringing", "")
    return caller


def _phone_rings(story: _Story, caller: _Channel, agent: int) -> _Channel:
    phone = story.channel(f"PJSIP/{agent}", number="sales", context="from-agents")
    story.begin(phone)
    story.dials(caller, phone)
    phone.connected = caller.number
    story.tell("NewConnectedLine", phone.block())
    story.rings(caller, phone)
    return phone


def _answered(story: _Story) -> None:
    """Answered on the second ring, greeted, talked, the caller hangs up."""
    caller = _comes_in(story)
    phone = _phone_rings(story, caller, 101 + story.number % 8)
    story.becomes(phone, 6)
    story.dial_ends(caller, phone, "ANSWER")
    caller.context = phone.context = "answered"
    story.becomes(caller, 6)
    greeting = {"Kind": "direct", "Department": "sales", "Agent": "101"}
    story.notes(caller, "greeting", **greeting, Phase="started")
    story.goes_to(caller, "Playback", "/var/lib/fourthring/greetings/2f7c")
    story.notes(caller, "greeting", **greeting, Phase="ended", Status="SUCCESS")
    bridge = story.meet(phone, caller)
    story.asks_to_end(caller)
    story.part(bridge, caller, phone)
    story.tell("SoftHangupRequest", caller.block(), Cause=16, TechCause=16)
    story.hangs_up(caller)
    story.hangs_up(phone)


def _queued(story: _Story) -> None:
    """Nobody in time: over to the queue, answered there through a Local channel, the agent hangs up."""
    caller = _comes_in(story)
    phone = _phone_rings(story, caller, 101)
    story.dial_ends(caller, phone, "CANCEL")
    story.hangs_up(phone, 0)
    caller.context = "failover"
    story.notes(caller, "failover", Reason="ring_deadline", Department="sales")
    story.becomes(caller, 6)
    caller.context = "queue"
    story.tell("QueueCallerJoin", caller.block(), Queue="sales", Position=1, Count=1)
    story.tell("MusicOnHoldStart", caller.block(), Class="default")
    one = story.channel(f"Local/102@queue-member-{story.number:08x};1", context="queue-member", exten="102")
    two = story.channel(f"Local/102@queue-member-{story.number:08x};2", context="queue-member", exten="102")
    two.state = 4
    story.begin(one)
    story.begin(two)
    story.tell(
        "LocalBridge",
        one.block("LocalOne"),
        two.block("LocalTwo"),
        Context="queue-member",
        Exten=102,
        LocalOptimization="No",
    )
    story.tell("AgentCalled", caller.block(), one.block("Dest"), Queue="sales", Interface=one.name)
    story.dials(caller, one)
    member = _phone_rings(story, two, 102)
    story.rings(caller, one)
    story.becomes(member, 6)
    story.dial_ends(two, member, "ANSWER")
    story.becomes(two, 6)
    story.becomes(one, 6)
    story.dial_ends(caller, one, "ANSWER")
    story.tell("QueueCallerLeave", caller.block(), Queue="sales", Count=0, Position=1)
    story.tell("AgentConnect", caller.block(), one.block("Dest"), Queue="sales", HoldTime=12, RingTime=3)
    inner = story.meet(two, member)
    outer = story.meet(one, caller, bridge="46ef")
    story.asks_to_end(member)
    story.part(inner, member, two)
    story.hangs_up(member)
    story.hangs_up(two)
    story.part(outer, one, caller)
    story.tell("AgentComplete", caller.block(), one.block("Dest"), Queue="sales", Reason="agent")
    story.hangs_up(one)
    story.tell("SoftHangupRequest", caller.block(), Cause=16, TechCause=16)
    story.hangs_up(caller)


def _given_up(story: _Story) -> None:
    """The caller gives up while the phone rings."""
    caller = _comes_in(story)
    phone = _phone_rings(story, caller, 103)
    story.tell("HangupRequest", caller.block(), Cause=127, TechCause=487)
    story.dial_ends(caller, phone, "CANCEL")
    story.hangs_up(phone, 0)
    story.hangs_up(caller, 127)


_STORIES: tuple[Callable[[_Story], None], ...] = (_answered, _answered, _queued, _answered, _given_up)


def events_of_call(number: int, detail: Detail) -> list[Event]:
    """All events of the ``number``-th call."""
    story = _Story(number)
    _STORIES[number % len(_STORIES)](story)
    left_out = _LEFT_OUT[detail]
    return [event for event in story.events if event[0] not in left_out]


def event_bytes(event: Event, serial: int) -> bytes:
    """One event with its opening; ``serial`` makes its timestamp, a tenth of a millisecond apart."""
    name, lines = event
    privilege = _PRIVILEGES.get(name, "call,all")
    stamp = f"{_EPOCH + serial // 10_000}.{serial % 10_000 * 100:06d}"
    opening = f"Event: {name}\r\nPrivilege: {privilege}\r\nTimestamp: {stamp}\r\nSystemName: {NODE}\r\n"
    return f"{opening}{lines}\r\n".encode()


def ami_events(calls: int, *, alive: int = 10, detail: Detail = "account", first: int = 0) -> Iterator[bytes]:
    """The events of ``calls`` calls, ``alive`` of them going on at once, each as its bytes.

    Args:
        calls: how many calls are told.
        alive: how many of them overlap.
        detail: what the account's ``eventfilter`` lets through.
        first: number of the first call; other numbers give other channels.
    """
    coming = iter(range(first, first + calls))
    waiting: deque[Iterator[Event]] = deque()
    serial = first * 40
    for number in coming:
        waiting.append(iter(events_of_call(number, detail)))
        if len(waiting) >= alive:
            break
    while waiting:
        story = waiting.popleft()
        event = next(story, None)
        if event is None:
            following = next(coming, None)
            if following is not None:
                waiting.append(iter(events_of_call(following, detail)))
            continue
        serial += 1
        yield event_bytes(event, serial)
        waiting.append(story)


def in_chunks(stream: bytes, size: int = 16_384) -> list[bytes]:
    """``stream`` as a socket hands it over: in reads of ``size`` bytes, split anywhere."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]
