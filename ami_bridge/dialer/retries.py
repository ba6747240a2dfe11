"""The house rules for trying again, from the configuration."""

from __future__ import annotations

from ami_bridge.core.callbacks import AttemptState, RetryPolicy
from ami_bridge.settings import Settings


def retry_policy(settings: Settings) -> RetryPolicy:
    """``callback.retry`` by cause; what it does not name waits ``callback.retry_minutes``."""
    callback, retry = settings.callback, settings.callback.retry
    own = {
        AttemptState.BUSY: retry.busy,
        AttemptState.NO_ANSWER: retry.no_answer,
        AttemptState.MACHINE: retry.machine,
        AttemptState.CONGESTION: retry.congestion,
        AttemptState.FAILED: retry.failed,
    }
    return RetryPolicy(
        max_attempts=callback.max_attempts,
        delays_minutes=tuple(callback.retry_minutes),
        by_result={result: tuple(delays) for result, delays in own.items() if delays},
    )
