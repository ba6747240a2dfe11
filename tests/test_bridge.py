"""The one loop, with fakes on every side: events in, a caller moved at the deadline, records out."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.adapters.ami import ActionResult, EventGap, FakeAmiLink, raw_event
from ami_bridge.adapters.ami.errors import AmiLost
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.memory_journal import MemoryJournal
from ami_bridge.adapters.store import MemoryStore, StoreUnavailable
from ami_bridge.bridge import Bridge
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CALLER = {
    "Channel": "PJSIP/carrier-00000001",
    "Uniqueid": "c1",
    "Linkedid": "c1",
    "CallerIDNum": "79161234567",
    "Context": "direct",
    "Exten": "sales",
}
PHONE = {
    "Channel": "PJSIP/101-00000002",
    "Uniqueid": "p1",
    "Linkedid": "c1",
    "CallerIDNum": "101",
    "Context": "from-agents",
    "Exten": "sales",
}


def as_dest(channel: dict[str, str]) -> dict[str, str]:
    return {f"Dest{name}": value for name, value in channel.items()}


class AwayStore(MemoryStore):
    """A store that can be away, and that cannot take records of some calls."""

    away = False
    poison = ""

    async def save_calls(self, records: Any) -> None:
        if self.away:
            raise StoreUnavailable("The store is away; bring it back.")
        if self.poison and any(self.poison in record["uniqueids"] for record in records):
            raise ValueError("a record that no store can take")
        await super().save_calls(records)


class Desk:
    """A bridge at work, and the pen for what its PBX tells."""

    def __init__(self) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        self.link, self.journal, self.store = FakeAmiLink(), MemoryJournal(), AwayStore()
        self.clock = FakeClock(START)
        self.bridge = Bridge(parse_settings(document), self.link, self.journal, self.store, self.clock)
        self.link.restore()

    async def start(self) -> asyncio.Task[None]:
        """Run the bridge; returns once it listens: before that it reads what an earlier one left, in a thread."""
        running = asyncio.create_task(self.bridge.run())
        async with asyncio.timeout(20):
            while "SnapshotTaken" not in await self.journalled():  # noqa: ASYNC110 - its fake has no event
                await asyncio.sleep(0.005)
        return running

    async def settle(self) -> None:
        """Let everything that can happen now happen."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def tell(self, event: str, *channels: dict[str, str], **headers: str) -> None:
        whole = {"Timestamp": f"{self.clock.now().timestamp():.6f}", **headers}
        for channel in channels:
            whole |= channel
        self.link.emit(event, **whole)
        await self.settle()

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        await self.settle()

    async def call_that_rings(self, caller: dict[str, str] = CALLER, phone: dict[str, str] = PHONE) -> None:
        incoming = {**caller, "Context": "from-carrier", "Exten": "74950000001"}
        await self.tell("Newchannel", incoming, ChannelState="4")
        await self.tell("Newchannel", phone, ChannelState="0")
        await self.tell("DialBegin", caller, as_dest(phone), DialString="101")
        await self.tell("Newstate", phone, ChannelState="5", ChannelStateDesc="Ringing")

    async def answer(self) -> None:
        await self.tell("Newstate", PHONE, ChannelState="6", ChannelStateDesc="Up")
        await self.tell("DialEnd", CALLER, as_dest(PHONE), DialStatus="ANSWER")

    async def hang_up(self, *channels: dict[str, str]) -> None:
        for channel in channels or (PHONE, CALLER):
            await self.tell("Hangup", channel, Cause="16", **{"Cause-txt": "Normal Clearing"})

    def shows(self, *channels: dict[str, str], state: str = "6") -> ActionResult:
        items = tuple(raw_event("CoreShowChannel", {**each, "ChannelState": state}) for each in channels)
        return ActionResult("CoreShowChannels", True, "", items=items)

    @property
    def redirects(self) -> list[dict[str, Any]]:
        return [sent.headers for sent in self.link.sent if sent.name == "Redirect"]

    async def journalled(self) -> list[str]:
        await self.journal.flush()
        return [entry.name for entry in self.journal.entries()]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    running = await made.start()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_caller_is_moved_at_the_deadline_and_not_before(desk: Desk) -> None:
    await desk.call_that_rings()
    await desk.pass_time(15.999)
    assert desk.redirects == []
    await desk.pass_time(0.001)
    (sent,) = desk.redirects
    assert (sent["Channel"], sent["Context"], sent["Exten"]) == (CALLER["Channel"], "failover", "sales")
    await desk.pass_time(60)
    assert len(desk.redirects) == 1


