"""The one loop: event → journal → tracker → ring policy → commands → store.

Everything that happens comes in through one queue, in order: events of the PBX, the loss and return
of the link, and the ring clock's deadlines. The loop itself never waits for the network or the
database: actions and writes run beside it, so the fourth ring ends on time while PostgreSQL is down.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ami_bridge.adapters.ami import (
    AmiError,
    AmiPort,
    EventGap,
    LinkLost,
    LinkReady,
    LinkState,
    RawEvent,
    SnapshotFailed,
    SnapshotTaken,
    SnapshotWanted,
    StreamItem,
)
from ami_bridge.adapters.clock import Clock, Timer
from ami_bridge.adapters.journal import Command as SentCommand
from ami_bridge.adapters.journal import JournalPort
from ami_bridge.adapters.live_wire import LiveWire, answered_by, wire_path
from ami_bridge.adapters.store import Store, StoreUnavailable
from ami_bridge.core.commands import CancelTimer, Command, PauseAgent, Redirect, SetTimer
from ami_bridge.core.event_types import ChannelShown, TalkingChanged
from ami_bridge.core.events import parse
from ami_bridge.core.facts import CallEnded, CallStarted, Fact
from ami_bridge.core.live_calls import LiveCall, ended_form
from ami_bridge.core.records import CallRecord
from ami_bridge.core.ring_policy import RING_CLOCK_CONTEXT, RingPolicy
from ami_bridge.core.ringing import RingRule
from ami_bridge.core.rona import RonaPolicy
from ami_bridge.core.supervising import SUPERVISION
from ami_bridge.core.tracker import CallTracker
from ami_bridge.desk_orders import DeskOrders
from ami_bridge.follow_ups import FollowUps
from ami_bridge.members import QueueMembers
from ami_bridge.records_writer import RecordsWriter
from ami_bridge.resume import LongCallKeeper, entries_to_resume, resume
from ami_bridge.settings import Settings
from ami_bridge.supervising import Supervising
from ami_bridge.trunks import Trunks

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\+?[0-9]{1,32}", re.ASCII)


#: How long events are taken without a look at the clocks.
_TURN_SECONDS = 0.01

#: After a list of channels that did not come, or came torn.
SNAPSHOT_RETRY = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class RingDeadline:
    """The ring clock of ``call_id`` has run out."""

    call_id: str


Incoming = StreamItem | RingDeadline


class Bridge:
    """Watches every call on one Asterisk and keeps the ring clock."""

    def __init__(
        self, settings: Settings, link: AmiPort, journal: JournalPort, store: Store, clock: Clock
    ) -> None:
        self._settings = settings
        self._link = link
        self._journal = journal
        self._store = store
        self._clock = clock
        self.tracker = CallTracker(settings.node.name, ring_rule_of=self._rule_at)
        self.policy = RingPolicy(self._rule_of)
        self.rona = RonaPolicy(
            settings.agents,
            queue_misses=settings.desk.rona.queue,
            direct_misses=settings.desk.rona.direct,
            queue_ring_seconds=settings.queue.ring_seconds,
        )
        self.writer = RecordsWriter(store, self._stored_form)
        self.follow_ups = FollowUps(settings, store, clock)
        self.wire = LiveWire(wire_path(settings.state_folder), self._live_form, self._live_forms)
        self.members = QueueMembers(settings, link, self.wire.listened, self.wire.members)
        self.trunks = Trunks(settings, link, self.wire.listened, self.wire.trunks)
        self.orders = DeskOrders(settings, self.tracker, link, journal, clock)
        self.supervising = Supervising(settings, link, self.tracker, clock, self.wire.changed)
        self.wire.answer = answered_by(
            pause=self.members.answer,
            finish=self.orders.finish,
            transfer=self.orders.transfer,
            supervise=self.supervising.answer,
            move=self.supervising.answer,
        )
        self._long_calls = LongCallKeeper(self.tracker, journal, clock)
        self._seq = 0  # of the entry that is handled
        self._inbox: asyncio.Queue[Incoming] = asyncio.Queue()
        self._timers: dict[str, Timer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled, or until the link says that it cannot be made (wrong password)."""
        await self._resume()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump())
            group.create_task(self.writer.run())
            group.create_task(self.follow_ups.run())
            group.create_task(self._loop())

    def counts_rings(self) -> bool:
        """Somebody hears it ring now, and must be moved to the instant."""
        return bool(self._timers)

    async def _resume(self) -> None:
        """Take up the calls that an earlier bridge left: they keep their ids, and the gap is told.

        Their ring clocks are not taken up: what happened in the gap is not known, and the dialplan's own
        time-out moves a ringing caller a little later.
        """
        self._beside(self._save_ended(await asyncio.to_thread(self._read_journal)))

    def _read_journal(self) -> list[CallRecord]:
        ended = resume(self.tracker, entries_to_resume(self._journal), self._settings.node.name)
        self._long_calls.taken_up()
        return ended

    async def _save_ended(self, records: Sequence[CallRecord]) -> None:
        """What ended shortly before we were killed may not have reached the store."""
        for record in records:
            try:
                stored = await self._store.call(record.call_id)
            except StoreUnavailable:
                stored = None
            if stored is None or stored.ended_at is None:
                self._finished(record)

    async def _pump(self) -> None:
        async for item in self._link.events():
            self._inbox.put_nowait(item)

    async def _loop(self) -> None:
        loop = asyncio.get_running_loop()
        turn_ends = loop.time() + _TURN_SECONDS
        while True:
            # A full inbox never makes get() wait: without a turn for others no ring would end in a flood of events.
            if loop.time() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = loop.time() + _TURN_SECONDS
            item = await self._inbox.get()
            try:
                await self._take(item)
            except Exception:
                # One bad call never stops the next; what was wrong is in the journal to be replayed.
                log.exception("This could not be handled and was passed over: %r", item)

    async def _take(self, item: Incoming) -> None:
        match item:
            case RawEvent():
                self._seq = self._journal.append(item)
                event = parse(item.headers, item.received_at, self._settings.node.name)
                if event is not None:
                    self._follow(self.tracker.apply(event))
                self._long_calls.look(self._seq)
                if isinstance(event, TalkingChanged):
                    self._talk_changed(event.uniqueid)
            case RingDeadline(call_id=call_id):
                self._timers.pop(call_id, None)
                self._carry_out(self.policy.on_deadline(call_id))
            case LinkLost():
                self._miss_events(item)
            case EventGap():
                # The same as a lost link: something happened that nobody saw.
                self._miss_events(item)
                await self._take_snapshot()
            case LinkReady() | SnapshotWanted():
                self._journal.append(item)
                await self._take_snapshot()

    def _miss_events(self, gap: LinkLost | EventGap) -> None:
        self._journal.append(gap)
        self.wire.linked(False)
        self.tracker.link_lost(gap.at)
        self._carry_out(self.policy.on_gap())

    async def _take_snapshot(self) -> None:
        """After a gap nobody knows what was missed: ask the PBX which channels live and go on from there.

        The loop waits for the answer, so events that come meanwhile are handled after it, in order.
        """
        try:
            shown = await self._link.core_show_channels()
        except AmiError as error:
            return self._without_snapshot(str(error))
        if not shown.success or not shown.complete:
            return self._without_snapshot("the list of channels is not whole")
        told = [self._journal.append(channel) for channel in shown.items]
        self._seq = min(told, default=self._seq)
        channels = [parse(item.headers, item.received_at, self._settings.node.name) for item in shown.items]
        live = [channel for channel in channels if isinstance(channel, ChannelShown)]
        taken = SnapshotTaken(self._clock.now(), len(shown.items))
        self._journal.append(taken)
        self._follow(self.tracker.snapshot(live, taken.at))
        for call_id in self.tracker.call_ids():
            self.writer.changed(call_id)  # its record says from now on that nobody listened
        self.supervising.end_strangers()
        self.wire.linked(True)
        self.wire.picture_changed()

    def _without_snapshot(self, reason: str) -> None:
        """Open calls stay as they are, and the gap goes on; while the link is there, the PBX is asked again."""
        self._journal.append(SnapshotFailed(self._clock.now(), reason))
        log.warning("No snapshot of the channels: %s", reason)
        if self._link.state is LinkState.READY:
            wanted = SnapshotWanted(self._clock.now(), "the last one failed")
            wake = functools.partial(self._inbox.put_nowait, wanted)
            self._clock.call_at(wanted.at + SNAPSHOT_RETRY, wake)

    def _follow(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self._carry_out([*self.policy.on_fact(fact), *self.rona.on_fact(fact)])
            self._keep(fact)

    def _keep(self, fact: Fact) -> None:
        self.supervising.on_fact(fact)
        if self._is_nobodys(fact):
            return
        if isinstance(fact, CallEnded):
            self._finished(fact.record)
            self.wire.ended(fact.call_id, self._with_department(ended_form(fact.record)))
            log.info("call %s ended: %s", fact.call_id, fact.record.disposition)
            return
        if isinstance(fact, CallStarted):
            log.info("call %s started", fact.call_id)
            self._long_calls.began(fact.call_id, self._seq)
        self.writer.changed(fact.call_id)
        self.wire.changed(fact.call_id)

    def _is_nobodys(self, fact: Fact) -> bool:
        """Of a supervisor's phone that listens in: no call of a customer, so no record and no card."""
        if isinstance(fact, CallEnded):
            return fact.record.kind == SUPERVISION
        return self.tracker.is_supervision(fact.call_id)

    def _finished(self, record: CallRecord) -> None:
        stored = self._with_department(record.as_json())
        self.writer.finished(record.call_id, stored)
        self.follow_ups.ended(stored)

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case SetTimer(call_id=call_id, due_at=due_at):
                    self._stop_timer(call_id)
                    wake = functools.partial(self._inbox.put_nowait, RingDeadline(call_id))
                    self._timers[call_id] = self._clock.call_at(due_at, wake)
                case CancelTimer(call_id=call_id):
                    self._stop_timer(call_id)
                case Redirect():
                    self._beside(self._redirect(command))
                case PauseAgent():
                    self._beside(self.members.pause_missing(command.extension, command.misses))

    def _stop_timer(self, call_id: str) -> None:
        timer = self._timers.pop(call_id, None)
        if timer is not None:
            timer.cancel()

    async def _redirect(self, command: Redirect) -> None:
        """Move the caller. When that fails the dialplan's own time-out does the same a little later."""
        noted = {"Channel": command.channel, "Context": command.context, "Exten": command.exten}
        self._journal.append(SentCommand("Redirect", {**noted, "Reason": command.reason}, self._clock.now()))
        try:
            answer = await self._link.redirect(command.channel, command.context, command.exten)
        except AmiError as error:
            log.warning("call %s was not moved to %s: %s", command.call_id, command.context, error)
            return
        if not answer.success:
            log.warning("call %s was not moved to %s: %s", command.call_id, command.context, answer.message)

    def _beside(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _rule_of(self, department: str) -> RingRule | None:
        known = department in self._settings.departments
        return self._settings.ring_of(department).rule if known else None

    def _rule_at(self, context: str, exten: str) -> RingRule | None:
        """Rings are counted where the ring clock runs; in the queue the caller hears music."""
        return self._rule_of(exten) if context == RING_CLOCK_CONTEXT else None

    def _stored_form(self, call_id: str) -> Mapping[str, Any] | None:
        record = self.tracker.record(call_id)
        listens = record is None or record.kind == SUPERVISION
        return None if record is None or listens else self._with_department(record.as_json())

    def _talk_changed(self, uniqueid: str) -> None:
        """No fact: the record needs none. But a desk shows who speaks while he does."""
        call_id = self.tracker.call_id_of(uniqueid)
        if call_id is not None:
            self.wire.changed(call_id)

    def _live_form(self, call_id: str) -> Mapping[str, Any] | None:
        live = self.tracker.live(call_id)
        return None if live is None or live.kind == SUPERVISION else self._shown(live)

    def _live_forms(self) -> list[Mapping[str, Any]]:
        return [self._shown(live) for live in self.tracker.live_calls() if live.kind != SUPERVISION]

    def _shown(self, live: LiveCall) -> Mapping[str, Any]:
        form = live.as_json()
        form["number"] = form["number"] if _NUMBER.fullmatch(form["number"]) else ""
        form["watched"] = self.supervising.shown(live.call_id)
        return self._with_department(form)

    def _with_department(self, record: dict[str, Any]) -> dict[str, Any]:
        """The DID tells the department; the core knows nothing of the configuration."""
        if not record.get("department"):
            did = str(record.get("dialled") or record.get("did") or "")
            record["department"] = self._settings.department_of_did(did) or ""
        _keep_numbers_only(record.get("caller"))
        return record


def _keep_numbers_only(caller: dict[str, Any] | None) -> None:
    """A stranger may write anything where the caller's number belongs, forged lines too: a number or nothing.

    What was written stays in the journal.
    """
    if caller:
        texts = {key: str(caller.get(key) or "") for key in ("number", "extension")}
        caller.update({key: text if _NUMBER.fullmatch(text) else "" for key, text in texts.items()})
