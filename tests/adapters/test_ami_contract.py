"""One contract for the AMI link and its fake: whatever holds for one holds for the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ami_bridge.adapters.ami import (
    ActionResult,
    AmiLink,
    AmiLost,
    AmiNotReady,
    AmiPort,
    AmiTimeout,
    AmiValueError,
    FakeAmiLink,
    LinkState,
    LinkTimings,
    RawEvent,
    StreamItem,
    raw_event,
)
from tests.adapters.ami_server import NODE, AmiServer, block, event, list_answer, until

Hook = Callable[[AmiPort], Awaitable[None]]
QUICK = LinkTimings(ping_interval=0.2, ping_limit=0.4, backoff_first=0.02, backoff_most=0.1)


class FakeBench:
    """Drives the fake."""

    def __init__(self) -> None:
        self.link = FakeAmiLink(NODE)

    async def start(self, hook: Hook | None = None) -> None:
        self.link.on_ready = hook
        await self.link.connect()

    async def emit(self, number: int) -> None:
        self.link.emit("QueueMemberPause", Interface=f"n{number}")

    async def lose(self) -> None:
        self.link.lose()

    async def restore(self) -> None:
        self.link.restore()

    def silence(self, action: str) -> None:
        self.link.silence(action)

    def script_list(self, counted: int) -> None:
        items = tuple(raw_event("CoreShowChannel", {"Uniqueid": f"fr1-1.{n}"}) for n in range(2))
        result = ActionResult("CoreShowChannels", True, "will follow", {}, items, counted == 2)
        self.link.answer("CoreShowChannels", result)

    def sent(self, action: str) -> int:
        return sum(sent.name == action for sent in self.link.sent)

    async def stop(self) -> None:
        await self.link.close()


class WireBench:
    """Drives the real link over a real socket."""

    def __init__(self) -> None:
        self.server = AmiServer()
        self.link = AmiLink(NODE, timings=QUICK)

    async def start(self, hook: Hook | None = None) -> None:
        self.link.on_ready = hook
        await self.server.start()
        await self.link.connect("127.0.0.1", self.server.port, "bridge", "right-secret", timeout_seconds=5)

    async def emit(self, number: int) -> None:
        await self.server.send(event("QueueMemberPause", f"Interface: n{number}\r\n", privilege="agent,all"))

    async def lose(self) -> None:
        await self.server.stop()
        await until(lambda: self.link.state is not LinkState.READY)

    async def restore(self) -> None:
        await self.server.start()
        await until(lambda: self.link.state is LinkState.READY)

    def silence(self, action: str) -> None:
        self.server.silent.add(action)

    def script_list(self, counted: int) -> None:
        bodies = [block(f"PJSIP/a-{n}", f"fr1-1.{n}") for n in range(2)]
        self.server.answers["CoreShowChannels"] = lambda action: list_answer(
            action, "CoreShowChannels", bodies, counted
        )

    def sent(self, action: str) -> int:
        return len(self.server.named(action))

    async def stop(self) -> None:
        await self.link.close()
        await self.server.stop()


@pytest.fixture(params=[FakeBench, WireBench], ids=["fake", "wire"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    subject = request.param()
    yield subject
    await subject.stop()


async def take(link: AmiPort, count: int) -> list[StreamItem]:
    """The next ``count`` items without the login's FullyBooted, which the fake does not send."""
    items: list[StreamItem] = []
    async with asyncio.timeout(5):
        async for item in link.events():
            if item.name != "FullyBooted":
                items.append(item)
            if len(items) == count:
                break
    return items


def labels(items: list[StreamItem]) -> list[str]:
    return [item.get("Interface") if isinstance(item, RawEvent) else item.name for item in items]


async def test_events_come_in_order_after_the_ready_marker(bench: Any) -> None:
    await bench.start()
    for number in range(50):
        await bench.emit(number)
    assert labels(await take(bench.link, 51)) == ["LinkReady", *[f"n{n}" for n in range(50)]]


async def test_the_hook_takes_its_snapshot_before_any_event_is_handed_out(bench: Any) -> None:
    seen: list[str] = []

    async def hook(link: AmiPort) -> None:
        await bench.emit(1)
        await link.core_show_channels()
        await asyncio.sleep(0.05)
        seen.append("snapshot")

    await bench.start(hook)

    async with asyncio.timeout(5):
        async for item in bench.link.events():
            seen.append(item.name)
            if item.name == "QueueMemberPause":
                break
    assert [name for name in seen if name != "FullyBooted"] == ["LinkReady", "snapshot", "QueueMemberPause"]


async def test_a_loss_and_a_return_stand_in_the_stream(bench: Any) -> None:
    hooks = []

    async def hook(link: AmiPort) -> None:
        hooks.append(link.state)

    await bench.start(hook)
    await bench.emit(1)
    await asyncio.sleep(0.05)
    await bench.lose()
    assert bench.link.state is not LinkState.READY
    await bench.restore()
    await bench.emit(2)
    items = await take(bench.link, 5)
    assert labels(items) == ["LinkReady", "n1", "LinkLost", "LinkReady", "n2"]
    assert [getattr(items[0], "first", None), getattr(items[3], "first", None)] == [True, False]
    assert hooks == [LinkState.READY, LinkState.READY]


