"""What people do with callbacks: take in hand, give back, call now, put off, complete, call off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from ami_bridge.adapters.store import NotStored
from ami_bridge.core.callbacks import (
    Callback,
    CallbackEvent,
    CallbackFields,
    CallbackState,
    IllegalTransition,
)
from ami_bridge.desk.callbacks_api import DESK_WORKER, callback_of, callback_out, taken_by_user
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.faults import Invalid
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import (
    AssignIn,
    CallbackIn,
    CallbackOut,
    CancelIn,
    FieldFault,
    MergeIn,
    ReassignIn,
    RescheduleIn,
    TakeIn,
)
from ami_bridge.desk.trail import trace
from ami_bridge.numbers import Refusal, check_number

#: Further ahead nobody promises.
_FURTHEST = timedelta(days=366)


async def take_callback(ask: Ask) -> CallbackOut:
    """Nobody else takes it meanwhile, the dialer neither; after the time it goes back by itself."""
    callback = await _free_for(ask)
    minutes = cast(TakeIn, ask.body).minutes
    worker = f"{DESK_WORKER}{ask.who}"
    after = await ask.store.claim_callback(callback.id, worker, minutes * 60.0)
    return await _done(ask, "callback.take", after, minutes=minutes)


async def give_back_callback(ask: Ask) -> CallbackOut:
    """Back to the others."""
    callback = await _free_for(ask)
    if not taken_by_user(callback):
        raise IllegalTransition(
            f"callback {callback.id}", callback.state, "give back", "nobody has it in hand"
        )
    after = await ask.store.release_claim(callback.id, callback.fence)
    return await _done(ask, "callback.give_back", after)


async def reassign_callback(ask: Ask) -> CallbackOut:
    """Out of one user's hands into another's."""
    callback, wanted = await callback_of(ask), cast(ReassignIn, ask.body)
    user = await ask.store.user(wanted.to)
    if user is None or not user.active:
        raise fault(400, f"to: the desk has no user '{wanted.to}'.")
    if taken_by_user(callback):
        await ask.store.release_claim(callback.id, callback.fence)
    after = await ask.store.claim_callback(callback.id, f"{DESK_WORKER}{user.name}", wanted.minutes * 60.0)
    return await _done(ask, "callback.reassign", after, user=user.name, minutes=wanted.minutes)


async def call_now(ask: Ask) -> CallbackOut:
    """First in the queue of those that are due; the dialer rings as soon as somebody is free.

    An agent who has it in hand, or whose department only previews callbacks, is the one who is rung for it.
    """
    callback, fields = await callback_of(ask), CallbackFields(due_at=datetime.now(UTC))
    preview = ask.settings.callback_mode(callback.department) == "preview"
    if ask.account.extension and (preview or taken_by_user(callback) == ask.who):
        fields["assigned_to"] = ask.account.extension
    return await _due(ask, fields, "callback.call_now")


async def assign_callback(ask: Ask) -> CallbackOut:
    """One agent alone is rung for it. Agents take what is nobody's; supervisors give to whom they like."""
    callback, agent = await _free_for(ask), cast(AssignIn, ask.body).agent
    members = ask.settings.departments[callback.department].queue
    if agent and agent not in members:
        raise fault(400, f"agent: '{agent}' is no member of the queue '{callback.department}'.")
    own = {ask.account.extension, ""}
    if not ({agent, callback.assigned_to} <= own or ask.account.is_at_least(Role.SUPERVISOR)):
        raise fault(403, "Only a supervisor gives a callback to another agent, or takes it from one.")
    after = await ask.store.update_callback(callback.id, assigned_to=agent)
    return await _done(ask, "callback.assign", after, agent=agent)


async def reschedule_callback(ask: Ask) -> CallbackOut:
    """Not before ``due_at``."""
    wanted, now = cast(RescheduleIn, ask.body), datetime.now(UTC)
    if not now - timedelta(minutes=1) <= wanted.due_at <= now + _FURTHEST:
        raise fault(400, "due_at: write an instant from now on, within a year.")
    fields: CallbackFields = {"due_at": wanted.due_at}
    if wanted.promised_at is not None:
        fields["promised_at"] = wanted.promised_at
    return await _due(ask, fields, "callback.reschedule")


async def amend_callback(ask: Ask) -> CallbackOut:
    """Only what is given. A number is checked, and stands as confirmed by a person."""
    callback = await _free_for(ask)
    given = cast(CallbackIn, ask.body).model_dump(exclude_none=True)
    if "number" in given:
        given["number"] = _checked_number(ask, given["number"])
        given |= {"number_source": "desk", "number_confirmed": True}
    after = await ask.store.update_callback(callback.id, **cast(CallbackFields, given))
    return await _done(ask, "callback.amend", after, fields=sorted(given))


