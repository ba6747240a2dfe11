"""What goes in and out of the API, as pydantic models: the OpenAPI document is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from ami_bridge.core.callbacks import AttemptState, CallbackState


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


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


class CallsQuery(_In):
    """Which calls."""

    since: AwareDatetime | None = Field(default=None, description="Started at or after this instant.")
    until: AwareDatetime | None = Field(default=None, description="Started before this instant.")
    department: str | None = None
    number: str | None = Field(default=None, description="The caller's number as the call shows it.")
    limit: Limit = 100


class CallbacksQuery(_In):
    """Which callbacks."""

    state: CallbackState | None = None
    department: str | None = None
    since: AwareDatetime | None = Field(default=None, description="Asked for at or after this instant.")
    until: AwareDatetime | None = Field(default=None, description="Asked for before this instant.")
    limit: Limit = 100


class NoteIn(_In):
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


class CancelIn(_In):
    """Why a callback is no longer wanted."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


class NoteOut(_Out):
    """One version of a note."""

    version: int
    author: str
    at: datetime
    fields: dict[str, str]


class CallOut(_Out):
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


class Calls(_Out):
    """Newest first."""

    calls: list[CallOut]


class ConsentOut(_Out):
    """The evidence that the caller agreed (S9)."""

    key: str
    prompt_version: str
    given_at: datetime
    number: str
    purpose: str


class AttemptOut(_Out):
    """One try to ring back."""

    id: str
    agent: str
    state: AttemptState
    started_at: datetime
    connected_at: datetime | None
    finished_at: datetime | None
    detail: str


class CallbackOut(_Out):
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
    attempts: int
    last_result: str
    agent: str | None
    name_text: str
    subject_text: str
    suits_text: str
    closed_at: datetime | None
    closed_by: str
    closed_reason: str
    recordings: dict[str, str]


class CallbackDetail(CallbackOut):
    """A callback with its evidence and its attempts."""

    consents: list[ConsentOut]
    tries: list[AttemptOut]


class Callbacks(_Out):
    """Newest first."""

    callbacks: list[CallbackOut]


class AgentOut(_Out):
    """A person with a phone."""

    extension: str
    names: dict[str, str]
    positions: dict[str, str]
    departments: list[str]
    active: bool


class Agents(_Out):
    """By extension."""

    agents: list[AgentOut]


class Fault(_Out):
    """What every fault answers with."""

    error: str
