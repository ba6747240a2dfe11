"""Customer first: the agent is kept while the customer's phone rings, and given back when he is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiTimeout
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.dialer.agents import HOLD_REASON
from ami_bridge.dialer.evidence import Evidence, look_up
from tests.dialer.conftest import NOW, cel_line

TRUNK_CHANNEL = "PJSIP/carrier-00000007"


@pytest.fixture
def first(tmp_path: Path, new_reception: Any) -> Any:
    return new_reception(tmp_path, callback={"mode": "customer_first"})


def pauses(reception: Any) -> list[tuple[str, str, str]]:
    """Each pause that was asked for: queue, agent, wanted."""
    return [
        (str(sent.headers["Queue"]), str(sent.headers["Interface"])[6:9], str(sent.headers["Paused"]))
        for sent in reception.link.sent
        if sent.name == "QueuePause"
    ]


def held(reception: Any, agent: str, status: str = "1") -> None:
    """The PBX tells that ``agent`` is kept."""
    real = reception.member
    reception.member = lambda queue, each: (
        real(queue, each, status=status, paused="1", reason=HOLD_REASON)
        if each == agent
        else real(queue, each)
    )


async def launched(reception: Any) -> tuple[Any, str, str]:
    callback = await reception.ask()
    await reception.tick()
    channel_id, agent = reception.channel_id(), reception.rung[-1]
    reception.live.add(channel_id)
    held(reception, agent)
    return callback, channel_id, agent


async def test_the_agent_is_kept_before_the_customer_is_rung(first: Any) -> None:
    await launched(first)
    sent = first.originates[-1].headers
    assert sent["Channel"] == "Local/101@first-agent/n"
    assert sent["Context"] == "callback-first"
    names = [each.name for each in first.link.sent if each.name in {"QueuePause", "Originate"}]
    assert names == ["QueuePause", "Originate"]
    assert pauses(first) == [("sales", "101", "true")]


async def test_he_is_kept_in_every_queue_and_stays_kept(first: Any) -> None:
    """102 serves both departments; neither line gets him while the customer is asked."""
    first.free = {"sales": ("102",), "support": ("102",)}
    await launched(first)
    for _ in range(3):
        await first.tick(1)
    assert sorted(pauses(first)) == [("sales", "102", "true"), ("support", "102", "true")]


async def test_never_more_than_free_agents(first: Any) -> None:
    for digits in ("001", "002", "003"):
        await first.ask(digits)
    for _ in range(3):
        await first.tick(1)
    assert sorted(first.rung) == ["101", "102"]


@pytest.mark.parametrize("outcome", ["BUSY", "NOANSWER", "UNCONFIRMED", "CUSTOMER_LEFT", "LATER3"])
async def test_given_back_when_nobody_is_there_to_talk_with(first: Any, outcome: str) -> None:
    callback, channel_id, agent = await launched(first)
    await first.tell("customer_dialled", channel_id)
    await first.tell("ended", channel_id, outcome)
    await first.hang_up(channel_id)
    await first.tick(1)
    assert pauses(first)[-1] == ("sales", agent, "false")
    assert (await first.now_is(callback)).state is CallbackState.QUEUED
    # Who was reached and asked for another time has not been rung in vain.
    assert (await first.now_is(callback)).attempts == (0 if outcome == "LATER3" else 1)


@pytest.mark.parametrize(
    ("served", "state", "result"), [("ANSWER", "done", "answered"), ("LATER1", "queued", "later")]
)
async def test_a_customer_who_waits_is_the_attempt_still(
    first: Any, served: str, state: str, result: str
) -> None:
    """The agent did not come: he is given back to the line, and the customer's channel tells the end."""
    callback, channel_id, agent = await launched(first)
    await first.tell("customer_dialled", channel_id)
    await first.tell("ended", channel_id, "WAITING")
    attempt = (await first.store.attempts(callback.id))[-1]
    await first.tell("customer_waits", "fr1-9.9", attempt=attempt.id)
    await first.hang_up(channel_id)
    first.linked = {"fr1-9.9": channel_id}
    await first.tick(1)
    assert pauses(first)[-1] == ("sales", agent, "false")
    for _ in range(10):
        await first.tick(5)
    assert (await first.now_is(callback)).state is CallbackState.DIALING
    await first.tell("ended", "fr1-9.9", served, attempt=attempt.id)
    after = await first.now_is(callback)
    assert (after.state, after.last_result) == (state, result)
    assert len(first.originates) == 1


async def test_he_waits_with_his_old_place(first: Any) -> None:
    callback, channel_id, _ = await launched(first)
    await first.tell("ended", channel_id, "WAITING")
    await first.tell("customer_waits", "w0", attempt=(await first.store.attempts(callback.id))[-1].id)
    assert first.dialer._line._came_at["w0"] == callback.came_at


async def test_nobody_is_rung_when_the_agent_cannot_be_kept(first: Any) -> None:
    callback = await first.ask()

    async def refuse(*arguments: Any, **named: Any) -> Any:
        raise AmiTimeout("QueuePause", 5)

    first.link.queue_pause = refuse
    with pytest.raises(AmiTimeout):
        await first.tick()
    assert first.originates == []
    after = await first.now_is(callback)
    assert (after.state, after.attempts) == (CallbackState.QUEUED, 0)


@pytest.mark.parametrize(
    ("happened", "evidence"),
    [
        ([], Evidence.NOBODY_RUNG),
        ([("CHAN_START", TRUNK_CHANNEL)], Evidence.CUSTOMER_RUNG),
        ([("CHAN_START", TRUNK_CHANNEL), ("ANSWER", TRUNK_CHANNEL)], Evidence.CUSTOMER_ALONE),
        (
            [("CHAN_START", TRUNK_CHANNEL), ("ANSWER", TRUNK_CHANNEL), ("BRIDGE_ENTER", TRUNK_CHANNEL)],
            Evidence.CUSTOMER_ANSWERED,
        ),
    ],
)
def test_what_the_log_tells(tmp_path: Path, happened: list[tuple[str, str]], evidence: Evidence) -> None:
    log = tmp_path / "cel.csv"
    lines = [("CHAN_START", "Local/101@first-agent-00000001;1"), *happened]
    log.write_text("".join(cel_line(NOW, event, "cb-1", "cb-1", channel) for event, channel in lines))
    assert look_up(log, "cb-1", "carrier", NOW) is evidence


async def test_lost_while_the_customer_waited_alone(first: Any) -> None:
    """After a crash: found out by looking, rung again within the hour, and never a second time for this attempt."""
    callback, channel_id, _ = await launched(first)
    first.log_cel(channel_id, "CHAN_START", "Local/101@first-agent-00000001;1")
    first.log_cel(channel_id, "CHAN_START", TRUNK_CHANNEL)
    first.log_cel(channel_id, "ANSWER", TRUNK_CHANNEL)
    first.dialer = first.new_dialer()
    first.live.clear()
    for _ in range(4):
        await first.tick(5)
    after = await first.now_is(callback)
    assert (after.state, after.last_result, after.attempts) == (CallbackState.QUEUED, "later", 0)
    assert after.due_at is not None
    assert 3000 < (after.due_at - first.clock.now()).total_seconds() < 3700
    assert len(first.originates) == 1
