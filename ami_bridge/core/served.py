"""Whom an agent serves at this moment, and on which channels: what a wish of the desk (finish, transfer) acts on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ami_bridge.core.calls import Call
from ami_bridge.core.channels import Channel
from ami_bridge.core.hanging_up import side_of


class Served(NamedTuple):
    """The talk of one agent. ``transfers``: how often the customer has been handed over already."""

    call_id: str
    department: str
    did: str
    agent_channel: str
    customer_channel: str
    transfers: int


def served_by(calls: Iterable[Call], extension: str) -> Served | None:
    """The talk in which the phone ``extension`` and a customer hear each other; None when there is none.

    Nobody who waits, is parked or hears the greeting is served yet, and a talk among colleagues has no customer.
    """
    for call in calls:
        agent = _agent_in(call, extension)
        customer = _customer_with(call, agent) if agent is not None else None
        if agent is not None and customer is not None:
            return Served(
                call.call_id,
                call.department,
                call.entry_exten,
                agent.name,
                customer.name,
                len(call.handovers),
            )
    return None


def _agent_in(call: Call, extension: str) -> Channel | None:
    if not call.talking:
        return None
    here = [channel for channel in call.talk_group if channel.endpoint == extension and not channel.gone]
    return next((channel for channel in here if not channel.handed_over), None)


def _customer_with(call: Call, agent: Channel) -> Channel | None:
    """The one other party: of three who talk none may be sent away by one of them."""
    others = [channel for channel in call.talk_group if channel is not agent and not channel.gone]
    if len(others) != 1 or side_of(call, others[0]) != "caller":
        return None
    return others[0]
