"""What a finished call means for callbacks: somebody was missed, somebody was reached, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class MissedWhy(StrEnum):
    """How a caller went away without having talked to anybody."""

    IN_QUEUE = "in_queue"  # hung up while waiting
    RANG_OUT = "rang_out"  # hung up before anybody picked up
    CLOSED = "closed"  # heard that nobody is there


@dataclass(frozen=True, slots=True)
class Missed:
    """A caller who reached nobody; ``since`` is when he began to wait."""

    number: str
    why: MissedWhy
    since: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Reached:
    """They talked long enough for whatever was open between them."""

    number: str
    at: datetime
    seconds: float


def judge(record: Mapping[str, Any], reached_seconds: float) -> Missed | Reached | None:
    """Judge the finished call ``record`` (``CallRecord.as_json()``); ``number`` is as the network told it.

    None for calls between colleagues, for the dialer's own calls (their attempts tell more), for callers who
    left a message without the AGI (the spool files it), for calls in which a stretch is not known, and for
    answered calls that were too short to settle anything.
    """
    at = _instant(record.get("ended_at"))
    if at is None or record.get("kind") == "callback":
        return None
    if record.get("disposition") == "ANSWERED":
        seconds = record.get("talk_seconds")
        number = other_party(record)
        if not number or not isinstance(seconds, int | float) or seconds < reached_seconds:
            return None
        return Reached(number, at, float(seconds))
    known_whole = record.get("disposition") not in {None, "UNKNOWN"} and not record.get("gaps")
    number = _text(record.get("caller"), "number")
    if record.get("direction") != "inbound" or not number or not known_whole or _left_a_message(record):
        return None
    return Missed(number, _why(record), _instant(record.get("started_at")), at)


def _left_a_message(record: Mapping[str, Any]) -> bool:
    return any(
        isinstance(note, Mapping) and note.get("name") == "spooled" for note in record.get("notes") or ()
    )


def _why(record: Mapping[str, Any]) -> MissedWhy:
    if record.get("queues"):
        return MissedWhy.IN_QUEUE
    kinds = {
        greeting.get("kind") for greeting in record.get("greetings") or () if isinstance(greeting, Mapping)
    }
    return MissedWhy.CLOSED if "closed" in kinds else MissedWhy.RANG_OUT


def other_party(record: Mapping[str, Any]) -> str:
    """Who is not a colleague: the caller of a call that came in, the dialled number of one that went out."""
    if record.get("direction") == "inbound":
        return _text(record.get("caller"), "number")
    return str(record.get("dialled") or "") if record.get("direction") == "outbound" else ""


def _text(party: Any, key: str) -> str:
    return str(party.get(key) or "") if isinstance(party, Mapping) else ""


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None
