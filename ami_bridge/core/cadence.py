"""Ringback cadences: what one ring is, and how long four of them last.

A *ring* is one period of the ringback cadence that the caller hears. Cadences are those of
Asterisk's ``indications.conf`` (ITU-T E.180 Supplement 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cadence:
    """One period of a ringback tone.

    ``tone_seconds`` reaches from the start of the period to the end of its last burst (the gap
    inside a double ring counts as tone: the caller hears one ring), ``period_seconds`` to the
    start of the next.
    """

    tone_seconds: float
    period_seconds: float

    def deadline_seconds(self, answer_by_ring: int) -> float:
        """Seconds from the start of ring 1 to the end of the tone of ring ``answer_by_ring``."""
        return (answer_by_ring - 1) * self.period_seconds + self.tone_seconds

    def ring_number(self, seconds_since_ring_start: float) -> int:
        """Which ring is heard ``seconds_since_ring_start`` after ring 1 began; 1 at or before it."""
        return max(1, math.floor(seconds_since_ring_start / self.period_seconds) + 1)


CADENCES = {
    "ru": Cadence(tone_seconds=1.0, period_seconds=5.0),
    "de": Cadence(tone_seconds=1.0, period_seconds=5.0),
    "us": Cadence(tone_seconds=2.0, period_seconds=6.0),
    "uk": Cadence(tone_seconds=1.0, period_seconds=3.0),
    "au": Cadence(tone_seconds=1.0, period_seconds=3.0),
    "jp": Cadence(tone_seconds=1.0, period_seconds=3.0),
}
