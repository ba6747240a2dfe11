"""A day at the reception on paper: callers, agents, a queue that behaves as Asterisk's, and the dialer itself.

Minutes pass in milliseconds: the clock is set, the PBX is played here event by event, and the real dialer
works on a store in memory. At every instant at which somebody gets an agent the order is judged by
:func:`ami_bridge.core.places.overtaken`.
"""

from __future__ import annotations

import heapq
import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ami_bridge.adapters.ami import ActionResult, FakeAmiLink, RawEvent, raw_event
from ami_bridge.adapters.ami.outgoing import OutgoingHeaders, checked_headers
from ami_bridge.adapters.ami.port import ACTION_TIMEOUT_SECONDS
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.store import MemoryStore
from ami_bridge.core.callbacks import FINAL, CallbackEvent, Consent
from ami_bridge.core.places import LOOK, Place, Side, overtaken
from ami_bridge.dialer.dialer import Dialer
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

_OPENS = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
_DEPARTMENT = "sales"
_BUSY, _IDLE = "2", "1"


@dataclass(frozen=True, slots=True)
class Day:
    """What comes. Seconds are means of exponential distributions, shares lie between 0 and 1."""

    arrivals: int = 2_000
    agents: int = 12
    between_seconds: float = 14.0
    talk_seconds: float = 150.0
    asks_for_callback: float = 0.35
    patience_seconds: float = 240.0
    seed: int = 1


@dataclass(slots=True)
class Report:
    """What became of it. ``overtakings`` must stay empty."""

    arrivals: int = 0
    served_on_line: int = 0
    abandoned: int = 0
    callbacks: int = 0
    launched: int = 0
    talked_back: int = 0
    callbacks_left: int = 0
    held_looks: int = 0
    line_waits: list[float] = field(default_factory=list)
    callback_waits: list[float] = field(default_factory=list)
    overtakings: list[str] = field(default_factory=list)