async def test_the_clock_goes_by_the_events_time_not_by_when_we_read_it(desk: Desk) -> None:
    """The first RINGING was 3 s ago when it reached us: 13 s are left."""
    desk.clock.advance(timedelta(seconds=3))
    late = f"{START.timestamp():.6f}"
    await desk.tell("Newchannel", {**CALLER, "Context": "from-carrier"}, ChannelState="4", Timestamp=late)
    await desk.tell("Newchannel", PHONE, ChannelState="0", Timestamp=late)
    await desk.tell("DialBegin", CALLER, as_dest(PHONE), Timestamp=late)
    await desk.tell("Newstate", PHONE, ChannelState="5", Timestamp=late)
    await desk.pass_time(12.9)
    assert desk.redirects == []
    await desk.pass_time(0.1)
    assert len(desk.redirects) == 1


async def test_who_is_answered_in_time_is_left_alone(desk: Desk) -> None:
    await desk.call_that_rings()
    await desk.pass_time(12)
    await desk.answer()
    await desk.pass_time(60)
    assert desk.redirects == []


async def test_who_hangs_up_is_left_alone(desk: Desk) -> None:
    await desk.call_that_rings()
    await desk.pass_time(12)
    await desk.hang_up()
    await desk.pass_time(60)
    assert desk.redirects == []


