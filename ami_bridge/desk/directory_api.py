"""Departments with their queues, and the people with a phone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime

from pydantic import Field

from ami_bridge.adapters.store import NotStored
from ami_bridge.core.callbacks import CLAIMABLE, HELD
from ami_bridge.desk.endpoint import Ask, Endpoint
from ami_bridge.desk.live import FEED
from ami_bridge.desk.rights import Scope
from ami_bridge.desk.shapes import AgentOut, Agents, Out

_MOST_OPEN = 100_000


class WaitingOut(Out):
    """A caller who waits in a queue now. ``position`` is where they entered."""

    call_id: str
    number: str
    joined_at: datetime | None
    position: int | None


class QueueOut(Out):
    """A department's queue: who may take its calls, who waits, and how many callbacks it owes."""

    department: str
    names: dict[str, str]
    dids: list[str]
    direct: list[str] = Field(description="Phones that ring first, under the ring clock.")
    members: list[str]
    waiting: list[WaitingOut]
    callbacks_open: int
    live: bool = Field(description="Whether the PBX is heard; false: nobody knows who waits.")


class Queues(Out):
    """By department."""

    queues: list[QueueOut]


async def list_agents(ask: Ask) -> Agents:
    """Everybody, also those who left: a transfer needs colleagues of other departments."""
    return Agents(agents=[AgentOut.model_validate(asdict(agent)) for agent in await ask.store.agents()])


async def show_agent(ask: Ask) -> AgentOut:
    """One agent."""
    for agent in await ask.store.agents():
        if agent.extension == ask.named("extension"):
            return AgentOut.model_validate(asdict(agent))
    raise NotStored("agent", ask.named("extension"))


async def list_queues(ask: Ask) -> Queues:
    """The queues of the departments that the account may see."""
    board = ask.request.app[FEED].board
    found = await ask.store.callbacks(states=CLAIMABLE | HELD, sight=ask.account.sight, limit=_MOST_OPEN)
    owed = Counter(callback.department for callback in found)
    queues = []
    for slug, department in ask.settings.departments.items():
        if not ask.account.sees(slug):
            continue
        waiting = [
            WaitingOut(
                call_id=call["call_id"],
                number=call["number"],
                joined_at=call["wait"]["joined_at"],
                position=call["wait"]["position"],
            )
            for call in board.calls.values()
            if call["wait"] and call["wait"]["queue"] == slug
        ]
        queues.append(
            QueueOut(
                department=slug,
                names=department.names,
                dids=department.dids,
                direct=department.direct,
                members=department.queue,
                waiting=waiting,
                callbacks_open=owed[slug],
                live=board.linked,
            )
        )
    return Queues(queues=queues)


ENDPOINTS = (
    Endpoint("GET", "/api/v1/agents", list_agents, "List agents", Agents, scope=Scope.DIRECTORY_READ),
    Endpoint(
        "GET",
        "/api/v1/agents/{extension}",
        show_agent,
        "Show an agent",
        AgentOut,
        scope=Scope.DIRECTORY_READ,
        faults=(404,),
    ),
    Endpoint(
        "GET",
        "/api/v1/queues",
        list_queues,
        "List queues with who waits in them",
        Queues,
        scope=Scope.DIRECTORY_READ,
    ),
)
