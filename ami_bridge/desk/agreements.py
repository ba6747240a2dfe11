"""What agents promise in their notes: date, time and place (S18), kept beside the note so that a day plan can be made
of them (S22); the call that asks the day before, when the caller agreed to one; and settling them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import AwareDatetime, Field

from ami_bridge.adapters.store import Agreement, NotStored, Store, StoredCall
from ami_bridge.core.callbacks import AMENDABLE, CallbackEvent, CallbackState, Consent
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.rights import Account, Role, Scope
from ami_bridge.desk.shapes import In, Limit, Out
from ami_bridge.desk.trail import trace
from ami_bridge.numbers import CheckedNumber, check_number
from ami_bridge.settings import Settings

#: So long before the appointment the caller is asked whether it stands.
_BEFORE = timedelta(days=1)
_PURPOSE = "confirm"


async def keep_agreement(
    store: Store, settings: Settings, account: Account, call: StoredCall, fields: Mapping[str, Any]
) -> Agreement | None:
    """What the newest note promises, or None; an older promise of this call is amended or called off."""
    known = await store.agreement(call.id)
    due_at = _due_at(settings, call.department, fields)
    if due_at is None:
        if known is not None and known.state == "open":
            await _unschedule(store, known, account.name)
            known = replace(known, state="called_off", settled_by=account.name, settled_at=datetime.now(UTC))
            await store.save_agreement(known)
        return None
    text = {name: str(fields.get(name) or "") for name in ("number", "subject", "promise_place")}
    names = (str(fields.get(part) or "") for part in ("last_name", "first_name", "patronymic"))
    wanted = Agreement(
        call_id=call.id,
        agent=account.extension or call.answered_by,
        department=call.department,
        number=text["number"],
        name=" ".join(filter(None, names)),
        subject=text["subject"],
        place=text["promise_place"],
        due_at=due_at,
        made_by=account.name,
        made_at=known.made_at if known is not None else datetime.now(UTC),
        confirm=known.confirm if known is not None else "",
    )
    confirms = fields.get("promise_confirm") == "yes"
    if known is not None and (known.due_at != due_at or not confirms):
        await _unschedule(store, known, account.name)
        wanted = replace(wanted, confirm="")
    if confirms and not wanted.confirm:
        wanted = replace(wanted, confirm=await _schedule(store, settings, wanted))
    await store.save_agreement(wanted)
    return wanted


def _due_at(settings: Settings, department: str, fields: Mapping[str, Any]) -> datetime | None:
    """On the department's own clock, as it was told."""
    if fields.get("outcome") != "promise" or not fields.get("promise_at"):
        return None
    known = department if department in settings.departments else next(iter(settings.departments))
    try:
        told = datetime.fromisoformat(str(fields["promise_at"]))
    except ValueError:
        return None
    return told.replace(tzinfo=settings.zone_info_of(known)).astimezone(UTC)


async def _schedule(store: Store, settings: Settings, wanted: Agreement) -> str:
    """The callback that rings the day before; "" when it is too late for that, or the number cannot be rung."""
    ring_at = wanted.due_at - _BEFORE
    number = _callable(settings, wanted.number)
    if ring_at <= datetime.now(UTC) or number is None or wanted.department not in settings.departments:
        return ""
    zone = settings.zone_info_of(wanted.department)
    day_begins = wanted.due_at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    made = await store.create_callback(
        f"confirm:{wanted.call_id}:{wanted.due_at.isoformat()}",
        wanted.department,
        call_id=wanted.call_id,
        language=settings.language_of(wanted.department),
        number=number.e164,
        number_source="desk",
        number_confirmed=True,
        caller_id=number.e164,
        name_text=wanted.name,
        subject_text=f"{wanted.subject} · {wanted.due_at.astimezone(zone):%d.%m. %H:%M} · {wanted.place}",
        consent=Consent("desk", f"note:{wanted.call_id}", datetime.now(UTC), number.e164, _PURPOSE),
    )
    goes_on = await store.settle_capture(
        made.id,
        event=CallbackEvent.CAPTURED,
        by=wanted.made_by,
        due_at=ring_at,
        promised_at=day_begins,
        expires_at=wanted.due_at,
    )
    return goes_on.id


