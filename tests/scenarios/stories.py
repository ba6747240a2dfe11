"""All scenes by name."""

from __future__ import annotations

from tests.scenarios import gatherings, plain, transfers
from tests.scenarios.scene import SCENES, Scene

__all__ = ["SCENES", "Scene", "gatherings", "plain", "transfers"]
