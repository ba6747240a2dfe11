"""Finish and transfer from the desk with real calls: what the caller hears, who is free, who hung up first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from agi.voice import prompts
from ami_bridge.adapters.store import SqlStore, TokenEntry
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from ami_bridge.desk.auth import hashed
from ami_bridge.desk.rights import ALL_SCOPES
from tests.pbx.browser import add_user
from tests.pbx.calls import now, record_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

#: A real farewell is some seconds; whoever hangs up before its end has not heard it whole.
WAIT = 15.0


class Desk:
    """An agent's program at the running desk."""

    def __init__(self, http: ClientSession, base: str, extension: str) -> None:
        self._http, self._base, self.extension = http, base, extension

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer of-{self.extension}"}
        async with self._http.request(
            method, f"{self._base}{path}", headers=headers, json=body or None
        ) as answer:
            return answer.status, await answer.json()

    async def talk_of(self, number: str) -> str:
        """The id of the call in which this phone talks with ``number``, when the desk knows it."""
        for _ in range(100):
            _, told = await self.ask("GET", f"/api/v1/calls?number={number}&limit=1")
            if told["calls"]:
                call_id = str(told["calls"][0]["id"])
                status, _ = await self.ask("POST", f"/api/v1/calls/{call_id}/transfer", to="none")
                if status == 400:  # it is this phone's talk; only the colleague does not exist
                    return call_id
            await asyncio.sleep(0.1)
        raise AssertionError(f"the desk never heard that {self.extension} talks with {number}")


@pytest_asyncio.fixture(loop_scope="session")
async def desks(stage: Stage, store: SqlStore) -> AsyncIterator[dict[str, Desk]]:
    network = stage.settings.network
    async with ClientSession() as http:
        found = {}
        for extension in ("101", "102", "103"):
            await add_user(store, f"talk{extension}", "agent", extension)
            secret = hashed(f"of-{extension}")
            await store.save_token(
                TokenEntry(secret[:8], f"talk{extension}", "", secret, tuple(sorted(ALL_SCOPES)), now())
            )
            found[extension] = Desk(http, f"http://{network.address}:{network.desk_port}", extension)
        yield found


async def answered(stage: Stage, number: str, did: str, extension: str) -> tuple[Softphone, Softphone]:
    """The caller, and the agent who has picked up."""
    agent = await stage.agent(extension)
    caller = await stage.caller(number)
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, WAIT)
    await agent.answer()
    await caller.wait_for(PhoneState.ESTABLISHED, WAIT)
    return caller, agent


async def finished(stage: Stage, store: SqlStore, desk: Desk, number: str, did: str) -> dict[str, Any]:
    """A call that its agent finishes at the desk; the record of it, and what the caller heard."""
    since = now()
    caller, agent = await answered(stage, number, did, desk.extension)
    call_id = await desk.talk_of(number)
    status, told = await desk.ask("POST", f"/api/v1/calls/{call_id}/finish")
    assert (status, told["call_id"]) == (200, call_id)
    await agent.wait_for(PhoneState.IDLE, 5)  # free at once, while the farewell is still being said
    assert caller.state is PhoneState.ESTABLISHED
    assert (await desk.ask("POST", f"/api/v1/calls/{call_id}/finish"))[0] in {404, 409}
    await asyncio.wait_for(_said(store, call_id), WAIT)
    await asyncio.sleep(0.5)
    assert caller.state is PhoneState.ESTABLISHED, "we hung up on the caller"
    await caller.hangup()
    record = await record_of(store, number, since)
    return {**record, "heard": caller.heard()}


async def _said(store: SqlStore, call_id: str) -> None:
    """Until the dialplan reports the farewell's end."""
    while True:
        call = await store.call(call_id)
        told = [note for note in (call.record["notes"] if call else ()) if note["name"] == "farewell"]
        if any(note["fields"].get("Status") for note in told):
            return
        await asyncio.sleep(0.1)


async def test_finish_says_goodbye_and_the_caller_hangs_up_first(
    phones: Stage, store: SqlStore, desks: dict[str, Desk], expected: ExpectedPrompts
) -> None:
    """Direct and from the queue at once: farewell whole, agent free, caller first in the record (S12, S13)."""
    assert prompts
    calls: list[Awaitable[dict[str, Any]]] = [
        finished(phones, store, desks["103"], "79165550701", "74950000004"),
        finished(phones, store, desks["102"], "79165550702", "74950000005"),
    ]
    for record, language, department in zip(
        await asyncio.gather(*calls), ("en", "ru"), ("britain", "quick"), strict=True
    ):
        assert (record["hung_up_by"], record["hung_up_confidence"]) == ("caller", "high"), record["caller"]
        told = [note["fields"] for note in record["notes"] if note["name"] == "farewell"]
        assert [each["Phase"] for each in told] == ["started", "ended"]
        assert told[-1]["Status"] == "SUCCESS"
        farewell = expected.phrase(
            "capture.served", department, language=language, caller=record["caller"]["number"]
        )
        assert expected.correlation(record["heard"], farewell) > 0.9


async def test_a_transfer_takes_name_and_subject_along(
    phones: Stage, store: SqlStore, desks: dict[str, Desk]
) -> None:
    """By the desk's own button: the colleague's phone rings, the desk shows what was known, both in one record."""
    since, number = now(), "79165550703"
    colleague = await phones.agent("101")
    caller, agent = await answered(phones, number, "74950000004", "103")
    call_id = await desks["103"].talk_of(number)
    known = {"last_name": "Иванов", "subject": "смета", "number": number}
    assert (await desks["103"].ask("POST", f"/api/v1/calls/{call_id}/transfer", to="101", **known))[0] == 200
    await colleague.wait_for(PhoneState.INCOMING, WAIT)
    await agent.wait_for(PhoneState.IDLE, 5)
    (mark,) = await store.marks([call_id], kinds=["handover"])
    assert (mark.detail["to"], mark.detail["fields"]["subject"]) == ("101", "смета")
    await colleague.answer()
    assert await desks["101"].talk_of(number) == call_id, "it is the same call"
    status, told = await desks["101"].ask("POST", f"/api/v1/calls/{call_id}/transfer", to="103")
    assert (status, "1 times" in told["detail"]) == (409, True), "the budget is spent"
    await caller.hangup()
    record = await record_of(store, number, since)
    (made,) = record["transfers"]
    assert (made["kind"], made["outcome"], made["target"]["extension"]) == ("blind", "ANSWERED", "101")
    assert record["hung_up_by"] == "caller"
