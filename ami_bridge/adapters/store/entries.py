"""What leaves a store: frozen values, and the sentences of what can go wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypedDict

from ami_bridge.errors import FourthRingError


class StoreUnavailable(FourthRingError):
    """The database does not answer, refuses us or is full; the message says which and what to do."""


class NotStored(FourthRingError):
    """Something was asked about an id that the store does not have."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} '{key}' in the store; check the id.")


class StaleFence(FourthRingError):
    """The worker's claim is no longer its own: the lease ran out or the callback was cancelled. Stop."""

    def __init__(self, callback_id: str, fence: int) -> None:
        super().__init__(
            f"Claim {fence} on callback '{callback_id}' is no longer valid; drop it and claim again."
        )


class AgentTaken(FourthRingError):
    """The agent is ringing or talking for another callback already, perhaps through another dialer."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"Agent {agent} has another callback in hand; choose another or wait.")


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it is listed; ``record`` is the whole of what the core said about it."""

    id: str
    node: str
    started_at: datetime
    ended_at: datetime | None
    caller_number: str
    did: str
    department: str
    disposition: str
    answered_by: str
    answered_on_ring: int | None
    ring_verdict: str
    failover_reason: str
    hung_up_by: str
    record: Mapping[str, Any]
    absorbed_into: str = ""  # the call of which this one turned out to be a part


@dataclass(frozen=True, slots=True)
class Note:
    """One version of a call's note; version 1 is the first."""

    call_id: str
    version: int
    key: str
    author: str
    at: datetime
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Halt:
    """No callback is dialled since ``at``, because of ``reason``."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class CallMark:
    """Something that a person did at the desk about a call, kept as it was: nothing is ever changed.

    ``kind`` is card (the dossier was shown), typing (the note was begun), handover, dispute, settlement.
    """

    key: str
    call_id: str
    kind: str
    by: str
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an agent promised a caller in a note: date, time, place (S18). One a call; a newer note amends it.

    ``agent`` is the extension, ``confirm`` the callback that asks the day before ("" for none), ``state``
    open, done or called_off.
    """

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
    confirm: str = ""
    state: str = "open"
    settled_by: str = ""
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Something that happened to a callback besides its own states.

    ``kind`` is merged (another request became part of it), missed_call (the caller tried once more) or
    reached (they talked in another call).
    """

    key: str
    callback_id: str
    at: datetime
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DoNotCall:
    """A number (E.164) that is never rung, since when and on whose word."""

    number: str
    at: datetime
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The state of an AGI conversation between two turns."""

    key: str
    state: Mapping[str, Any]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """Something on the desk changed.

    ``kind`` is call, note, mark, agreement, callback, attempt, promise or directory.
    """

    seq: int
    kind: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DepartmentEntry:
    """A department of the directory; ``names`` by language."""

    slug: str
    names: Mapping[str, str]
    language: str
    time_zone: str
    dids: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """A person with a phone; ``names`` and ``positions`` by language."""

    extension: str
    names: Mapping[str, str]
    positions: Mapping[str, str] = field(default_factory=dict)
    departments: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """The words behind a prompt version."""

    version: str
    kind: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class UserEntry:
    """Somebody who may use the desk; ``role`` is agent, supervisor or admin.

    ``extension`` is an agent's own phone. ``departments`` limits a supervisor to some; empty: all.
    ``one_time``: the password was made for them and must be changed. ``totp_step`` is the last one used.
    """

    name: str
    role: str
    created_at: datetime
    extension: str = ""
    departments: tuple[str, ...] = ()
    password_hash: str = field(default="", repr=False)
    one_time: bool = False
    totp_secret: str = field(default="", repr=False)
    totp_step: int = 0
    active: bool = True


