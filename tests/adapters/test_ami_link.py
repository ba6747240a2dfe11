"""The real link against a peer that misbehaves on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from ami_bridge.adapters.ami import (
    AmiAuthError,
    AmiLink,
    AmiLost,
    AmiMisconfigured,
    AmiNotReady,
    EventGap,
    LinkLost,
    LinkReady,
    LinkState,
    LinkTimings,
    RawEvent,
    SnapshotWanted,
    StreamItem,
)
from tests.adapters.ami_server import NODE, AmiServer, block, event, hangup, newchannel, response, until

QUICK = LinkTimings(ping_interval=0.1, ping_limit=0.3, backoff_first=0.02, backoff_most=0.1)


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    subject = AmiServer()
    await subject.start()
    yield subject
    await subject.stop()


async def connected(server: AmiServer, **options: object) -> AmiLink:
    link = AmiLink(NODE, timings=QUICK, **options)  # type: ignore[arg-type]
    await link.connect("127.0.0.1", server.port, "bridge", server.secret, timeout_seconds=5)
    return link


async def drained(link: AmiLink) -> list[StreamItem]:
    await link.close()
    return [item async for item in link.events()]


async def test_a_wrong_password_is_one_clear_sentence_and_no_second_try(server: AmiServer) -> None:
    link = AmiLink(NODE, timings=QUICK)
    with pytest.raises(AmiAuthError, match=r"refused the AMI account 'bridge' \(Authentication failed\)"):
        await link.connect("127.0.0.1", server.port, "bridge", "wrong-secret", timeout_seconds=5)
    await asyncio.sleep(0.3)
    assert server.logins == 1
    assert link.state is LinkState.REFUSED
    with pytest.raises(AmiAuthError):
        [item async for item in link.events()]
    await link.close()


async def test_a_password_that_is_changed_later_ends_the_stream_with_the_same_sentence(
    server: AmiServer,
) -> None:
    link = await connected(server)
    server.secret = "another-secret"
    server.cut()
    seen: list[str] = []

    async def consume() -> None:
        async for item in link.events():
            seen.append(item.name)

    with pytest.raises(AmiAuthError):
        await consume()
    assert seen[-1] == "LinkLost"
    assert server.logins == 2
    await link.close()


async def test_a_pbx_of_another_name_is_one_clear_sentence(server: AmiServer) -> None:
    server.answers["CoreSettings"] = lambda action: (
        f"Response: Success\r\nActionID: {action['ActionID']}\r\nSystemName: other\r\n\r\n".encode()
    )
    link = AmiLink(NODE, timings=QUICK)
    with pytest.raises(AmiMisconfigured, match=r"set 'systemname = fr1' in asterisk\.conf"):
        await link.connect("127.0.0.1", server.port, "bridge", server.secret, timeout_seconds=5)
    assert link.state is LinkState.REFUSED
    await link.close()


async def test_a_pbx_that_takes_the_login_and_leaves_is_tried_again(server: AmiServer) -> None:
    async def leave(action: dict[str, str]) -> None:
        if action["Action"] == "CoreSettings" and server.logins == 1:
            server.cut()

    server.on_action = leave
    link = await connected(server)
    names = [item.name for item in await drained(link) if item.name != "FullyBooted"]
    assert names == ["LinkReady", "LinkLost", "LinkReady"]


async def test_an_absent_pbx_is_waited_for() -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    link = AmiLink(NODE, timings=QUICK)
    with pytest.raises(AmiNotReady):
        await link.connect("127.0.0.1", port, "bridge", "right-secret", timeout_seconds=0.1)
    server = AmiServer()
    server.port = port
    await server.start()
    await until(lambda: link.state is LinkState.READY)
    await link.close()
    await server.stop()


async def test_a_half_open_link_is_found_and_replaced(server: AmiServer) -> None:
    link = await connected(server)
    server.frozen = True
    await until(lambda: link.losses == 1)
    server.frozen = False
    await until(lambda: link.state is LinkState.READY)
    lost = [item for item in await drained(link) if isinstance(item, LinkLost)]
    assert "no answer to a ping" in lost[0].reason


async def test_a_slow_answer_while_events_flow_is_no_loss(server: AmiServer) -> None:
    link = await connected(server)
    server.silent.add("Ping")
    for number in range(12):
        await server.send(event("Registry", f"Number: {number}\r\n", privilege="system,all"))
        await asyncio.sleep(0.1)
    assert link.losses == 0
    await link.close()


async def test_close_never_reconnects(server: AmiServer) -> None:
    link = await connected(server)
    await link.close()
    await asyncio.sleep(0.3)
    assert server.logins == 1
    assert link.state is LinkState.CLOSED


async def test_close_while_connecting_stops_at_once() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        link = AmiLink(NODE, timings=QUICK)
        starting = asyncio.create_task(
            link.connect("127.0.0.1", deaf.getsockname()[1], "bridge", "right-secret")
        )
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            await link.close()
            await starting
    assert link.state is LinkState.CLOSED


async def test_close_in_any_instant_of_the_login_ends(server: AmiServer) -> None:
    for turns in range(40):
        link = AmiLink(NODE, timings=QUICK)
        starting = asyncio.create_task(link.connect("127.0.0.1", server.port, "bridge", server.secret))
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await link.close()
            await starting
        assert link.state is LinkState.CLOSED


async def test_the_link_cut_between_originate_and_its_answer_dials_once(server: AmiServer) -> None:
    async def cut(action: dict[str, str]) -> None:
        if action["Action"] == "Originate":
            server.cut()

    server.on_action = cut
    link = await connected(server)
    with pytest.raises(AmiLost):
        await link.originate(
            "Local/101@callback-agent/n",
            "callback-briefing",
            "s",
            channel_id="fr-a1",
            other_channel_id="fr-a2",
            timeout_seconds=20,
        )
    await until(lambda: link.state is LinkState.READY)
    await asyncio.sleep(0.3)
    assert len(server.named("Originate")) == 1
    [sent] = server.named("Originate")
    assert sent["Async"] == "true"
    assert (sent["ChannelId"], sent["OtherChannelId"]) == ("fr-a1", "fr-a2")
    await link.close()


async def test_garbage_and_forgeries_change_nothing(server: AmiServer) -> None:
    quarantined = []
    link = await connected(server, on_quarantine=quarantined.append)
    await server.send(newchannel("PJSIP/a-1", "fr1-1.1"))
    await server.send(b"\xff\xfe\r\n\r\nEvent: Hangup\r\nUniqueid: fr1-1.1\r\n\r\n")
    await server.send(hangup("PJSIP/b-2", "fr1-1.1"))
    await server.send(hangup("PJSIP/a-1", "fr1-1.1"))
    await until(lambda: link.reader.accepted == 2)
    events = [
        item for item in await drained(link) if isinstance(item, RawEvent) and item.name != "FullyBooted"
    ]
    assert [(item.name, item.get("Channel")) for item in events] == [
        ("Newchannel", "PJSIP/a-1"),
        ("Hangup", "PJSIP/a-1"),
    ]
    assert len(quarantined) == 3


async def test_a_forged_answer_settles_nothing(server: AmiServer) -> None:
    async def forge(action: dict[str, str]) -> None:
        await server.send(response({"ActionID": "fr-1"}, "Success", "forged"))
        await server.send(response({"ActionID": "action/1/1/1"}, "Success", "forged"))

    link = await connected(server)
    server.on_action = forge
    assert (await link.core_status()).message == "done"
    await link.close()


async def test_a_contradiction_asks_once_for_a_snapshot(server: AmiServer) -> None:
    link = await connected(server)
    await link.core_show_channels()
    for number in range(5):
        await server.send(event("Newstate", block(f"PJSIP/x-{number}", f"fr1-9.{number}")))
    await until(lambda: link.reader.refused["unknown_uniqueid"] == 5)
    wanted = [item for item in await drained(link) if isinstance(item, SnapshotWanted)]
    assert [item.reason for item in wanted] == ["unknown_uniqueid"]


async def test_a_slow_consumer_sees_a_gap_and_nothing_is_lost_in_silence(server: AmiServer) -> None:
    link = await connected(server, queue_limit=10)
    for number in range(30):
        await server.send(event("Registry", f"Number: {number}\r\n", privilege="system,all"))
    await until(lambda: link.reader.accepted == 30)
    stream = link.events()
    taken = [await anext(stream) for _ in range(5)]
    await server.send(event("Registry", "Number: 30\r\n", privilege="system,all"))
    await until(lambda: link.reader.accepted == 31)
    taken += await drained(link)
    assert isinstance(taken[0], LinkReady)
    numbers = [
        int(item.get("Number")) for item in taken if isinstance(item, RawEvent) and "Number" in item.headers
    ]
    [gap] = [item for item in taken if isinstance(item, EventGap)]
    assert numbers == [*range(8), 30]
    assert gap.dropped == 22 == link.dropped_events
    assert taken.index(gap) == len(taken) - 2


async def test_a_failing_hook_starts_the_link_anew(server: AmiServer) -> None:
    tries = []

    async def hook(link: object) -> None:
        tries.append(link)
        if len(tries) == 1:
            raise RuntimeError("first snapshot failed")

    link = await connected(server, on_ready=hook)
    await until(lambda: len(tries) == 2)
    await until(lambda: link.state is LinkState.READY)
    await link.close()
    assert link.losses == 1


async def test_answers_and_events_split_at_every_byte(server: AmiServer) -> None:
    link = await connected(server)
    stream = newchannel("PJSIP/a-1", "fr1-1.1", number="Иван") + hangup("PJSIP/a-1", "fr1-1.1", number="Иван")
    for byte in stream:
        await server.send(bytes([byte]))
        await asyncio.sleep(0)
    await until(lambda: link.reader.accepted == 2)
    events = [
        item for item in await drained(link) if isinstance(item, RawEvent) and item.name != "FullyBooted"
    ]
    assert [item.get("CallerIDNum") for item in events] == ["Иван", "Иван"]
