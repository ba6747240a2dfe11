"""What an agent does with the talk that goes on: say goodbye and wait (S12), hand over with the notes (S7)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Field, StringConstraints

from ami_bridge.adapters.live_wire import WireLost
from ami_bridge.adapters.store import CallMark, NotStored
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.live import FEED
from ami_bridge.desk.rights import Scope
from ami_bridge.desk.shapes import In, Out
from ami_bridge.desk.trail import trace
from ami_bridge.desk.view import note_fields, now_utc

_Said = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
#: What of an unfinished note goes with the call.
HANDED = ("last_name", "first_name", "patronymic", "number", "subject", "result", "text")


class HandOverIn(In):
    """To whom, and what the colleague needs to know: nobody should have to tell it twice."""

    to: Annotated[str, Field(max_length=20, description="The colleague's extension.")]
    over_budget: bool = Field(default=False, description="Yes, once more, although the budget is spent.")
    last_name: _Said = ""
    first_name: _Said = ""
    patronymic: _Said = ""
    number: _Said = ""
    subject: _Said = ""
    result: _Said = ""
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""


class TalkOut(Out):
    """What was done with the talk."""

    call_id: str
    transfers: int = Field(description="How often the caller has been handed over, this time included.")
    over_budget: bool = False


async def finish_talk(ask: Ask) -> TalkOut:
    """The caller hears the farewell and hangs up himself; the agent's phone is free at once."""
    call = _own_talk(ask)
    await _asked(ask, {"finish": ask.account.extension, "call": call["call_id"]})
    await trace(ask.store, ask.account, "call.finish", call["call_id"])
    return TalkOut(call_id=call["call_id"], transfers=call.get("transfers") or 0)


async def transfer_talk(ask: Ask) -> TalkOut:
    """Ring a colleague for the caller; name, subject and notes stand on the colleague's card.

    A transfer beyond the budget needs ``over_budget``, is in the audit trail, and is an alarm on the wallboard.
    """
    call, wanted = _own_talk(ask), cast(HandOverIn, ask.body)
    if wanted.to not in ask.settings.agents or wanted.to == ask.account.extension:
        raise fault(400, "to: write the extension of a colleague.")
    before = int(call.get("transfers") or 0)
    over = before >= ask.settings.desk.transfer_budget
    if over and not wanted.over_budget:
        raise fault(
            409, f"This caller has been handed over {before} times already; pass him on only if it must be."
        )
    given = wanted.model_dump(include=set(HANDED))
    detail = {
        "to": wanted.to,
        "over_budget": over,
        "fields": note_fields(given),
        "from": ask.account.extension,
    }
    mark = CallMark(secrets.token_hex(16), call["call_id"], "handover", ask.who, now_utc(), detail)
    # Before the call moves: what is known must stand on the colleague's card while it rings there.
    await ask.store.add_mark(mark)
    await _asked(ask, {"transfer": ask.account.extension, "to": wanted.to, "call": call["call_id"]})
    await trace(ask.store, ask.account, "call.transfer", call["call_id"], to=wanted.to, over_budget=over)
    return TalkOut(call_id=call["call_id"], transfers=before + 1, over_budget=over)


def _own_talk(ask: Ask) -> Mapping[str, Any]:
    """The call of the path, when the own phone talks in it.

    Raises:
        NotStored: there is none, or it is somebody else's: an id tells nothing.
    """
    call = ask.request.app[FEED].board.calls.get(ask.named("id"))
    if call is None or not ask.account.extension or ask.account.extension not in call["agents"]:
        raise NotStored("talk", ask.named("id"))
    return call


async def _asked(ask: Ask, what: Mapping[str, Any]) -> None:
    try:
        done = await ask.request.app[FEED].wire.ask(what)
    except WireLost:
        raise fault(503, "The telephone system does not answer; use the phone's own keys.") from None
    if not done["ok"] and done.get("why") == "link":
        raise fault(503, "The telephone system does not answer; use the phone's own keys.")
    if not done["ok"]:
        raise fault(409, "You do not talk with a caller in this call at this moment.")


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/calls/{id}/finish",
        finish_talk,
        "Say goodbye to the caller of the own talk and wait for him to hang up",
        TalkOut,
        scope=Scope.NOTES_WRITE,
        faults=(404, 409),
    ),
    Endpoint(
        "POST",
        "/api/v1/calls/{id}/transfer",
        transfer_talk,
        "Hand the caller of the own talk over to a colleague, with what is known",
        TalkOut,
        scope=Scope.NOTES_WRITE,
        body=HandOverIn,
        faults=(404, 409),
    ),
)
