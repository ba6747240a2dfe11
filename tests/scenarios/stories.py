"""The scenes: who does what, and what the record must say of it. The truth is the script's, never the tracker's.

``rung`` lists [phone, verdict], sorted; ``transfers`` [kind, from, whom, to, outcome].
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.scenarios.pbx import ScenarioPbx
from tests.scenarios.phone import Line

CALLER, OTHER_CALLER = "79160000001", "79160000002"
TALK_SECONDS = 0.4

Play = Callable[[ScenarioPbx], Awaitable[None]]
Truth = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """A story with its truth: one record, or several (in the order in which the calls end)."""

    name: str
    play: Play
    truth: list[Truth]


SCENES: dict[str, Scene] = {}


def call(
    disposition: str = "ANSWERED",
    *,
    answered: list[str] | None = None,
    rung: list[list[str | None]] | None = None,
    transfers: list[list[str | None]] | None = None,
    by: str = "caller",
) -> Truth:
    """What one record must say. By default everybody who answered was also rung."""
    answered = answered or []
    return {
        "disposition": disposition,
        "answered": answered,
        "rung": [[name, None] for name in sorted(answered)] if rung is None else rung,
        "transfers": transfers or [],
        "hung_up_by": by,
    }


def scene(*truth: Truth) -> Callable[[Play], Play]:
    """Register the story under its function's name."""

    def register(play: Play) -> Play:
        SCENES[play.__name__] = Scene(play.__name__, play, list(truth))
        return play

    return register


async def talk() -> None:
    """A moment of conversation."""
    await asyncio.sleep(TALK_SECONDS)


async def joined(pbx: ScenarioPbx, extension: str = "plain", agent: str = "101") -> tuple[Line, Line]:
    """A caller and an agent in conversation: their two ends."""
    caller = await pbx.callers[0].dial(extension)
    answered = await pbx.agents[agent].picks_up()
    await caller.until("up")
    await talk()
    return caller, answered


# Plain calls ------------------------------------------------------------------------------


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


# Groups and Local channels ----------------------------------------------------------------


async def group(pbx: ScenarioPbx) -> tuple[Line, Line]:
    caller = await pbx.callers[0].dial("group")
    phones = [await pbx.agents[name].rung() for name in ("101", "102", "103")]
    await talk()
    await phones[1].answer()
    await caller.until("up")
    await talk()
    return caller, phones[1]


GROUP_RUNG: list[list[str | None]] = [["101", "elsewhere"], ["102", None], ["103", "elsewhere"]]


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


# Hold -------------------------------------------------------------------------------------


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


# Transfers --------------------------------------------------------------------------------


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


# Pickup, parking, conference, message ------------------------------------------------------


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


# Queues -----------------------------------------------------------------------------------


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


# Originated -------------------------------------------------------------------------------


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
