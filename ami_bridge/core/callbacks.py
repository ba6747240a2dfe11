"""Callbacks: what may happen to one, in one table; who agreed to it; when it is tried again.

A callback is a caller's request to be rung back, kept with its place, its consent and what was
said. An *attempt* is one try to bring an agent and that caller together. Everything here is a
pure function from frozen values to frozen values: a store reads a :class:`Callback`, asks
:func:`advance` or :func:`amend`, and writes what it is given.

What the table promises:

* A callback is claimed by one worker at a time, for the length of a lease, and each claim has a
  higher *fence* than the one before: a worker that wakes up late holds a fence that no longer fits.
* ``dialing`` is stored before the PBX is asked to dial. When a worker dies after that, nobody knows
  whether the customer's phone rang: the callback is ``unknown`` until somebody has looked, and an
  unknown callback is never dialled blindly (docs: "Dialling at most once per attempt").
* Only a customer who was really rung counts towards ``max_attempts``. An agent who declined or was
  not there costs the customer nothing, so it may not exhaust what we promised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict, Unpack


class CallbackState(StrEnum):
    """Where a callback stands. Each value is stored and shown as it is written here."""

    CAPTURING = "capturing"  # the caller is still telling us
    PARTIAL = "partial"  # the caller hung up half-way; what there is was kept
    QUEUED = "queued"  # waits for its time
    CLAIMED = "claimed"  # one worker has it, nothing has been dialled
    DIALING = "dialing"  # phones may be ringing
    TALKING = "talking"  # agent and customer are connected
    DONE = "done"  # they talked
    UNKNOWN = "unknown"  # the worker was lost after dialling began
    EXHAUSTED = "exhausted"  # tried as often as the house rules allow
    CANCELLED = "cancelled"  # the caller or a person at the desk withdrew it
    EXPIRED = "expired"  # its time ran out before anybody got through
    MERGED = "merged"  # one more request of somebody who has an open one: that one goes on, see core.merging


class CallbackEvent(StrEnum):
    """What can happen to a callback."""

    CAPTURED = "captured"  # number and consent are complete
    BROKEN_OFF = "broken_off"  # the caller left before the end
    CLAIMED = "claimed"
    RELEASED = "released"  # the claim ended and nothing was dialled
    DIALLED = "dialled"
    CONNECTED = "connected"
    FINISHED = "finished"  # they talked and hung up
    FAILED = "failed"  # this attempt reached nobody; try again at ``due_at``
    GAVE_UP = "gave_up"  # and it was the last one allowed
    LOST = "lost"  # the lease ran out after dialling began
    FOUND_RINGING = "found_ringing"  # a lost attempt's channel is there and its worker holds on to it again
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    MERGED = "merged"
    REFUSED = "refused"  # asked never to be rung again, or was somebody else
    REACHED = "reached"  # they talked in another call, in either direction


_S, _E = CallbackState, CallbackEvent

#: The whole of it: ``(state, event) -> state``. What is not here is impossible.
TRANSITIONS: dict[tuple[CallbackState, CallbackEvent], CallbackState] = {
    (_S.CAPTURING, _E.CAPTURED): _S.QUEUED,
    (_S.CAPTURING, _E.BROKEN_OFF): _S.PARTIAL,
    (_S.CAPTURING, _E.CANCELLED): _S.CANCELLED,
    (_S.PARTIAL, _E.MERGED): _S.MERGED,
    (_S.QUEUED, _E.MERGED): _S.MERGED,
    **dict.fromkeys(
        ((state, _E.REACHED) for state in (_S.PARTIAL, _S.QUEUED, _S.CLAIMED, _S.UNKNOWN)), _S.DONE
    ),
    (_S.PARTIAL, _E.CAPTURED): _S.QUEUED,  # a person completed it
    (_S.PARTIAL, _E.CLAIMED): _S.CLAIMED,
    (_S.PARTIAL, _E.CANCELLED): _S.CANCELLED,
    (_S.PARTIAL, _E.EXPIRED): _S.EXPIRED,
    (_S.QUEUED, _E.CLAIMED): _S.CLAIMED,
    (_S.QUEUED, _E.CANCELLED): _S.CANCELLED,
    (_S.QUEUED, _E.EXPIRED): _S.EXPIRED,
    (_S.CLAIMED, _E.DIALLED): _S.DIALING,
    (_S.CLAIMED, _E.RELEASED): _S.QUEUED,
    (_S.CLAIMED, _E.CANCELLED): _S.CANCELLED,  # the worker finds its fence outdated
    (_S.DIALING, _E.CONNECTED): _S.TALKING,
    (_S.DIALING, _E.FAILED): _S.QUEUED,
    (_S.DIALING, _E.GAVE_UP): _S.EXHAUSTED,
    (_S.DIALING, _E.LOST): _S.UNKNOWN,
    (_S.TALKING, _E.FINISHED): _S.DONE,
    (_S.TALKING, _E.FAILED): _S.QUEUED,  # connected to a machine, as it turned out
    (_S.TALKING, _E.GAVE_UP): _S.EXHAUSTED,
    (_S.TALKING, _E.LOST): _S.UNKNOWN,
    **dict.fromkeys(((state, _E.REFUSED) for state in (_S.DIALING, _S.TALKING, _S.UNKNOWN)), _S.CANCELLED),
    # Somebody has looked (channels, journal, CEL) and found out what became of it:
    (_S.UNKNOWN, _E.FOUND_RINGING): _S.DIALING,
    (_S.UNKNOWN, _E.CONNECTED): _S.TALKING,
    (_S.UNKNOWN, _E.FINISHED): _S.DONE,
    (_S.UNKNOWN, _E.FAILED): _S.QUEUED,
    (_S.UNKNOWN, _E.GAVE_UP): _S.EXHAUSTED,
    (_S.UNKNOWN, _E.CANCELLED): _S.CANCELLED,
}

#: A worker may take these once they are due.
CLAIMABLE = frozenset({_S.PARTIAL, _S.QUEUED})
#: A worker holds these; one telephone number has at most one of them at a time.
HELD = frozenset({_S.CLAIMED, _S.DIALING, _S.TALKING})
#: An attempt of these is on its way, or was lost from sight.
DIALLED = frozenset({_S.DIALING, _S.TALKING, _S.UNKNOWN})
#: Nothing more will happen to these.
FINAL = frozenset({_S.DONE, _S.EXHAUSTED, _S.CANCELLED, _S.EXPIRED, _S.MERGED})
#: What is known about the caller may still be written into these.
AMENDABLE = frozenset({_S.CAPTURING, _S.PARTIAL, _S.QUEUED})


class AttemptState(StrEnum):
    """Where an attempt stands. Every state except DIALING and TALKING is a result."""

    DIALING = "dialing"
    TALKING = "talking"
    ANSWERED = "answered"  # agent and customer talked
    NO_ANSWER = "no_answer"  # the customer's phone rang out
    BUSY = "busy"
    CONGESTION = "congestion"  # the network had no line
    FAILED = "failed"  # the network refused the customer's number
    MACHINE = "machine"  # an answering machine answered
    LATER = "later"  # reached, and asked to be rung another time
    REFUSED = "refused"  # reached, and wants no calls
    WRONG_NUMBER = "wrong_number"  # somebody else was reached
    AGENT_DECLINED = "agent_declined"
    AGENT_NO_ANSWER = "agent_no_answer"
    NOT_DIALLED = "not_dialled"  # nobody's phone was rung, or the agent's alone and through our own fault
    UNKNOWN = "unknown"  # the worker was lost; somebody has to look


_A = AttemptState
OPEN_ATTEMPT = frozenset({_A.DIALING, _A.TALKING})
#: An agent did not take it: others come first, see :mod:`ami_bridge.core.sparing`.
AGENT_SIDE = frozenset({_A.AGENT_DECLINED, _A.AGENT_NO_ANSWER})
#: The customer's phone was never rung: not counted towards ``max_attempts``.
UNRUNG = AGENT_SIDE | {_A.NOT_DIALLED}
#: These customers' numbers are not rung any more.
NEVER_AGAIN = frozenset({_A.REFUSED, _A.WRONG_NUMBER})
_RESULTS = frozenset(AttemptState) - OPEN_ATTEMPT

#: ``state -> states that may follow``. A talk cannot end as "no answer".
ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    _A.DIALING: _RESULTS | {_A.TALKING},
    _A.TALKING: frozenset({_A.ANSWERED, _A.MACHINE, _A.UNKNOWN, _A.LATER, _A.REFUSED, _A.WRONG_NUMBER}),
    _A.UNKNOWN: _RESULTS - {_A.UNKNOWN} | OPEN_ATTEMPT,
    **dict.fromkeys(_RESULTS - {_A.UNKNOWN}, frozenset()),
}


class IllegalTransition(Exception):
    """What was asked cannot happen to a callback or attempt in its present state; nothing was changed."""

    def __init__(self, subject: str, state: str, event: str, why: str = "") -> None:
        self.subject, self.state, self.event = subject, state, event
        super().__init__(
            f"{subject} is '{state}', so '{event}' cannot happen to it{': ' + why if why else ''}."
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """Evidence that the caller agreed to be rung back (etiquette S9).

    ``key`` is the key that was pressed ("recorded" when the caller spoke after a prompt that says what a
    message means), ``prompt_version`` names the exact prompt that was heard, ``number`` is what the
    consent was given for ("" while it was not yet known), ``purpose`` a slug such as "callback".
    """

    key: str
    prompt_version: str
    given_at: datetime
    number: str
    purpose: str = "callback"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """House rules for trying again: how often, and how long to wait after the 1st, 2nd … attempt.

    ``by_result`` has other gaps for some results: a busy phone is soon free, a machine says nobody is there.
    """

    max_attempts: int
    delays_minutes: tuple[float, ...]
    by_result: Mapping[AttemptState, tuple[float, ...]] = field(default_factory=dict)

    def delays_after(self, result: AttemptState | None) -> tuple[float, ...]:
        """The gaps after ``result``: its own, else the common ones."""
        return (result and self.by_result.get(result)) or self.delays_minutes


@dataclass(frozen=True, slots=True)
class Callback:
    """One request to be rung back. All instants are zone-aware; recordings are file paths."""

    id: str
    key: str  # what makes it the same request when it is written twice
    department: str
    state: CallbackState
    created_at: datetime
    updated_at: datetime
    language: str = ""
    call_id: str | None = None
    channel_uniqueid: str | None = None
    place_at: datetime | None = None  # since when the caller has waited: the place that is kept
    caller_id: str = ""  # what the network said; not to be trusted as a number to dial
    number: str | None = None  # E.164 with "+", checked
    number_source: str = ""  # caller_id (the number called us itself) | typed (in another's call) | desk
    number_confirmed: bool = False  # read back and confirmed (S20)
    name_recording: str | None = None
    subject_recording: str | None = None
    name_text: str = ""
    subject_text: str = ""
    suits_text: str = ""  # when it suits the caller, in their words; "" is as soon as possible
    suits_until: datetime | None = None  # the end of the time that suits; it begins at the first ``due_at``
    time_zone: str = ""  # IANA name of the clock by which the caller chose
    origin: str = ""  # capture | message (left without the AGI) | missed (a call that reached nobody) | desk
    merged_into: str | None = None  # the callback that goes on for this one
    assigned_to: str = ""  # the agent who alone is rung for it: took it at the desk, or was given it
    consent: Consent | None = None
    promised_at: datetime | None = None  # what the caller was told
    due_at: datetime | None = None  # not before this; None: never dialled by itself
    expires_at: datetime | None = None
    attempts: int = 0  # how often the customer was rung
    worker: str | None = None
    lease_until: datetime | None = None
    fence: int = 0
    agent: str | None = None
    last_result: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""
    closed_reason: str = ""
    revision: int = 0

    @property
    def came_at(self) -> datetime:
        """Since when the caller has waited; by it the place among all who wait is kept."""
        return self.place_at or self.created_at

    @property
    def dialable(self) -> bool:
        """Whether we may ring this caller at all: a checked number, and a consent."""
        return self.number is not None and self.consent is not None

    @property
    def needs_confirmation(self) -> bool:
        """Another's call asked for this number: whoever answers there presses 1 before a person is put on."""
        return self.number_source == "typed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. ``channel_id`` is the ChannelId of the Originate: by it a crash can be looked into."""

    id: str
    callback_id: str
    fence: int
    number: str
    channel_id: str
    agent: str
    state: AttemptState
    started_at: datetime
    connected_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""


