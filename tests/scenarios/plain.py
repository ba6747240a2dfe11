"""Plain calls, refusals, forks, Local channels, hold."""

from __future__ import annotations

from tests.scenarios.pbx import ScenarioPbx
from tests.scenarios.phone import Line
from tests.scenarios.scene import GROUP_RUNG, call, joined, scene, talk


@scene(call(answered=["101"]))
async def plain_a(pbx: ScenarioPbx) -> None:
    caller, _ = await joined(pbx)
    await caller.hang_up()


@scene(call(answered=["101"], by="agent"))
async def plain_b(pbx: ScenarioPbx) -> None:
    _, agent = await joined(pbx)
    await agent.hang_up()


@scene(call(answered=["101"], by="system"))
async def plain_sys(pbx: ScenarioPbx) -> None:
    await joined(pbx)
    await pbx.action(Action="Hangup", Channel=pbx.channel_of("PJSIP/carrier"))


@scene(call("CANCELLED", rung=[["101", "abandoned"]]))
async def cancel(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("plain")
    await pbx.agents["101"].rung()
    await talk()
    await caller.hang_up()


@scene(call("NO_ANSWER", rung=[["101", "missed"]], by="system"))
async def no_answer(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("short")
    await pbx.agents["101"].rung()
    await caller.until("over")


@scene(call("BUSY", by="system"))
async def busy(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("plain")
    (await pbx.agents["101"].offered()).refuse()
    await caller.until("over")


@scene(call("BUSY", rung=[["101", "refused"]], by="system"))
async def busy_after_ring(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("plain")
    agent = await pbx.agents["101"].rung()
    await talk()
    agent.refuse()
    await caller.until("over")


async def refused(pbx: ScenarioPbx, status: int, reason: str) -> None:
    caller = await pbx.callers[0].dial("plain")
    (await pbx.agents["101"].offered()).refuse(status, reason)
    await caller.until("over")


@scene(call("NO_ANSWER", by="system"))
async def dnd_480(pbx: ScenarioPbx) -> None:
    """Do not disturb, as many phones say it. Asterisk takes 480 for no answer (cause 19)."""
    await refused(pbx, 480, "Temporarily Unavailable")


@scene(call("BUSY", by="system"))
async def dnd_603(pbx: ScenarioPbx) -> None:
    """Do not disturb, or declined. Asterisk takes 603 for busy (cause 21)."""
    await refused(pbx, 603, "Decline")


@scene(call("CONGESTION", by="system"))
async def congestion(pbx: ScenarioPbx) -> None:
    await refused(pbx, 503, "Service Unavailable")


@scene(call("CONGESTION", by="system"))
async def congestion_of_ours(pbx: ScenarioPbx) -> None:
    await (await pbx.callers[0].dial("full")).until("over")


@scene(call("BUSY", by="system"))
async def busy_of_ours(pbx: ScenarioPbx) -> None:
    await (await pbx.callers[0].dial("engaged")).until("over")


@scene(call("NO_ANSWER", by="system"))
async def only_the_pbx_answered(pbx: ScenarioPbx) -> None:
    await (await pbx.callers[0].dial("nobody", until=("up",))).until("over")


@scene(call(answered=["101"]))
async def early_media(pbx: ScenarioPbx) -> None:
    caller, _ = await joined(pbx, "early")
    await caller.hang_up()


@scene(call(answered=["102"]))
async def forwarded_302(pbx: ScenarioPbx) -> None:
    """101 says where it can be reached before it rings."""
    caller = await pbx.callers[0].dial("plain")
    (await pbx.agents["101"].offered()).deflect("102")
    await pbx.agents["102"].picks_up()
    await caller.until("up")
    await talk()
    await caller.hang_up()


@scene(call(answered=["102"], rung=[["101", "forwarded"], ["102", None]], by="agent"))
async def forwarded_302_after_ring(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("plain")
    ringing = await pbx.agents["101"].rung()
    await talk()
    ringing.deflect("102")
    agent = await pbx.agents["102"].picks_up()
    await caller.until("up")
    await talk()
    await agent.hang_up()


@scene(call(answered=["102"], rung=[["101", "refused"], ["102", None]]))
async def deputy(pbx: ScenarioPbx) -> None:
    caller = await pbx.callers[0].dial("deputy")
    first = await pbx.agents["101"].rung()
    await talk()
    first.refuse()
    await pbx.agents["102"].picks_up()
    await caller.until("up")
    await talk()
    await caller.hang_up()


async def group(pbx: ScenarioPbx) -> tuple[Line, Line]:
    caller = await pbx.callers[0].dial("group")
    phones = [await pbx.agents[name].rung() for name in ("101", "102", "103")]
    await talk()
    await phones[1].answer()
    await caller.until("up")
    await talk()
    return caller, phones[1]


@scene(call(answered=["102"], rung=GROUP_RUNG))
async def group_a(pbx: ScenarioPbx) -> None:
    caller, _ = await group(pbx)
    await caller.hang_up()


@scene(call(answered=["102"], rung=GROUP_RUNG, by="agent"))
async def group_b(pbx: ScenarioPbx) -> None:
    _, agent = await group(pbx)
    await agent.hang_up()


@scene(call(answered=["101"]))
async def local_a(pbx: ScenarioPbx) -> None:
    """A Local channel that is optimised away once both have answered."""
    caller, _ = await joined(pbx, "local")
    await caller.hang_up()


@scene(call(answered=["101"], by="agent"))
async def local_b(pbx: ScenarioPbx) -> None:
    _, agent = await joined(pbx, "local")
    await agent.hang_up()


@scene(call(answered=["101"]))
async def localn_a(pbx: ScenarioPbx) -> None:
    caller, _ = await joined(pbx, "localn")
    await caller.hang_up()


@scene(call(answered=["101"], by="agent"))
async def localn_b(pbx: ScenarioPbx) -> None:
    _, agent = await joined(pbx, "localn")
    await agent.hang_up()


@scene(call(answered=["101"]))
async def hold_by_agent(pbx: ScenarioPbx) -> None:
    caller, agent = await joined(pbx)
    for _ in range(2):
        await agent.hold()
        await talk()
        await agent.hold(on=False)
        await talk()
    await caller.hang_up()


@scene(call(answered=["101"], by="agent"))
async def hung_up_on_hold(pbx: ScenarioPbx) -> None:
    """The caller holds, and is left."""
    caller, agent = await joined(pbx)
    await caller.hold()
    await talk()
    await agent.hang_up()
