"""One open callback per person: what becomes of a further request, and when somebody asks too often.

A person is a telephone number that we may ring, or (while none is known) the channel on which they spoke. The
open callback goes on and keeps the earliest place; the further one is closed as ``merged`` and names it. Both
keep their own recordings and consents, so nothing that was said or agreed to is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ami_bridge.core.callbacks import (
    AMENDABLE,
    FINAL,
    Callback,
    CallbackEvent,
    CallbackFields,
    CallbackState,
    Consent,
    advance,
    amend,
)

#: A further request becomes part of a callback in one of these.
OPEN = frozenset(CallbackState) - FINAL - {CallbackState.CAPTURING}


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How often one number may ask, and how long a person who was reached is left in peace."""

    per_day: int = 3
    again_after: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known about one number at the moment when it asks (again).

    ``noted``: it has an open callback. ``too_many``: it has asked as often as one person does. ``not_before``:
    they talked so shortly ago that the next call waits until then, None when it need not.
    """

    noted: bool = False
    too_many: bool = False
    not_before: datetime | None = None


def standing(known: Iterable[Callback], now: datetime, limits: RequestLimits) -> Standing:
    """Judge ``known``, all callbacks of one number that were made within the last day.

    A stranger who sends hundreds of requests with somebody's number has that person rung once: what comes
    while the request is open is merged, what comes afterwards waits, and past the limit nothing is taken.
    """
    captured = [callback for callback in known if callback.state is not CallbackState.CAPTURING]
    asked = [callback for callback in captured if callback.consent is not None]
    reached = [
        callback.closed_at
        for callback in captured
        if callback.state is CallbackState.DONE and callback.closed_at is not None
    ]
    not_before = max(reached) + limits.again_after if reached else None
    return Standing(
        noted=any(callback.state in OPEN and callback.dialable for callback in captured),
        too_many=len(asked) >= limits.per_day,
        not_before=not_before if not_before is not None and not_before > now else None,
    )


def merge(goes_on: Callback, further: Callback, at: datetime) -> tuple[Callback, Callback]:
    """(the callback that goes on, the further one closed). ``further`` is ``partial`` or ``queued``.

    While a worker holds the callback that goes on it is left as it is: the person is being rung just now.

    Raises:
        IllegalTransition: one of them cannot be merged in its present state.
    """
    closed = advance(further, CallbackEvent.MERGED, at, by="merge")
    closed = replace(closed, merged_into=goes_on.id)
    if goes_on.state not in AMENDABLE:
        return goes_on, closed
    after = amend(goes_on, at, **_gained(goes_on, further))
    if after.state is CallbackState.CAPTURING:
        event = CallbackEvent.CAPTURED if after.dialable else CallbackEvent.BROKEN_OFF
        return advance(after, event, at), closed
    if after.state is CallbackState.PARTIAL and after.dialable and further.consent is not None:
        return advance(after, CallbackEvent.CAPTURED, at), closed
    return after, closed


def _consent(old: Callback, new: Callback) -> Consent | None:
    """The newest that allows to ring the number that stays; the earlier ones are kept as evidence."""
    if old.consent is None or (new.consent is not None and new.consent.number == old.number):
        return new.consent or old.consent
    return old.consent


def _gained(old: Callback, new: Callback) -> CallbackFields:
    """What the further request adds: the newest words, the earliest place, the newest wish for a time."""
    places = [place for place in (old.place_at, new.place_at) if place is not None]
    gained = CallbackFields(
        place_at=min(places, default=None),
        name_recording=new.name_recording or old.name_recording,
        subject_recording=new.subject_recording or old.subject_recording,
        name_text=new.name_text or old.name_text,
        subject_text=new.subject_text or old.subject_text,
        consent=_consent(old, new),
    )
    if old.number is None and new.number is not None:
        gained |= {
            "number": new.number,
            "number_source": new.number_source,
            "number_confirmed": new.number_confirmed,
        }
    elif old.number is not None and old.number == new.number:
        gained["number_confirmed"] = old.number_confirmed or new.number_confirmed
        if old.needs_confirmation and new.number_source == "caller_id":
            gained["number_source"] = new.number_source  # it has called us itself by now
    if new.consent is not None and (new.suits_text or old.attempts == 0):
        # Who was rung in vain and asks again is still rung at the time of the next try: requests under
        # somebody's number must not have him rung any sooner.
        due = new.due_at if new.suits_text or old.due_at is None or old.suits_text else old.due_at
        gained |= {
            "due_at": due,
            "suits_text": new.suits_text,
            "suits_until": new.suits_until,
            "time_zone": new.time_zone,
        }
    return gained
