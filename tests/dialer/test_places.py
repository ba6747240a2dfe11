"""The place that a callback keeps, on a busy line: the dialer, the pauses it makes, and a day on paper."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ami_bridge.adapters.ami import ActionResult, EventGap, raw_event
from ami_bridge.adapters.store import StoreUnavailable
from ami_bridge.bench import day
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.dialer.agents import HOLD_REASON
from ami_bridge.dialer.line import Line, release_orphans


class Agents:
    """The members of sales as the PBX tells of them, and the pauses it was asked for."""

    def __init__(self, reception: Any, **states: str) -> None:
        self.states = states
        self.held: set[str] = set()
        self._reception = reception
        reception._queues = self._queues
        real = reception.link.queue_pause

        async def pause(interface: str, paused: bool, **named: Any) -> Any:
            (self.held.add if paused else self.held.discard)(interface[6:9])
            return await real(interface, paused, **named)

        reception.link.queue_pause = pause

    def _queues(self, complete: bool) -> Any:
        items = [
            self._reception.member(
                "sales",
                agent.removeprefix("a"),
                status=state,
                paused=str(int(agent.removeprefix("a") in self.held)),
                reason=HOLD_REASON if agent.removeprefix("a") in self.held else "",
            )
            for agent, state in self.states.items()
        ]
        for index in range(self._reception.waiting.get("sales", 0)):
            told = {"Queue": "sales", "Uniqueid": f"w{index}", "Wait": str(self._reception.waited)}
            items.append(raw_event("QueueEntry", {**told, "Priority": self._reception.priority}))
        return ActionResult("QueueStatus", True, "", items=tuple(items), complete=complete)


async def test_its_agent_is_kept_from_a_line_that_is_never_empty(reception: Any) -> None:
    """All are busy, one waits who came later: whoever comes free is the callback's, and then all are let go."""
    agents = Agents(reception, a101="2", a102="2")
    callback = await reception.ask()
    reception.waiting["sales"], reception.waited = 1, 0
    await reception.tick(5)
    assert agents.held == {"101", "102"}
    assert not reception.originates
    agents.states["a102"] = "1"
    await reception.tick(1)
    assert reception.rung == ["102"]
    assert (await reception.now_is(callback)).state is CallbackState.DIALING
    assert agents.held == {"102"}, "who is just being rung is let go when his phone is known to ring"
    agents.states["a102"] = "6"
    await reception.tick(1)
    assert agents.held == set()


async def test_who_came_earlier_on_the_line_is_not_kept_waiting(reception: Any) -> None:
    agents = Agents(reception, a101="2")
    await reception.ask()
    reception.waiting["sales"], reception.waited = 1, 600
    await reception.tick(1)
    assert agents.held == set()
    agents.states["a101"] = "1"
    await reception.tick(1)
    assert not reception.originates, "the PBX is just giving him to the caller"


async def test_a_caller_and_a_callback_are_never_after_the_same_agent(reception: Any) -> None:
    """One free agent for each: the line's is let go, the callback's is kept from the line until his phone rings."""
    agents = Agents(reception, a101="2", a102="2")
    agents.held = {"101", "102"}
    reception.waiting["sales"], reception.waited = 1, 600
    await reception.ask()
    agents.states = {"a101": "1", "a102": "1"}
    await reception.tick(1)
    (rung,) = reception.rung
    assert agents.held == {rung}


@pytest.mark.parametrize(
    ("told", "launched"),
    [
        ((), 0),
        (("AgentCalled",), 1),
        (("AgentCalled", "AgentRingNoAnswer"), 0),
        (("AgentCalled", "AgentCalled", "AgentRingNoAnswer"), 1),
        (("AgentCalled", ""), 0),
    ],
    ids=["waits", "rung for", "not taken", "one of two has not", "events were missed"],
)
async def test_who_is_rung_for_has_an_agent_and_waits_for_none(
    reception: Any, told: tuple[str, ...], launched: int
) -> None:
    Agents(reception, a101="6", a102="1")
    await reception.ask()
    reception.waiting["sales"], reception.waited = 1, 600
    for name in told:
        about = {"Queue": "sales", "Uniqueid": "w0"}
        await reception.dialer._take(raw_event(name, about) if name else EventGap(reception.clock.now(), 1))
    await reception.tick(1)
    assert len(reception.originates) == launched


