"""What goes in and out of the API, as pydantic models: the OpenAPI document is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from ami_bridge.core.callbacks import AttemptState, CallbackState
from ami_bridge.core.records import Disposition


class In(BaseModel):
    """What comes in; an unknown field is a fault, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """What goes out."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


Cursor = Annotated[
    str | None, Field(max_length=300, description="Go on where the page before ended: its `next`.")
]
Next = Annotated[str | None, Field(description="The cursor of the next page; null on the last one.")]
Limit = Annotated[int, Field(ge=1, le=1000, description="At most so many.")]
_Said = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]
_Tick = Literal["", "yes"]
_When = Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?)?$")]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


def _digits(text: str) -> str:
    """Keep a number as people write it, without its spaces, brackets and hyphens."""
    bare = text.translate({ord(mark): None for mark in " ()-.\u00a0\u2011"})
    digits = bare.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 15):
        raise ValueError("write the number as 3 to 15 digits, with a plus in front when it is international")
    return bare


class CallsQuery(In):
    """Which calls."""

    since: AwareDatetime | None = Field(default=None, description="Started at or after this instant.")
    until: AwareDatetime | None = Field(default=None, description="Started before this instant.")
    department: str | None = None
    number: str | None = Field(default=None, description="The caller's number as the call shows it.")
    agent: str | None = Field(default=None, description="The extension of a phone that rang or talked.")
    verdict: Literal["early", "ideal", "late", "missed"] | None = None
    disposition: Disposition | None = None
    cursor: Cursor = None
    limit: Limit = 100


class CallbacksQuery(In):
    """Which callbacks."""

    state: CallbackState | None = None
    department: str | None = None
    since: AwareDatetime | None = Field(default=None, description="Asked for at or after this instant.")
    until: AwareDatetime | None = Field(default=None, description="Asked for before this instant.")
    cursor: Cursor = None
    limit: Limit = 100


class NoteIn(In):
    """The note of a call (etiquette S10, S11): who, contacts, subject, result."""

    last_name: _Name
    first_name: _Name
    patronymic: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""
    number: Annotated[str, AfterValidator(_digits)]
    subject: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    result: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    text: _Said = ""
    outcome: Literal["", "solved", "promise", "passed", "none"] = ""
    decides: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    promise_at: _When = Field(default="", description="Date and time on the department's clock (S18).")
    promise_place: Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)] = ""
    promise_confirm: _Tick = ""
    read_back: _Tick = Field(default="", description="The number was read back and confirmed (S20).")
    phase_contact: _Tick = ""
    phase_subject: _Tick = ""
    phase_arguments: _Tick = ""
    phase_objections: _Tick = ""
    phase_conclusion: _Tick = ""


class CancelIn(In):
    """Why a callback is no longer wanted."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class TakeIn(In):
    """For how long a person takes a callback in hand."""

    minutes: Annotated[int, Field(ge=1, le=240)] = 15


class AssignIn(In):
    """The agent who alone is rung for it; empty: whoever is free."""

    agent: Annotated[str, Field(max_length=20)] = ""


class ReassignIn(TakeIn):
    """Who goes on with a callback, and for how long it is in hand."""

    to: Annotated[str, Field(min_length=1, max_length=64)]


class RescheduleIn(In):
    """When to ring back instead; ``promised_at`` is what the caller was told, if anything."""

    due_at: AwareDatetime
    promised_at: AwareDatetime | None = None


class MergeIn(In):
    """Which callback goes on for this one."""

    into: Annotated[str, Field(min_length=1, max_length=100)]


class CallbackIn(In):
    """What a person found out about the caller; what is left out stays as it is."""

    number: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="As people write it; checked against its national plan."
    )
    name_text: _Said | None = None
    subject_text: _Said | None = None
    suits_text: _Said | None = None


class NoteOut(Out):
    """One version of a note."""

    version: int
    author: str
    at: datetime
    fields: dict[str, str]


class CallOut(Out):
    """A call as it is listed."""

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
    absorbed_into: str


class CallDetail(CallOut):
    """A call with its whole record and every version of its note."""

    record: dict[str, Any]
    notes: list[NoteOut]


class Calls(Out):
    """Newest first."""

    calls: list[CallOut]
    next: Next = None


class ConsentOut(Out):
    """The evidence that the caller agreed (S9)."""

    key: str
    prompt_version: str
    given_at: datetime
    number: str
    purpose: str


class AttemptOut(Out):
    """One try to ring back."""

    id: str
    agent: str
    state: AttemptState
    started_at: datetime
    connected_at: datetime | None
    finished_at: datetime | None
    detail: str


class CallbackOut(Out):
    """A callback as it is listed; ``recordings`` maps name and subject to where they are heard."""

    id: str
    state: CallbackState
    department: str
    language: str
    number: str | None
    number_confirmed: bool
    caller_id: str
    call_id: str | None
    created_at: datetime
    updated_at: datetime
    place_at: datetime | None
    due_at: datetime | None
    promised_at: datetime | None
    expires_at: datetime | None
    taken_by: str = Field(description="The user who has it in hand; empty: nobody, or the dialer.")
    taken_until: datetime | None
    attempts: int
    last_result: str
    agent: str | None
    name_text: str
    subject_text: str
    suits_text: str
    closed_at: datetime | None
    closed_by: str
    closed_reason: str
    merged_into: str | None = Field(description="The callback that goes on for this one.")
    assigned_to: str = Field(description="The agent who alone is rung for it; empty: whoever is free.")
    recordings: dict[str, str]


class CallbackDetail(CallbackOut):
    """A callback with its evidence and its attempts."""

    consents: list[ConsentOut]
    tries: list[AttemptOut]


class Callbacks(Out):
    """Newest first."""

    callbacks: list[CallbackOut]
    next: Next = None


class AgentOut(Out):
    """A person with a phone."""

    extension: str
    names: dict[str, str]
    positions: dict[str, str]
    departments: list[str]
    active: bool


class Agents(Out):
    """By extension."""

    agents: list[AgentOut]


class FieldFault(Out):
    """What is wrong with one part of a request."""

    field: str
    detail: str


class Problem(Out):
    """What every fault answers with (RFC 9457, application/problem+json)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[FieldFault, ...] = ()
