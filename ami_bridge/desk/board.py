"""What a desk knows of the calls that go on, and the numbered frames that tell its browsers of every change.

Two sources come together: the bridge's live wire (what happens, at once) and the store's change feed (what is
kept, a moment later). Both become frames of one sequence, so that a browser which lost its connection asks for
everything after the last number it saw.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ami_bridge.adapters.store import Change

#: Frames kept for browsers that come back: some minutes of a busy day.
KEPT_FRAMES = 4096


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a frame concerns. An agent is told of his own calls and of those that wait for his departments."""

    department: str
    agents: tuple[str, ...]

    def includes(self, agent: str, departments: Collection[str]) -> bool:
        """Whether ``agent`` (an extension) of ``departments`` may see it."""
        return agent in self.agents or self.department in departments


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event: number ``n`` of this run, ready to be sent. No audience: everybody.

    An empty block stands for a new picture, which is different for everybody.
    """

    n: int
    block: bytes
    audience: Audience | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How far a browser has read: ``store`` in the store's change feed, ``n`` in the frames of ``run``."""

    store: int
    run: str = ""
    n: int = 0

    def __str__(self) -> str:
        return f"{self.store}.{self.run}.{self.n}" if self.run else str(self.store)

    @staticmethod
    def of(text: str) -> Position:
        """The position that was given out as ``text``: of this program's, or a bare number of the store's.

        Raises:
            ValueError: it never was.
        """
        parts = text.split(".")
        numbers = [parts[0], *parts[2:]]
        good = len(parts) in (1, 3) and all(
            each.isascii() and each.isdigit() and len(each) <= 18 for each in numbers
        )
        if not good or not all(part.isascii() and part.isalnum() for part in parts):
            raise ValueError(text)
        return (
            Position(int(parts[0]), parts[1], int(parts[2])) if len(parts) == 3 else Position(int(parts[0]))
        )


class Board:
    """The calls that go on, by id, and the last frames. Nothing here waits."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(4)
        self.calls: dict[str, Mapping[str, Any]] = {}
        self.members: dict[str, Mapping[str, Any]] = {}
        """By extension: ``device`` (free, busy, ringing, unavailable), ``paused``, ``reason``, ``since``."""
        self.trunks: Mapping[str, str] = {}
        """By name, those that are asked: ``up`` or ``down``."""
        self.linked = False
        """Whether what is shown is what happens: the wire is up and the PBX is heard."""
        self.store_seq = 0
        self.n = 0
        self._frames: deque[Frame] = deque(maxlen=KEPT_FRAMES)
        self._coming: list[Mapping[str, Any]] | None = None
        self._expected = 0
        self._linked_then = False

    @property
    def position(self) -> Position:
        """Where somebody stands who has seen everything."""
        return Position(self.store_seq, self.run, self.n)

    def after(self, n: int) -> list[Frame] | None:
        """The frames after ``n``; None when some of them are no longer kept."""
        if n >= self.n:
            return []
        if not self._frames or n < self._frames[0].n - 1:
            return None
        return [self._frames[place] for place in range(n - self._frames[0].n + 1, len(self._frames))]

    def state_of(self, extension: str) -> dict[str, Any]:
        """How the agent ``extension`` is: ``state`` (a word of the pages), since when, paused and why."""
        member = self.members.get(extension, {})
        shown = {
            "paused": bool(member.get("paused")),
            "reason": member.get("reason", ""),
            "since": member.get("since", ""),
        }
        for call in self.calls.values():
            if extension in call["agents"]:
                return {**shown, "state": "on_call", "since": call["answered_at"] or ""}
            if extension in call["ringing"]:
                return {**shown, "state": "ringing", "since": call["started_at"] or ""}
        if not self.linked or not member:
            return {**shown, "state": "unknown_state"}
        if member["device"] == "unavailable":
            return {**shown, "state": "offline", "since": ""}
        if shown["paused"]:
            return {**shown, "state": "paused"}
        return {**shown, "state": "busy" if member["device"] == "busy" else "available", "since": ""}

    # From the bridge -------------------------------------------------------------------

    def told(self, message: Mapping[str, Any] | None) -> None:
        """A message of the wire; None: the wire is down."""
        if message is None:
            self._coming = None
            self._link(False)
        elif "hello" in message:
            self._coming, self._expected, self._linked_then = [], message["calls"], message["linked"]
            self.members = message.get("members") or {}
            self.trunks = message.get("trunks") or {}
            self._look_whether_whole()
        elif "linked" in message:
            self._link(message["linked"])
        elif "trunks" in message:
            self.trunks = message["trunks"]
            self.add("members", {"kind": "members", "subject": ""})
        elif "members" in message:
            self.members = message["members"]
            self.add("members", {"kind": "members", "subject": ""})
        elif self._coming is not None and "seq" not in message:
            self._coming.append(message["call"])
            self._look_whether_whole()
        elif "call" in message:
            self._call_changed(message["call"])

    def _look_whether_whole(self) -> None:
        if self._coming is None or len(self._coming) < self._expected:
            return
        self.calls = {call["call_id"]: call for call in self._coming}
        self._coming = None
        self.linked = self._linked_then
        self.n += 1
        self._frames.append(Frame(self.n, b""))

    def _link(self, linked: bool) -> None:
        if linked != self.linked:
            self.linked = linked
            self.add("link", {"linked": linked})

    def _call_changed(self, call: Mapping[str, Any]) -> None:
        before = self.calls.get(call["call_id"])
        for absorbed in call["absorbed"]:
            self.calls.pop(absorbed, None)
        if call["phase"] == "ended":
            self.calls.pop(call["call_id"], None)
        else:
            self.calls[call["call_id"]] = call
        self.add("live", call, audience_of(call, before))

    # From the store --------------------------------------------------------------------

    def stored(self, changes: Iterable[Change]) -> None:
        """Changes of the store's feed, in order."""
        for change in changes:
            self.store_seq = change.seq
            self.add(change.kind, change_form(change))

    def add(self, kind: str, shown: Mapping[str, Any], audience: Audience | None = None) -> None:
        """The next frame."""
        self.n += 1
        self._frames.append(Frame(self.n, event_block(self.position, kind, shown), audience))


def audience_of(call: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Audience:
    """Whom ``call`` concerns: also those whose phone rang a moment ago, so that their card goes away."""
    agents = [*call["ringing"], *call["agents"]]
    if before is not None:
        agents += [*before["ringing"], *before["agents"]]
    return Audience(call["department"], tuple(dict.fromkeys(agents)))


def change_form(change: Change) -> dict[str, Any]:
    """What a browser is told of a change in the store."""
    return {
        "kind": change.kind,
        "subject": change.subject,
        "at": change.at.isoformat(),
        "seq": change.seq,
    }


def event_block(position: Position, kind: str, shown: Mapping[str, Any]) -> bytes:
    """One server-sent event (WHATWG HTML, "Server-sent events"): JSON has no line end, so one data line is enough."""
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    return f"id: {position}\nevent: {kind}\ndata: {text}\n\n".encode("utf-8", "replace")


def iso(instant: datetime) -> str:
    """An instant for the browser's clock."""
    return instant.isoformat(timespec="milliseconds")
