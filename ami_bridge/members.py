"""Who of the queues' members is there, who is paused and why; and pausing one on request of the desk.

The PBX itself is the only memory of a pause: what the desk shows is what callers really meet. It is asked every few
seconds while a desk listens (``QueueStatus``: one action for all members), and at once after a change. The way not
taken: reading QueueMemberStatus events would cost the bridge some ten more events a call, for a state that a person
needs to see within seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ami_bridge.adapters.ami import AmiError, AmiPort
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 4.0
#: The reason of a pause that nobody chose: ring, no answer (S5).
RONA = "rona"
# Device states of app_queue's Status header (AST_DEVICE_*): what a person at the wallboard needs to tell apart.
_DEVICES = {"1": "free", "2": "busy", "3": "busy", "6": "ringing", "7": "ringing", "8": "busy"}

Shown = dict[str, dict[str, Any]]


class QueueMembers:
    """Asks the PBX for the members and tells :attr:`tell` when something changed."""

    def __init__(
        self, settings: Settings, link: AmiPort, listened: Callable[[], bool], tell: Callable[[Shown], None]
    ) -> None:
        self._settings, self._link, self._listened, self._tell = settings, link, listened, tell
        self.shown: Shown = {}

    async def run(self) -> None:
        """Look while somebody listens, until cancelled."""
        while True:
            if self._listened():
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look; a PBX that does not answer leaves what was known, and the desk knows that the link is lost."""
        try:
            answer = await self._link.queue_status()
        except AmiError as error:
            log.debug("The queues' members are not known now: %s", error)
            return
        if not answer.complete:
            return
        shown = members_of(item.headers for item in answer.items)
        if shown != self.shown:
            self.shown = shown
            self._tell(shown)

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out what a desk asks: ``{"pause": extension, "paused": bool, "reason": slug}``."""
        extension, paused, reason = asked.get("pause"), asked.get("paused"), asked.get("reason", "")
        known = isinstance(extension, str) and extension in self._settings.agents
        fit = isinstance(paused, bool) and isinstance(reason, str) and len(reason) <= 40 and reason.isascii()
        if not known or not fit:
            return {"ok": False, "why": "unknown"}
        try:
            done = await self._link.queue_pause(member_interface(str(extension)), bool(paused), reason=reason)
        except AmiError as error:
            log.warning("agent %s was not paused: %s", extension, error)
            return {"ok": False, "why": "link"}
        await self.look()
        return {"ok": done.success, "why": "" if done.success else done.message}

    async def pause_missing(self, extension: str, misses: int) -> None:
        """Nobody is at this phone: no further caller is made to wait for it. The desk says why, and how to be back."""
        if not any(extension in each.queue for each in self._settings.departments.values()):
            return  # the PBX keeps a pause for members of queues alone
        try:
            done = await self._link.queue_pause(member_interface(extension), True, reason=RONA)
        except AmiError as error:
            log.warning("agent %s left %d calls ringing and was not paused: %s", extension, misses, error)
            return
        if done.success:
            log.info("agent %s left %d calls in a row ringing and is paused", extension, misses)
        await self.look()


def member_interface(extension: str) -> str:
    """The member that stands for an agent's phone in every queue (dialplans/queues.conf.j2)."""
    return f"Local/{extension}@queue-member/n"


def members_of(items: Iterable[Mapping[str, Any]]) -> Shown:
    """By extension; in several queues a member is paused when it is in one of them."""
    shown: Shown = {}
    for item in items:
        extension = str(item.get("Name") or item.get("MemberName") or "")
        if item.get("Event") != "QueueMember" or not extension:
            continue
        paused = item.get("Paused") == "1"
        before = shown.get(extension, {})
        if before.get("paused") and not paused:
            continue
        shown[extension] = {
            "device": _DEVICES.get(str(item.get("Status")), "unavailable"),
            "paused": paused,
            "reason": str(item.get("PausedReason") or "") if paused else "",
            "since": _instant(item.get("LastPause")) if paused else "",
        }
    return shown


def _instant(epoch: Any) -> str:
    text = str(epoch or "")
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 12 and int(text)):
        return ""
    return datetime.fromtimestamp(int(text), UTC).isoformat()
