"""Ring, no answer (RONA, etiquette S5): who leaves a phone ringing in vain is paused, with a reason, and told so.

A phone of a queue's member rang out when it rang as long as the queue lets it; a direct phone when the ring clock's
time passed over it. A caller who gave up, a colleague who was quicker and a phone that declined are nobody's miss. Any
answer begins the count anew.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from ami_bridge.core.commands import PauseAgent
from ami_bridge.core.facts import CallEnded, Fact, FailedOver, LegAnswered, LegEnded, LegRinging
from ami_bridge.core.ring_policy import RING_CLOCK_CONTEXT

MEMBER_CONTEXT = "queue-member"
#: Why a caller goes on to the queue when the time of the direct phones is up.
_TIME_IS_UP = frozenset({"ring_deadline", "safety_net"})
#: What the queue's own clock may be short of its figure.
_GRAIN = timedelta(seconds=1.5)


class RonaPolicy:
    """Counts misses in a row for each agent, and says who is to be paused.

    Args:
        agents: extensions; other phones are nobody's.
        queue_misses, direct_misses: so many in a row are too many; 0: never.
        queue_ring_seconds: how long the queue lets a member's phone ring.
    """

    def __init__(
        self, agents: Collection[str], *, queue_misses: int, direct_misses: int, queue_ring_seconds: float
    ) -> None:
        self._agents = frozenset(agents)
        self._most = {MEMBER_CONTEXT: queue_misses, RING_CLOCK_CONTEXT: direct_misses}
        self._rings_out_after = timedelta(seconds=queue_ring_seconds) - _GRAIN
        self._ringing: dict[str, tuple[str, str, str, datetime | None]] = {}
        """By uniqueid: call, context, agent, since."""
        self.misses: dict[tuple[str, str], int] = {}
        """By agent and context, in a row."""

    def on_fact(self, fact: Fact) -> list[PauseAgent]:
        """Who is to be paused because of ``fact``."""
        match fact:
            case LegRinging(dialled_from_context=context, endpoint=agent) if (
                context in self._most and agent in self._agents
            ):
                self._ringing[fact.uniqueid] = (fact.call_id, context, agent, fact.at)
            case LegAnswered():
                self._answered(fact)
            case LegEnded():
                return self._ended(fact)
            case FailedOver(reason=reason) if reason in _TIME_IS_UP:
                return self._time_up(fact.call_id)
            case CallEnded():
                self._forget(fact.call_id)
        return []

    def _answered(self, fact: LegAnswered) -> None:
        self._ringing.pop(fact.uniqueid, None)
        for context in self._most:
            self.misses.pop((fact.endpoint, context), None)

    def _ended(self, fact: LegEnded) -> list[PauseAgent]:
        found = self._ringing.get(fact.uniqueid)
        if found is None or found[1] != MEMBER_CONTEXT:
            return []  # a direct phone's time is told by the failover
        del self._ringing[fact.uniqueid]
        _, context, agent, since = found
        if since is None or fact.at is None or fact.at - since < self._rings_out_after:
            return []
        return self._missed(agent, context) if fact.outcome in {"NOANSWER", "CANCEL"} else []

    def _time_up(self, call_id: str) -> list[PauseAgent]:
        here = [(key, told) for key, told in self._ringing.items() if told[0] == call_id]
        paused = []
        for key, (_, context, agent, _) in here:
            if context == RING_CLOCK_CONTEXT:
                del self._ringing[key]
                paused += self._missed(agent, context)
        return paused

    def _missed(self, agent: str, context: str) -> list[PauseAgent]:
        most, count = self._most[context], self.misses.get((agent, context), 0) + 1
        self.misses[agent, context] = count
        if not most or count < most:
            return []
        self.misses.pop((agent, context))
        return [PauseAgent(agent, count)]

    def _forget(self, call_id: str) -> None:
        for key in [key for key, told in self._ringing.items() if told[0] == call_id]:
            del self._ringing[key]