class CallbackFields(TypedDict, total=False):
    """What may be written about a callback while it is amendable; see :class:`Callback`."""

    language: str
    call_id: str | None
    place_at: datetime | None
    caller_id: str
    number: str | None
    number_source: str
    number_confirmed: bool
    name_recording: str | None
    subject_recording: str | None
    name_text: str
    subject_text: str
    suits_text: str
    suits_until: datetime | None
    time_zone: str
    origin: str
    assigned_to: str
    consent: Consent | None
    promised_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None


#: No capture lasts this long.
CAPTURE_LIMIT = timedelta(hours=1)
#: A lost attempt that turns out to be talking is held this long until its worker renews the lease.
FOUND_LEASE = timedelta(minutes=1)
#: For so long a number whose attempt was lost from sight is not rung for another either: it may be going on.
UNKNOWN_HOLD = timedelta(hours=1)
#: How soon a try that did not even reach the PBX is repeated: nobody noticed it, but what stopped it may last.
NOT_DIALLED_GAP = timedelta(seconds=15)

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def amend(callback: Callback, at: datetime, **fields: Unpack[CallbackFields]) -> Callback:
    """Write what became known about the caller.

    Raises:
        IllegalTransition: the callback is being dialled or is closed.
        ValueError: ``number`` is not E.164 with a plus, or a consent would be taken out of the evidence.
    """
    if callback.state not in AMENDABLE:
        raise IllegalTransition(f"callback {callback.id}", callback.state, "amend")
    unknown = set(fields) - set(CallbackFields.__annotations__)
    if unknown:
        raise ValueError(f"A callback has no field {', '.join(sorted(unknown))} that may be amended.")
    number = fields.get("number")
    if number is not None and not _E164.fullmatch(number):
        raise ValueError(f"'{number}' is no E.164 number; check it with ami_bridge.numbers first.")
    if callback.consent is not None and fields.get("consent", callback.consent) is None:
        raise ValueError("A consent is evidence and cannot be taken back; cancel the callback instead.")
    return replace(callback, updated_at=at, revision=callback.revision + 1, **fields)


