"""Etiquette cards from what the store holds: the record, notes, marks, the promise, the consent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ami_bridge.adapters.store import Agreement, CallMark, Note, Store, StoredCall
from ami_bridge.core.etiquette import Case, House, Line, MarkSeen, NoteSeen, PromiseSeen, median
from ami_bridge.core.etiquette_rules import etiquette_card, second_offers
from ami_bridge.desk.rights import Account, Role
from ami_bridge.settings import Settings

_MEDIAN_CALLS = 200
#: Calls that began so long before a talk may still have rung during it.
_BEFORE_TALK = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Card:
    """The card of one call and whose it is."""

    call: StoredCall
    agent: str
    lines: tuple[Line, ...]
    seen: bool  # by the agent


async def card_of(store: Store, settings: Settings, call: StoredCall, now: datetime) -> Card:
    """One call's card, with everything that can be known about it."""
    (card,) = await cards_of(store, settings, [call], now)
    return card


async def cards_of(
    store: Store, settings: Settings, calls: Sequence[StoredCall], now: datetime
) -> list[Card]:
    """The cards of many calls; a handful of questions to the store for all of them."""
    ids = [call.id for call in calls]
    notes, marks = await store.notes_of(ids), await store.marks(ids, limit=20 * len(ids) + 100)
    medians = await _medians(store, {call.department for call in calls})
    cards = []
    for call in calls:
        own = [mark for mark in marks if mark.call_id == call.id]
        case = Case(
            call.record,
            call.answered_by,
            now,
            house_of(settings),
            [_note(note) for note in notes.get(call.id, ())],
            [_mark(mark) for mark in own],
            _promise(await store.agreement(call.id)),
            await _consent(store, call),
            await _offers(store, call),
            medians.get(call.department),
        )
        seen = any(mark.kind == "seen" for mark in own)
        cards.append(Card(call, call.answered_by, etiquette_card(case), seen))
    return cards


def house_of(settings: Settings) -> House:
    """The house's figures, as they are configured."""
    desk = settings.desk
    return House(
        note_seconds=desk.note_seconds,
        introduction_seconds=desk.introduction_seconds,
        transfer_budget=desk.transfer_budget,
    )


def may_open(account: Account, card: Card, settings: Settings, now: datetime) -> bool:
    """The agent first; the supervisor when the agent has seen it, or had a day for it."""
    if is_own(account, card):
        return True
    if not account.is_at_least(Role.SUPERVISOR) or not account.sees(card.call.department):
        return False
    ended = card.call.ended_at or card.call.started_at
    return card.seen or not card.agent or now - ended >= timedelta(hours=settings.desk.card_hours)


def is_own(account: Account, card: Card) -> bool:
    """Whether it is the card of who asks."""
    return bool(card.agent) and account.extension == card.agent


async def _medians(store: Store, departments: Collection[str]) -> Mapping[str, float | None]:
    found: dict[str, float | None] = {}
    for department in departments:
        calls = await store.calls(department=department, disposition="ANSWERED", limit=_MEDIAN_CALLS)
        lengths = [call.record.get("talk_seconds") for call in calls]
        found[department] = median([float(each) for each in lengths if isinstance(each, int | float)])
    return found


async def _offers(store: Store, call: StoredCall) -> int | None:
    if not call.answered_by or call.ended_at is None:
        return None
    others = await store.calls(
        since=call.started_at - _BEFORE_TALK, until=call.ended_at, extension=call.answered_by, limit=200
    )
    return second_offers(call.answered_by, call.record, [other.record for other in others])


async def _consent(store: Store, call: StoredCall) -> bool | None:
    """Of the callback that the call left behind; the dialplan noted its id."""
    for noted in call.record.get("notes") or ():
        fields = noted.get("fields") if isinstance(noted, Mapping) else None
        callback_id = fields.get("Callback") if isinstance(fields, Mapping) else None
        if callback_id:
            return bool(await store.consents(str(callback_id)))
    return None


def _note(note: Note) -> NoteSeen:
    return NoteSeen(note.at, note.author, note.fields)


def _mark(mark: CallMark) -> MarkSeen:
    return MarkSeen(mark.kind, mark.by, mark.at, mark.detail)


def _promise(agreement: Agreement | None) -> PromiseSeen | None:
    if agreement is None:
        return None
    return PromiseSeen(agreement.state, agreement.due_at, agreement.place, agreement.settled_at)