async def cancel_callback(ask: Ask) -> CallbackOut:
    """Call it off, unless somebody is being rung already."""
    callback = await _free_for(ask)
    reason = cast(CancelIn, ask.body).reason
    after = await ask.store.update_callback(
        callback.id, event=CallbackEvent.CANCELLED, by=ask.who, reason=reason or "cancelled at the desk"
    )
    return await _done(ask, "callback.cancel", after, reason=reason)


async def close_reached(ask: Ask) -> CallbackOut:
    """They talked otherwise: the promise is kept, and nobody is rung twice."""
    callback = await _free_for(ask)
    reason = cast(CancelIn, ask.body).reason
    after = await ask.store.update_callback(
        callback.id, event=CallbackEvent.REACHED, by=ask.who, reason=reason or "reached otherwise"
    )
    return await _done(ask, "callback.reached", after, reason=reason)


async def merge_callback(ask: Ask) -> CallbackOut:
    """Two requests of one person become one; answers with the one that goes on."""
    callback, into = await _free_for(ask), cast(MergeIn, ask.body).into
    if into == callback.id:
        raise fault(409, f"Callback '{into}' cannot be merged into itself.")
    goes_on = await ask.store.callback(into)
    if goes_on is None or not ask.account.sees(goes_on.department):
        raise NotStored("callback", into)
    after = await ask.store.merge_callbacks(goes_on.id, callback.id, by=ask.who)
    await trace(ask.store, ask.account, "callback.merge", callback.id, into=after.id)
    return callback_out(after)


async def _due(ask: Ask, fields: CallbackFields, action: str) -> CallbackOut:
    callback = await _free_for(ask)
    if not callback.dialable:
        raise IllegalTransition(
            f"callback {callback.id}", callback.state, "ring back", "number or consent is missing"
        )
    if callback.state is CallbackState.CLAIMED and taken_by_user(callback):
        await ask.store.release_claim(callback.id, callback.fence, due_at=fields.get("due_at"))
    after = await ask.store.update_callback(callback.id, **fields)
    return await _done(ask, action, after, due_at=str(after.due_at))


async def _free_for(ask: Ask) -> Callback:
    """The callback, unless another agent has it in hand. Raises NotStored, HTTPForbidden."""
    callback = await callback_of(ask)
    holder = taken_by_user(callback)
    if holder not in {"", ask.who} and not ask.account.is_at_least(Role.SUPERVISOR):
        raise fault(403, f"Callback '{callback.id}' is in the hands of '{holder}'.")
    return callback


async def _done(ask: Ask, action: str, after: Callback, **detail: Any) -> CallbackOut:
    await trace(ask.store, ask.account, action, after.id, **detail)
    return callback_out(after)


_REMEDIES = {
    Refusal.NOT_DIGITS: "write it in digits, with a plus in front when it is international",
    Refusal.EMERGENCY: "an emergency number is never rung back",
    Refusal.SHORT: "a service number cannot be rung back",
    Refusal.INVALID: "there is no such number in its country",
    Refusal.NOT_ALLOWED_REGION: "its country is not in callback.allowed_regions",
    Refusal.NOT_CALLABLE_TYPE: "premium, shared-cost and satellite numbers are not rung back",
    Refusal.OWN_NUMBER: "it is one of our own numbers",
}


def _checked_number(ask: Ask, text: str) -> str:
    """E.164. Raises HTTPBadRequest with what is wrong."""
    settings = ask.settings
    own = [did for department in settings.departments.values() for did in department.dids]
    bare = text.translate({ord(mark): None for mark in " ()-.\u00a0\u2011"})
    checked = check_number(bare, settings.company.country, settings.callback.allowed_regions, own)
    if isinstance(checked, Refusal):
        raise Invalid("body", [FieldFault(field="number", detail=_REMEDIES[checked])])
    return checked.e164


def _action(
    name: str, handler: Any, summary: str, body: Any, *, method: str = "POST", role: Role = Role.AGENT
) -> Endpoint:
    path = "/api/v1/callbacks/{id}" + (f"/{name}" if name else "")
    return Endpoint(
        method,
        path,
        handler,
        summary,
        CallbackOut,
        body=body,
        role=role,
        scope=Scope.CALLBACKS_WRITE,
        faults=(404, 409),
    )


ENDPOINTS = (
    _action("take", take_callback, "Take a callback in hand", TakeIn),
    _action("give-back", give_back_callback, "Give a callback back to the others", None),
    _action(
        "reassign",
        reassign_callback,
        "Put a callback into another user's hands",
        ReassignIn,
        role=Role.SUPERVISOR,
    ),
    _action("call-now", call_now, "Ring back as soon as somebody is free", None),
    _action("assign", assign_callback, "Give a callback to one agent, or back to all", AssignIn),
    _action("reschedule", reschedule_callback, "Ring back at another time", RescheduleIn),
    _action("reached", close_reached, "Close a callback: they talked otherwise", CancelIn),
    _action("merge", merge_callback, "Make a callback part of another of the same person", MergeIn),
    _action("cancel", cancel_callback, "Call a callback off", CancelIn),
    _action("", amend_callback, "Write what became known about the caller", CallbackIn, method="PATCH"),
)