class UserFields(TypedDict, total=False):
    """What may be changed about a user; see :class:`UserEntry`."""

    role: str
    extension: str
    departments: tuple[str, ...]
    password_hash: str
    one_time: bool
    totp_secret: str
    active: bool


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A secret for programs that act as ``user``, known here by its SHA-256 (hex) alone."""

    id: str
    user: str
    label: str
    token_hash: str = field(repr=False)
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A browser in which ``user`` logged in, known by the SHA-256 (hex) of its cookie alone."""

    cookie_hash: str = field(repr=False)
    id: str
    user: str
    created_at: datetime
    expires_at: datetime
    address: str = ""
    browser: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request that bore an Idempotency-Key. ``status`` is None while it is being worked on."""

    key: str
    fingerprint: str
    at: datetime
    status: int | None = None
    body: str = ""


@dataclass(frozen=True, slots=True)
class WebhookEntry:
    """Where programs are told of changes of ``kinds``. ``after`` is the newest change that was filed."""

    id: str
    url: str
    kinds: tuple[str, ...]
    secret: str = field(repr=False)
    created_by: str
    created_at: datetime
    after: int = 0
    active: bool = True


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    ARRIVED = "arrived"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """One change on its way to one webhook. ``status`` and ``fault`` are the last answer's."""

    webhook: str
    seq: int
    kind: str
    subject: str
    at: datetime
    state: DeliveryState
    attempts: int
    due_at: datetime
    status: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a service last said that it lives."""

    service: str
    node: str
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, and when."""

    key: str
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def utc(instant: datetime | None) -> datetime:
    """``instant`` in UTC; the present for None.

    Raises:
        ValueError: ``instant`` has no zone, so nobody can say when it was.
    """
    if instant is None:
        return datetime.now(UTC)
    if instant.tzinfo is None:
        raise ValueError(f"The instant {instant.isoformat()} has no time zone.")
    return instant.astimezone(UTC)


def callback_id(key: str, created_at: datetime) -> str:
    """An id that sorts by time, is safe in dialplan and URL, and is the same for the same key and instant."""
    milliseconds = int(created_at.timestamp() * 1000)
    return f"cb{milliseconds:011x}{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def call_of_record(record: Mapping[str, Any]) -> StoredCall:
    """The listed form of ``CallRecord.as_json()``. Unknown shapes become empty, never an error.

    Raises:
        ValueError: the record has no id, or an instant without a zone.
    """
    record = clean(record)
    call_id = record.get("call_id") or record.get("id")
    if not isinstance(call_id, str) or not call_id:
        raise ValueError("A call record needs its own id.")
    ring = record.get("answered_on_ring")
    return StoredCall(
        id=call_id,
        node=_text(record.get("node")),
        started_at=_instant(record.get("started_at")) or utc(None),
        ended_at=_instant(record.get("ended_at")),
        caller_number=_text(record.get("caller_number")) or _of_party(record.get("caller"), "number"),
        did=_text(record.get("did")) or _text(record.get("dialled")),
        department=_text(record.get("department")),
        disposition=_text(record.get("disposition")),
        answered_by=_of_party(record.get("answered_by"), "extension"),
        answered_on_ring=ring if isinstance(ring, int) else None,
        ring_verdict=_text(record.get("ring_verdict")),
        failover_reason=_text(record.get("failover_reason")),
        hung_up_by=_text(record.get("hung_up_by")),
        record=record,
    )


def uniqueids_of(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every leg's uniqueid with what the record says about that leg (possibly nothing)."""
    legs: dict[str, Mapping[str, Any]] = {str(uniqueid): {} for uniqueid in record.get("uniqueids") or ()}
    for leg in record.get("legs") or ():
        if isinstance(leg, Mapping) and leg.get("uniqueid"):
            legs[str(leg["uniqueid"])] = leg
    return legs


def absorbed_ids_of(record: Mapping[str, Any]) -> list[str]:
    """The other calls that turned out to be part of this one."""
    return [str(part) for part in record.get("absorbed_call_ids") or () if str(part) != record.get("call_id")]


def clean(value: Any) -> Any:
    """Replace what a database refuses or must not keep: NUL and lone surrogates become U+FFFD.

    Callers write into our records (a SIP name may hold anything), and PostgreSQL takes no NUL.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _of_party(party: Any, field_name: str) -> str:
    """A party is an object in the core's records and may be plain text in others."""
    return _text(party.get(field_name)) if isinstance(party, Mapping) else _text(party)


def _instant(value: Any) -> datetime | None:
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value)
    return utc(value) if isinstance(value, datetime) else None
