"""What the pages show in common: names in the reader's language, numbers as people read them, who waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers

from ami_bridge.adapters.store import Store, StoredCall
from ami_bridge.core.callbacks import Callback, CallbackState
from ami_bridge.desk.board import Board
from ami_bridge.desk.rights import Account
from ami_bridge.numbers import read_back_groups
from ami_bridge.settings import Settings

#: Callbacks that somebody still owes.
OPEN_CALLBACKS = (
    CallbackState.QUEUED,
    CallbackState.PARTIAL,
    CallbackState.CLAIMED,
    CallbackState.DIALING,
    CallbackState.TALKING,
    CallbackState.UNKNOWN,
)
_PLAYED = (("name", "name_recording"), ("subject", "subject_recording"))


def number_shown(text: str | None) -> str:
    """A number in groups, with its country code; what is no number is shown as it is."""
    digits = (text or "").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) >= 8):
        return text or ""
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return text or ""
    if not phonenumbers.is_possible_number(number):
        return text or ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def spoken_groups(text: str, country: str) -> tuple[str, ...]:
    """The groups in which a number is read back (S20); none for what is no number."""
    try:
        return read_back_groups(f"+{text.removeprefix('+')}", country) if len(text) >= 8 else ()
    except ValueError:
        return ()


def department_names(settings: Settings, language: str) -> dict[str, str]:
    """By slug."""
    return {
        key: department.names.get(language) or department.names[settings.language_of(key)]
        for key, department in settings.departments.items()
    }


def agent_names(settings: Settings, language: str) -> dict[str, str]:
    """By extension."""
    return {
        extension: agent.names.get(language) or next(iter(agent.names.values()))
        for extension, agent in settings.agents.items()
    }


def start_of_day(settings: Settings, now: datetime, department: str = "") -> datetime:
    """Midnight on the department's own clock (the first department's when it is not known)."""
    known = department if department in settings.departments else next(iter(settings.departments))
    return now.astimezone(settings.zone_info_of(known)).replace(hour=0, minute=0, second=0, microsecond=0)


def recordings_of(callback: Callback) -> list[tuple[str, str]]:
    """What was recorded of it, and where it is heard."""
    return [
        (part, f"/api/v1/callbacks/{callback.id}/recordings/{part}")
        for part, attribute in _PLAYED
        if getattr(callback, attribute)
    ]


def sees_department(account: Account, department: str) -> bool:
    """Whether records of ``department`` are for ``account``."""
    return account.departments is None or department in account.departments


def sees_call(account: Account, call: StoredCall) -> bool:
    """A call of one's departments, or one that one's own phone took part in."""
    return account.sight is None or account.sight.covers_call(call)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who waits: a caller in a queue, or one who was promised a callback."""

    kind: str
    number: str
    department: str
    since: str
    id: str = ""


async def waiting_of(
    store: Store, board: Board, departments: Collection[str] | None, now: datetime
) -> list[Waiting]:
    """Callers and callbacks in one list, longest wait first; ``departments`` None: all."""
    rows = [
        Waiting("caller", call["number"], call["department"], call["wait"]["joined_at"], call["call_id"])
        for call in board.calls.values()
        if call.get("wait") and call["wait"]["joined_at"] and not call["agents"]
    ]
    for callback in await store.callbacks(states=[CallbackState.QUEUED, CallbackState.PARTIAL], limit=200):
        due = callback.due_at or callback.created_at
        if due <= now + timedelta(minutes=15):
            since = (callback.place_at or callback.created_at).isoformat()
            number = callback.number or callback.caller_id
            rows.append(Waiting("callback", number, callback.department, since, callback.id))
    seen = [row for row in rows if departments is None or row.department in departments]
    return sorted(seen, key=lambda row: datetime.fromisoformat(row.since))


async def calls_of_number(store: Store, number: str, limit: int) -> list[StoredCall]:
    """Calls from ``number``, newest first, however the network wrote it."""
    digits = number.removeprefix("+")
    if not digits:
        return []
    found = [
        call
        for written in (digits, f"+{digits}")
        for call in await store.calls(caller_number=written, limit=limit)
    ]
    return sorted(found, key=lambda call: call.started_at, reverse=True)[:limit]


async def callbacks_of_number(store: Store, number: str) -> list[Callback]:
    """Open callbacks that this number asked for."""
    digits = number.removeprefix("+")
    if not digits:
        return []
    found = await store.callbacks(states=OPEN_CALLBACKS, limit=500)
    return [
        callback
        for callback in found
        if digits in {(callback.number or "").removeprefix("+"), callback.caller_id.removeprefix("+")}
    ]


class Gentle(dict[str, Any]):
    """A stored document for a template: what an older or foreign record does not have is None, not a fault."""

    def __missing__(self, key: str) -> None:
        return None


def gentle(value: Any) -> Any:
    """``value`` with every mapping in it made :class:`Gentle`."""
    if isinstance(value, Mapping):
        return Gentle({key: gentle(item) for key, item in value.items()})
    return [gentle(item) for item in value] if isinstance(value, list | tuple) else value


def note_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """A note's fields as text."""
    return {name: str(value) for name, value in fields.items() if value}


def now_utc() -> datetime:
    """The present, with its zone."""
    return datetime.now(UTC)
