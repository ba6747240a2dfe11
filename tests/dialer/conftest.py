"""A dialer with fakes on every side: scripted PBX, store in memory, a clock that stands still."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.ami import ActionResult, FakeAmiLink, raw_event
from ami_bridge.adapters.ami.fake import SentAction
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.store import MemoryStore
from ami_bridge.core.callbacks import Callback, CallbackEvent, Consent
from ami_bridge.dialer.dialer import Dialer
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def cel_line(at: datetime, event: str, uniqueid: str, linkedid: str, channel: str) -> str:
    """A line as Asterisk writes it (dialplans/cel_custom.conf.j2)."""
    values = (event, f"{at.timestamp():.6f}", uniqueid, linkedid, channel, "", "")
    return ",".join(f'"{value}"' for value in values) + "\n"


class Reception:
    """The demo's company around one dialer. ``free`` and ``waiting`` are what QueueStatus will tell."""

    def __init__(
        self,
        folder: Path,
        *,
        store: MemoryStore | None = None,
        clock: FakeClock | None = None,
        **changed: dict[str, Any],
    ) -> None:
        """``changed``: keys to change, by section."""
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        document["node"]["state_folder"] = str(folder)
        for section, keys in changed.items():
            document.setdefault(section, {}).update(keys)
        self.settings: Settings = parse_settings(document)
        self.store = store or MemoryStore()
        self.clock = clock or FakeClock(NOW)
        self.link = FakeAmiLink()
        self.link.restore()
        self.cel = folder / "cel.csv"
        self.cel.touch()
        self.free: dict[str, Sequence[str]] = {"sales": ("101", "102"), "support": ("103", "102")}
        self.waiting: dict[str, int] = {}
        self.waited = 600
        self.priority = "0"
        self.live: set[str] = set()
        self.linked: dict[str, str] = {}
        self.dialer = self.new_dialer()

    def new_dialer(self) -> Dialer:
        return Dialer(self.settings, self.link, self.store, self.clock, self.cel)

    # What the PBX says ----------------------------------------------------------------------

    async def tick(self, seconds: float = 0.0, *, complete: bool = True) -> None:
        """Let time pass and the dialer have one round."""
        self.clock.advance(timedelta(seconds=seconds))
        self.link._answers.clear()
        self.link.answer("QueueStatus", self._queues(complete))
        self.link.answer("CoreShowChannels", *[self._channels(complete)] * 3)
        await self.dialer.tick()

    def _queues(self, complete: bool) -> ActionResult:
        items = []
        for queue, agents in self.free.items():
            items.append(raw_event("QueueParams", {"Queue": queue}))
            items += [self.member(queue, agent) for agent in agents]
            items += [
                raw_event("QueueEntry", {"Queue": queue, "Uniqueid": f"w{number}", "Wait": str(self.waited)})
                for number in range(self.waiting.get(queue, 0))
            ]
        return ActionResult("QueueStatus", True, "", items=tuple(items), complete=complete)

    @staticmethod
    def member(
        queue: str, agent: str, *, status: str = "1", paused: str = "0", in_call: str = "0", reason: str = ""
    ):
        headers = {
            "Queue": queue,
            "Location": f"Local/{agent}@queue-member/n",
            "Status": status,
            "Paused": paused,
            "InCall": in_call,
            "PausedReason": reason,
        }
        return raw_event("QueueMember", headers)

    def _channels(self, complete: bool) -> ActionResult:
        items = tuple(raw_event("CoreShowChannel", {"Uniqueid": uniqueid}) for uniqueid in sorted(self.live))
        items += tuple(
            raw_event("CoreShowChannel", {"Uniqueid": each, "Linkedid": linked})
            for each, linked in self.linked.items()
        )
        return ActionResult("CoreShowChannels", True, "", items=items, complete=complete)

    async def tell(self, fact_phase: str, channel_id: str, result: str = "", attempt: str = "") -> None:
        """The dialplan reports on an attempt, see the context "callback-briefing"."""
        headers = {
            "UserEvent": "FourthRing",
            "Fact": "attempt",
            "Phase": fact_phase,
            "Uniqueid": channel_id,
            "Linkedid": channel_id,
            "Channel": "Local/101@callback-agent-00000001;1",
            "Result": result,
            "Attempt": attempt,
        }
        await self.dialer._take(raw_event("UserEvent", headers, self.clock.now()))

    async def hang_up(self, channel_id: str) -> None:
        headers = {"Uniqueid": channel_id, "Linkedid": channel_id, "Channel": "Local/1@x-1;1", "Cause": "16"}
        self.live.discard(channel_id)
        await self.dialer._take(raw_event("Hangup", headers, self.clock.now()))

    def log_cel(self, channel_id: str, event: str, channel: str) -> None:
        with self.cel.open("a", encoding="utf-8") as log:
            log.write(cel_line(self.clock.now(), event, f"{channel_id}-x", channel_id, channel))

    async def on_a_call(self, number: str, *, uniqueid: str = "", over: bool = False) -> None:
        """A call of ``number`` comes in, or ends, and the bridge has told the store."""
        now = self.clock.now().isoformat()
        told = {
            "call_id": f"call-{number}",
            "direction": "inbound",
            "started_at": now,
            "ended_at": now if over else None,
            "caller": {"number": number},
            "caller_number": number,
            "legs": [{"party": {"uniqueid": uniqueid}}],
            "uniqueids": [uniqueid] if uniqueid else [],
        }
        await self.store.save_call(told)

    # What is asked of it --------------------------------------------------------------------

    async def ask(
        self, digits: str = "001", department: str = "sales", due: float = 0, number: str = ""
    ) -> Callback:
        """Somebody asks to be rung back, ``due`` seconds from now."""
        now = self.clock.now()
        number = number or f"+79161234{digits}"
        return await self.store.create_callback(
            f"k{digits}{department}",
            department,
            event=CallbackEvent.CAPTURED,
            at=now,
            number=number,
            consent=Consent("1", "permission", now, number),
            due_at=now + timedelta(seconds=due),
        )

    @property
    def originates(self) -> list[SentAction]:
        return [sent for sent in self.link.sent if sent.name == "Originate"]

    @property
    def rung(self) -> list[str]:
        """The agents who were rung, in order."""
        return [str(sent.headers["Channel"])[6:9] for sent in self.originates]

    def channel_id(self, number: int = -1) -> str:
        return str(self.originates[number].headers["ChannelId"])

    async def now_is(self, callback: Callback) -> Callback:
        found = await self.store.callback(callback.id)
        assert found is not None
        return found


@pytest.fixture
def reception(tmp_path: Path) -> Reception:
    return Reception(tmp_path)


@pytest.fixture
def new_reception() -> type[Reception]:
    return Reception
