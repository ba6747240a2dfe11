"""What a finished call means for callbacks, as a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ami_bridge.core.follow_ups import Missed, MissedWhy, Reached, judge

AT, SINCE = datetime(2026, 3, 2, 9, 5, tzinfo=UTC), datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
INBOUND: dict[str, Any] = {
    "call_id": "c1",
    "kind": "call",
    "direction": "inbound",
    "caller": {"number": "79161234567"},
    "dialled": "74950000001",
    "started_at": SINCE.isoformat(),
    "ended_at": AT.isoformat(),
    "gaps": [],
}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"disposition": "ABANDONED", "queues": [{"name": "sales"}]}, MissedWhy.IN_QUEUE),
        ({"disposition": "CANCELLED"}, MissedWhy.RANG_OUT),
        ({"disposition": "NO_ANSWER", "queues": []}, MissedWhy.RANG_OUT),
        ({"disposition": "ABANDONED", "greetings": [{"kind": "closed"}]}, MissedWhy.CLOSED),
        ({"disposition": "BUSY"}, MissedWhy.RANG_OUT),
    ],
)
def test_who_talked_to_nobody_was_missed(said: dict[str, Any], why: MissedWhy) -> None:
    assert judge({**INBOUND, **said}, 20) == Missed("79161234567", why, SINCE, AT)


def test_a_talk_settles_what_was_open() -> None:
    answered = {**INBOUND, "disposition": "ANSWERED", "talk_seconds": 20.0}
    assert judge(answered, 20) == Reached("79161234567", AT, 20.0)
    outbound = {**answered, "direction": "outbound", "dialled": "89161234567", "caller": {"number": "101"}}
    assert judge(outbound, 20) == Reached("89161234567", AT, 20.0)


@pytest.mark.parametrize(
    "said",
    [
        {"disposition": "ANSWERED", "talk_seconds": 19.9},  # "wrong number, sorry" settles nothing
        {"disposition": "ANSWERED", "talk_seconds": None},
        {"disposition": "ANSWERED", "talk_seconds": 60, "direction": "internal"},
        {"disposition": "ANSWERED", "talk_seconds": 60, "caller": None},
        {"disposition": "ABANDONED", "ended_at": None},
        {"disposition": "ABANDONED", "kind": "callback"},
        {"disposition": "ABANDONED", "caller": {"number": ""}},
        {"disposition": "NO_ANSWER", "direction": "outbound"},
        {"disposition": "UNKNOWN"},
        {"disposition": "ABANDONED", "notes": [{"name": "spooled", "fields": {"Status": "DTMF"}}]},
        {"disposition": "ABANDONED", "gaps": [{"lost_at": SINCE.isoformat()}]},
        {},
    ],
)
def test_nothing_follows_from_what_is_not_known_or_not_enough(said: dict[str, Any]) -> None:
    assert judge({**INBOUND, **said}, 20) is None