def advance(
    callback: Callback, event: CallbackEvent, at: datetime, *, by: str = "", reason: str = ""
) -> Callback:
    """Return ``callback`` after ``event``. ``by`` and ``reason`` are kept when this closes it.

    Raises:
        IllegalTransition: the table has no such step, or a capture is called complete without a
            number and a consent. ``callback`` itself never changes.
    """
    target = TRANSITIONS.get((callback.state, event))
    if target is None:
        raise IllegalTransition(f"callback {callback.id}", callback.state, event)
    if event is CallbackEvent.CAPTURED and not callback.dialable:
        raise IllegalTransition(
            f"callback {callback.id}", callback.state, event, "number or consent is missing"
        )
    after = replace(callback, state=target, updated_at=at, revision=callback.revision + 1)
    if target in CLAIMABLE and after.due_at is None and after.dialable:
        after = replace(after, due_at=at)
    if target not in HELD:
        after = replace(after, worker=None, lease_until=None)
    if target in FINAL:
        after = replace(after, closed_at=at, closed_by=by, closed_reason=reason or event.value)
    return after


def claim(callback: Callback, worker: str, now: datetime, lease_seconds: float) -> Callback:
    """Give ``callback`` to ``worker`` until the lease ends; the fence grows by one."""
    held, lease_until = advance(callback, CallbackEvent.CLAIMED, now), now + timedelta(seconds=lease_seconds)
    return replace(held, worker=worker, lease_until=lease_until, fence=callback.fence + 1)


