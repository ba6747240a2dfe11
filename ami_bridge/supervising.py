"""A supervisor listens in, whispers, joins in or takes over; and moves a caller who waits. On request of the desk.

The PBX does the work (``supervise`` and ``moved`` in dialplans/supervise.inc): the supervisor's own phone rings,
and when he picks up he hears the agent's channel through ChanSpy. Changing between listening, whispering and joining
in is a Redirect of his channel, so the phone does not ring again. To take over, his channel bridges the caller's:
the PBX moves the caller from one bridge to the other, who therefore hears no gap and is never alone; the agent's
channel is let go only after that.

Nobody listens unannounced: while one of the supervisor's channels lives, the call's live form says who and how
(:attr:`Supervising.shown`), and a channel that this bridge knows nothing of (it was started anew) is ended.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ami_bridge.adapters.ami import AmiError, AmiPort
from ami_bridge.adapters.clock import Clock
from ami_bridge.core.facts import CallEnded, CallMerged, Fact
from ami_bridge.core.supervising import PREFIX, SUPERVISION, PartyShown
from ami_bridge.core.tracker import CallTracker
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

MODES = ("listen", "whisper", "barge", "take")
RING_SECONDS = 20
#: A phone that could not even be rung leaves no channel: its notice goes after this.
_NEVER_CAME = timedelta(seconds=10)
#: Above every other caller of the queue (QueueChangePriorityCaller; all others have 0).
FRONT_PRIORITY = 10


@dataclass(slots=True)
class Watch:
    """One supervisor at one call. ``id`` is the uniqueid of the channel that listens."""

    id: str
    call_id: str
    by: str
    phone: str
    mode: str
    since: datetime
    agent_channel: str
    taken: bool = False

    def as_json(self) -> dict[str, str]:
        """What the call's live form shows."""
        return {
            "by": self.by,
            "phone": self.phone,
            "mode": self.mode,
            "since": self.since.isoformat(timespec="milliseconds"),
        }


class Refused(Exception):
    """It cannot be done; the text is a word that the desk has a sentence for."""