@pytest.mark.parametrize(
    "answer", [AmiLost("Redirect"), ActionResult("Redirect", False, "Channel does not exist")]
)
async def test_a_redirect_that_fails_is_told_and_not_repeated(
    desk: Desk, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    desk.link.answer("Redirect", answer)
    await desk.call_that_rings()
    await desk.pass_time(16)
    await desk.pass_time(16)
    assert len(desk.redirects) == 1
    assert "was not moved to failover" in caplog.text


@pytest.mark.parametrize("gap", ["link", "events"])
async def test_who_was_answered_unseen_is_not_torn_out_of_the_talk(desk: Desk, gap: str) -> None:
    await desk.call_that_rings()
    await desk.pass_time(5)
    desk.link.answer("CoreShowChannels", desk.shows(CALLER, PHONE))
    if gap == "link":
        desk.link.lose()
        await desk.settle()
        desk.link.restore()
    else:
        desk.link._stream.put_marker(EventGap(desk.clock.now(), 3))
        await desk.settle()
    await desk.pass_time(60)
    assert desk.redirects == []


async def test_after_a_lost_link_what_is_gone_is_closed_and_what_lives_goes_on(desk: Desk) -> None:
    other = {**CALLER, "Channel": "PJSIP/carrier-00000009", "Uniqueid": "c9", "Linkedid": "c9"}
    await desk.call_that_rings()
    await desk.tell("Newchannel", other, ChannelState="4")
    desk.link.lose()
    await desk.settle()
    desk.link.answer("CoreShowChannels", desk.shows(other))
    desk.link.restore()
    await desk.settle()
    await desk.bridge.writer.flush()
    calls = {call.record["uniqueids"][0]: call for call in await desk.store.calls()}
    assert calls["c1"].ended_at is not None
    assert calls["c1"].disposition == "UNKNOWN"
    assert calls["c9"].ended_at is None
    assert len(calls["c9"].record["gaps"]) == 1


async def test_an_incomplete_snapshot_closes_nothing(desk: Desk) -> None:
    await desk.call_that_rings()
    desk.link.lose()
    await desk.settle()
    desk.link.answer("CoreShowChannels", ActionResult("CoreShowChannels", True, "", complete=False))
    desk.link.restore()
    await desk.settle()
    assert len(desk.bridge.tracker.calls()) == 1


async def test_a_failed_snapshot_is_told_from_an_empty_one_and_asked_for_again(desk: Desk) -> None:
    await desk.call_that_rings()
    desk.link.lose()
    await desk.settle()
    desk.link.answer("CoreShowChannels", ActionResult("CoreShowChannels", True, "", complete=False))
    desk.link.restore()
    await desk.settle()
    assert (await desk.journalled())[-2:] == ["LinkReady", "SnapshotFailed"]
    desk.link.answer("CoreShowChannels", desk.shows())
    await desk.pass_time(2)
    assert (await desk.journalled())[-2:] == ["SnapshotWanted", "SnapshotTaken"]
    assert desk.bridge.tracker.calls() == []
    await desk.bridge.writer.flush()
    (call,) = await desk.store.calls()
    assert (call.disposition, len(call.record["gaps"])) == ("UNKNOWN", 1)


async def test_a_call_that_ends_while_the_snapshot_fails_shows_its_gap(desk: Desk) -> None:
    await desk.call_that_rings()
    desk.link.answer("CoreShowChannels", AmiLost("CoreShowChannels"))
    desk.link.lose()
    await desk.settle()
    desk.link.restore()
    await desk.settle()
    await desk.hang_up()
    await desk.bridge.writer.flush()
    (call,) = await desk.store.calls()
    (gap,) = call.record["gaps"]
    assert (gap["lost_at"] is not None, gap["found_at"]) == (True, None)


async def test_no_snapshot_is_no_catastrophe(desk: Desk) -> None:
    await desk.call_that_rings()
    desk.link.answer("CoreShowChannels", AmiLost("CoreShowChannels"))
    desk.link.lose()
    desk.link.restore()
    await desk.settle()
    await desk.hang_up()
    await desk.bridge.writer.flush()
    assert [call.ended_at for call in await desk.store.calls()] == [START]


async def test_the_store_away_for_long_loses_nothing_and_gets_the_newest(desk: Desk) -> None:
    desk.store.away = True
    await desk.call_that_rings()
    with pytest.raises(StoreUnavailable):
        await desk.bridge.writer.flush()
    await desk.pass_time(8)
    await desk.answer()
    with pytest.raises(StoreUnavailable):
        await desk.bridge.writer.flush()
    await desk.pass_time(3600)
    await desk.hang_up()
    desk.store.away = False
    await desk.bridge.writer.flush()
    (call,) = await desk.store.calls()
    assert (call.answered_by, call.answered_on_ring, call.department) == ("101", 2, "sales")
    assert call.ended_at == START + timedelta(seconds=3608)
    assert desk.bridge.writer.waiting == 0


async def test_the_fourth_ring_ends_in_time_while_the_store_is_away(desk: Desk) -> None:
    desk.store.away = True
    await desk.call_that_rings()
    await desk.pass_time(16)
    assert len(desk.redirects) == 1


async def test_one_bad_event_never_stops_the_next(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    real, desk.bridge.policy.on_fact = desk.bridge.policy.on_fact, None  # type: ignore[method-assign]
    other = {**CALLER, "Channel": "PJSIP/carrier-00000009", "Uniqueid": "c9", "Linkedid": "c9"}
    await desk.tell("Newchannel", other, ChannelState="4")
    desk.bridge.policy.on_fact = real  # type: ignore[method-assign]
    assert "passed over" in caplog.text
    await desk.call_that_rings()
    await desk.pass_time(16)
    assert len(desk.redirects) == 1


async def test_a_record_that_no_store_can_take_stops_no_other(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.store.poison = "c9"
    other = {**CALLER, "Channel": "PJSIP/carrier-00000009", "Uniqueid": "c9", "Linkedid": "c9"}
    await desk.tell("Newchannel", other, ChannelState="4")
    await desk.call_that_rings()
    await desk.bridge.writer.flush()
    (call,) = await desk.store.calls()
    assert call.record["uniqueids"][0] == "c1"
    assert "cannot be stored" in caplog.text
    assert desk.bridge.writer.waiting == 0


async def test_the_journal_holds_all_that_came_and_all_that_was_sent(desk: Desk) -> None:
    await desk.tell("VarSet", CALLER, Variable="x", Value="y")
    await desk.call_that_rings()
    await desk.pass_time(16)
    desk.link.lose("cut")
    await desk.settle()
    desk.link.restore()
    await desk.settle()
    assert await desk.journalled() == [
        "LinkReady",
        "SnapshotTaken",
        "VarSet",
        "Newchannel",
        "Newchannel",
        "DialBegin",
        "Newstate",
        "Redirect",
        "LinkLost",
        "LinkReady",
        "SnapshotTaken",
    ]


async def test_a_capture_is_finished_when_the_call_ends(desk: Desk) -> None:
    callback = await desk.store.create_callback("k", "sales", channel_uniqueid="c1", at=START)
    assert callback.state is CallbackState.CAPTURING
    await desk.call_that_rings()
    await desk.pass_time(30)
    await desk.hang_up(PHONE)
    assert (await desk.store.callback(callback.id)).state is CallbackState.CAPTURING  # type: ignore[union-attr]
    await desk.hang_up(CALLER)
    after = await desk.store.callback(callback.id)
    assert after is not None
    assert (after.state, after.updated_at) == (CallbackState.PARTIAL, START + timedelta(seconds=30))


async def test_a_call_that_ends_just_before_the_stop_is_still_stored() -> None:
    desk = Desk()
    running = await desk.start()
    await desk.call_that_rings()
    await desk.hang_up()
    assert await desk.store.calls() == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (call,) = await desk.store.calls()
    assert call.ended_at == START


async def test_an_agent_whose_phone_rings_in_vain_is_paused(desk: Desk) -> None:
    """Two calls of 101 run out under the ring clock: paused in every queue, with the reason that the desk shows."""
    for call in ("c1", "c2"):
        assert [sent for sent in desk.link.sent if sent.name == "QueuePause"] == []
        caller = {**CALLER, "Uniqueid": call, "Linkedid": call, "Channel": f"PJSIP/carrier-0000000{call}"}
        phone = {**PHONE, "Uniqueid": f"p{call}", "Linkedid": call, "Channel": f"PJSIP/101-0000000{call}"}
        await desk.call_that_rings(caller, phone)
        told = {
            "UserEvent": "FourthRing",
            "Fact": "failover",
            "Reason": "ring_deadline",
            "Department": "sales",
        }
        await desk.tell("UserEvent", caller, **told)
    (paused,) = [sent.headers for sent in desk.link.sent if sent.name == "QueuePause"]
    assert paused["Interface"] == "Local/101@queue-member/n"
    assert (paused["Paused"], paused["Reason"]) == ("true", "rona")
