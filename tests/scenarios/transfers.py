"""Hand-overs: blind, attended, blonde, back, three-way; by REFER, by keys, by AMI."""

from __future__ import annotations

import asyncio

from tests.scenarios.pbx import ScenarioPbx
from tests.scenarios.phone import Line
from tests.scenarios.scene import CALLER, call, joined, scene, talk


@scene(
    call(answered=["101", "102"], transfers=[["blind", "101", CALLER, "102", "ANSWERED"]]),
)
async def blind_refer(pbx: ScenarioPbx) -> None:
    caller, agent = await joined(pbx)
    await agent.send_to("102")
    await pbx.agents["102"].picks_up()
    await talk()
    await caller.hang_up()


@scene(call(answered=["101", "102"], transfers=[["blind", "101", CALLER, "102", "ANSWERED"]], by="agent"))
async def blind_refer_b(pbx: ScenarioPbx) -> None:
    _, agent = await joined(pbx)
    await agent.send_to("102")
    second = await pbx.agents["102"].picks_up()
    await talk()
    await second.hang_up()


@scene(
    call(
        "BUSY",
        answered=["101"],
        rung=[["101", None], ["104", "refused"]],
        transfers=[["blind", "101", CALLER, None, "BUSY"]],
        by="system",
    )
)
async def blind_refer_busy(pbx: ScenarioPbx) -> None:
    caller, agent = await joined(pbx)
    await agent.send_to("104")
    ringing = await pbx.agents["104"].rung()
    await talk()
    ringing.refuse()
    await caller.until("over")


@scene(call(answered=["101", "102"], transfers=[["blind", "101", CALLER, "102", "ANSWERED"]], by="agent"))
async def blind_refer_localn(pbx: ScenarioPbx) -> None:
    _, agent = await joined(pbx, "localn")
    await agent.send_to("102")
    second = await pbx.agents["102"].picks_up()
    await talk()
    await second.hang_up()


@scene(call(answered=["101", "102"], transfers=[["blind", "101", CALLER, "102", "ANSWERED"]]))
async def blind_keys(pbx: ScenarioPbx) -> None:
    caller, agent = await joined(pbx, "keys")
    await agent.keys("##")
    await asyncio.sleep(0.5)
    await agent.keys("102")
    await pbx.agents["102"].picks_up()
    await talk()
    await caller.hang_up()


@scene(call(answered=["101", "102"], transfers=[["blind", "101", CALLER, "102", "ANSWERED"]]))
async def blind_ami(pbx: ScenarioPbx) -> None:
    caller, _ = await joined(pbx)
    await pbx.action(
        Action="BlindTransfer", Channel=pbx.channel_of("PJSIP/101"), Context="phones", Exten="102"
    )
    await pbx.agents["102"].picks_up()
    await talk()
    await caller.hang_up()


@scene(
    call(
        answered=["101"],
        rung=[["101", None], ["104", "missed"]],
        transfers=[["blind", "101", CALLER, None, "NO_ANSWER"]],
        by="system",
    )
)
async def blind_refer_unanswered(pbx: ScenarioPbx) -> None:
    """The target lets it ring until the PBX gives up."""
    caller, agent = await joined(pbx)
    await agent.send_to("2104")
    await pbx.agents["104"].rung()
    await caller.until("over")


@scene(
    call(
        answered=["101", "102", "101"],
        transfers=[
            ["blind", "101", CALLER, "102", "ANSWERED"],
            ["blind", "102", CALLER, "101", "ANSWERED"],
        ],
        by="agent",
    )
)
async def blind_back(pbx: ScenarioPbx) -> None:
    """102 hands the caller back to 101."""
    _, agent = await joined(pbx)
    await agent.send_to("102")
    second = await pbx.agents["102"].picks_up()
    await talk()
    await second.send_to("101")
    third = await pbx.agents["101"].picks_up()
    await talk()
    await third.hang_up()


async def consult(pbx: ScenarioPbx, *, answered: bool = True) -> tuple[Line, Line, Line, Line]:
    """101 holds the caller and calls 104: the caller's line, both of 101's, that of 104."""
    caller, agent = await joined(pbx)
    await agent.hold()
    asking = await pbx.agents["101"].dial("104")
    asked = await pbx.agents["104"].rung()
    await talk()
    if answered:
        await asked.answer()
        await asking.until("up")
        await talk()
    return caller, agent, asking, asked


@scene(call(answered=["101", "104"], transfers=[["attended", "101", CALLER, "104", "ANSWERED"]], by="agent"))
async def attended_refer(pbx: ScenarioPbx) -> None:
    _, agent, asking, asked = await consult(pbx)
    await agent.join_with(asking)
    await talk()
    await asked.hang_up()


@scene(call(answered=["101", "104"], transfers=[["blonde", "101", CALLER, "104", "ANSWERED"]]))
async def blonde_refer(pbx: ScenarioPbx) -> None:
    caller, agent, asking, asked = await consult(pbx, answered=False)
    await asking.until("ringing")
    await agent.join_with(asking)
    await talk()
    await asked.answer()
    await talk()
    await caller.hang_up()


@scene(
    call(
        "BUSY",
        answered=["101"],
        rung=[["101", None], ["104", "refused"]],
        transfers=[["blonde", "101", CALLER, None, "BUSY"]],
        by="system",
    )
)
async def blonde_refer_busy(pbx: ScenarioPbx) -> None:
    caller, agent, asking, asked = await consult(pbx, answered=False)
    await asking.until("ringing")
    await agent.join_with(asking)
    await talk()
    asked.refuse()
    await caller.until("over")


