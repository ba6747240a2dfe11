"""The callers on the line, as the dialer sees them: since when each waits, and keeping agents from them for a turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ami_bridge.adapters.ami import AmiError, AmiPort, RawEvent
from ami_bridge.adapters.clock import Clock
from ami_bridge.adapters.store import Store, StoreUnavailable
from ami_bridge.core.callbacks import Callback
from ami_bridge.core.places import FRONT, Place, Side, Turns
from ami_bridge.core.waiting import old_place
from ami_bridge.dialer.agents import HOLD_REASON, Member, OnTheLine, QueueView, read_queue_status
from ami_bridge.numbers import e164_of

log = logging.getLogger(__name__)

# Callers whose beginning is remembered; more never wait at once.
_MOST_KNOWN = 5_000
_GUARD_SECONDS, _SILENT_SECONDS = 5.0, 20.0
#: Events that no call record needs, but this list: a queue begins or ends to ring a member's phone for a caller.
RINGING_EVENTS = frozenset({"AgentCalled", "AgentRingNoAnswer"})


class Line:
    """Asks and tells the PBX's queues. A hold is a pause of the members with a reason of ours.

    Way not taken: to hold only the agent who will be free next; nobody can tell who that is. All members are
    held, and let go as soon as the one who came free has been taken: a second or two.
    """

    def __init__(self, link: AmiPort, store: Store, country: str) -> None:
        """``country``: whose numbers callers' networks may tell without a country code (ISO 3166)."""
        self._link = link
        self._store = store
        self._country = country
        self._came_at: dict[str, datetime] = {}
        self._held: dict[tuple[str, str], Member] = {}
        self._rung_for: dict[str, int] = {}

    async def places(
        self, department: str, queue: QueueView, callbacks: Iterable[Callback], now: datetime
    ) -> list[Place]:
        """Everybody who waits for this queue's agents, in no order; not whom one of them is being rung for."""
        waiting = [each for each in queue.waiting if each.uniqueid not in self._rung_for]
        on_line = [
            Place(await self._since(each, department, now), Side.LINE, each.uniqueid) for each in waiting
        ]
        return on_line + [Place(each.came_at, Side.CALLBACK, each.id) for each in callbacks]

    async def _since(self, caller: OnTheLine, department: str, now: datetime) -> datetime:
        """When the caller came. The call began before the queue did: four rings, perhaps another queue. Who has
        asked to be rung, or was missed, and rings again, came then."""
        if caller.front:
            return FRONT
        known = self._came_at.get(caller.uniqueid)
        if known is None:
            call = await self._store.find_call_by_uniqueid(caller.uniqueid)
            known = now - timedelta(seconds=caller.seconds) if call is None else call.started_at
            number = e164_of(call.caller_number, self._country) if call is not None else None
            if number is not None:
                callbacks = await self._store.callbacks_of_number(number)
                known = old_place(callbacks, department, now) or known
            if len(self._came_at) >= _MOST_KNOWN:
                self._came_at.clear()
            self._came_at[caller.uniqueid] = known
        return known

    def hear(self, raw: RawEvent) -> None:
        """The queue rings a phone for a caller, or has stopped: meanwhile he has an agent and waits for none."""
        uniqueid = raw.get("Uniqueid")
        if raw.name == "AgentCalled":
            self._rung_for[uniqueid] = self._rung_for.get(uniqueid, 0) + 1
        elif raw.name == "AgentRingNoAnswer" and uniqueid in self._rung_for:
            self._rung_for[uniqueid] -= 1
            if self._rung_for[uniqueid] < 1:
                del self._rung_for[uniqueid]
        elif raw.name in ("QueueCallerLeave", "QueueCallerAbandon"):
            self._rung_for.pop(uniqueid, None)

    def deaf(self) -> None:
        """Events were missed. Whoever is rung for is not known; that he waits for an agent is the safer mistake."""
        self._rung_for.clear()

    async def share(
        self,
        department: str,
        queue: QueueView,
        free: Sequence[str],
        dealt: Turns,
        *,
        freed: Collection[str] = (),
    ) -> list[str]:
        """Let the line have its part of the ``free`` agents; returns the others, whom the PBX cannot give away.

        Not left to chance: a callback and a caller dealt one agent each would else be after the same.
        ``freed`` are never held: their callbacks go on without them.
        """
        ready = sorted((each for each in queue.members if each.agent in free), key=lambda each: each.held)
        for_line, others = ready[: dealt.line], ready[dealt.line :]
        for member in for_line:
            if member.held:
                await self._pause(department, member, False)
        if dealt.hold:
            await self.hold(
                department,
                [each for each in queue.members if each not in for_line and each.agent not in freed],
            )
        elif dealt.launch and queue.waiting:
            await self.hold(department, others)
        passed = {member.agent for member in for_line}
        return [agent for agent in free if agent not in passed]

    def remember(self, uniqueid: str, came_at: datetime) -> None:
        """The caller ``uniqueid`` has been waiting since ``came_at``, longer than his call tells."""
        self._came_at[uniqueid] = came_at

    async def keep(self, queues: Mapping[str, QueueView], agent: str) -> None:
        """Keep one agent from the line of every queue in which he is."""
        for department, queue in queues.items():
            for member in queue.members:
                if member.agent == agent and not member.held and not member.away:
                    await self._pause(department, member, True)

    async def hold(self, department: str, members: Iterable[Member]) -> None:
        """Keep ``members`` from the line; whom others paused is not touched."""
        for member in members:
            if not member.held and not member.away:
                await self._pause(department, member, True)

    async def release(self, department: str, queue: QueueView, *, but: Collection[str] = ()) -> None:
        """Give back all whom we hold, also those that a dialer before us left behind.

        Those in ``but`` only when the PBX knows already that their phones are busy.
        """
        for member in queue.members:
            if member.held and not (member.idle and member.agent in but):
                await self._pause(department, member, False)

    async def release_all(self, queues: Mapping[str, QueueView], *, but: Collection[str] = ()) -> None:
        """Nobody is launched for now, so nobody is held but for what is under way (see :meth:`release`)."""
        for department, queue in queues.items():
            await self.release(department, queue, but=but)

    async def let_go(self) -> None:
        """The dialer ends: no agent may stay held. Never raises for a PBX that is away."""
        for (department, _), member in list(self._held.items()):
            try:
                await self._pause(department, member, False)
            except AmiError as error:
                log.warning(
                    "%s stays held in '%s' until a dialer is back: %s", member.agent, department, error
                )

    async def _pause(self, department: str, member: Member, wanted: bool) -> None:
        key = (department, member.agent)
        if wanted:
            self._held[key] = member
        await self._link.queue_pause(member.interface, wanted, reason=HOLD_REASON, queue=department)
        if not wanted:
            self._held.pop(key, None)


async def guard_holds(link: AmiPort, store: Store, node: str, clock: Clock) -> None:
    """Run beside the bridge: when this node's dialer is silent, nobody may stay held because of it."""
    while True:
        await asyncio.sleep(_GUARD_SECONDS)
        try:
            await release_orphans(link, store, node, clock)
        except (AmiError, StoreUnavailable) as error:
            log.debug("Holds are looked at later: %s", error)


async def release_orphans(link: AmiPort, store: Store, node: str, clock: Clock) -> int:
    """Give held agents back to the line unless a dialer of ``node`` lives; how many there were."""
    oldest = clock.now() - timedelta(seconds=_SILENT_SECONDS)
    beats = await store.heartbeats()
    if any((beat.service, beat.node) == ("dialer", node) and beat.at > oldest for beat in beats):
        return 0
    status = await link.queue_status()
    released = 0
    for department, queue in read_queue_status(status.items).items():
        for member in queue.members:
            if member.held:
                log.warning(
                    "%s was held for a callback in '%s' and no dialer lives: let go", member.agent, department
                )
                await link.queue_pause(member.interface, False, reason=HOLD_REASON, queue=department)
                released += 1
    return released
