"""Whom the dialer rings, and when it rings nobody."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiTimeout, raw_event
from ami_bridge.adapters.store import StoreUnavailable
from ami_bridge.core.callbacks import AttemptState, CallbackState
from ami_bridge.dialer.agents import read_queue_status
from ami_bridge.dialer.outcomes import attempt_result


async def test_a_due_callback_is_dialled_agent_first(reception: Any) -> None:
    callback = await reception.ask()
    await reception.tick()
    (sent,) = reception.originates
    assert sent.headers["Channel"] == "Local/101@callback-agent/n"
    assert (sent.headers["Context"], sent.headers["Exten"]) == ("callback-briefing", "sales")
    assert sent.headers["Async"] == "true"
    told = set(sent.headers["Variable"])
    assert {f"__FR_CALLBACK={callback.id}", "__FR_AGENT=101", "__FR_DID=74950000001"} <= told
    assert not any("916" in variable for variable in told), (
        "the number is the AGI's to tell, not the dialer's"
    )
    assert (await reception.now_is(callback)).state is CallbackState.DIALING


async def test_nothing_is_dialled_before_its_time(reception: Any) -> None:
    await reception.ask(due=60)
    await reception.tick(59)
    assert not reception.originates
    await reception.tick(1)
    assert len(reception.originates) == 1


async def test_dialing_is_stored_before_the_originate_is_sent(reception: Any) -> None:
    """A crash between the two may leave an attempt nobody dialled, never a call nobody knows of."""
    callback = await reception.ask()
    seen = []

    async def watched(*arguments: Any, **named: Any) -> Any:
        (attempt,) = await reception.store.attempts(callback.id)
        seen.append((attempt.state, attempt.channel_id, (await reception.now_is(callback)).state))
        raise AmiTimeout("Originate", 5)

    reception.link.originate = watched
    await reception.tick()
    assert seen == [(AttemptState.DIALING, f"cb-fr1-{callback.id}-1", CallbackState.DIALING)]


async def test_no_originate_when_the_attempt_could_not_be_stored(reception: Any) -> None:
    await reception.ask()

    async def away(*arguments: Any, **named: Any) -> Any:
        raise StoreUnavailable("The store is away.")

    reception.store.begin_attempt = away
    with pytest.raises(StoreUnavailable):
        await reception.tick()
    assert not reception.originates


@pytest.mark.parametrize(
    ("changed", "free"),
    [
        ({}, ["101"]),
        ({"status": "2"}, []),  # in use
        ({"status": "5"}, []),  # unavailable
        ({"status": "6"}, []),  # ringing
        ({"paused": "1"}, []),
        ({"in_call": "1"}, []),
    ],
)
def test_who_is_free(reception: Any, changed: dict[str, str], free: list[str]) -> None:
    queues = read_queue_status([reception.member("sales", "101", **changed)])
    assert queues["sales"].free == free


def test_a_member_that_is_not_ours_is_nobody(reception: Any) -> None:
    stranger = raw_event(
        "QueueMember",
        {"Queue": "sales", "Location": "PJSIP/101", "Status": "1", "Paused": "0", "InCall": "0"},
    )
    nameless = raw_event("QueueEntry", {})
    queues = read_queue_status([stranger, nameless])
    assert queues["sales"].free == []
    assert set(queues) == {"sales"}


async def test_a_caller_who_waits_comes_before_a_callback_that_came_later(reception: Any) -> None:
    reception.free = {"sales": ("101",)}
    callback = await reception.ask()
    reception.waiting["sales"] = 1
    await reception.tick()
    assert not reception.originates
    assert (await reception.now_is(callback)).fence == 0, "it is not even claimed"
    reception.waiting["sales"] = 0
    await reception.tick(1)
    assert len(reception.originates) == 1


async def test_an_incomplete_list_of_queues_is_not_believed(reception: Any) -> None:
    await reception.ask()
    await reception.tick(complete=False)
    assert not reception.originates


async def test_never_more_attempts_than_free_agents(reception: Any) -> None:
    for digits in range(10, 18):
        await reception.ask(f"0{digits}", "sales" if digits % 2 else "support")
    for _ in range(4):
        # The PBX does not know yet that their phones are about to ring.
        await reception.tick(1)
    assert sorted(reception.rung) == ["101", "102", "103"]


async def test_a_department_where_nobody_is_free_does_not_hold_up_another(reception: Any) -> None:
    for digits in ("001", "002", "003"):
        await reception.ask(digits, "sales")
    await reception.ask("004", "support", due=1)
    reception.free = {"sales": (), "support": ("103",)}
    await reception.tick(2)
    assert reception.rung == ["103"]


async def test_who_has_waited_longest_for_a_callback_comes_first(reception: Any) -> None:
    for digits in ("001", "002", "003"):
        await reception.ask(digits)
        await reception.tick(1)
        await reception.tell("ended", reception.channel_id(), "NOANSWER")
    assert reception.rung == ["101", "102", "101"]


async def test_an_agent_of_two_departments_is_rung_once_in_a_round(reception: Any) -> None:
    reception.free = {"sales": ("101", "102"), "support": ("102",)}
    await reception.ask("001")
    await reception.tick()
    await reception.tell("ended", reception.channel_id(), "ANSWER")
    await reception.ask("002", "sales")
    await reception.ask("003", "support", due=1)
    await reception.tick(1)
    assert reception.rung == ["101", "102"], "102's turn for sales; nobody is left for support"
    await reception.tell("ended", reception.channel_id(), "ANSWER")
    await reception.tick(1)
    assert reception.rung == ["101", "102", "102"]


async def test_nothing_is_launched_without_a_link(reception: Any) -> None:
    await reception.ask()
    reception.link.lose()
    await reception.tick()
    assert not reception.originates


async def test_a_queue_of_no_department_of_ours_is_left_alone(reception: Any) -> None:
    await reception.ask(department="closed_down")
    reception.free = {"closed_down": ("101",)}
    await reception.tick()
    assert not reception.originates


# An agent who does not take it --------------------------------------------------------------


async def test_another_agent_is_rung_at_once_when_one_does_not_pick_up(reception: Any) -> None:
    callback = await reception.ask()
    await reception.tick()
    await reception.hang_up(reception.channel_id())
    after = await reception.now_is(callback)
    assert (after.state, after.attempts, after.last_result) == (CallbackState.QUEUED, 0, "agent_no_answer")
    await reception.tick(1)
    assert reception.rung == ["101", "102"]


async def test_an_agent_who_is_alone_is_not_rung_again_and_again(reception: Any) -> None:
    await reception.ask()
    reception.free = {"sales": ("101",)}
    await reception.tick()
    await reception.hang_up(reception.channel_id())
    for _ in range(28):
        await reception.tick(10)
    assert reception.rung == ["101"]
    await reception.tick(30)
    assert reception.rung == ["101", "101"], "after the first delay of 5 minutes he is asked again"


async def test_a_colleague_who_comes_free_is_rung_soon(reception: Any) -> None:
    await reception.ask()
    reception.free = {"sales": ("101",)}
    await reception.tick()
    await reception.tell("ended", reception.channel_id(), "DECLINED")
    await reception.tick(1)
    reception.free = {"sales": ("101", "102")}
    for _ in range(10):
        await reception.tick(1)
    assert reception.rung == ["101", "102"]


async def test_a_callback_that_nobody_takes_lets_others_pass(reception: Any) -> None:
    await reception.ask("001")
    reception.free = {"sales": ("101",)}
    await reception.tick()
    await reception.tell("ended", reception.channel_id(), "DECLINED")
    await reception.ask("002")
    await reception.tick(1)
    await reception.tick(1)
    assert reception.rung == ["101", "101"]
    assert reception.channel_id(0) != reception.channel_id(1)
    assert "cb-fr1" in reception.channel_id(1)


async def test_when_the_agi_is_gone_nobody_is_rung_for_nothing(reception: Any) -> None:
    await reception.ask()
    await reception.tick()
    await reception.tell("agent_answered", reception.channel_id())
    await reception.tell("ended", reception.channel_id(), "AGI_LOST")
    for _ in range(5):
        await reception.tick(10)
    assert reception.rung == ["101"]
    await reception.tick(11)
    assert reception.rung == ["101", "102"]


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("ANSWER", AttemptState.ANSWERED),
        ("NOANSWER", AttemptState.NO_ANSWER),
        ("BUSY", AttemptState.BUSY),
        ("CONGESTION", AttemptState.CONGESTION),
        ("CANCEL", AttemptState.NO_ANSWER),
        ("LATER3", AttemptState.LATER),
        ("LATER", AttemptState.UNKNOWN),
        ("LATER0", AttemptState.UNKNOWN),
        ("REFUSED_BY_CUSTOMER", AttemptState.REFUSED),
        ("WRONG_NUMBER", AttemptState.WRONG_NUMBER),
        ("DECLINED", AttemptState.AGENT_DECLINED),
        ("", AttemptState.UNKNOWN),
        ("TORTURE", AttemptState.UNKNOWN),
    ],
)
def test_what_the_dialplan_says_of_an_attempt(outcome: str, result: AttemptState) -> None:
    assert attempt_result(outcome) is result