def _callable(settings: Settings, number: str) -> CheckedNumber | None:
    own = [did for department in settings.departments.values() for did in department.dids]
    checked = check_number(number, settings.company.country, settings.callback.allowed_regions, own)
    return checked if isinstance(checked, CheckedNumber) else None


async def _unschedule(store: Store, agreement: Agreement, by: str) -> None:
    found = await store.callback(agreement.confirm) if agreement.confirm else None
    if found is not None and found.state in AMENDABLE - {CallbackState.CAPTURING}:
        await store.update_callback(
            found.id, event=CallbackEvent.CANCELLED, by=by, reason="the appointment changed"
        )


# The API ----------------------------------------------------------------------------------


class AgreementOut(Out):
    """What was promised in a call."""

    call_id: str
    agent: str
    department: str
    number: str
    name: str
    subject: str
    place: str
    due_at: datetime
    made_by: str
    made_at: datetime
    confirm: str = Field(description="The callback that asks the day before; empty: none.")
    state: str
    settled_by: str
    settled_at: datetime | None


class Agreements(Out):
    """Soonest due first."""

    agreements: list[AgreementOut]


class AgreementsQuery(In):
    """Which agreements; an agent sees the own ones."""

    since: AwareDatetime | None = Field(default=None, description="Due at or after this instant.")
    until: AwareDatetime | None = Field(default=None, description="Due before this instant.")
    state: Literal["open", "done", "called_off"] | None = None
    agent: Annotated[str, Field(max_length=20)] | None = None
    limit: Limit = 100


class SettleIn(In):
    """How it ended."""

    state: Literal["open", "done", "called_off"]


def may_see(account: Account, agreement: Agreement) -> bool:
    """The own ones; a supervisor those of the departments."""
    if account.is_at_least(Role.SUPERVISOR):
        return account.sees(agreement.department)
    return bool(account.extension) and agreement.agent == account.extension


async def list_agreements(ask: Ask) -> Agreements:
    """Of the own phone, or of the team."""
    query = cast(AgreementsQuery, ask.query)
    agent = query.agent if ask.account.is_at_least(Role.SUPERVISOR) else ask.account.extension or "-"
    found = await ask.store.agreements(
        agent=agent, state=query.state, since=query.since, until=query.until, limit=query.limit
    )
    seen = [each for each in found if may_see(ask.account, each)]
    return Agreements(agreements=[AgreementOut.model_validate(each) for each in seen])


async def settle_agreement(ask: Ask) -> AgreementOut:
    """Done, called off, or open again after a slip."""
    found = await ask.store.agreement(ask.named("id"))
    if found is None or not may_see(ask.account, found):
        raise NotStored("agreement", ask.named("id"))
    state = cast(SettleIn, ask.body).state
    if state == "called_off":
        await _unschedule(ask.store, found, ask.who)
    if state == "open" and found.state == "open":
        raise fault(409, "It is open already.")
    settled = None if state == "open" else datetime.now(UTC)
    after = replace(found, state=state, settled_by=ask.who if settled else "", settled_at=settled)
    await ask.store.save_agreement(after)
    await trace(ask.store, ask.account, f"agreement.{state}", found.call_id)
    return AgreementOut.model_validate(after)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/agreements",
        list_agreements,
        "List what agents promised in their notes",
        Agreements,
        scope=Scope.CALLS_READ,
        query=AgreementsQuery,
    ),
    Endpoint(
        "POST",
        "/api/v1/agreements/{id}/settle",
        settle_agreement,
        "Say how an agreement ended",
        AgreementOut,
        scope=Scope.NOTES_WRITE,
        body=SettleIn,
        faults=(404, 409),
    ),
)
