"""Pickup, parking, conferences, messages, queues, calls that we make."""

from __future__ import annotations

import asyncio

from tests.scenarios.pbx import ScenarioPbx
from tests.scenarios.phone import Line
from tests.scenarios.scene import CALLER, GROUP_RUNG, call, joined, scene, talk


@scene(call(answered=["103"], rung=[["101", "elsewhere"]]))
async def pickup(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("plain")
    await pbx.agents["101"].rung()
    await talk()
    await pbx.agents["103"].dial("*9", until=("up",))
    await caller.until("up")
    await talk()
    await caller.hang_up()


@scene(call(answered=["103"], rung=[["101", "elsewhere"]], by="agent"))
async def pickup_b(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("plain")
    await pbx.agents["101"].rung()
    await talk()
    taker = await pbx.agents["103"].dial("*9", until=("up",))
    await caller.until("up")
    await talk()
    await taker.hang_up()


async def parked(pbx: ScenarioPbx) -> tuple[Line, str]:
    """101 parks the caller by feature code and hangs up: the caller's line and the slot."""
    caller, agent = await joined(pbx, "keys")
    await agent.keys("*7")
    slot = (await pbx.heard("ParkedCall"))["ParkingSpace"]
    await agent.hang_up()
    return caller, slot


@scene(call(answered=["101", "103"], rung=[["101", None]]))
async def parked_and_fetched(pbx: ScenarioPbx) -> None:
    caller, slot = await parked(pbx)
    await pbx.agents["103"].dial(slot, until=("up",))
    await pbx.heard("UnParkedCall")
    await talk()
    await caller.hang_up()


@scene(call(answered=["101", "103"], rung=[["101", None]], by="agent"))
async def parked_and_fetched_b(pbx: ScenarioPbx) -> None:
    _, slot = await parked(pbx)
    taker = await pbx.agents["103"].dial(slot, until=("up",))
    await pbx.heard("UnParkedCall")
    await talk()
    await taker.hang_up()


@scene(call(answered=["101"]))
async def parked_and_gone(pbx: ScenarioPbx) -> None:
    caller, _ = await parked(pbx)
    await talk()
    await caller.hang_up()


@scene(call(answered=["101", "101"], rung=[["101", None], ["101", None]]))
async def parked_too_long(pbx: ScenarioPbx) -> None:
    """After the time limit whoever parked him is rung again."""
    caller, _ = await parked(pbx)
    await pbx.agents["101"].picks_up()
    await talk()
    await caller.hang_up()


@scene(
    call("NO_ANSWER", by="caller"),
    call("NO_ANSWER", by="caller"),
    call("NO_ANSWER", by="caller"),
)
async def conference(pbx: ScenarioPbx) -> None:
    """Two callers and an agent meet in a room: three calls, since nobody was put through to anybody."""
    first = await pbx.callers[0].dial("conference", until=("up",))
    second = await pbx.callers[1].dial("conference", until=("up",))
    agent = await pbx.agents["101"].dial("800", until=("up",))
    await talk()
    for line in (first, second, agent):
        await line.hang_up()
        await talk()


@scene(call(answered=["101"], transfers=[["blind", "101", CALLER, None, "NO_ANSWER"]]), call("NO_ANSWER"))
async def moved_to_conference(pbx: ScenarioPbx) -> None:
    """101 sends the caller to the room and follows him there."""
    caller, agent = await joined(pbx)
    await agent.send_to("800")
    await agent.hang_up()
    second = await pbx.agents["101"].dial("800", until=("up",))
    await talk()
    await caller.hang_up()
    await talk()
    await second.hang_up()


@scene(
    call(
        answered=["101", "103"], rung=[["101", None]], transfers=[["blind", "101", CALLER, "103", "ANSWERED"]]
    )
)
async def parked_by_refer(pbx: ScenarioPbx) -> None:
    """A transfer to the parking extension; 103 fetches him."""
    caller, agent = await joined(pbx)
    await agent.send_to("70")
    slot = (await pbx.heard("ParkedCall"))["ParkingSpace"]
    await pbx.agents["103"].dial(slot, until=("up",))
    await pbx.heard("UnParkedCall")
    await talk()
    await caller.hang_up()


@scene(call("NO_ANSWER", rung=[["101", "missed"]]))
async def voicemail(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("message")
    await pbx.agents["101"].rung()
    await caller.until("up")
    await asyncio.sleep(1.5)
    await caller.hang_up()


@scene(call(answered=["102"], rung=GROUP_RUNG))
async def queue_ringall_a(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("ringall")
    phones = [await pbx.agents[name].rung() for name in ("101", "102", "103")]
    await talk()
    await phones[1].answer()
    await talk()
    await caller.hang_up()


@scene(call(answered=["102"], rung=GROUP_RUNG, by="agent"))
async def queue_ringall_b(pbx: ScenarioPbx) -> None:
    await pbx.callers[0].dial("ringall")
    phones = [await pbx.agents[name].rung() for name in ("101", "102", "103")]
    await talk()
    await phones[1].answer()
    await talk()
    await phones[1].hang_up()


async def next_member(pbx: ScenarioPbx, queue: str) -> None:
    """One caller of a queue that rings one member at a time: the first whom it rings lets it ring, the next answers."""
    caller = await pbx.callers[0].dial(queue)
    await pbx.agents["101"].rung()
    await pbx.agents["102"].picks_up()
    await talk()
    await caller.hang_up()


@scene(call(answered=["102"], rung=[["101", "missed"], ["102", None]]))
async def queue_rrmemory(pbx: ScenarioPbx) -> None:
    await next_member(pbx, "rrmemory")


@scene(call(answered=["101"]), call(answered=["102"]))
async def queue_leastrecent(pbx: ScenarioPbx) -> None:
    """Whoever talked longest ago is rung: nobody yet, so the first; then the second."""
    for agent in ("101", "102"):
        caller = await pbx.callers[0].dial("leastrecent")
        await pbx.agents[agent].picks_up()
        await talk()
        await caller.hang_up()
        await talk()


@scene(call(answered=["102"], rung=GROUP_RUNG, by="agent"))
async def queue_localn(pbx: ScenarioPbx) -> None:
    """Members behind Local channels, as in our own dialplan."""
    await pbx.callers[0].dial("members")
    phones = [await pbx.agents[name].rung() for name in ("101", "102", "103")]
    await talk()
    await phones[1].answer()
    await talk()
    await phones[1].hang_up()


@scene(call("ABANDONED", rung=[["101", "abandoned"], ["102", "abandoned"], ["103", "abandoned"]]))
async def queue_abandoned(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("ringall")
    for name in ("101", "102", "103"):
        await pbx.agents[name].rung()
    await talk()
    await caller.hang_up()


@scene(call(answered=["102"]))
async def originated(pbx: ScenarioPbx) -> None:
    """Click to dial: 101 is put on the phone first, then 102 is dialled."""
    await pbx.action(
        Action="Originate",
        Channel="PJSIP/101",
        Context="outbound",
        Exten="s",
        Priority="1",
        Async="true",
    )
    first = await pbx.agents["101"].picks_up()
    await pbx.agents["102"].picks_up()
    await talk()
    await first.hang_up()


async def callback(pbx: ScenarioPbx, mark: str) -> tuple[Line, Line]:
    """As our dialer does it: agent 101 first, through a Local channel, then the customer: their two ends."""
    await pbx.action(
        Action="Originate",
        Channel="Local/101@phones/n",
        ChannelId=f"cb-{mark}",
        OtherChannelId=f"cb-{mark}-2",
        Context="outbound",
        Exten="s",
        Priority="1",
        Async="true",
    )
    agent = await pbx.agents["101"].picks_up()
    customer = await pbx.agents["102"].picks_up()
    await talk()
    return agent, customer


@scene(call(answered=["102"]))
async def callback_a(pbx: ScenarioPbx) -> None:
    """The customer is the caller's side, though we called him."""
    _, customer = await callback(pbx, "1")
    await customer.hang_up()


@scene(call(answered=["102"], by="agent"))
async def callback_b(pbx: ScenarioPbx) -> None:
    agent, _ = await callback(pbx, "2")
    await agent.hang_up()


@scene(call(answered=["105"], by="network"))
async def agent_vanished(pbx: ScenarioPbx) -> None:
    """Nothing is heard of 105 any more, and it never says goodbye: rtp_timeout ends the call."""
    caller = await pbx.callers[0].dial("lost")
    await pbx.agents["105"].picks_up()
    await caller.until("over")
