"""What was agreed with a customer who was reached: another time, or never again."""

from __future__ import annotations

from datetime import datetime, timedelta

from ami_bridge.adapters.store import DoNotCall, Store
from ami_bridge.core.callbacks import NEVER_AGAIN, AttemptState, Callback
from ami_bridge.core.promises import moved
from ami_bridge.settings import Settings


async def keep_word(
    store: Store, settings: Settings, callback: Callback, result: AttemptState, now: datetime
) -> None:
    """After an attempt on ``callback`` ended with ``result``: the same promise for the new time, or the list.

    Safe to repeat: a promise whose revision has gone on is left alone, a number is on the list once.
    """
    if result in NEVER_AGAIN and callback.number is not None:
        await store.forbid_calling(DoNotCall(callback.number, now, by="customer", reason=result.value))
    elif result is AttemptState.LATER and callback.due_at is not None:
        promise = await store.promise(callback.id)
        if promise is not None:
            due_at = callback.due_at + timedelta(minutes=settings.promises.minutes)
            await store.write_promise(moved(promise, due_at, now), at=now)