@scene(
    call(
        answered=["101"],
        rung=[["101", None], ["104", "abandoned"]],
        transfers=[["blonde", "101", CALLER, None, "CANCELLED"]],
    )
)
async def blonde_refer_cancelled(pbx: ScenarioPbx) -> None:
    """The caller does not wait for the target."""
    caller, agent, asking, _ = await consult(pbx, answered=False)
    await asking.until("ringing")
    await agent.join_with(asking)
    await talk()
    await caller.hang_up()


@scene(call(answered=["104"], by="agent"), call(answered=["101"]))
async def consulted_and_back(pbx: ScenarioPbx) -> None:
    """104 is asked, hangs up, and 101 goes on with the caller: two calls, no transfer."""
    caller, agent, _, asked = await consult(pbx)
    await asked.hang_up()
    await agent.hold(on=False)
    await talk()
    await caller.hang_up()


@scene(call(answered=["101"]), call(answered=["104"]))
async def hung_up_in_consultation(pbx: ScenarioPbx) -> None:
    """The caller has had enough while 101 asks 104; then 101 ends the inner call, in which he is the caller."""
    caller, _, asking, _ = await consult(pbx)
    await caller.hang_up()
    await talk()
    await asking.hang_up()


@scene(
    call(
        answered=["101", "104", "101"],
        transfers=[
            ["attended", "101", CALLER, "104", "ANSWERED"],
            ["blind", "104", CALLER, "101", "ANSWERED"],
        ],
    )
)
async def attended_then_back(pbx: ScenarioPbx) -> None:
    caller, agent, asking, asked = await consult(pbx)
    await agent.join_with(asking)
    await talk()
    await agent.hang_up()
    await asked.send_to("101")
    await pbx.agents["101"].picks_up()
    await talk()
    await caller.hang_up()


@scene(call(answered=["101", "102"], transfers=[["attended", "101", CALLER, "102", "ANSWERED"]]))
async def attended_keys(pbx: ScenarioPbx) -> None:
    """*2 and 102, they speak, 101 hangs up: the caller goes to 102."""
    caller, agent = await joined(pbx, "keys")
    await agent.keys("*2")
    await asyncio.sleep(0.5)
    await agent.keys("102")
    await pbx.agents["102"].picks_up()
    await talk()
    await agent.hang_up()
    await talk()
    await caller.hang_up()


@scene(call(answered=["101", "102"], transfers=[["blonde", "101", CALLER, "102", "ANSWERED"]], by="agent"))
async def blonde_keys(pbx: ScenarioPbx) -> None:
    """101 hangs up while 102 still rings."""
    _, agent = await joined(pbx, "keys")
    await agent.keys("*2")
    await asyncio.sleep(0.5)
    await agent.keys("102")
    asked = await pbx.agents["102"].rung()
    await talk()
    await agent.hang_up()
    await talk()
    await asked.answer()
    await talk()
    await asked.hang_up()


async def three_way(pbx: ScenarioPbx) -> tuple[Line, Line, Line]:
    """101 brings 102 in by *2 102 *3: caller, 101, 102."""
    caller, agent = await joined(pbx, "keys")
    await agent.keys("*2")
    await asyncio.sleep(0.5)
    await agent.keys("102")
    second = await pbx.agents["102"].picks_up()
    await talk()
    await agent.keys("*3")
    await pbx.heard("AttendedTransfer")
    await talk()
    return caller, agent, second


@scene(call(answered=["101", "102"], transfers=[["attended", "101", CALLER, "102", "ANSWERED"]]))
async def three_way_keys(pbx: ScenarioPbx) -> None:
    """*2 and 102, then *3: all three talk; 101 leaves, then the caller."""
    caller, agent, _ = await three_way(pbx)
    await agent.hang_up()
    await talk()
    await caller.hang_up()


@scene(
    call(answered=["101", "102"], transfers=[["attended", "101", CALLER, "102", "ANSWERED"]], by="agent"),
)
async def three_way_keys_b(pbx: ScenarioPbx) -> None:
    """All three talk; 102 leaves, then 101, who had brought him in."""
    _, agent, second = await three_way(pbx)
    await second.hang_up()
    await talk()
    await agent.hang_up()


@scene(call(answered=["101", "102"], transfers=[["attended", "101", CALLER, "102", "ANSWERED"]]))
async def three_way_keys_caller_first(pbx: ScenarioPbx) -> None:
    """All three talk; the caller leaves first, the colleagues talk on."""
    caller, agent, _ = await three_way(pbx)
    await caller.hang_up()
    await talk()
    await agent.hang_up()


@scene(call(answered=["101"], by="agent"))
async def blind_by_caller(pbx: ScenarioPbx) -> None:
    """The trunk may not transfer: nothing happens."""
    caller, agent = await joined(pbx)
    await caller.keys("##102")
    await talk()
    await agent.hang_up()


@scene(call(answered=["101", "102"], by="agent"))
async def redirected_callee(pbx: ScenarioPbx) -> None:
    """AMI takes the phone that was called out of its bridge: a masquerade, with Rename; the caller is left."""
    _, agent = await joined(pbx)
    await pbx.action(
        Action="Redirect", Channel=pbx.channel_of("PJSIP/101"), Context="phones", Exten="102", Priority="1"
    )
    await pbx.agents["102"].picks_up()
    await talk()
    await agent.hang_up()
