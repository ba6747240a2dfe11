"""A PBX on paper: what a dialer asks of one, answered at once; what it did outlives the process that asked.

Each node has a folder with the channel event log that a dialer reads after a crash, and a list of the
telephones that rang. A call is carried out by one write to each, so that a dialer killed at any instant
leaves a call that was made or one that was not, as with a real PBX.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from ami_bridge.adapters.ami import ActionResult, FakeAmiLink, RawEvent, raw_event
from ami_bridge.adapters.ami.outgoing import OutgoingHeaders, checked_headers
from ami_bridge.adapters.ami.port import ACTION_TIMEOUT_SECONDS

#: How many agents sit at each PBX.
AGENTS = 20
_RUNG, _EVENTS = "rung", "cel.csv"
# How the calls end, by the checksum of their channel id: the same whoever asks.
_ENDS = ("ANSWER",) * 6 + ("NOANSWER", "NOANSWER", "BUSY", "AGENT")


def cel_of(folder: Path, node: str) -> Path:
    """The channel event log of ``node``'s PBX."""
    return folder / node / _EVENTS


def rung_channels(folder: Path) -> Iterator[tuple[str, str]]:
    """(channel id, callback's id) of every time that a customer's telephone rang, on all nodes."""
    for listed in folder.glob(f"*/{_RUNG}"):
        for line in listed.read_text().splitlines():
            channel_id, _, callback_id = line.partition(" ")
            yield channel_id, callback_id


class PaperPbx(FakeAmiLink):
    """An AMI link to the PBX of ``node``. ``trunk`` is the way out, as in the dialer's settings."""

    def __init__(self, folder: Path, node: str, trunk: str, first_agent: int) -> None:
        super().__init__(node)
        self._folder = folder / node
        self._folder.mkdir(exist_ok=True)
        self._trunk = trunk
        self._agents = [str(first_agent + index) for index in range(AGENTS)]
        self._ending: set[asyncio.Task[None]] = set()
        cel_of(folder, node).touch()
        self.restore()

    async def action(
        self,
        name: str,
        headers: OutgoingHeaders | None = None,
        *,
        timeout_seconds: float = ACTION_TIMEOUT_SECONDS,
    ) -> ActionResult:
        """QueueStatus: everybody is free. CoreShowChannels: calls are over at once. Originate: a call."""
        checked = checked_headers(name, headers)
        if name == "QueueStatus":
            members = [self._member(agent) for agent in self._agents]
            return ActionResult(name, True, "", items=tuple(members))
        if name == "Originate":
            self._call(str(checked["ChannelId"]), [str(each) for each in checked["Variable"]])
        return ActionResult(name, True, "")

    @staticmethod
    def _member(agent: str) -> RawEvent:
        told = {"Location": f"Local/{agent}@queue-member/n", "Status": "1", "Paused": "0", "InCall": "0"}
        return raw_event("QueueMember", {"Queue": "sales", **told})

    def _call(self, channel_id: str, variables: list[str]) -> None:
        callback_id = next(each.partition("=")[2] for each in variables if each.startswith("__FR_CALLBACK="))
        end = _ENDS[zlib.crc32(channel_id.encode()) % len(_ENDS)]
        events = [("CHAN_START", "Local/1@callback-agent-1;1")]
        if end != "AGENT":
            self._append(_RUNG, f"{channel_id} {callback_id}\n")
            events.append(("CHAN_START", f"PJSIP/{self._trunk}-1"))
        if end == "ANSWER":
            events.append(("ANSWER", f"PJSIP/{self._trunk}-1"))
        at = f"{time.time():.6f}"
        lines = [
            f'"{event}","{at}","{channel_id}","{channel_id}","{channel}","",""\n' for event, channel in events
        ]
        self._append(_EVENTS, "".join(lines))
        task = asyncio.ensure_future(self._tell(channel_id, end))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _tell(self, channel_id: str, end: str) -> None:
        """The events, a moment later: a dialer that is killed meanwhile never hears them."""
        await asyncio.sleep(0.02)
        about = {"Uniqueid": channel_id, "Linkedid": channel_id, "Channel": "Local/1@callback-agent-1;1"}
        if end == "AGENT":
            self.emit("Hangup", **about, Cause="19")
            return
        told = {"UserEvent": "FourthRing", "Fact": "attempt", **about}
        if end == "ANSWER":
            self.emit("UserEvent", **told, Phase="customer_answered")
        self.emit("UserEvent", **told, Phase="ended", Result=end)

    def _append(self, name: str, text: str) -> None:
        # One write with O_APPEND is whole or absent, whoever else writes and whenever this process is killed.
        target = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(target, text.encode())
        finally:
            os.close(target)