def dial(callback: Callback, channel_id: str, agent: str, at: datetime) -> tuple[Callback, Attempt]:
    """Begin an attempt: the callback that is being dialled, and the attempt. A claim has one attempt."""
    after = replace(advance(callback, CallbackEvent.DIALLED, at), agent=agent)
    attempt = Attempt(
        id=f"{callback.id}-{callback.fence}",
        callback_id=callback.id,
        fence=callback.fence,
        number=callback.number or "",
        channel_id=channel_id,
        agent=agent,
        state=AttemptState.DIALING,
        started_at=at,
    )
    return after, attempt


def overdue(callback: Callback, now: datetime) -> Callback | None:
    """``callback`` after what time alone demands, or None when nothing is demanded.

    A claim whose lease ran out goes back to the queue (nothing was dialled); while dialling or talking it is lost
    from sight; a request past ``expires_at`` is over; a capture left for :data:`CAPTURE_LIMIT` was broken off.
    """
    event: CallbackEvent | None = None
    if callback.state in HELD:
        if callback.lease_until is not None and callback.lease_until <= now:
            claimed = callback.state is CallbackState.CLAIMED
            event = CallbackEvent.RELEASED if claimed else CallbackEvent.LOST
    elif callback.state is CallbackState.CAPTURING:
        event = CallbackEvent.BROKEN_OFF if callback.updated_at + CAPTURE_LIMIT <= now else None
    elif callback.state in CLAIMABLE and callback.expires_at is not None and callback.expires_at <= now:
        event = CallbackEvent.EXPIRED
    return advance(callback, event, now, by="time") if event else None