async def test_an_action_is_answered(bench: Any) -> None:
    await bench.start()
    result = await bench.link.redirect("PJSIP/a-1", "failover", "sales")
    assert result.success
    assert result.action == "Redirect"
    assert bench.sent("Redirect") == 1


@pytest.mark.parametrize(("counted", "complete"), [(2, True), (3, False)])
async def test_a_list_is_gathered_and_counted(bench: Any, counted: int, complete: bool) -> None:
    bench.script_list(counted)
    await bench.start()
    result = await bench.link.core_show_channels()
    assert [item.get("Uniqueid") for item in result.items] == ["fr1-1.0", "fr1-1.1"]
    assert result.complete is complete


async def test_nothing_is_sent_while_the_link_is_down(bench: Any) -> None:
    with pytest.raises(AmiNotReady):
        await bench.link.action("Ping")
    await bench.start()
    await bench.lose()
    with pytest.raises(AmiNotReady, match="was not sent"):
        await bench.link.redirect("PJSIP/a-1", "failover", "sales")
    await bench.restore()
    await asyncio.sleep(0.1)
    assert bench.sent("Redirect") == 0


async def test_an_action_whose_answer_is_lost_is_never_sent_again(bench: Any) -> None:
    await bench.start()
    bench.silence("Originate")
    dialling = asyncio.create_task(
        bench.link.originate(
            "Local/101@callback-agent/n",
            "callback-briefing",
            "s",
            channel_id="fr-a1",
            other_channel_id="fr-a2",
            timeout_seconds=20,
        )
    )
    await asyncio.sleep(0.1)
    await bench.lose()
    with pytest.raises(AmiLost, match="unknown outcome"):
        await dialling
    await bench.restore()
    await asyncio.sleep(0.2)
    assert bench.sent("Originate") == 1


async def test_a_missing_answer_ends_in_time(bench: Any) -> None:
    await bench.start()
    bench.silence("Hangup")
    with pytest.raises(AmiTimeout, match="unknown outcome"):
        await bench.link.action("Hangup", {"Channel": "PJSIP/a-1"}, timeout_seconds=0.1)
    assert (await bench.link.core_status()).success


@pytest.mark.parametrize(
    "headers",
    [
        {"Channel": "a\r\nAction: Originate"},
        {"Channel": "a\nb"},
        {"Channel": "a\0"},
        {"Channel\r\nX": "a"},
        {"Channel": "x" * 1024},
        {"Channel": "\ud800"},
        {"ActionID": "mine"},
        {"Variable": [f"A{n}=1" for n in range(130)]},
        {"Variable": ["A=1", "B=2\r\nC: 3"]},
    ],
)
async def test_no_value_can_become_a_second_action(bench: Any, headers: dict[str, Any]) -> None:
    await bench.start()
    with pytest.raises(AmiValueError):
        await bench.link.action("Setvar", headers)
    assert bench.sent("Setvar") == 0


async def test_only_our_own_kind_of_call_is_originated(bench: Any) -> None:
    await bench.start()
    ids = {"channel_id": "fr-a1", "other_channel_id": "fr-a2", "timeout_seconds": 5}
    for channel in (
        "PJSIP/trunk/900",
        "Local/500&PJSIP@x/n",
        "Local/101@agents",
        "Local/+7@x/n",
        "Local/1@x/n\r\n",
    ):
        with pytest.raises(AmiValueError):
            await bench.link.originate(channel, "callback-briefing", "s", **ids)
    for value in ("a,b", "${SHELL(id)}", "Иван", "a\r\nb"):
        with pytest.raises(AmiValueError):
            await bench.link.originate(
                "Local/1@x/n", "callback-briefing", "s", variables={"FR_X": value}, **ids
            )
    with pytest.raises(AmiValueError):
        await bench.link.hangup("/^PJSIP/.*$/")
    assert bench.sent("Originate") == bench.sent("Hangup") == 0


async def test_close_ends_the_stream_and_stays_closed(bench: Any) -> None:
    await bench.start()
    await bench.emit(1)
    await asyncio.sleep(0.05)
    bench.silence("Redirect")
    waiting = asyncio.create_task(bench.link.redirect("PJSIP/a-1", "failover", "sales"))
    await asyncio.sleep(0.05)
    await bench.link.close()
    with pytest.raises(AmiLost):
        await waiting
    async with asyncio.timeout(2):
        left = [item async for item in bench.link.events() if item.name != "FullyBooted"]
    assert labels(left) == ["LinkReady", "n1"]
    assert bench.link.state is LinkState.CLOSED
    with pytest.raises(AmiNotReady):
        await bench.link.core_status()