class Supervising:
    """Carries out what supervisors ask of a desk.

    Args:
        link: for Redirect, Hangup and the queues.
        tell: called with a call's id when its live form changed.
    """

    def __init__(
        self,
        settings: Settings,
        link: AmiPort,
        tracker: CallTracker,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._settings, self._link, self._tracker, self._clock, self._tell = (
            settings,
            link,
            tracker,
            clock,
            tell,
        )
        self.caller: AmiPort | None = None
        """The account that may originate, and may do nothing else; None: phones cannot be rung from here."""
        self._watches: dict[str, Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def shown(self, call_id: str) -> list[dict[str, str]]:
        """Who listens to this call, and how."""
        return [watch.as_json() for watch in self._watches.values() if watch.call_id == call_id]

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """``{"supervise": call, "mode", "by", "phone"}`` or ``{"move": call, "to": department or ""}``."""
        try:
            if "move" in asked:
                await self._move(str(asked["move"]), str(asked.get("to", "")))
            else:
                await self._supervise(asked)
        except Refused as refused:
            return {"ok": False, "why": str(refused)}
        except AmiError as error:
            log.warning("%s was not done: %s", dict(asked), error)
            return {"ok": False, "why": "link"}
        return {"ok": True, "why": ""}

    # Listening ------------------------------------------------------------------------

    async def _supervise(self, asked: Mapping[str, Any]) -> None:
        call_id, mode = str(asked["supervise"]), asked.get("mode")
        by, phone = str(asked.get("by", ""))[:64], str(asked.get("phone", ""))
        if phone not in self._settings.agents:
            raise Refused("unknown_phone")
        self._forget_those_that_never_came()
        here = next((watch for watch in self._watches.values() if watch.phone == phone), None)
        if mode == "end":
            return await self._end(here, call_id)
        if mode not in MODES:
            raise Refused("unknown_mode")
        parties = self._tracker.parties(call_id)
        agent = self._agent_in(parties)
        if any(party.endpoint == phone for party in parties):
            raise Refused("own_call")
        if here is not None and (here.call_id != call_id or here.taken):
            raise Refused("phone_busy")
        if here is not None:
            return await self._change(here, mode)
        await self._ring(Watch(_new_id(self._settings), call_id, by, phone, mode, self._clock.now(), agent))
        return None

    def _agent_in(self, parties: tuple[PartyShown, ...]) -> str:
        """The channel of our person who talks."""
        for party in parties:
            if party.endpoint in self._settings.agents and party.bridged:
                return party.channel
        raise Refused("nobody_talks")

    def _customer_in(self, call_id: str, but: str) -> str:
        others = [party for party in self._tracker.parties(call_id) if party.channel != but and party.bridged]
        outside = [party for party in others if party.endpoint in self._settings.trunks]
        for party in outside or others:
            return party.channel
        raise Refused("nobody_talks")

    async def _ring(self, watch: Watch) -> None:
        customer = self._customer_in(watch.call_id, watch.agent_channel)
        if self.caller is None:
            raise Refused("link")
        self._watches[watch.id] = watch
        self._tell(watch.call_id)
        try:
            answer = await self.caller.originate(
                f"Local/{watch.phone}@supervise/n",
                f"supervise-{watch.mode}",
                "s",
                channel_id=watch.id,
                other_channel_id=f"{watch.id}-2",
                timeout_seconds=RING_SECONDS + 5,
                variables={"FR_WATCHED": watch.agent_channel, "FR_CUSTOMER": customer},
                caller_id=watch.phone,
            )
        except AmiError:
            self._drop(watch)
            raise
        if not answer.success:
            self._drop(watch)
            raise Refused("refused")

    async def _change(self, watch: Watch, mode: str) -> None:
        channel = self._tracker.channel_name(watch.id)
        if channel is None:
            raise Refused("phone_busy")
        answer = await self._link.redirect(channel, f"supervise-{mode}", "s")
        if not answer.success:
            raise Refused("refused")
        watch.mode = mode
        self._tell(watch.call_id)

    async def _end(self, watch: Watch | None, call_id: str) -> None:
        if watch is None or watch.call_id != call_id or watch.taken:
            raise Refused("not_listening")
        channel = self._tracker.channel_name(watch.id)
        if channel is not None:
            await self._link.hangup(channel)
        self._drop(watch)

    def _drop(self, watch: Watch) -> None:
        if self._watches.pop(watch.id, None) is not None:
            self._tell(watch.call_id)

    def _forget_those_that_never_came(self) -> None:
        late = self._clock.now() - _NEVER_CAME
        for watch in list(self._watches.values()):
            if watch.since < late and self._tracker.channel_name(watch.id) is None:
                self._drop(watch)

    # What the PBX tells ---------------------------------------------------------------

    def on_fact(self, fact: Fact) -> None:
        """Follow the calls that are watched, and see when a supervisor has the caller."""
        match fact:
            case CallMerged():
                self._merged(fact)
            case CallEnded(record=record):
                for watch in list(self._watches.values()):
                    if watch.call_id == fact.call_id or (
                        record.kind == SUPERVISION and watch.id in record.uniqueids
                    ):
                        self._watches.pop(watch.id)
                        if watch.call_id != fact.call_id:
                            self._tell(watch.call_id)

    def _merged(self, fact: CallMerged) -> None:
        for watch in self._watches.values():
            if watch.call_id == fact.absorbed_call_id:
                watch.call_id = fact.call_id
            if not watch.taken and self._tracker.call_id_of(watch.id) == watch.call_id:
                watch.taken = True
                self._beside(self._let_go(watch))

    async def _let_go(self, watch: Watch) -> None:
        """The supervisor has the caller; the agent is alone in the bridge that they had."""
        log.info("call %s was taken over by %s", watch.call_id, watch.by)
        try:
            await self._link.hangup(watch.agent_channel)
        except AmiError as error:
            log.warning("the agent's channel %s was not let go: %s", watch.agent_channel, error)
        self._drop(watch)

    def end_strangers(self) -> None:
        """After a look at all channels: whoever listens and is not known here, listens without a notice."""
        for call_id in self._tracker.call_ids():
            if not self._tracker.is_supervision(call_id):
                continue
            for uniqueid in self._tracker.uniqueids_of(call_id):
                name = self._tracker.channel_name(uniqueid)
                listens = uniqueid.startswith(PREFIX) and uniqueid not in self._watches
                if name is not None and listens and uniqueid.removesuffix("-2") not in self._watches:
                    log.warning("%s listened in and is not known here; it is ended", name)
                    self._beside(self._hang_up(name))

    async def _hang_up(self, channel: str) -> None:
        try:
            await self._link.hangup(channel)
        except AmiError as error:
            log.warning("%s was not ended: %s", channel, error)

    def _beside(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Callers who wait -----------------------------------------------------------------

    async def _move(self, call_id: str, department: str) -> None:
        """To another department's queue, or ("") to the front of the one where he waits."""
        live = self._tracker.live(call_id)
        if live is None or live.wait is None or live.agents:
            raise Refused("not_waiting")
        caller = next(iter(self._tracker.parties(call_id)), None)
        if caller is None:
            raise Refused("not_waiting")
        if not department:
            answer = await self._link.action(
                "QueueChangePriorityCaller",
                {
                    "Queue": live.wait.queue,
                    "Caller": caller.channel,
                    "Priority": FRONT_PRIORITY,
                    "Immediate": "true",
                },
            )
        elif department in self._settings.departments and department != live.wait.queue:
            answer = await self._link.redirect(caller.channel, "moved", department)
        else:
            raise Refused("unknown_department")
        if not answer.success:
            raise Refused("refused")


def _new_id(settings: Settings) -> str:
    return f"{PREFIX}{settings.node.name}-{secrets.token_hex(8)}"
