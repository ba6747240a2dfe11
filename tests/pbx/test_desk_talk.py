"""An agent's desk at real calls out of the queue: Finish says goodbye and waits, a hand-over brings both together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.faults.listening import listen, talk
from tests.pbx.calls import now, record_of
from tests.pbx.desk_program import Desk, desks_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def desk(phones: Stage, store: SqlStore) -> AsyncIterator[dict[str, Desk]]:
    """Two agents, by the extension of their phones."""
    async with desks_of(phones, store, "agent", ("102", "103")) as desks:
        yield desks


async def answered_from_the_queue(
    stage: Stage, expected: ExpectedPrompts, caller: Softphone, agent: Softphone, department: str
) -> None:
    """``agent`` takes the caller out of the queue; both hear the greeting with his name, then each other."""
    (did, *_) = stage.settings.departments[department].dids
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, 40)
    await agent.answer()
    answered = time.monotonic()
    greeting = expected.greeting("queue-answer", department, agent.name)
    heard = await listen(caller, greeting, since=answered - 0.1)
    await talk(stage, caller, agent, since=heard.ends - 0.1)


async def finished(stage: Stage, store: SqlStore, expected: ExpectedPrompts, desk: Desk) -> None:
    """The agent is free at once; the caller hears the farewell whole, and hangs up when he likes."""
    since, number = now(), "79165550851"
    agent, caller = await asyncio.gather(stage.agent("103"), stage.caller(number, index=0))
    await answered_from_the_queue(stage, expected, caller, agent, "bilingual")
    call_id = await desk.live_call(number, "talking")
    pressed = time.monotonic()
    await desk.done(f"/calls/{call_id}/finish")
    await agent.wait_for(PhoneState.CLOSED, 3)
    farewell = expected.phrase("capture.served", "bilingual", caller=number)
    await listen(caller, farewell, since=pressed, within=1.5)
    await asyncio.sleep(2)
    assert caller.state is PhoneState.ESTABLISHED, "nobody hangs up on a caller"
    await caller.hangup()
    record = await record_of(store, number, since)
    assert record["hung_up_by"] == "caller", record["hung_up_evidence"]
    assert [party["endpoint"] for party in record["answers"]] == ["103"]
    assert record["transfers"] == []


async def handed_over(stage: Stage, store: SqlStore, expected: ExpectedPrompts, desk: Desk) -> None:
    """A colleague's phone rings for the caller, and they hear each other; the first agent is free."""
    since, number = now(), "79165550852"
    agent, colleague, caller = await asyncio.gather(
        stage.agent("102"), stage.agent("104"), stage.caller(number, index=1)
    )
    await answered_from_the_queue(stage, expected, caller, agent, "quick")
    call_id = await desk.live_call(number, "talking")
    await desk.done(f"/calls/{call_id}/transfer", to="104", subject="договор")
    await colleague.wait_for(PhoneState.INCOMING, 5)
    await agent.wait_for(PhoneState.CLOSED, 3)
    await colleague.answer()
    joined = (await colleague.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    await talk(stage, caller, colleague, since=joined)
    await caller.hangup()
    await colleague.wait_for(PhoneState.CLOSED, 5)
    record = await record_of(store, number, since)
    assert record["hung_up_by"] == "caller", record["hung_up_evidence"]
    assert [party["endpoint"] for party in record["answers"]] == ["102", "104"]
    (transfer,) = record["transfers"]
    assert transfer["kind"] == "blind"
    assert (transfer["transferer"]["endpoint"], transfer["target"]["endpoint"]) == ("102", "104")
    (mark,) = await store.marks([call_id], kinds=["handover"])
    assert mark.detail["fields"]["subject"] == "договор"


async def test_finish_and_hand_over(
    phones: Stage, store: SqlStore, expected: ExpectedPrompts, desk: dict[str, Desk]
) -> None:
    await asyncio.gather(
        finished(phones, store, expected, desk["103"]), handed_over(phones, store, expected, desk["102"])
    )
