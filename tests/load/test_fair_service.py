"""Fifty people want the same three agents at once, on the line and by callbacks: each is served in his turn.

With ``FOURTHRING_LOAD=1``: about four minutes of real calls. What the dialer's own watch tells is held against the
phones' and the PBX's records, which know nothing of places.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import FINAL, AttemptState, CallbackState
from ami_bridge.demo.baresip import PhoneError, PhoneTimeout
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from ami_bridge.dialer.agents import HOLD_REASON
from tests.load import scenarios
from tests.pbx.calls import due_callback, eventually, now
from tests.pbx.conftest import configuration, free_block, write_configuration
from tests.pbx.sipp import Sipp

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

ON_LINE, CALLBACKS, OVER_SECONDS = 35, 15, 60.0
AGENTS = ("101", "102", "103")
# How long an agent talks after answering someone on the line; a customer talks as long.
TALK_SECONDS = 9.0
# Whose turn has come has an agent's phone rung within two looks of the dialer and two of the PBX: less than any talk.
SLACK_SECONDS = 5.0


class Served(NamedTuple):
    """One who came, since when he could have been served, and when the phone of the agent who took him was rung."""

    came_at: datetime
    ready_at: datetime
    served_at: datetime
    who: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office() -> AsyncIterator[Stage]:
    """A company with one busy department."""
    if not os.environ.get("FOURTHRING_LOAD"):
        pytest.skip("set FOURTHRING_LOAD=1 to let fifty people wait for three agents")
    with TemporaryDirectory(prefix="ff-") as folder:
        document = configuration(Path(folder) / "s", free_block(30060))
        document["departments"] = {
            "busy": {
                "names": {"ru": "бюро", "en": "office"},
                "dids": ["74950000012"],
                "queue": list(AGENTS),
            }
        }
        async with Stage(write_configuration(Path(folder), document)) as running:
            yield running


async def works(agent: Softphone) -> None:
    """Take every call as it comes: press 1 for a callback, whose customer hangs up; say goodbye to the others."""
    seen = 0
    while True:
        await asyncio.sleep(0.1)
        if agent.state is not PhoneState.INCOMING or agent.calls == seen:
            continue
        seen = agent.calls
        await asyncio.sleep(0.4)
        with suppress(PhoneError, TimeoutError):  # a colleague was faster
            await agent.answer()
            await agent.wait_for(PhoneState.ESTABLISHED, 3)
            if not await still_up(agent, 2):
                continue
            await agent.send_dtmf("1")
            if not await still_up(agent, TALK_SECONDS - 2):
                continue
            if any("79168" in event.detail for event in agent.events if event.call == seen):
                await agent.hangup()
            await agent.wait_for(PhoneState.CLOSED, 60)


async def still_up(agent: Softphone, seconds: float) -> bool:
    """Whether the call lasts so long. Two who pick up together both have it for a moment, then one of them none."""
    try:
        await agent.wait_for(PhoneState.CLOSED, seconds)
    except PhoneTimeout:
        return True
    return False


def callers(office: Stage, folder: Path) -> Sipp:
    """Those on the line: each waits until the agent hangs up."""
    network = office.settings.network
    return Sipp(
        folder / "callers",
        scenarios.caller_who_listens(400_000),
        f"{network.address}:{network.sip_port}",
        local_ip="127.0.0.2",
        local_port=network.sip_port + 300,
        media_port=network.sip_port + 302,
        fields=[(f"79168{number:06d}", "74950000012", "") for number in range(ON_LINE)],
        # Who sends no sound for a minute is taken for gone.
        echo=True,
    )


def customers(office: Stage, folder: Path) -> Sipp:
    """The carrier's side: whoever is rung answers, hears the greeting, talks and hangs up."""
    network, trunk = office.settings.network, office.settings.trunks["carrier"]
    return Sipp(
        folder / "customers",
        scenarios.phone_that_hangs_up(300, round(TALK_SECONDS * 1000)),
        f"{network.address}:{network.sip_port}",
        local_ip=str(trunk.address),
        local_port=trunk.port,
        media_port=network.sip_port + 312,
    )