class Floor(FakeAmiLink):
    """The PBX's side of the day: agents, their phones, the line, and the calls that a dialer makes."""

    def __init__(self, day: Day, clock: FakeClock, store: MemoryStore, report: Report) -> None:
        super().__init__()
        self._day, self._clock, self._store, self._report = day, clock, store, report
        self._chance = random.Random(day.seed)  # noqa: S311 - the same day again is wanted
        self._agents = {str(201 + index): _IDLE for index in range(day.agents)}
        self._paused: set[str] = set()
        self._line: dict[str, datetime] = {}
        self._channels: set[str] = set()
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._passed: list[tuple[datetime, datetime]] = []
        self.told: list[RawEvent] = []
        self.asked: list[tuple[str, datetime]] = []
        self.restore()
        self._plan_arrivals()

    # Time ---------------------------------------------------------------------------------

    def at(self, seconds: float, happens: Callable[[], None]) -> None:
        """Let it happen so long from now."""
        due = self._clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._events, (due, next(self._order), happens))

    async def until(self, end: datetime) -> None:
        """Play everything up to ``end``, each event at its own instant."""
        while self._events and self._events[0][0] <= end:
            due, _, happens = heapq.heappop(self._events)
            self._clock.advance(due - self._clock.now())
            happens()
            await self._store_asked()
        self._clock.advance(end - self._clock.now())

    async def _store_asked(self) -> None:
        for name, came_at in self.asked:
            number = f"+7916{len(self._store._callbacks):07}"
            now = self._clock.now()
            await self._store.create_callback(
                f"day:{name}",
                _DEPARTMENT,
                event=CallbackEvent.CAPTURED,
                at=now,
                number=number,
                place_at=came_at,
                consent=Consent("1", "bench", now, number),
            )
        self.asked.clear()

    @property
    def over(self) -> bool:
        """Nothing more will happen by itself."""
        return not self._events

    # Callers ------------------------------------------------------------------------------

    def _plan_arrivals(self) -> None:
        at = 0.0
        for index in range(self._day.arrivals):
            at += self._chance.expovariate(1 / self._day.between_seconds)
            self.at(at, lambda name=f"caller{index}": self._comes(name))  # type: ignore[misc]

    def _comes(self, name: str) -> None:
        self._report.arrivals += 1
        self._line[name] = self._clock.now()
        if self._chance.random() < self._day.asks_for_callback:
            self.at(self._chance.uniform(20, 90), lambda: self._leaves(name, to_callback=True))
        else:
            patience = self._chance.expovariate(1 / self._day.patience_seconds) + 20
            self.at(patience, lambda: self._leaves(name, to_callback=False))
        self._serve()

    def _leaves(self, name: str, *, to_callback: bool) -> None:
        came_at = self._line.pop(name, None)
        if came_at is None:
            return
        self._passed.append((self._clock.now(), came_at))
        if to_callback:
            self._report.callbacks += 1
            self.asked.append((name, came_at))
        else:
            self._report.abandoned += 1

    def _serve(self) -> None:
        """As Queue() does: whoever is free and not paused takes the first on the line, at once."""
        for agent, state in self._agents.items():
            if state == _IDLE and agent not in self._paused and self._line:
                name, came_at = next(iter(self._line.items()))
                del self._line[name]
                self._judge(Place(came_at, Side.LINE, name))
                self._passed.append((self._clock.now(), came_at))
                self._report.served_on_line += 1
                self._report.line_waits.append((self._clock.now() - came_at).total_seconds())
                self._occupy(agent, self._chance.expovariate(1 / self._day.talk_seconds) + 5)

    def _occupy(self, agent: str, seconds: float) -> None:
        self._agents[agent] = _BUSY
        self.at(seconds, lambda: self._frees(agent))

    def _frees(self, agent: str) -> None:
        self._agents[agent] = _IDLE
        self._serve()

    def _judge(self, served: Place) -> None:
        now = self._clock.now()
        waiting = [Place(at, Side.LINE, name) for name, at in self._line.items()]
        # A callback that came due since the last look has no turn before the next.
        self._passed = [passed for passed in self._passed if passed[0] > now - LOOK]
        for each in self._store._ready(now - LOOK, None):
            # Nor one that was behind somebody on the line at the last look.
            if all(came_at > each.came_at for _, came_at in self._passed):
                waiting.append(Place(each.came_at, Side.CALLBACK, each.id))
        for other in overtaken(served, waiting):
            if other.id != served.id:
                self._report.overtakings.append(f"{now:%H:%M:%S.%f} {served} before {other}")

    # What a dialer asks ---------------------------------------------------------------------

    async def action(
        self,
        name: str,
        headers: OutgoingHeaders | None = None,
        *,
        timeout_seconds: float = ACTION_TIMEOUT_SECONDS,
    ) -> ActionResult:
        """QueueStatus, CoreShowChannels, QueuePause and Originate, as the PBX answers them."""
        checked = checked_headers(name, headers)
        items: list[RawEvent] = []
        if name == "QueueStatus":
            items = self._status()
        elif name == "CoreShowChannels":
            items = [raw_event("CoreShowChannel", {"Uniqueid": each}) for each in self._channels]
        elif name == "QueuePause":
            self._pause(str(checked["Interface"])[6:9], checked["Paused"] == "true")
        elif name == "Originate":
            self._originate(str(checked["Channel"])[6:9], str(checked["ChannelId"]))
        return ActionResult(name, True, "", items=tuple(items))

    def _status(self) -> list[RawEvent]:
        now = self._clock.now()
        self._report.held_looks += bool(self._paused)
        members = [
            {
                "Queue": _DEPARTMENT,
                "Location": f"Local/{agent}@queue-member/n",
                "Status": state,
                "InCall": "0",
                "Paused": str(int(agent in self._paused)),
                "PausedReason": "callback-turn" if agent in self._paused else "",
            }
            for agent, state in self._agents.items()
        ]
        waits = [
            {"Queue": _DEPARTMENT, "Uniqueid": name, "Wait": str(int((now - at).total_seconds()))}
            for name, at in self._line.items()
        ]
        return [raw_event("QueueMember", each) for each in members] + [
            raw_event("QueueEntry", each) for each in waits
        ]

    def _pause(self, agent: str, paused: bool) -> None:
        (self._paused.add if paused else self._paused.discard)(agent)
        self._serve()

    def _originate(self, agent: str, channel_id: str) -> None:
        callback_id, fence = channel_id.removeprefix("cb-fr1-").rsplit("-", 1)
        callback = self._store._callbacks[callback_id]
        if fence == "1":
            self._judge(Place(callback.came_at, Side.CALLBACK, callback_id))
            waited = self._clock.now() - callback.came_at
            self._report.callback_waits.append(waited.total_seconds())
        self._report.launched += 1
        self._channels.add(channel_id)
        chance = self._chance.random()
        if chance < 0.05:  # the agent does not pick up
            self._ends(agent, channel_id, 20, "")
        elif chance < 0.25:
            self._ends(agent, channel_id, 45, "NOANSWER" if chance < 0.15 else "BUSY")
        else:
            talk = self._chance.expovariate(1 / self._day.talk_seconds) + 20
            self.at(15, lambda: self.told.append(self._fact(channel_id, "customer_answered", "")))
            self._ends(agent, channel_id, 15 + talk, "ANSWER")

    def _ends(self, agent: str, channel_id: str, seconds: float, result: str) -> None:
        self._agents[agent] = _BUSY

        def ends() -> None:
            self._channels.discard(channel_id)
            if result:
                self.told.append(self._fact(channel_id, "ended", result))
            self._report.talked_back += result == "ANSWER"
            about = {
                "Uniqueid": channel_id,
                "Linkedid": channel_id,
                "Channel": "Local/1@x-1;1",
                "Cause": "16",
            }
            self.told.append(raw_event("Hangup", about, self._clock.now()))
            self._frees(agent)

        self.at(seconds, ends)

    def _fact(self, channel_id: str, phase: str, result: str) -> RawEvent:
        told: Mapping[str, str] = {
            "UserEvent": "FourthRing",
            "Fact": "attempt",
            "Phase": phase,
            "Result": result,
            "Uniqueid": channel_id,
            "Linkedid": channel_id,
            "Channel": "Local/1@callback-agent-1;1",
        }
        return raw_event("UserEvent", told, self._clock.now())


