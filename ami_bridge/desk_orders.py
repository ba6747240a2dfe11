"""What an agent asks for from the desk during a talk: to say goodbye and wait (S12), to hand the customer over (S7).

The bridge carries it out because it alone knows the channels. A desk names only the agent's own extension, which its
login has proved; whose talk that is, is looked up here. The customer is never hung up on: "finish" moves him to the
dialplan's ``parting``, where he hears the farewell and hangs up himself while the agent is free at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ami_bridge.adapters.ami import ActionResult, AmiError, AmiPort
from ami_bridge.adapters.clock import Clock
from ami_bridge.adapters.journal import Command, JournalPort
from ami_bridge.core.served import Served
from ami_bridge.core.tracker import CallTracker
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

PARTING_CONTEXT, AGENTS_CONTEXT = "parting", "from-agents"


class DeskOrders:
    """Carries out ``{"finish": extension, "call": id}`` and the same with ``transfer`` and ``to``."""

    def __init__(
        self, settings: Settings, tracker: CallTracker, link: AmiPort, journal: JournalPort, clock: Clock
    ) -> None:
        self._settings, self._tracker, self._link = settings, tracker, link
        self._journal, self._clock = journal, clock

    async def finish(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The customer hears the farewell; the agent's phone is let go."""
        served = self._served(asked.get("finish"), asked.get("call"))
        if served is None:
            return {"ok": False, "why": "no_talk"}
        exten = self._department(served)
        self._note("Redirect", served.customer_channel, PARTING_CONTEXT, exten, "finish")
        return await self._done(
            served, self._link.redirect(served.customer_channel, PARTING_CONTEXT, exten), "finished"
        )

    async def transfer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The customer's call rings a colleague; nobody answers there: he goes to the queue, not away."""
        served, target = self._served(asked.get("transfer"), asked.get("call")), asked.get("to")
        if served is None:
            return {"ok": False, "why": "no_talk"}
        if not isinstance(target, str) or target not in self._settings.agents or target == asked["transfer"]:
            return {"ok": False, "why": "unknown"}
        self._note("BlindTransfer", served.agent_channel, AGENTS_CONTEXT, target, "transfer")
        return await self._done(
            served, self._link.blind_transfer(served.agent_channel, AGENTS_CONTEXT, target), "transferred"
        )

    def _served(self, extension: Any, call_id: Any) -> Served | None:
        """The talk of this phone, when it is still the one that the agent saw as he asked."""
        known = isinstance(extension, str) and extension in self._settings.agents
        served = self._tracker.served_by(str(extension)) if known else None
        return served if served is not None and served.call_id == call_id else None

    def _department(self, served: Served) -> str:
        """Whose farewell is said; a call that came in by no number of ours has the first department's."""
        found = served.department or self._settings.department_of_did(served.did) or ""
        return found if found in self._settings.departments else next(iter(self._settings.departments))

    def _note(self, action: str, channel: str, context: str, exten: str, reason: str) -> None:
        headers = {"Channel": channel, "Context": context, "Exten": exten, "Reason": f"desk: {reason}"}
        self._journal.append(Command(action, headers, self._clock.now()))

    async def _done(self, served: Served, action: Any, what: str) -> dict[str, Any]:
        try:
            answer: ActionResult = await action
        except AmiError as error:
            log.warning("call %s was not %s: %s", served.call_id, what, error)
            return {"ok": False, "why": "link"}
        if not answer.success:
            log.warning("call %s was not %s: %s", served.call_id, what, answer.message)
        told = {"ok": answer.success, "why": "" if answer.success else "refused"}
        return {**told, "call_id": served.call_id, "transfers": served.transfers}
