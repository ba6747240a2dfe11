"""The words in which a conversation step speaks: what was answered, what comes next, what is to be kept.

Frozen values only. Steps are pure: they get a state, an answer and facts, and return a :class:`Move`. Who
performs it: the dialplan plays and records (:class:`Turn`), ``agi.steps.turn`` writes to the store
(:class:`Keep`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from zoneinfo import ZoneInfo

from ami_bridge.core.callbacks import CallbackEvent, CallbackFields
from ami_bridge.core.suiting import Window
from ami_bridge.numbers import CheckedNumber, Refusal

#: After this many wrong keys or silences in a row a step stops asking and takes the kind way out.
MISSES = 3
#: After this many empty recordings the conversation goes on without.
EMPTY_RECORDINGS = 2
#: Nobody needs more turns than this; a caller who does is a machine.
MAX_TURNS = 80
#: Seconds in which the next key must come.
KEY_SECONDS = 6
DIGIT_SECONDS = 8


class Do(StrEnum):
    """What the dialplan does; the value of ``FR_DO``, an extension of the context ``converse``."""

    SAY = "say"
    KEY = "key"
    DIGITS = "digits"
    RECORD = "record"
    WAIT = "wait"  # say it, then wait for the caller to hang up (S12)
    QUEUE = "queue"
    PERSON = "person"  # to the queue if a member is free; else the next turn, with the result "alone"
    ACCEPT = "accept"
    DECLINE = "decline"
    WITHDRAWN = "withdrawn"  # nobody may be rung: the attempt ends before anybody was
    CONNECT = "connect"  # a customer who was rung first wishes to talk: the agent who is kept for him is rung
    PART = "part"  # he does not: say it and hang up; FR_AGREED says why
    END = "end"


class Stage(StrEnum):
    """Where in a conversation a channel is; stored."""

    PERMISSION = "permission"
    NUMBER_CONFIRM = "number_confirm"
    NUMBER_TYPE = "number_type"
    NAME = "name"
    SPELL = "spell"  # the name by keys, where the company wants it
    SUBJECT = "subject"
    SUITS = "suits"  # when may we ring: as soon as possible, today, another day
    SUITS_TODAY = "suits_today"
    SUITS_DAY = "suits_day"
    SUITS_HOUR = "suits_hour"
    SUMMARY = "summary"
    MESSAGE = "message"  # the plain way out for who presses no keys: say it all after one tone
    FAREWELL = "farewell"
    QUEUE = "queue"  # back to waiting
    PERSON = "person"  # keys are nothing for him: a person if one is free, else the message


class Kind(StrEnum):
    """Which of a callback's two recordings."""

    NAME = "name"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of the book, by key; ``parting`` when it ends with one."""

    key: str


@dataclass(frozen=True, slots=True)
class Number:
    """A telephone number read aloud in its groups."""

    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """What the caller said."""

    kind: Kind


Part = Phrase | Number | Recording


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing for the dialplan to do."""

    do: Do
    says: tuple[Part, ...] = ()
    digits: int = 0
    wait_seconds: int = 0
    records: Kind | None = None
    number: str = ""  # ACCEPT: whom to dial, digits without plus


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the last turn.

    ``text`` is what Read() returned, or RECORD_STATUS; "" is silence (or a lone #). ``heard`` says whether
    the recording has a voice in it; None when there was none or nobody can tell.
    """

    text: str = ""
    heard: bool | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """What must be in the store before the caller hears the next word.

    ``consent_key`` is the key by which the caller agreed, after hearing ``consent_prompt``; ``starts``
    makes the callback when there is none. ``refusal`` says why ``refused`` (what was typed) may not be rung:
    for the log, not for the caller.
    """

    fields: CallbackFields = field(default_factory=CallbackFields)
    event: CallbackEvent | None = None
    consent_key: str = ""
    consent_prompt: str = ""
    starts: bool = False
    refusal: Refusal | None = None
    refused: str = ""


NOTHING = Keep()


@dataclass(frozen=True, slots=True)
class CaptureState:
    """The state of a callback capture between two turns; serialised into the store."""

    stage: Stage = Stage.PERMISSION
    misses: int = 0
    turns: int = 0
    number: str = ""  # E.164 with plus: what we would ring now; "" when there is none
    number_source: str = ""  # caller_id | typed
    confirmed: bool = False
    consented: bool = False
    has_name: bool = False
    has_subject: bool = False
    spelled: str = ""  # the name in letters, as it was spelled by keys
    suits_day: str = ""  # ISO date, in the caller's zone, while the hour is asked for
    suits_from: str = ""  # ISO instants with zone: the window that was agreed; "" is as soon as possible
    suits_until: str = ""
    person_tried: bool = False
    flooded: bool = False  # so many ask here just now that nothing of it is dialled by itself
    revising: bool = False  # sent back by the summary for one thing: from there straight to the summary again
    outcome: str = ""  # which farewell: accepted | noted | message_kept | nothing_kept

    def as_json(self) -> dict[str, Any]:
        """Plain values for the store."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The state that :meth:`as_json` gave; unknown keys of another version are left out.

        Raises:
            ValueError: ``stage`` is not known to this version.
        """
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in stored.items() if key in known}
        return cls(**{**values, "stage": Stage(values.get("stage", Stage.PERMISSION))})


@dataclass(frozen=True, slots=True)
class CaptureFacts:
    """What a capture step may know of the world."""

    caller: CheckedNumber | None  # the network's number, checked; None when withheld or not to be rung
    local_time: datetime  # the department's wall clock
    country: str
    allowed_regions: Collection[str]
    own_numbers: Collection[str] = ()
    denied_prefixes: Collection[str] = ()
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    """Numbers (E.164) that only the store knows we may not ring: on the do-not-call list, asked for too often."""
    noted: Collection[str] = ()
    """Numbers that have an open request: asking once more changes nothing."""
    not_before: Mapping[str, datetime] = field(default_factory=dict)
    """Numbers whose owners were reached so shortly ago that they are left in peace until then."""
    caller_refused: Refusal | None = None
    """Why the network's number may not be rung, when there is one."""
    caller_id: str = ""
    open_now: bool = False
    """Whether the department is open: only then may a person be free."""
    flooded: bool = False
    """Whether more callbacks were asked for at this DID within the hour than people ask for."""
    did: str = ""
    spells: str = ""
    """The language in whose letters a name may be spelled by key; "": it is not asked for."""
    zone: ZoneInfo = field(
        default_factory=lambda: ZoneInfo("UTC")
    )  # the caller's, by the number that is to be rung
    zone_is_callers: bool = False  # known for sure, and not the department's own
    windows: tuple[Window, ...] = ()  # when the caller may be rung on the days to come


@dataclass(frozen=True, slots=True)
class Move:
    """Where the conversation goes: the next state, what to say before its question, what to keep first."""

    state: CaptureState
    before: tuple[Phrase, ...] = ()
    keep: Keep = NOTHING


def to(state: CaptureState, stage: Stage, **changes: Any) -> CaptureState:
    """``state`` at the beginning of ``stage``."""
    return replace(state, stage=stage, misses=0, **changes)


def onward(state: CaptureState, stage: Stage, **changes: Any) -> CaptureState:
    """``state`` at the beginning of ``stage``, or back at the summary that sent the caller to change one thing."""
    return to(state, Stage.SUMMARY if state.revising else stage, **changes, revising=False)


def missed(state: CaptureState, answer: Answer, give_up: Move) -> Move:
    """A wrong key or silence: say so kindly and ask again; after :data:`MISSES` go ``give_up``.

    A star is no mistake but a wish to hear the question again; :data:`MAX_TURNS` bounds it.
    """
    if answer.text == "*":
        return Move(state)
    if state.misses + 1 >= MISSES:
        return give_up
    sorry = Phrase("capture.wrong_key" if answer.text else "capture.silence")
    return Move(replace(state, misses=state.misses + 1), before=(sorry,))


def helped(state: CaptureState, facts: CaptureFacts) -> CaptureState:
    """Where somebody goes who gets along with no question: to a person, once; else to the plain message."""
    if state.person_tried or not facts.open_now:
        return to(state, Stage.MESSAGE)
    return to(state, Stage.PERSON, person_tried=True)


def recorded(answer: Answer) -> bool:
    """Whether the caller said something: by the sound itself where it can be read, else by RECORD_STATUS."""
    if answer.heard is not None:
        return answer.heard
    return answer.text in {"DTMF", "SILENCE", "TIMEOUT"}
