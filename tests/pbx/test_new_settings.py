"""An admin changes the configuration while people talk: calls go on, and the next caller meets the new settings."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import pytest

from ami_bridge import doctor, secrets
from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from tests.faults.listening import talk
from tests.pbx.calls import eventually, now, record_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

NEW_DID = "74950000077"
SERVICES = ("agi", "bridge", "desk", "dialer")


async def asked(stage: Stage, path: str, body: dict[str, Any]) -> dict[str, Any]:
    network = stage.settings.network
    token = secrets.read_secret(stage.settings, secrets.DESK_TOKEN)
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(
            f"http://{network.address}:{network.desk_port}/api/v1/configuration{path}", json=body
        ) as answer,
    ):
        told: dict[str, Any] = await answer.json()
        assert answer.status == 200, told
        return told


async def taken_over(stage: Stage, before: dict[str, int | None]) -> None:
    """Every service runs anew and answers."""

    async def ask() -> bool | None:
        after = {name: stage.supervisor.process_id(name) for name in SERVICES}
        if any(after[name] in {None, before[name]} for name in SERVICES):
            return None
        ill = [each for each in await doctor.examine(stage.settings) if not each.ok]
        return (
            True if not [each for each in ill if each.subject in {*SERVICES, "AGI", "PBX", "store"}] else None
        )

    await eventually(ask, "the services with the new settings", 60)


async def test_a_new_number_while_people_talk(phones: Stage, store: SqlStore) -> None:
    since, number = now(), "79165550811"
    agent = await phones.agent("102")
    caller = await phones.caller(number)
    await caller.dial("74950000003")
    await agent.wait_for(PhoneState.INCOMING, 20)
    await agent.answer()
    await caller.wait_for(PhoneState.ESTABLISHED, 10)
    pids = {name: phones.supervisor.process_id(name) for name in SERVICES}
    more = {"path": ["departments", "quick", "dids"], "value": ["74950000005", NEW_DID]}
    base = (await asked(phones, "/check", {"changes": [more]}))["base"]
    done = await asked(phones, "/apply", {"base": base, "changes": [more]})
    try:
        assert done["pbx"]
        await taken_over(phones, pids)
        await talk(phones, caller, agent, since=time.monotonic() - 0.1)
        other = await phones.caller("79165550812", index=1)
        first = await phones.agent("101")
        await other.dial(NEW_DID)
        await first.wait_for(PhoneState.INCOMING, 15)
        await other.hangup()
        await caller.hangup()
        record = await record_of(store, number, since)
        assert (record["hung_up_by"], record["disposition"]) == ("caller", "ANSWERED")
        assert (await record_of(store, "79165550812", since))["dialled"] == NEW_DID
    finally:
        pids = {name: phones.supervisor.process_id(name) for name in SERVICES}
        await asked(phones, f"/versions/{base}/restore", {})
        await taken_over(phones, pids)
