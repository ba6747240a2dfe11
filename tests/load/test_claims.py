"""Several dialer processes on one PostgreSQL; some of them die. The large run is ``fourthring bench claims --kill``."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge.bench import claims
from ami_bridge.bench.postgres import binaries
from ami_bridge.core.callbacks import Attempt, AttemptState, Callback, CallbackState

needs_postgres = pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@needs_postgres
@pytest.mark.slow
def test_killed_dialers_ring_nobody_twice_and_forget_nobody() -> None:
    verdict = claims.survive(
        callbacks=120, workers=4, kill_every_seconds=1.0, most_kills=3, limit_seconds=150
    )
    assert verdict.faults == ()
    assert verdict.kills == 3
    assert verdict.states.keys() <= {"done", "exhausted"}
    assert verdict.callbacks == 120


@needs_postgres
@pytest.mark.slow
def test_claims_beside_a_bare_queue() -> None:
    """Each callback exactly once (measure() refuses anything else), and not a different order of speed."""
    figures = claims.measure(callbacks=400, workers=3, batches=(10,))
    assert figures["ratio_bare"] > 0.01


def _attempt(number: int, state: AttemptState, at: float = 0) -> Attempt:
    began = NOW + timedelta(seconds=at)
    ended = began + timedelta(seconds=9)
    return Attempt(
        f"cb0-{number}", "cb0", number, "+7916", f"c{number}", "1", state, began, finished_at=ended
    )


@pytest.mark.parametrize(
    ("state", "attempts", "rung", "fault"),
    [
        ("done", [_attempt(1, AttemptState.ANSWERED)], {("c1", "cb0"): 1}, None),
        ("queued", [], {}, "forgotten"),
        ("done", [_attempt(1, AttemptState.ANSWERED)], {("c1", "cb0"): 2}, "rung 2 times"),
        ("done", [], {("c1", "cb0"): 1}, "no attempt"),
        ("done", [_attempt(1, AttemptState.NOT_DIALLED)], {("c1", "cb0"): 1}, "not_dialled"),
        ("done", [_attempt(1, AttemptState.ANSWERED)], {}, "never|nobody"),
        (
            "done",
            [_attempt(1, AttemptState.BUSY), _attempt(2, AttemptState.ANSWERED, 5)],
            {("c1", "cb0"): 1, ("c2", "cb0"): 1},
            "same time",
        ),
    ],
)
def test_the_judge_sees_what_is_wrong(
    state: str, attempts: list[Attempt], rung: dict[tuple[str, str], int], fault: str | None
) -> None:
    callback = Callback("cb0", "k", "sales", CallbackState(state), NOW, NOW)
    faults = claims.faults_of([callback], attempts, Counter(rung))
    assert bool(faults) == (fault is not None)
    if fault:
        assert any(part in faults[0] for part in fault.split("|"))