async def test_whom_a_supervisor_moved_to_the_front_comes_before_every_callback(reception: Any) -> None:
    Agents(reception, a101="1")
    await reception.ask()
    reception.waiting["sales"], reception.waited, reception.priority = 1, 0, "10"
    await reception.tick(1)
    assert not reception.originates
    assert reception.dialer.watch.overtakings == 0
    reception.priority = "0"
    await reception.tick(1)
    assert reception.rung == ["101"]


async def test_who_is_on_the_phone_with_us_is_not_rung(reception: Any) -> None:
    """He waits on the line, or talks to somebody: his callback has its turn when that call is over."""
    his, other = await reception.ask("001"), await reception.ask("002", due=1)
    await reception.on_a_call("89161234001")
    await reception.tick(1)
    assert (await reception.now_is(his)).state is CallbackState.QUEUED
    assert (await reception.now_is(other)).state is CallbackState.DIALING
    await reception.on_a_call("89161234001", over=True)
    await reception.tick(1)
    assert (await reception.now_is(his)).state is CallbackState.DIALING


@pytest.mark.parametrize("again", [True, False])
async def test_who_rings_again_has_the_older_place(reception: Any, again: bool) -> None:
    """He asked to be rung before the other did, and now waits on the line: the only free agent is for the line."""
    Agents(reception, a101="1")
    await reception.ask("001")
    reception.clock.advance(timedelta(seconds=60))
    await reception.ask("002")
    reception.clock.advance(timedelta(seconds=60))
    reception.waiting["sales"], reception.waited = 1, 0
    await reception.on_a_call("89161234001" if again else "89161234003", uniqueid="w0")
    await reception.tick(1)
    callbacks = [each for each in await reception.store.callbacks() if each.state is not CallbackState.QUEUED]
    assert [each.number for each in callbacks] == ([] if again else ["+79161234001"])


async def test_somebody_paused_by_others_is_left_alone(reception: Any) -> None:
    agents = Agents(reception, a101="2")
    reception.member = lambda queue, agent, **more: type(reception).member(
        queue, agent, **{**more, "paused": "1", "reason": "lunch"}
    )
    await reception.ask()
    reception.waiting["sales"], reception.waited = 1, 0
    await reception.tick(1)
    assert agents.held == set()
    assert not [sent for sent in reception.link.sent if sent.name == "QueuePause"]


async def test_held_agents_are_let_go_when_the_dialer_ends_or_its_store_is_away(reception: Any) -> None:
    for _ in range(2):
        agents = Agents(reception, a101="2")
        await reception.ask()
        reception.waiting["sales"], reception.waited = 1, 0
        await reception.tick(1)
        assert agents.held == {"101"}

        async def away(*arguments: Any, **named: Any) -> Any:
            raise StoreUnavailable("The store is away.")

        reception.store.expire_overdue, real = away, reception.store.expire_overdue
        with pytest.raises(StoreUnavailable):
            await reception.tick(1)
        await reception.dialer._line.let_go()
        assert agents.held == set()
        reception.store.expire_overdue = real


async def test_what_a_dead_dialer_left_held_is_let_go_by_the_bridge(reception: Any) -> None:
    agents = Agents(reception, a101="2")
    agents.held = {"101"}
    now = reception.clock.now()
    await reception.store.beat("dialer", "fr1", {}, at=now)
    reception.link.answer("QueueStatus", *[agents._queues(True)] * 2)
    assert await release_orphans(reception.link, reception.store, "fr1", reception.clock) == 0
    reception.clock.advance(now.resolution * 21_000_000)
    assert await release_orphans(reception.link, reception.store, "fr1", reception.clock) == 1
    assert agents.held == set()


async def test_a_new_dialer_lets_go_what_the_one_before_it_held(reception: Any) -> None:
    agents = Agents(reception, a101="2", a102="2")
    agents.held = {"101", "102"}
    await reception.tick(1)
    assert agents.held == set()


@pytest.mark.parametrize("seed", [1, 2])
async def test_nobody_is_overtaken_on_a_busy_morning(seed: int) -> None:
    report = await day.play(day.Day(arrivals=250, agents=6, between_seconds=22, seed=seed))
    assert report.overtakings == []
    assert report.callbacks_left == 0
    assert report.callbacks > 8
    assert report.held_looks > 50, "the line was so busy that places had to be kept"
    assert report.arrivals == report.served_on_line + report.abandoned + report.callbacks


async def test_without_holds_callbacks_are_overtaken_so_the_judge_is_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody(self: Line, department: str, members: Any) -> None:
        return None

    monkeypatch.setattr(Line, "hold", nobody)
    report = await day.play(day.Day(arrivals=80, agents=6, between_seconds=22))
    assert report.overtakings
