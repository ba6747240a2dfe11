"""Finish and transfer from the desk with real calls: what the caller hears, who is free, who hung up first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from ami_bridge.adapters.store import SqlStore, TokenEntry
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from ami_bridge.desk.auth import hashed
from ami_bridge.desk.rights import ALL_SCOPES
from tests.faults.listening import listen
from tests.pbx.browser import add_user
from tests.pbx.calls import eventually, now, record_of
from tests.pbx.test_voice_calls import heard_once

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

WAIT = 45.0  # the words before the queue take ten seconds by themselves


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

    async def when_talking(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask as soon as the greeting is over: before that there is no talk to end or to hand over."""

        async def ask() -> dict[str, Any] | None:
            status, told = await self.ask("POST", path, **body)
            assert status in {200, 409}, told
            return told if status == 200 else None

        return await eventually(ask, f"{path} of {self.extension}")


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


async def answered(
    stage: Stage, number: str, did: str, extension: str, *, index: int = 0
) -> tuple[Softphone, Softphone]:
    """The caller, and the agent who has picked up."""
    agent = await stage.agent(extension)
    caller = await stage.caller(number, index=index)
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, WAIT)
    await agent.answer()
    await caller.wait_for(PhoneState.ESTABLISHED, WAIT)
    return caller, agent


async def finished(
    stage: Stage, store: SqlStore, desk: Desk, department: str, farewell: Path, *, index: int
) -> None:
    """A call that its agent finishes at the desk: farewell whole, agent free, caller first in the record."""
    since, number = now(), f"7916555070{index}"
    did = stage.settings.departments[department].dids[0]
    caller, agent = await answered(stage, number, did, desk.extension, index=index)
    call_id = await desk.talk_of(number)
    asked = time.monotonic()
    assert (await desk.when_talking(f"/api/v1/calls/{call_id}/finish"))["call_id"] == call_id
    free = (await agent.wait_for(PhoneState.CLOSED, 5)).monotonic
    heard = await listen(caller, farewell, since=asked - 0.1, within=WAIT)
    assert free < heard.ends, "the agent was not free before the farewell ended"
    assert (await desk.ask("POST", f"/api/v1/calls/{call_id}/finish"))[0] in {404, 409}
    await asyncio.sleep(max(0.0, heard.ends + 0.7 - time.monotonic()))
    assert caller.state is PhoneState.ESTABLISHED, "we hung up on the caller"
    await caller.hangup()
    heard_once(caller, farewell)
    record = await record_of(store, number, since)
    assert (record["hung_up_by"], record["hung_up_confidence"]) == ("caller", "high"), record[
        "hung_up_evidence"
    ]
    told = [note["fields"] for note in record["notes"] if note["name"] == "farewell"]
    assert [each["Phase"] for each in told] == ["started", "ended"]
    assert told[-1]["Status"] == "SUCCESS"
    _, card = await desk.ask("GET", f"/api/v1/calls/{call_id}/etiquette")
    verdicts = {line["rule"]: line["verdict"] for line in card["lines"]}
    assert (verdicts["S12"], verdicts["S13"], verdicts["S2"]) == ("pass", "pass", "pass")


async def test_finish_says_goodbye_and_the_caller_hangs_up_first(
    phones: Stage, store: SqlStore, desks: dict[str, Desk], expected: ExpectedPrompts
) -> None:
    """A direct call and one from the queue, side by side (S12, S13)."""
    calls = [
        finished(
            phones,
            store,
            desks[extension],
            department,
            expected.phrase("capture.served", department, caller=f"7916555070{index}", language=language),
            index=index,
        )
        for index, (extension, department, language) in enumerate(
            [("103", "britain", "en"), ("102", "quick", "ru")]
        )
    ]
    await asyncio.gather(*calls)


async def test_a_transfer_takes_name_and_subject_along(
    phones: Stage, store: SqlStore, desks: dict[str, Desk]
) -> None:
    """By the desk's own button: the colleague's phone rings, the desk shows what was known, both in one record."""
    since, number = now(), "79165550703"
    colleague = await phones.agent("101")
    caller, agent = await answered(phones, number, "74950000004", "103")
    call_id = await desks["103"].talk_of(number)
    known = {"last_name": "Иванов", "subject": "смета", "number": number}
    await desks["103"].when_talking(f"/api/v1/calls/{call_id}/transfer", to="101", **known)
    await colleague.wait_for(PhoneState.INCOMING, WAIT)
    await agent.wait_for(PhoneState.CLOSED, 5)
    mark = (await store.marks([call_id], kinds=["handover"]))[-1]
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
