"""Which records somebody may see, and where a reader of a long list stands. The store itself keeps to both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ami_bridge.adapters.store.entries import StoredCall, uniqueids_of


@dataclass(frozen=True, slots=True)
class Sight:
    """The records of ``departments``, and the calls in which ``extension`` took part wherever they belong."""

    departments: frozenset[str]
    extension: str = ""

    def covers(self, department: str) -> bool:
        """Whether what belongs to ``department`` may be seen."""
        return department in self.departments

    def covers_call(self, call: StoredCall) -> bool:
        """Whether ``call`` may be seen."""
        own = bool(self.extension) and self.extension in extensions_of(call)
        return own or self.covers(call.department)


class Place(NamedTuple):
    """The last entry that a reader has seen; lists go on behind it, whatever is added before it meanwhile."""

    at: datetime
    id: str


def extensions_of(call: StoredCall) -> frozenset[str]:
    """The phones that rang or talked in ``call``."""
    legs = uniqueids_of(call.record).values()
    return frozenset({call.answered_by, *map(extension_of_leg, legs)} - {""})


def extension_of_leg(leg: Mapping[str, Any]) -> str:
    """The phone of a leg, "" when it is none of ours."""
    return str(leg.get("extension") or "")
