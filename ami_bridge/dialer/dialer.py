"""Takes due callbacks, finds a free agent for each, and has the PBX dial: the agent first, or the customer
while that agent is kept for him (``callback.mode``).

At most once per attempt: ``dialing`` is committed with our own ChannelId before the Originate is sent;
an Originate whose answer never comes is looked into (live channels, then the channel event log) and
never sent again. A callback is launched when its turn has come among all who wait, on the line or not
(see :mod:`ami_bridge.core.places`), and never more of them than there are free agents.

Any number of dialers share a store, on one PBX or on many. Three things keep them apart: the claim's fence;
the database's indexes (one number held once, one open attempt an agent); and the AGI, which tells the
customer's number only to the channel of the attempt that holds the present fence. So a dialer that was
frozen between its commit and its Originate, and wakes when others have gone on, rings an agent at the most.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ami_bridge.adapters.ami import (
    AmiError,
    AmiPort,
    EventGap,
    LinkLost,
    LinkReady,
    LinkState,
    RawEvent,
    StreamItem,
)
from ami_bridge.adapters.clock import Clock
from ami_bridge.adapters.store import AgentTaken, NotStored, StaleFence, Store, StoreUnavailable
from ami_bridge.core.callbacks import (
    OPEN_ATTEMPT,
    Attempt,
    AttemptState,
    Callback,
    CallbackState,
    IllegalTransition,
    RetryPolicy,
)
from ami_bridge.core.event_types import DialplanFact, HungUp, MemberConnected
from ami_bridge.core.events import parse
from ami_bridge.core.fairness import Watch
from ami_bridge.core.places import turns
from ami_bridge.core.sparing import agents_to_spare
from ami_bridge.dialer.agents import QueueView, read_queue_status
from ami_bridge.dialer.agreed import keep_word
from ami_bridge.dialer.calling_hours import CallingHours
from ami_bridge.dialer.evidence import Evidence, look_up
from ami_bridge.dialer.gate import Gate
from ami_bridge.dialer.line import Line
from ami_bridge.dialer.outcomes import AGI_LOST, MACHINE, NOBODY_CAME, WAITING, attempt_result, policy_for
from ami_bridge.dialer.retries import retry_policy
from ami_bridge.dialer.running import Rota, Running
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

# Agent's ring, the briefing's words and the customer's ring all pass while the lease is renewed from here;
# this is only how long the Originate itself may wait for the agent.
_ORIGINATE_SLACK_SECONDS = 5
# How long a callback steps aside when the only free agents have just not taken it.
_LOOK_AGAIN_SECONDS = 10
# How long nobody is rung after the AGI, which knows the customer's number, did not answer.
_AGI_LOST_PAUSE_SECONDS = 60
_FOUND = {
    Evidence.NEVER_MADE: AttemptState.NOT_DIALLED,
    Evidence.AGENT_ONLY: AttemptState.AGENT_NO_ANSWER,
    Evidence.NOBODY_RUNG: AttemptState.NOT_DIALLED,
    Evidence.CUSTOMER_ALONE: AttemptState.LATER,
    Evidence.CUSTOMER_RUNG: AttemptState.NO_ANSWER,
    Evidence.CUSTOMER_ANSWERED: AttemptState.ANSWERED,
    # Nobody can tell: it stays unknown until a person has looked, and is not dialled blindly.
    Evidence.NO_LOG: AttemptState.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a dialer goes, in seconds."""

    tick: float = 1.0
    lease: float = 60.0
    """How long a claim holds without being renewed: so long nobody else touches what a dead dialer held."""
    settle: float = 5.0
    """How long a channel must be gone before the channel event log is asked instead of waited for its events."""


