"""The ring clock: decides when a ringing caller is moved to the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ami_bridge.core.commands import CancelTimer, Command, Redirect, SetTimer
from ami_bridge.core.facts import (
    CallEnded,
    CallMerged,
    Fact,
    FailedOver,
    LegAnswered,
    LegRinging,
    QueueJoined,
)
from ami_bridge.core.ringing import RingRule

# The dialplan contexts that the clock watches and moves callers to (dialplans/extensions.conf.j2).
RING_CLOCK_CONTEXT = "direct"
FAILOVER_CONTEXT = "failover"


@dataclass(slots=True)
class _Clock:
    """The running ring clock of one call."""

    caller_channel: str
    department: str
    due_at: datetime
    spent: bool = False
    """It has run out, or can no longer be trusted; until the call has got on, no other clock starts for it."""
    redirected: bool = False


class RingPolicy:
    """Decides when a ringing caller is moved to the queue.

    Feed it every fact (:meth:`on_fact`) and every deadline (:meth:`on_deadline`); it answers with
    commands. One clock runs for a whole call: the first phone that rings starts it, and another
    phone that rings later gets what is left.

    ``rule_of`` gives a department's rule, or None for one that has no ring clock.
    """

    def __init__(self, rule_of: Callable[[str], RingRule | None]) -> None:
        self._rule_of = rule_of
        self._clocks: dict[str, _Clock] = {}
        self.races = 0
        """How often an agent answered when the caller was already being moved."""

    def on_fact(self, fact: Fact) -> list[Command]:
        """Commands that follow from ``fact``; most facts have none."""
        match fact:
            case LegRinging(dialled_from_context=context) if context == RING_CLOCK_CONTEXT:
                return self._start(fact)
            case LegAnswered() | QueueJoined() | FailedOver() | CallEnded():
                return self._stop(fact)
            case CallMerged():
                return self._merge(fact)
            case _:
                return []

    def on_deadline(self, call_id: str) -> list[Command]:
        """The time is up: move the caller, unless the clock was stopped meanwhile."""
        clock = self._clocks.get(call_id)
        if clock is None or clock.spent:
            return []
        clock.spent = clock.redirected = True
        return [Redirect(call_id, clock.caller_channel, FAILOVER_CONTEXT, clock.department, "ring_deadline")]

    def on_gap(self) -> list[Command]:
        """Events were missed: somebody may have answered unseen, and must not be cut off by a late Redirect.

        Every clock stops for good; the dialplan's own time-out moves a caller who still hears it ring.
        """
        running = [call_id for call_id, clock in self._clocks.items() if not clock.spent]
        for call_id in running:
            self._clocks[call_id].spent = True
        return [CancelTimer(call_id) for call_id in running]

    def _start(self, fact: LegRinging) -> list[Command]:
        rule = self._rule_of(fact.dialled_from_exten)
        if rule is None or fact.at is None or fact.call_id in self._clocks:
            return []
        due_at = fact.at + timedelta(seconds=rule.cadence.deadline_seconds(rule.answer_by_ring))
        self._clocks[fact.call_id] = _Clock(fact.caller_channel, fact.dialled_from_exten, due_at)
        return [SetTimer(fact.call_id, due_at)]

    def _merge(self, fact: CallMerged) -> list[Command]:
        """The clock goes on under the call's remaining id, by which its answer will be told."""
        clock = self._clocks.pop(fact.absorbed_call_id, None)
        if clock is None:
            return []
        called_off: list[Command] = [CancelTimer(fact.absorbed_call_id)]
        if fact.call_id in self._clocks:
            return called_off
        self._clocks[fact.call_id] = clock
        return called_off if clock.spent else [*called_off, SetTimer(fact.call_id, clock.due_at)]

    def _stop(self, fact: LegAnswered | QueueJoined | FailedOver | CallEnded) -> list[Command]:
        clock = self._clocks.pop(fact.call_id, None)
        if clock is None:
            return []
        if clock.redirected and isinstance(fact, LegAnswered):
            self.races += 1
        return [CancelTimer(fact.call_id)]
