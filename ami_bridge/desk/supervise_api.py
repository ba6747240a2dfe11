"""A supervisor's hand in calls: listen in, whisper, join in, take over; move a caller who waits, or a callback.

Each is in the audit trail before it is done, so nobody has listened without a trace; when it was not done, that is
written too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from pydantic import Field

from ami_bridge.adapters.live_wire import WireLost
from ami_bridge.adapters.store import NotStored
from ami_bridge.core.callbacks import CallbackFields
from ami_bridge.desk.board import audience_of
from ami_bridge.desk.callbacks_api import callback_of, callback_out
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.live import FEED
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import CallbackOut, In, Out
from ami_bridge.desk.trail import trace
from ami_bridge.desk.view import OPEN_CALLBACKS

Mode = Literal["listen", "whisper", "barge", "take"]
#: In the order in which they are offered.
MODES = ("listen", "whisper", "barge", "take")
#: What is written down of each.
ACTIONS = {
    "listen": "call.listen",
    "whisper": "call.whisper",
    "barge": "call.barge",
    "take": "call.take_over",
    "end": "call.listen_end",
}
#: Why the bridge did not do it, and what to do about it.
SENTENCES = {
    "unknown_phone": "Your user has no phone of this system; an admin can give it an extension.",
    "unknown_department": "There is no such other department.",
    "nobody_talks": "Nobody talks in this call now.",
    "own_call": "Your own phone is in this call.",
    "phone_busy": "Your phone is in another call; hang up first.",
    "not_listening": "You do not listen to this call.",
    "not_waiting": "The caller does not wait in a queue any more.",
    "refused": "The telephone system refused it.",
    "link": "The telephone system does not answer; try again in a moment.",
}


class LiveCalls(Out):
    """The calls that go on, as the live feed shows them, oldest first; ``live`` false: the PBX is not heard."""

    calls: list[dict[str, Any]]
    live: bool


class SuperviseIn(In):
    """How to be in the call: the agent alone hears a ``whisper``, both hear ``barge``; ``take`` lets the agent go."""

    mode: Mode


class Watching(Out):
    """Somebody who is in a call besides those who talk."""

    by: str
    phone: str
    mode: str
    since: str


class Supervised(Out):
    """Who is in the call besides those who talk, as the desk knows it now."""

    call_id: str
    watched: list[Watching]


class MoveCallIn(In):
    """Where a waiting caller goes: another department's queue, or null for the front of this one."""

    department: str | None = Field(default=None, max_length=40)


class MoveCallbackIn(In):
    """Another department, or another place in its list; null leaves it as it is."""

    department: str | None = Field(default=None, max_length=40)
    place: Literal["front", "back"] | None = None


async def list_live_calls(ask: Ask) -> LiveCalls:
    """Those of one's departments and of one's own phone, as in the feed."""
    board, account = ask.request.app[FEED].board, ask.account
    calls = [
        dict(call)
        for call in board.calls.values()
        if account.departments is None or audience_of(call).includes(account.extension, account.departments)
    ]
    return LiveCalls(calls=calls, live=board.linked)


async def supervise_call(ask: Ask) -> Supervised:
    """The supervisor's own phone rings; a mode that is asked for while it is up changes it at once."""
    mode = cast(SuperviseIn, ask.body).mode
    await _carry_out(ask, mode)
    return _supervised(ask)


async def end_supervision(ask: Ask) -> Supervised:
    """Whoever hangs up does the same."""
    await _carry_out(ask, "end")
    return _supervised(ask)


async def move_call(ask: Ask) -> Supervised:
    """The caller keeps waiting; the music goes on, or the other department's greeting is heard."""
    call = live_call(ask)
    department = cast(MoveCallIn, ask.body).department or ""
    if department and department not in ask.settings.departments:
        raise fault(400, f"department: there is no '{department}'; write one of {_known(ask)}.")
    told = {"to": department or "front", "number": call["number"]}
    await trace(ask.store, ask.account, "call.move", call["call_id"], **told)
    await _asked(ask, "call.move", {"move": call["call_id"], "to": department})
    return _supervised(ask)


