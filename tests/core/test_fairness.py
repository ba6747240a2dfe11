"""Who was passed by one who came later: judged while it happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ami_bridge.core.fairness import Watch
from ami_bridge.core.places import Place, Side

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def place(minute: float, name: str, side: Side = Side.LINE) -> Place:
    return Place(NOW + timedelta(minutes=minute), side, name)


CALLBACK = place(1, "cb1", Side.CALLBACK)
EARLY, LATE = place(0, "early"), place(5, "late")


def test_a_callback_that_was_next_is_passed_by_the_line() -> None:
    watch = Watch()
    watch.look("sales", [LATE, CALLBACK], 0, NOW)
    watch.look("sales", [LATE, CALLBACK], 0, NOW + SECOND)
    assert watch.serves_line("sales", "late", NOW + SECOND) == (CALLBACK,)
    assert (watch.overtakings, watch.served) == (1, 1)
    assert watch.last == "sales: late before cb1"


def test_a_phone_that_rang_before_the_callback_was_next_is_no_passing() -> None:
    watch = Watch()
    watch.look("sales", [LATE, CALLBACK], 0, NOW + SECOND)
    assert watch.serves_line("sales", "late", NOW) == ()


def test_what_is_as_it_should_be() -> None:
    watch = Watch()
    watch.look("sales", [EARLY, CALLBACK, LATE], 1, NOW - SECOND)
    for served in ("early", "late", "just come"):
        assert watch.serves_line("sales", served, NOW) == (), (
            "the callback was behind the first at the last look"
        )
    assert watch.serves_line("support", "of another list", NOW) == ()
    watch.look("sales", [CALLBACK, LATE], 1, NOW)
    assert watch.serves_callback("sales", "cb1") == ()
    assert (watch.overtakings, watch.served) == (0, 5)


def test_a_callback_that_takes_the_agent_of_one_who_came_earlier() -> None:
    watch = Watch()
    watch.look("sales", [EARLY, CALLBACK], 1, NOW)
    assert watch.serves_callback("sales", "cb1") == (EARLY,)
    watch.look("sales", [EARLY, CALLBACK], 2, NOW)
    assert watch.serves_callback("sales", "cb1") == (), "the other agent is just being given to him"