class Dialer:
    """One dialer process. Any number may run on the same store; claims keep them out of each other's way."""

    def __init__(
        self,
        settings: Settings,
        link: AmiPort,
        store: Store,
        clock: Clock,
        cel_file: Path,
        *,
        pace: Pace | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._link = link
        self._store = store
        self._clock = clock
        self._cel_file = cel_file
        self._pace = pace or Pace()
        self._worker = f"dialer-{settings.node.name}-{os.getpid()}"
        self._policy = policy or retry_policy(settings)
        self._hours = CallingHours(settings)
        # Names the node: another node's channels are not seen from here and not judged from here.
        self._channel_prefix = f"cb-{settings.node.name}-"
        self._running: dict[str, Running] = {}
        self._absent_since: dict[str, datetime] = {}
        self._held_until: datetime | None = None
        self._rota = Rota()
        self._queues: Mapping[str, QueueView] = {}
        self._line = Line(link, store, settings.company.country)
        self._gate = Gate(settings, store)
        self.watch = Watch()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._tick_forever())
        finally:
            await self._line.let_go()

    async def _listen(self) -> None:
        async for item in self._link.events():
            try:
                await self._take(item)
            except (AmiError, StoreUnavailable) as error:
                log.warning("An event waits for the next look: %s", error)
            except Exception:
                log.exception("This could not be handled and was passed over: %r", item)

    async def _take(self, item: StreamItem) -> None:
        match item:
            case RawEvent():
                self._line.hear(item)
                await self._on_event(item)
            case LinkLost() | EventGap():
                self._line.deaf()
                # Whatever is missed from here on may have been a customer's phone ringing.
                for running in self._running.values():
                    running.unanswered = False
            case LinkReady():
                await self.resolve()

    async def _tick_forever(self) -> None:
        while True:
            try:
                await self.tick()
            except (AmiError, StoreUnavailable) as error:
                log.warning("No callbacks are dialled for now: %s", error)
                await self._line.let_go()
            except Exception:
                log.exception("This round was given up")
                await self._line.let_go()
            await asyncio.sleep(self._pace.tick)

    # Launching -------------------------------------------------------------------------

    async def tick(self) -> None:
        """One round: store what has ended, keep the leases, look into what was lost, launch what is due."""
        for channel_id in list(self._running):
            await self._store_end(channel_id)
        await self._renew_leases()
        if self._link.state is not LinkState.READY:
            return
        # Those of other dialers too: theirs may be about to ring, and the PBX does not know it yet.
        await self._store.expire_overdue(self._clock.now())
        open_callbacks = await self.resolve()
        taken = {callback.agent for callback in open_callbacks if callback.state is not CallbackState.UNKNOWN}
        now = self._clock.now()
        status = await self._link.queue_status()
        if not status.complete:
            # A caller who waits might be what is missing.
            return
        queues = read_queue_status(status.items)
        if self._held_until is not None and now < self._held_until:
            await self._line.release_all(queues, but=self._kept(taken))
            return
        await self._deal(queues, {agent for agent in taken if agent}, now)

    def _kept(self, taken: Collection[str | None]) -> set[str]:
        """Agents of attempts under way, ``taken`` by any dialer: not the line's, even while their phones are idle."""
        running = list(self._running.values())
        freed = {each.attempt.agent for each in running if each.agent_freed}
        return ({agent for agent in taken if agent} | {each.attempt.agent for each in running}) - freed

    async def _deal(self, queues: Mapping[str, QueueView], taken: Collection[str], now: datetime) -> None:
        """Each department's list in turn: who is next is launched, or has his agent kept from the line."""
        self._queues = queues
        left = await self._gate.left(now)
        if not left:
            await self._line.release_all(queues, but=self._kept(taken))
            return
        ours = [department for department in queues if department in self._settings.departments]
        awake = await self._awake(await self._store.due_callbacks(now, departments=ours), now)
        for department in ours:
            queue = queues[department]
            callbacks, taken_in_hand = self._shared_out(department, awake)
            busy = {*taken, *(running.attempt.agent for running in self._running.values())}
            free = [agent for agent in queue.free if agent not in busy]
            for callback in taken_in_hand:
                if callback.assigned_to in free and left > 0:
                    left -= await self._launch_claimed([callback.id], [callback.assigned_to])
                    free.remove(callback.assigned_to)
            places = await self._line.places(department, queue, callbacks, now)
            self.watch.look(department, places, len(free), now)
            dealt = turns(places, len(free))
            freed = {each.attempt.agent for each in self._running.values() if each.agent_freed}
            others = await self._line.share(department, queue, free, dealt, freed=freed)
            left -= await self._launch_claimed(dealt.launch[: max(0, left)], others)
            if not dealt.hold:
                # Last, and not those who are just being rung: the line would be given them in that instant.
                await self._line.release(department, queue, but=self._kept(taken))

    def _shared_out(
        self, department: str, awake: Collection[Callback]
    ) -> tuple[list[Callback], list[Callback]]:
        """Those on the common list, and those that one agent alone is rung for (see core.places)."""
        own = [each for each in awake if each.department == department]
        shared = self._settings.callback_mode(department) != "preview"
        return [each for each in own if shared and not each.assigned_to], [
            each for each in own if each.assigned_to
        ]

    async def _launch_claimed(self, ids: Collection[str], free: list[str]) -> int:
        claimed = await self._claim(ids) if ids else []
        for callback in claimed:
            await self._launch(callback, free)
        return len(claimed)

    async def _claim(self, ids: Collection[str]) -> list[Callback]:
        now = self._clock.now()
        claimed = await self._store.claim_due(now, self._worker, self._pace.lease, len(ids), only=ids)
        return sorted(claimed, key=lambda each: (each.came_at, each.id))

    async def _awake(self, due: Collection[Callback], now: datetime) -> list[Callback]:
        """Those who may be rung now; the others are called off, go back to the queue until a decent hour, or
        have no turn while they are on the phone with us."""
        refused = await self._gate.refusals(due)
        for callback in due:
            if callback.id in refused:
                await self._gate.call_off(callback, refused[callback.id], now)
        busy = await self._gate.on_the_phone(now) if due else ()
        due = [each for each in due if each.id not in refused and each.number not in busy]
        # Not before both allow it.
        allowed = {
            each.id: self._hours.next_call(
                each.department, each.number or "", self._gate.rings_again_at(each.number or "", now)
            )
            for each in due
        }
        asleep = [callback_id for callback_id, at in allowed.items() if at is None or at > now]
        for callback in await self._claim(asleep) if asleep else ():
            await self._wait_for(callback, allowed[callback.id], now)
        return [each for each in due if each.id not in asleep]

    async def _launch(self, callback: Callback, free: list[str]) -> None:
        now = self._clock.now()
        taken = {running.attempt.agent for running in self._running.values()}
        left = [agent for agent in free if agent not in taken]
        spared = agents_to_spare(await self._store.attempts(callback.id), now, self._policy)
        spared -= {callback.assigned_to}
        agent = self._rota.pick([agent for agent in left if agent not in spared])
        if agent is None:
            # Nobody is left, or only who has just not taken it: let others pass meanwhile.
            due_at = now + timedelta(seconds=_LOOK_AGAIN_SECONDS) if left else callback.due_at
            await self._store.release_claim(callback.id, callback.fence, due_at=due_at, at=now)
            return
        try:
            await self._dial(callback, agent)
        except AgentTaken:
            # Another dialer had the same thought a moment earlier.
            await self._store.release_claim(callback.id, callback.fence, at=self._clock.now())
        except AmiError:
            # The agent could not be kept, so nobody was rung.
            await self._store.release_claim(callback.id, callback.fence, at=self._clock.now())
            raise
        except StaleFence as error:
            log.info("callback %s: withdrawn before it was dialled: %s", callback.id, error)

    async def _wait_for(self, callback: Callback, allowed: datetime | None, now: datetime) -> None:
        """Not at this hour: back to the queue until it is a decent one for both sides."""
        if allowed is None:
            log.error(
                "callback %s: the hours of '%s' and of the customer's zone never meet; looked at again in a day",
                callback.id,
                callback.department,
            )
            allowed = now + timedelta(days=1)
        await self._store.release_claim(callback.id, callback.fence, due_at=allowed, at=now)
        log.info("callback %s: not at this hour; waits until %s", callback.id, allowed.isoformat())

    async def _dial(self, callback: Callback, agent: str) -> None:
        first = self._settings.callback_mode(callback.department) == "customer_first"
        if first:
            # Before the customer's phone can ring: the agent is there for him and for nobody else.
            await self._line.keep(self._queues, agent)
        began = self._clock.now()
        # The uniqueid of the originated channel: how everything that happens to it is known again.
        channel_id = f"{self._channel_prefix}{callback.id}-{callback.fence}"
        attempt = await self._store.begin_attempt(
            callback.id, callback.fence, channel_id, agent=agent, at=began
        )
        held_until = callback.lease_until or began
        running = self._running[channel_id] = Running(attempt, held_until, unanswered=True, first=first)
        if self._clock.now() >= held_until:
            # The store took so long that others may judge this attempt by now. Not sent, so nothing rang.
            running.ended = (AttemptState.NOT_DIALLED, "the lease ran out before the Originate")
            await self._store_end(channel_id)
            return
        log.info(
            "callback %s: attempt %s, agent %s is %s",
            callback.id,
            attempt.id,
            agent,
            "kept" if first else "rung",
        )
        self._gate.launched(attempt.number, began)
        if passed := self.watch.serves_callback(callback.department, callback.id):
            log.error("callback %s: launched before %s, who came earlier", callback.id, passed)
        await self._originate(callback, attempt, first)

    async def _originate(self, callback: Callback, attempt: Attempt, first: bool) -> None:
        department = self._settings.departments[callback.department]
        spoken = self._settings.languages_of(callback.department)
        try:
            await self._link.originate(
                channel=f"Local/{attempt.agent}@{'first-agent' if first else 'callback-agent'}/n",
                context="callback-first" if first else "callback-briefing",
                exten=callback.department,
                channel_id=attempt.channel_id,
                other_channel_id=f"{attempt.channel_id}-2",
                timeout_seconds=self._settings.callback.ring_agent_seconds + _ORIGINATE_SLACK_SECONDS,
                variables={
                    "__FR_CALLBACK": callback.id,
                    "__FR_ATTEMPT": attempt.id,
                    "__FR_DEPARTMENT": callback.department,
                    "__FR_AGENT": attempt.agent,
                    "__FR_DID": department.dids[0],
                    "__FR_FIRST": "1" if first else "",
                    "__FR_CONFIRM": "1" if callback.needs_confirmation else "",
                    # The customer is greeted in the language of the request; agents are spoken to in the department's.
                    "__FR_LANGUAGE": callback.language if callback.language in spoken else spoken[0],
                },
            )
        except AmiError as error:
            # Refused, or nobody knows whether it was carried out: resolve() looks, nothing is sent again.
            log.warning("callback %s: the Originate is in doubt: %s", callback.id, error)

    async def _renew_leases(self) -> None:
        now, lease = self._clock.now(), timedelta(seconds=self._pace.lease)
        for channel_id, running in list(self._running.items()):
            attempt = running.attempt
            if running.held_until - now > lease * 2 / 3:
                continue
            try:
                await self._store.renew_lease(attempt.callback_id, attempt.fence, self._pace.lease, now=now)
                running.held_until = now + lease
            except (StaleFence, NotStored, IllegalTransition):
                self._running.pop(channel_id, None)

    # Following -------------------------------------------------------------------------

    async def _on_event(self, raw: RawEvent) -> None:
        match parse(raw.headers, raw.received_at, self._settings.node.name):
            case DialplanFact(name="attempt", uniqueid=uniqueid, fields=fields):
                # Told by the attempt's channel or by the customer's, which names the attempt.
                named = f"{self._channel_prefix}{fields.get('Attempt', '')}"
                running = self._running.get(uniqueid) or self._running.get(named)
                if running is not None:
                    await self._on_attempt(running, uniqueid, fields)
            case MemberConnected(at=at, uniqueid=uniqueid, queue=queue) if at is not None:
                rang = raw.get("RingTime")
                rung_at = at - timedelta(seconds=float(rang) if rang.isdigit() else 0.0)
                if passed := self.watch.serves_line(queue, uniqueid, rung_at):
                    log.error("caller %s: served before %s, who came earlier", uniqueid, passed)
            case HungUp(uniqueid=channel_id) if channel_id in self._running:
                running = self._running[channel_id]
                if running.ended is None and running.unanswered:
                    # The channel is gone and its hangup handler said nothing: the agent never picked up; where the
                    # customer is rung first, nobody was.
                    result = AttemptState.NOT_DIALLED if running.first else AttemptState.AGENT_NO_ANSWER
                    running.ended = (result, "")
                # Not unanswered, and no end was heard: resolve() asks the channel event log.
                await self._store_end(channel_id)

    async def _on_attempt(self, running: Running, uniqueid: str, fields: Mapping[str, str]) -> None:
        phase, outcome = fields.get("Phase", ""), fields.get("Result", "")
        running.unanswered = False
        if phase == "customer_answered":
            await self._store.connect_attempt(running.attempt.id, at=self._clock.now())
        elif phase == "machine":
            running.machine = uniqueid
        elif phase == "customer_waits":
            running.waits = True
            callback = await self._store.callback(running.attempt.callback_id)
            if callback is not None:
                self._line.remember(uniqueid, callback.came_at)
        elif phase == "ended":
            if outcome == WAITING or (outcome == MACHINE and running.machine):
                # The agent has gone; the customer waits, or the message is still being left: that channel tells.
                return
            if outcome == AGI_LOST:
                # No agent's fault, and the next would be rung for nothing just the same.
                self._held_until = self._clock.now() + timedelta(seconds=_AGI_LOST_PAUSE_SECONDS)
            running.ended = (attempt_result(outcome), outcome)
            await self._store_end(running.attempt.channel_id)

    async def _store_end(self, channel_id: str) -> None:
        """Store how the attempt ended, if it has; while the store is away the next tick tries again."""
        running = self._running.get(channel_id)
        if running is None or running.ended is None:
            return
        attempt, (result, detail) = running.attempt, running.ended
        try:
            callback = await self._store.finish_attempt(
                attempt.id,
                result,
                policy=policy_for(detail, self._policy),
                detail=detail,
                at=self._clock.now(),
            )
            await keep_word(self._store, self._settings, callback, result, self._clock.now())
            log.info("callback %s: attempt ended %s, now %s", callback.id, result, callback.state)
        except (StaleFence, NotStored, IllegalTransition) as error:
            log.warning("attempt %s: %s", attempt.id, error)
        self._running.pop(channel_id, None)

    # Looking into what was lost ----------------------------------------------------------

    async def resolve(self) -> list[Callback]:
        """Settle attempts whose end nobody saw: by live channels first, then by the channel event log.

        Returns the callbacks that were open before this look.
        """
        found = await self._store.open_attempts()
        open_callbacks = [callback for callback, _ in found]
        if not found or self._link.state is not LinkState.READY:
            return open_callbacks
        channels = await self._link.core_show_channels()
        if not channels.complete:
            return open_callbacks
        # By linkedid too: a customer who waits in the queue is the attempt still, when its own channel has gone.
        live = {channel.get(each) for channel in channels.items for each in ("Uniqueid", "Linkedid")}
        for callback, attempt in found:
            unsettled = attempt.state in OPEN_ATTEMPT or attempt.state is AttemptState.UNKNOWN
            if unsettled and attempt.channel_id.startswith(self._channel_prefix):
                await self._look_into(callback, attempt, live)
        return open_callbacks

    async def _look_into(self, callback: Callback, attempt: Attempt, live: set[str]) -> None:
        channel_id, now = attempt.channel_id, self._clock.now()
        known = self._running.get(channel_id)
        if known is not None and known.ended is not None:
            return
        if channel_id in live or (known is not None and known.machine in live):
            self._absent_since.pop(channel_id, None)
            self._running.setdefault(channel_id, Running(attempt, now, unanswered=False))
            return
        # The channel may be on its way, or its last event: look again before judging.
        since = self._absent_since.setdefault(channel_id, now)
        if (now - since).total_seconds() < self._pace.settle:
            return
        trunk = self._settings.trunk_out()
        evidence = await asyncio.to_thread(look_up, self._cel_file, channel_id, trunk, attempt.started_at)
        if evidence is Evidence.NEVER_MADE and known is None and callback.state is not CallbackState.UNKNOWN:
            # Another dialer's, and its lease still holds: its Originate may be on its way.
            return
        result = _FOUND[evidence]
        detail = f"found out: {evidence.name.lower()}"
        if evidence is Evidence.CUSTOMER_ALONE:
            detail = NOBODY_CAME
        if known is not None and known.machine and result is AttemptState.ANSWERED:
            result, detail = AttemptState.MACHINE, f"{MACHINE}_CUT"
        if result is AttemptState.UNKNOWN and attempt.state is AttemptState.UNKNOWN:
            return
        self._absent_since.pop(channel_id, None)
        log.warning("callback %s: of attempt %s was found out: %s", callback.id, attempt.id, evidence.name)
        self._running[channel_id] = Running(attempt, now, unanswered=False, ended=(result, detail))
        await self._store_end(channel_id)
