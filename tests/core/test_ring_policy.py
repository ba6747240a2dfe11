"""The ring clock: when a ringing caller is moved, and when he is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.cadence import CADENCES
from ami_bridge.core.commands import CancelTimer, Redirect, SetTimer
from ami_bridge.core.facts import (
    CallEnded,
    CallMerged,
    Fact,
    FailedOver,
    LegAnswered,
    LegRinging,
    QueueJoined,
)
from ami_bridge.core.records import CallRecord
from ami_bridge.core.ring_policy import RingPolicy
from ami_bridge.core.ringing import RingRule

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CALLER = "PJSIP/carrier-00000001"
_LEGS = count(1)


def zone_rules(department: str) -> RingRule | None:
    """Departments are called after their zones here; ``silent`` has no ring clock."""
    return RingRule(CADENCES[department]) if department in CADENCES else None


@pytest.fixture
def policy() -> RingPolicy:
    return RingPolicy(zone_rules)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rings(
    seconds: float | None = 0.0, department: str = "ru", *, call: str = "c1", context: str = "direct"
) -> LegRinging:
    leg = f"leg{next(_LEGS)}"
    return LegRinging(
        call_id=call,
        at=None if seconds is None else at(seconds),
        uniqueid=leg,
        channel=f"PJSIP/101-{leg}",
        endpoint="101",
        caller_channel=CALLER,
        caller_uniqueid="u1",
        dialled_from_context=context,
        dialled_from_exten=department,
    )


def ends(kind: type[Fact], seconds: float = 5.0, call: str = "c1") -> Fact:
    """One of the facts that stop the clock; what else it says does not matter to the policy."""
    record = CallRecord._make([None] * len(CallRecord._fields))
    details: dict[type[Fact], dict[str, Any]] = {
        LegAnswered: dict.fromkeys(LegAnswered._fields[2:], ""),
        QueueJoined: dict.fromkeys(QueueJoined._fields[2:], ""),
        FailedOver: dict.fromkeys(FailedOver._fields[2:], ""),
        CallEnded: {"record": record},
    }
    return kind(call_id=call, at=at(seconds), **details[kind])


@pytest.mark.parametrize(("zone", "seconds"), [("ru", 16.0), ("us", 20.0), ("uk", 10.0)])
def test_the_deadline_is_the_end_of_the_fourth_tone(policy: RingPolicy, zone: str, seconds: float) -> None:
    assert policy.on_fact(rings(2.5, zone)) == [SetTimer("c1", at(2.5 + seconds))]
    assert policy.on_deadline("c1") == [Redirect("c1", CALLER, "failover", zone, "ring_deadline")]


def test_answer_by_another_ring(policy: RingPolicy) -> None:
    one_ring = RingPolicy(lambda _department: RingRule(CADENCES["uk"], answer_by_ring=1))
    assert one_ring.on_fact(rings()) == [SetTimer("c1", at(1.0))]


def test_one_clock_for_the_whole_call(policy: RingPolicy) -> None:
    policy.on_fact(rings(0.0))
    assert policy.on_fact(rings(0.3)) == [], "another phone of the group rings in the same time"
    assert policy.on_fact(rings(12.0)) == [], "a hop gets what is left"
    assert len(policy.on_deadline("c1")) == 1


def test_calls_do_not_share_a_clock(policy: RingPolicy) -> None:
    policy.on_fact(rings(0.0, call="c1"))
    assert policy.on_fact(rings(1.0, call="c2")) == [SetTimer("c2", at(17.0))]
    policy.on_fact(ends(LegAnswered, call="c1"))
    assert policy.on_deadline("c1") == []
    assert len(policy.on_deadline("c2")) == 1


@pytest.mark.parametrize("kind", [LegAnswered, QueueJoined, FailedOver, CallEnded])
def test_whoever_is_served_or_gone_is_not_moved(policy: RingPolicy, kind: type[Fact]) -> None:
    policy.on_fact(rings())
    assert policy.on_fact(ends(kind)) == [CancelTimer("c1")]
    assert policy.on_deadline("c1") == [], "a deadline that was on its way already"
    assert policy.on_fact(ends(kind)) == []
    assert policy.races == 0


def test_a_caller_is_moved_once(policy: RingPolicy) -> None:
    policy.on_fact(rings())
    assert len(policy.on_deadline("c1")) == 1
    assert policy.on_deadline("c1") == []
    assert policy.on_fact(rings(16.1)) == [], "and rings no new clock meanwhile"


def test_an_answer_while_the_caller_is_being_moved_is_counted(policy: RingPolicy) -> None:
    policy.on_fact(rings())
    policy.on_deadline("c1")
    policy.on_fact(ends(LegAnswered, 16.01))
    assert policy.races == 1


def test_an_ordinary_failover_is_no_race(policy: RingPolicy) -> None:
    policy.on_fact(rings())
    policy.on_deadline("c1")
    policy.on_fact(ends(FailedOver, 16.1))
    policy.on_fact(ends(QueueJoined, 16.2))
    policy.on_fact(ends(LegAnswered, 30.0))
    assert policy.races == 0


@pytest.mark.parametrize(
    "fact",
    [rings(context="queue-member"), rings(context=""), rings(department="silent"), rings(None)],
    ids=["queue", "nowhere", "no rule", "no time"],
)
def test_no_clock_where_none_is_kept(policy: RingPolicy, fact: LegRinging) -> None:
    assert policy.on_fact(fact) == []
    assert policy.on_deadline("c1") == []


def test_a_call_that_rings_again_after_it_was_answered_has_a_new_clock(policy: RingPolicy) -> None:
    policy.on_fact(rings(0.0))
    policy.on_fact(ends(LegAnswered, 3.0))
    assert policy.on_fact(rings(60.0)) == [SetTimer("c1", at(76.0))]


def test_after_missed_events_nobody_is_torn_out_of_a_talk(policy: RingPolicy) -> None:
    policy.on_fact(rings(0.0, call="c1"))
    policy.on_fact(rings(1.0, call="c2"))
    assert policy.on_gap() == [CancelTimer("c1"), CancelTimer("c2")]
    assert policy.on_deadline("c1") == policy.on_deadline("c2") == []
    assert policy.on_gap() == []
    assert policy.on_fact(rings(6.0, call="c1")) == [], (
        "the budget has been spent in part; nobody knows which"
    )
    assert policy.on_fact(rings(6.0, call="c3")) == [SetTimer("c3", at(22.0))]
    policy.on_fact(ends(LegAnswered, 20.0))
    assert policy.races == 0


def test_a_call_that_turns_out_to_be_part_of_another_takes_its_clock_along(policy: RingPolicy) -> None:
    policy.on_fact(rings(0.0, call="c2"))
    assert policy.on_fact(CallMerged("c1", at(3.0), "c2")) == [CancelTimer("c2"), SetTimer("c1", at(16.0))]
    assert policy.on_deadline("c2") == []
    assert policy.on_fact(ends(LegAnswered, call="c1")) == [CancelTimer("c1")]
    assert policy.on_deadline("c1") == []


def test_of_two_merged_clocks_the_remaining_calls_own_goes_on(policy: RingPolicy) -> None:
    policy.on_fact(rings(0.0, call="c1"))
    policy.on_fact(rings(2.0, call="c2"))
    assert policy.on_fact(CallMerged("c1", at(3.0), "c2")) == [CancelTimer("c2")]
    assert policy.on_fact(CallMerged("c1", at(3.0), "c9")) == []
    assert len(policy.on_deadline("c1")) == 1


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ring", "answer", "queue", "end", "deadline", "gap"]), st.sampled_from(["c1", "c2"])
    ),
    max_size=30,
)


@given(_STEPS)
def test_in_any_history_only_who_still_waits_is_moved(steps: list[tuple[str, str]]) -> None:
    policy, waiting, timers = RingPolicy(zone_rules), set(), set()
    stoppers: dict[str, type[Fact]] = {"answer": LegAnswered, "queue": QueueJoined, "end": CallEnded}
    for step, call in steps:
        if step == "ring":
            commands = policy.on_fact(rings(call=call))
            waiting |= {call for command in commands if isinstance(command, SetTimer)}
        elif step == "deadline":
            commands = policy.on_deadline(call)
            moved = {command.call_id for command in commands if isinstance(command, Redirect)}
            assert moved <= waiting & timers
            waiting -= moved
            timers.discard(call)
        elif step == "gap":
            commands, waiting = policy.on_gap(), set()
        else:
            commands = policy.on_fact(ends(stoppers[step], call=call))
            waiting.discard(call)
        timers |= {command.call_id for command in commands if isinstance(command, SetTimer)}
        timers -= {command.call_id for command in commands if isinstance(command, CancelTimer)}