def retry_at(
    attempts: int, now: datetime, policy: RetryPolicy, result: AttemptState | None = None
) -> datetime | None:
    """When to ring the customer again after ``attempts`` tries, the last of which ended with ``result``.

    None when that was the last one allowed. The last delay is repeated when there are more attempts than delays.
    """
    if attempts >= policy.max_attempts:
        return None
    delays = policy.delays_after(result)
    index = min(max(attempts, 1), len(delays)) - 1
    return now + timedelta(minutes=delays[index])


def step_attempt(attempt: Attempt, state: AttemptState, at: datetime, detail: str = "") -> Attempt:
    """Return ``attempt`` in its next ``state``.

    Raises:
        IllegalTransition: that cannot follow. ``attempt`` itself never changes.
    """
    if state not in ATTEMPT_TRANSITIONS[attempt.state]:
        raise IllegalTransition(f"attempt {attempt.id}", attempt.state, state)
    answered = state in {AttemptState.TALKING, AttemptState.ANSWERED} and attempt.connected_at is None
    return replace(
        attempt,
        state=state,
        connected_at=at if answered else attempt.connected_at,
        finished_at=None if state in OPEN_ATTEMPT else at,
        detail=detail or attempt.detail,
    )


def connect(callback: Callback, attempt: Attempt, at: datetime) -> Callback:
    """Agent and customer are connected; the customer was rung, so the attempt counts from now on."""
    counted = callback.attempts + (attempt.connected_at is None)
    lease = callback.lease_until or at + FOUND_LEASE
    return replace(advance(callback, CallbackEvent.CONNECTED, at), attempts=counted, lease_until=lease)


def regain(callback: Callback, attempt: Attempt, at: datetime) -> tuple[Callback, Attempt]:
    """The worker of a lost attempt lives and sees its channel: both are what they were before.

    Raises:
        IllegalTransition: the callback is not ``unknown``.
    """
    talking = attempt.connected_at is not None
    event = CallbackEvent.CONNECTED if talking else CallbackEvent.FOUND_RINGING
    after = replace(advance(callback, event, at), lease_until=at + FOUND_LEASE)
    state = AttemptState.TALKING if talking else AttemptState.DIALING
    return after, step_attempt(attempt, state, at)


def settle(
    callback: Callback, attempt: Attempt, result: AttemptState, at: datetime, policy: RetryPolicy
) -> Callback:
    """Return ``callback`` after ``attempt`` (as it was before) ended with ``result``.

    It is done, or queued for another try at ``due_at``, or exhausted, or unknown. An attempt whose
    customer was connected has been counted by :func:`connect` and is not counted again.

    Raises:
        IllegalTransition: the callback is not being dialled, or ``result`` is no result.
    """
    if result in OPEN_ATTEMPT:
        raise IllegalTransition(f"callback {callback.id}", callback.state, f"end as {result}")
    counted = callback.attempts + (attempt.connected_at is None and result not in UNRUNG)
    if result is AttemptState.UNKNOWN:
        return replace(advance(callback, CallbackEvent.LOST, at), last_result=result.value)
    if result is AttemptState.ANSWERED:
        if callback.state is CallbackState.DIALING:
            callback = advance(callback, CallbackEvent.CONNECTED, at)
        after = advance(callback, CallbackEvent.FINISHED, at, by="dialer", reason=result.value)
        return replace(after, attempts=counted, last_result=result.value, due_at=None)
    if result in NEVER_AGAIN:
        after = advance(callback, CallbackEvent.REFUSED, at, by="customer", reason=result.value)
        return replace(after, attempts=counted, last_result=result.value, due_at=None)
    # Who was reached and named another time is waited for anew.
    counted = 0 if result is AttemptState.LATER else counted
    again = _again_at(result, counted, at, policy)
    event = CallbackEvent.FAILED if again else CallbackEvent.GAVE_UP
    after = advance(callback, event, at, by="dialer", reason=result.value)
    # Who did not take it gives it back to all.
    kept_for = "" if result in AGENT_SIDE else after.assigned_to
    return replace(after, attempts=counted, due_at=again, last_result=result.value, assigned_to=kept_for)


def _again_at(result: AttemptState, attempts: int, at: datetime, policy: RetryPolicy) -> datetime | None:
    if result is AttemptState.NOT_DIALLED:
        return at + NOT_DIALLED_GAP
    # The customer noticed nothing of it, and another agent may be free: see core.sparing.
    return at if result in AGENT_SIDE else retry_at(attempts, at, policy, result)
