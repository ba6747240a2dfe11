"""Contenders take turns, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def in_turns(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least CPU seconds that each contender took in ``rounds`` rounds; they take turns."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            began = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - began)
    return best
