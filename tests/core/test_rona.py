"""Ring, no answer: whose phone rings in vain, whose does not, and when it is too often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.core.commands import PauseAgent
from ami_bridge.core.facts import FailedOver, LegAnswered, LegEnded, LegRinging
from ami_bridge.core.rona import RonaPolicy

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def policy(**more: Any) -> RonaPolicy:
    return RonaPolicy(
        ["101", "102"], **{"queue_misses": 1, "direct_misses": 2, "queue_ring_seconds": 20.0, **more}
    )


def rings(context: str, agent: str = "101", call: str = "c1") -> LegRinging:
    return LegRinging(call, START, f"{call}-{agent}", "", agent, "", "", context, "sales")


def ends(seconds: float, outcome: str = "CANCEL", agent: str = "101", call: str = "c1") -> LegEnded:
    return LegEnded(call, START + timedelta(seconds=seconds), f"{call}-{agent}", "", agent, outcome, True)


def fails_over(reason: str = "ring_deadline", call: str = "c1") -> FailedOver:
    return FailedOver(call, START + timedelta(seconds=16), "u", reason, "sales")


def answers(agent: str = "101", call: str = "c9") -> LegAnswered:
    return LegAnswered(call, START, f"{call}-{agent}", "", agent, "", "")


def told(given: RonaPolicy, *facts: Any) -> list[PauseAgent]:
    return [command for fact in facts for command in given.on_fact(fact)]


@pytest.mark.parametrize(
    ("seconds", "outcome", "misses"),
    [
        (20.0, "CANCEL", 1),
        (18.6, "NOANSWER", 1),
        (9.0, "CANCEL", 0),
        (20.0, "BUSY", 0),
        (20.0, "REJECTED", 0),
    ],
    ids=["rang out", "the queue's clock has a grain", "somebody was quicker", "busy", "declined"],
)
def test_a_member_who_lets_it_ring_out_is_paused_at_once(seconds: float, outcome: str, misses: int) -> None:
    paused = told(policy(), rings("queue-member"), ends(seconds, outcome))
    assert paused == [PauseAgent("101", 1)][:misses]


def test_a_direct_phone_may_ring_in_vain_once() -> None:
    given = policy()
    assert told(given, rings("direct"), ends(16, "CANCEL"), fails_over()) == []
    assert told(given, rings("direct", call="c2"), fails_over("safety_net", call="c2")) == [
        PauseAgent("101", 2)
    ]
    assert told(given, rings("direct", call="c3"), fails_over(call="c3")) == [], "the count began anew"


@pytest.mark.parametrize("reason", ["no_leg", "busy", "agent_left"])
def test_a_failover_for_another_reason_is_nobodys_miss(reason: str) -> None:
    assert told(policy(direct_misses=1), rings("direct"), fails_over(reason)) == []


def test_an_answer_begins_the_count_anew() -> None:
    given = policy()
    miss = (rings("direct"), fails_over())
    assert told(given, *miss, answers(), rings("direct", call="c2"), fails_over(call="c2")) == []
    assert told(given, rings("direct", call="c3"), fails_over(call="c3")) == [PauseAgent("101", 2)]


def test_only_who_rang_has_missed() -> None:
    given = policy(direct_misses=1)
    both = [rings("direct", "101"), rings("direct", "102"), rings("direct", "carrier")]
    assert told(given, *both, answers("101", "c1"), fails_over()) == [PauseAgent("102", 1)]


def test_it_can_be_switched_off() -> None:
    given = policy(queue_misses=0, direct_misses=0)
    for call in "abcde":
        assert told(given, rings("direct", call=call), fails_over(call=call)) == []
        assert told(given, rings("queue-member", call=call), ends(20, call=call)) == []