async def play(day: Day) -> Report:
    """Play ``day`` to its end and on until every callback is settled (at most 4 hours more)."""
    report, clock, store = Report(), FakeClock(_OPENS), MemoryStore()
    with TemporaryDirectory(prefix="fr-day-") as folder:
        floor = Floor(day, clock, store, report)
        cel = Path(folder) / "cel.csv"
        cel.touch()
        dialer = Dialer(_settings(folder), floor, store, clock, cel)
        idle_since = None
        while idle_since is None or clock.now() - idle_since < timedelta(hours=4):
            await floor.until(clock.now() + timedelta(seconds=1))
            for event in floor.told:
                await dialer._take(event)
            floor.told.clear()
            await dialer.tick()
            left = sum(each.state not in FINAL for each in store._callbacks.values())
            if floor.over and not left:
                break
            idle_since = idle_since or (clock.now() if report.arrivals == day.arrivals else None)
    report.callbacks_left = left
    return report


def _settings(folder: str) -> Settings:
    document: dict[str, Any] = tomllib.loads(
        (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    )
    document["node"]["state_folder"] = folder
    # The day is about who is next, not about how much is too much.
    document["callback"] |= {
        "minutes_per_day": 100_000,
        "calls_per_hour": 100_000,
        "rings_per_number_per_day": 100,
    }
    return parse_settings(document)


def figures(report: Report) -> dict[str, Any]:
    """Counts, mean waits in seconds, and the first overtakings."""

    def mean(waits: list[float]) -> float | None:
        return round(sum(waits) / len(waits), 1) if waits else None

    return {
        "arrivals": report.arrivals,
        "served_on_line": report.served_on_line,
        "abandoned": report.abandoned,
        "callbacks": report.callbacks,
        "launched": report.launched,
        "talked_back": report.talked_back,
        "callbacks_left": report.callbacks_left,
        "looks_with_a_hold": report.held_looks,
        "mean_wait_on_line_seconds": mean(report.line_waits),
        "mean_wait_of_callbacks_seconds": mean(report.callback_waits),
        "overtakings": len(report.overtakings),
        "first_overtakings": report.overtakings[:10],
    }