async def move_callback(ask: Ask) -> CallbackOut:
    """Its number, consent and promise stay; only who rings back, or in which order, changes."""
    callback, wanted = await callback_of(ask), cast(MoveCallbackIn, ask.body)
    fields: CallbackFields = {}
    to = wanted.department
    if to is not None and not (to in ask.settings.departments and ask.account.sees(to)):
        raise fault(400, f"department: there is no '{to}'; write one of {_known(ask)}.")
    if to is None and wanted.place is None:
        raise fault(400, "Say where it is to go: department or place.")
    if wanted.place is not None:
        fields["place_at"] = await _place(ask, to or callback.department, wanted.place)
    after = await ask.store.update_callback(callback.id, department=to, **fields)
    told = {"department": after.department, "place": wanted.place or "", "was": callback.department}
    await trace(ask.store, ask.account, "callback.move", callback.id, **told)
    return callback_out(after)


async def _place(ask: Ask, department: str, where: str) -> datetime:
    """An instant before, or after, the places of all others: places are when people came."""
    if where == "back":
        return datetime.now(UTC)
    waiting = await ask.store.callbacks(states=OPEN_CALLBACKS, department=department, limit=1000)
    places = [each.place_at or each.created_at for each in waiting]
    return min([datetime.now(UTC), *places]) - timedelta(seconds=1)


def live_call(ask: Ask) -> Mapping[str, Any]:
    """The call of the path, while it goes on. Raises NotStored: over, or not for this account."""
    call = ask.request.app[FEED].board.calls.get(ask.named("id"))
    if call is None or not ask.account.sees(call["department"]):
        raise NotStored("call", ask.named("id"))
    return call


async def _carry_out(ask: Ask, mode: str) -> None:
    call = live_call(ask)
    if not ask.account.extension:
        raise fault(409, SENTENCES["unknown_phone"])
    told = {"agents": ",".join(call["agents"]), "number": call["number"], "phone": ask.account.extension}
    await trace(ask.store, ask.account, ACTIONS[mode], call["call_id"], **told)
    wish = {"supervise": call["call_id"], "mode": mode, "by": ask.who, "phone": ask.account.extension}
    await _asked(ask, ACTIONS[mode], wish)


async def _asked(ask: Ask, action: str, wish: Mapping[str, Any]) -> None:
    try:
        done = await ask.request.app[FEED].wire.ask(wish)
        why = "" if done.get("ok") else str(done.get("why"))
    except WireLost:
        why = "link"
    if why:
        await trace(ask.store, ask.account, f"{action}.failed", ask.named("id"), why=why)
        raise fault(503 if why == "link" else 409, SENTENCES.get(why, SENTENCES["refused"]))


def _supervised(ask: Ask) -> Supervised:
    call = ask.request.app[FEED].board.calls.get(ask.named("id"), {})
    watched = [Watching.model_validate(each) for each in call.get("watched", ())]
    return Supervised(call_id=ask.named("id"), watched=watched)


def _known(ask: Ask) -> str:
    return ", ".join(ask.settings.departments)


def _of_call(name: str, handler: Any, summary: str, body: Any) -> Endpoint:
    return Endpoint(
        "POST",
        f"/api/v1/calls/{{id}}/{name}",
        handler,
        summary,
        Supervised,
        body=body,
        role=Role.SUPERVISOR,
        scope=Scope.CALLS_SUPERVISE,
        faults=(404, 409),
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/live/calls",
        list_live_calls,
        "List the calls that go on",
        LiveCalls,
        scope=Scope.LIVE_READ,
    ),
    _of_call("supervise", supervise_call, "Listen in, whisper, join in or take over", SuperviseIn),
    _of_call("supervise/end", end_supervision, "Leave a call that one listens to", None),
    _of_call("move", move_call, "Move a waiting caller to the front or to another department", MoveCallIn),
    Endpoint(
        "POST",
        "/api/v1/callbacks/{id}/move",
        move_callback,
        "Give a callback to another department, or another place",
        CallbackOut,
        body=MoveCallbackIn,
        role=Role.SUPERVISOR,
        scope=Scope.CALLBACKS_WRITE,
        faults=(404, 409),
    ),
)