async def leave_callbacks(store: SqlStore) -> None:
    """People who have hung up and keep their place, one after the other."""
    for number in range(CALLBACKS):
        await asyncio.sleep(OVER_SECONDS / CALLBACKS)
        await due_callback(store, f"79167{number:06d}", now(), "busy")


async def all_served(store: SqlStore) -> list[Served]:
    """Everybody who was there, by when he came."""

    async def ended() -> bool | None:
        open_ones = [each for each in await store.callbacks(limit=500) if each.state not in FINAL]
        return None if open_ones else True

    await eventually(ended, "the end of every callback", 400)
    people = []
    for callback in await store.callbacks(limit=500):
        assert callback.state is CallbackState.DONE, callback
        # An agent whose phone the PBX began to ring for the line in that instant was not to be had.
        *missed, last = await store.attempts(callback.id)
        assert {attempt.state for attempt in missed} <= {AttemptState.AGENT_NO_ANSWER}, missed
        people.append(Served(callback.came_at, callback.came_at, last.started_at, callback.caller_id))
    for call in await store.calls(limit=500):
        if call.caller_number.lstrip("+").startswith("79168"):
            taken = [leg for leg in call.record["legs"] if leg["answered_at"] is not None]
            assert taken, call.record
            joined = datetime.fromisoformat(call.record["queues"][0]["joined_at"])
            rung = datetime.fromisoformat(min(leg["dialled_at"] for leg in taken))
            people.append(Served(call.started_at, joined, rung, call.caller_number))
    return sorted(people)


def passed(people: list[Served]) -> list[tuple[float, str, str]]:
    """Who stood there and got his agent after one who came later, and by how many seconds; the worst first."""
    return sorted(
        (
            ((first.served_at - later.served_at).total_seconds(), first.who, later.who)
            for index, first in enumerate(people)
            for later in people[index + 1 :]
            if first.ready_at < later.served_at < first.served_at
        ),
        reverse=True,
    )


async def test_everybody_in_his_turn(office: Stage, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        store = SqlStore(office.settings.store_url)
        await store.open()
        stack.push_async_callback(store.close)
        line, carrier = callers(office, tmp_path), customers(office, tmp_path)
        stack.push_async_callback(carrier.stop)
        stack.push_async_callback(line.stop)
        await carrier.start(calls=1_000)
        agents = [asyncio.create_task(works(await office.agent(extension))) for extension in AGENTS]
        try:
            await line.start(calls=ON_LINE, per_second=ON_LINE / OVER_SECONDS)
            await leave_callbacks(store)
            result = await line.result(450)
            people = await all_served(store)
        finally:
            for agent in agents:
                agent.cancel()
            await asyncio.gather(*agents, return_exceptions=True)
        assert result.clean, result.errors
        assert len(people) == ON_LINE + CALLBACKS
        worst_first = passed(people)
        print(f"\n{len(worst_first)} pairs out of order, the worst: {worst_first[:3]}")
        assert [each for each in worst_first if each[0] > SLACK_SECONDS] == []
        await the_watch_saw_nothing(store)
        await everybody_is_let_go(office)


async def the_watch_saw_nothing(store: SqlStore) -> None:
    """The dialer judged every service while it happened."""
    (beat,) = [each for each in await store.heartbeats() if each.service == "dialer"]
    assert beat.detail["served"] >= ON_LINE + CALLBACKS, beat.detail
    assert beat.detail["overtakings"] == 0, beat.detail


async def everybody_is_let_go(office: Stage) -> None:
    """Agents were kept from a line that was never empty, and none of them still is."""
    log = (office.pbx.paths.log / "queue_log").read_text(encoding="utf-8")
    assert f"|PAUSE|{HOLD_REASON}" in log, "the turn of no callback had to be kept"

    async def free() -> bool | None:
        shown = await asyncio.to_thread(office.pbx.cli, "queue show busy")
        return True if "paused" not in shown else None

    await eventually(free, "agents who are free for everybody", 15)
