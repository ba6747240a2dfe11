"""kill -9 of the bridge while people talk: the calls go on, and their records say what is not known."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import datetime

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from tests.faults.listening import listen, talk
from tests.faults.plant import Plant
from tests.pbx.calls import leg_of, now, record_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


async def answered(
    plant: Plant, number: str, did: str, extension: str, index: int
) -> tuple[Softphone, Softphone]:
    """A caller and the agent who has just answered him."""
    agent, caller = await plant.agent(extension), await plant.caller(number, index=index)
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, 10)
    await agent.answer()
    await caller.wait_for(PhoneState.ESTABLISHED, 5)
    return caller, agent


async def test_killed_in_a_call(phones: Plant, store: SqlStore, expected: ExpectedPrompts) -> None:
    """One call goes on over the gap, one ends in it; both have one record, under the id they had."""
    since = now()
    (staying, agent), (leaving, _) = await asyncio.gather(
        answered(phones, "79165550701", "74950000005", "101", 0),
        answered(phones, "79165550702", "74950000006", "103", 1),
    )
    greeting = expected.greeting("direct", "quick", "101")
    heard = await listen(staying, greeting, since=time.monotonic() - 1.0)
    before = {number: await open_call(store, number, since) for number in ("79165550701", "79165550702")}
    phones.bridge.signal(signal.SIGKILL)
    killed = now()
    await leaving.hangup()
    # Nobody needs the bridge to talk.
    await talk(phones, staying, agent, since=heard.ends)
    await phones.bridge.wait_ready(killed)
    lost = await record_of(store, "79165550702", since)
    assert lost["call_id"] == before["79165550702"]
    assert lost["hung_up_by"] == "unknown", "nobody saw who hung up"
    assert lost["disposition"] == "UNKNOWN"
    assert lost["answered_by"]["extension"] == "103", "what was seen before is not forgotten"
    assert len(lost["gaps"]) == 1
    assert datetime.fromisoformat(lost["ended_at"]) <= killed, "the last instant that is known of it"
    await asyncio.sleep(0.5)
    await agent.hangup()
    kept = await record_of(store, "79165550701", since)
    assert kept["call_id"] == before["79165550701"]
    assert kept["hung_up_by"] == "agent"
    assert kept["answered_by"]["extension"] == "101"
    assert leg_of(kept, "101")["rung"]
    (gap,) = kept["gaps"]
    assert datetime.fromisoformat(gap["lost_at"]) <= killed <= datetime.fromisoformat(gap["found_at"])
    numbers = [call.caller_number.lstrip("+") for call in await store.calls(since=since)]
    assert sorted(numbers) == ["79165550701", "79165550702"], "nothing is doubled"


async def open_call(store: SqlStore, number: str, since: datetime) -> str:
    """The id of the open call from ``number``."""
    found = [call.id for call in await store.calls(since=since) if call.caller_number.lstrip("+") == number]
    assert len(found) == 1
    return str(found[0])
