"""One list of those who wait on the line and those who do not: first come, first served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.places import Place, Side, Turns, ordered, overtaken, turns

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def listed(spelled: str) -> list[Place]:
    """ "lcl": somebody on the line came first, then one who asked for a callback, then another on the line."""
    sides = {"l": Side.LINE, "c": Side.CALLBACK}
    return [Place(NOW + timedelta(minutes=at), sides[one], f"{one}{at}") for at, one in enumerate(spelled)]


@pytest.mark.parametrize(
    ("spelled", "free", "line", "launch", "hold"),
    [
        ("", 0, 0, "", False),
        ("c", 0, 0, "", False),  # nobody on the line: whoever comes free is free for it
        ("c", 1, 0, "c0", False),
        ("cc", 1, 0, "c0", False),
        ("cl", 0, 0, "", True),  # the next agent is the callback's
        ("cl", 1, 0, "c0", False),
        ("lc", 0, 0, "", False),
        ("lc", 1, 1, "", False),  # the PBX serves him
        ("lc", 2, 1, "c1", False),
        ("lcl", 1, 1, "", True),
        ("ccl", 1, 0, "c0", True),
        ("llc", 1, 1, "", False),
        ("lclc", 9, 1, "c1 c3", False),
    ],
)
def test_whose_turn_it_is(spelled: str, free: int, line: int, launch: str, hold: bool) -> None:
    assert turns(reversed(listed(spelled)), free) == Turns(line, tuple(launch.split()), hold)


@given(st.text("lc", max_size=30), st.integers(0, 12))
def test_no_callback_takes_an_agent_whom_an_earlier_caller_needs(spelled: str, free: int) -> None:
    places = listed(spelled)
    dealt = turns(places, free)
    for callback in dealt.launch:
        before = [
            place for place in places if place.came_at < next(p for p in places if p.id == callback).came_at
        ]
        assert len(before) < free
    assert len(dealt.launch) <= free
    assert not (dealt.hold and len(spelled) <= free), "whoever can be served now is not kept waiting"


def test_in_one_instant_the_line_comes_first() -> None:
    same = [Place(NOW, Side.CALLBACK, "a"), Place(NOW, Side.LINE, "z")]
    assert [place.id for place in ordered(same)] == ["z", "a"]


def test_who_is_overtaken() -> None:
    first, second, third = listed("lcl")
    assert overtaken(second, [first, third]) == (first,)
    assert overtaken(first, [second, third]) == ()
    almost = Place(second.came_at - timedelta(seconds=0.5), Side.LINE, "x")
    assert overtaken(second, [almost]) == (), "within one look is the same time"
