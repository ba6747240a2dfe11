"""What a note must hold (etiquette S10, S11), and what an agent promised in it (S18). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Fields without which a note is not complete.
REQUIRED = ("last_name", "first_name", "number", "subject", "result")
PHASES = ("contact", "subject", "arguments", "objections", "conclusion")


def is_complete(fields: Mapping[str, Any]) -> bool:
    """Whether every required field says something: what is handed over with a call need not."""
    return all(str(fields.get(name) or "").strip() for name in REQUIRED)


def phases_ticked(fields: Mapping[str, Any]) -> list[str]:
    """The phases of the call that the agent ticked (S16)."""
    return [phase for phase in PHASES if fields.get(f"phase_{phase}")]
