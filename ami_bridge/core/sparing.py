"""Which agents are not rung for a callback just now, because they have just not taken it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ami_bridge.core.callbacks import AGENT_SIDE, Attempt, RetryPolicy


def agents_to_spare(attempts: Iterable[Attempt], now: datetime, policy: RetryPolicy) -> frozenset[str]:
    """Agents who did not take this callback less than the first delay ago: others come first.

    So one agent who is not at the desk costs the caller one ring of that phone, and no phone is rung
    again and again for the same caller.
    """
    since = now - timedelta(minutes=policy.delays_minutes[0])
    return frozenset(
        attempt.agent
        for attempt in attempts
        if attempt.state in AGENT_SIDE and attempt.finished_at is not None and attempt.finished_at > since
    )
