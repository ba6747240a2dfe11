"""What both stores ask before they write: does the worker still hold its claim, and what would change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from ami_bridge.adapters.store.entries import HistoryEntry, StaleFence, clean
from ami_bridge.core.callbacks import (
    FINAL,
    HELD,
    Attempt,
    Callback,
    CallbackEvent,
    CallbackFields,
    CallbackState,
    IllegalTransition,
    advance,
    amend,
    claim,
)
from ami_bridge.core.merging import merge


def check_claim(callback: Callback, fence: int, now: datetime) -> None:
    """Raise StaleFence unless ``fence`` is the present claim and its lease has not run out."""
    lease = callback.lease_until
    if callback.state not in HELD or callback.fence != fence or lease is None or lease <= now:
        raise StaleFence(callback.id, fence)


def check_renewal(callback: Callback, fence: int, now: datetime) -> None:
    """Raise StaleFence unless the holder of ``fence`` may hold on.

    A claim must be renewed in time, another worker may have it the next instant. Once dialling has begun
    nobody else may take it, so the worker that dialled may be late.
    """
    if callback.state is CallbackState.CLAIMED:
        check_claim(callback, fence, now)
    elif callback.fence != fence or callback.state not in HELD | {CallbackState.UNKNOWN}:
        raise StaleFence(callback.id, fence)


def check_dialling(callback: Callback, attempt: Attempt) -> None:
    """Raise StaleFence when the callback has been claimed anew since ``attempt`` began.

    A lease that merely ran out is no obstacle: the worker that lived on knows best how its call ended.
    """
    if callback.fence != attempt.fence:
        raise StaleFence(callback.id, attempt.fence)


def changed_by(
    callback: Callback,
    event: CallbackEvent | None,
    at: datetime,
    fields: CallbackFields,
    *,
    by: str = "",
    reason: str = "",
    department: str | None = None,
) -> Callback:
    """``callback`` with ``fields`` amended and then ``event`` applied; itself when there is neither.

    ``department``: given to another one.
    """
    if fields or department is not None:
        callback = amend(callback, at, **clean(fields))
    if department is not None:
        callback = replace(callback, department=clean(department))
    return advance(callback, event, at, by=clean(by), reason=clean(reason)) if event else callback


def claimed_by(callback: Callback, worker: str, at: datetime, lease_seconds: float) -> Callback:
    """``callback`` in the hands of ``worker``; a claim that it has already lasts longer."""
    if callback.state is CallbackState.CLAIMED and callback.worker == worker:
        until = at + timedelta(seconds=lease_seconds)
        return replace(callback, lease_until=until, updated_at=at, revision=callback.revision + 1)
    return claim(callback, worker, at, lease_seconds)


def settled_by(
    callback: Callback,
    event: CallbackEvent,
    at: datetime,
    fields: CallbackFields,
    *,
    by: str = "",
    reason: str = "",
) -> Callback | None:
    """``callback`` at the end of its capture; None when it has gone on from there and is left alone.

    So the same message filed twice, or a call followed up twice, changes nothing.
    """
    if callback.state is CallbackState.PARTIAL and event is CallbackEvent.BROKEN_OFF:
        return changed_by(callback, None, at, fields)
    if callback.state in {CallbackState.CAPTURING, CallbackState.PARTIAL}:
        return changed_by(callback, event, at, fields, by=by, reason=reason)
    return None


def merged_by_hand(goes_on: Callback, further: Callback, at: datetime) -> tuple[Callback, Callback]:
    """:func:`ami_bridge.core.merging.merge`, into what still goes on: else the request would end in silence.

    Raises:
        IllegalTransition: ``goes_on`` is closed, or one of them cannot be merged in its present state.
    """
    if goes_on.state in FINAL:
        raise IllegalTransition(f"callback {goes_on.id}", goes_on.state, "go on for another")
    return merge(goes_on, further, at)


def merged_entry(kept: Callback, merged: Callback, at: datetime, by: str) -> HistoryEntry:
    """What the history of ``kept`` says of ``merged`` when a person at the desk put them together."""
    detail = {"callback": merged.id, "department": merged.department, "origin": merged.origin, "by": by}
    return HistoryEntry(f"merged:{merged.id}", kept.id, at, "merged", detail)
