"""The ring clock: decides when a ringing caller is moved to the queue."""

from __future__ import annotations

from ami_bridge.core.cadence import CADENCES, Cadence

__all__ = ["CADENCES", "Cadence"]
