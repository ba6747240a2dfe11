"""After each call: missed callers are noted once, talks close what was open, captures end."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.store import DoNotCall, MemoryStore, StoreUnavailable
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackState, Consent
from ami_bridge.follow_ups import FollowUps
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NUMBER = "+79161234567"


class Desk:
    """A store, and the follow-ups that write to it."""

    def __init__(self) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        self.settings = parse_settings(document)
        self.store = MemoryStore()
        self.clock = FakeClock(NOW)
        self.follow_ups = FollowUps(self.settings, self.store, self.clock)

    async def ends(self, call: str = "c1", *, minute: int = 0, **said: Any) -> None:
        record = {
            "call_id": call,
            "kind": "call",
            "direction": "inbound",
            "department": "sales",
            "caller": {"number": "79161234567"},
            "disposition": "ABANDONED",
            "queues": [{"name": "sales"}],
            "started_at": (NOW + timedelta(minutes=minute - 1)).isoformat(),
            "ended_at": (NOW + timedelta(minutes=minute)).isoformat(),
            "uniqueids": [f"u-{call}"],
            **said,
        }
        self.follow_ups.ended(record)
        await self.follow_ups.work()

    async def asked(self, number: str = NUMBER) -> Callback:
        made = await self.store.create_callback("k", "sales", at=NOW, number=number, place_at=NOW)
        given = Consent("1", "v", NOW, number)
        return await self.store.settle_capture(made.id, event=CallbackEvent.CAPTURED, at=NOW, consent=given)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_missed_caller_is_noted_and_never_dialled_unasked(desk: Desk) -> None:
    await desk.ends()
    (noted,) = await desk.store.callbacks()
    assert (noted.state, noted.number, noted.origin) == (CallbackState.PARTIAL, NUMBER, "missed")
    assert (noted.consent, noted.due_at) == (None, None)
    assert noted.place_at == NOW - timedelta(minutes=1)
    assert await desk.store.claim_due(NOW + timedelta(days=1), "w", 60) == []
    (told,) = await desk.store.callback_history(noted.id)
    assert (told.kind, told.detail) == ("missed_call", {"call": "c1", "why": "in_queue"})


async def test_who_tries_three_times_is_one_follow_up_with_a_history(desk: Desk) -> None:
    for minute in range(3):
        await desk.ends(f"c{minute}", minute=minute)
    waiting = await desk.store.callbacks(states={CallbackState.PARTIAL})
    assert len(waiting) == 1
    assert waiting[0].place_at == NOW - timedelta(minutes=1)
    kinds = [entry.kind for entry in await desk.store.callback_history(waiting[0].id)]
    assert kinds.count("missed_call") == 3


async def test_following_up_twice_changes_nothing(desk: Desk) -> None:
    await desk.ends()
    before = await desk.store.callbacks()
    await desk.ends()
    assert await desk.store.callbacks() == before


async def test_a_missed_call_of_somebody_who_waits_for_us_adds_to_the_history(desk: Desk) -> None:
    asked = await desk.asked()
    await desk.ends(minute=5)
    after = await desk.store.callback(asked.id)
    assert after is not None
    assert (after.state, after.due_at, after.place_at) == (CallbackState.QUEUED, asked.due_at, asked.place_at)
    assert "missed_call" in [entry.kind for entry in await desk.store.callback_history(asked.id)]


async def test_a_capture_on_the_call_is_all_that_is_noted(desk: Desk) -> None:
    await desk.store.create_callback("k", "sales", channel_uniqueid="u-c1", at=NOW, number=NUMBER)
    await desk.ends()
    (only,) = await desk.store.callbacks()
    assert (only.state, only.key) == (CallbackState.PARTIAL, "k")


async def test_a_talk_closes_the_callback(desk: Desk) -> None:
    asked = await desk.asked()
    await desk.ends(minute=5, disposition="ANSWERED", talk_seconds=12.0)
    assert (await desk.store.callback(asked.id)).state is CallbackState.QUEUED  # type: ignore[union-attr]
    await desk.ends("c2", minute=6, disposition="ANSWERED", talk_seconds=61.24)
    after = await desk.store.callback(asked.id)
    assert after is not None
    assert (after.state, after.closed_reason) == (CallbackState.DONE, "reached otherwise")
    told = (await desk.store.callback_history(asked.id))[-1]
    assert told.detail == {"call": "c2", "talk_seconds": 61.2, "direction": "inbound"}


async def test_so_does_a_call_that_an_agent_made(desk: Desk) -> None:
    asked = await desk.asked()
    said = {"direction": "outbound", "caller": {"number": "101"}, "dialled": "89161234567"}
    await desk.ends(minute=5, disposition="ANSWERED", talk_seconds=61, **said)
    assert (await desk.store.callback(asked.id)).state is CallbackState.DONE  # type: ignore[union-attr]


@pytest.mark.parametrize("number", ["", "112", "79540000000", "74950000001", "442071838750"])
async def test_whom_we_would_not_ring_is_not_noted(desk: Desk, number: str) -> None:
    await desk.ends(caller={"number": number})
    assert await desk.store.callbacks() == []


async def test_whoever_asked_never_to_be_rung_is_not_noted(desk: Desk) -> None:
    await desk.store.forbid_calling(DoNotCall(NUMBER, NOW))
    await desk.ends()
    assert await desk.store.callbacks() == []


async def test_what_ended_before_the_start_is_taken_up_in_its_order(desk: Desk) -> None:
    calls = [
        ("c1", "ABANDONED", None, 1),
        ("c2", "ANSWERED", 60.0, 2),
        ("c3", "ABANDONED", None, 3),
    ]
    for call, disposition, seconds, minute in calls:
        at = NOW + timedelta(minutes=minute)
        await desk.store.save_call(
            {
                "call_id": call,
                "kind": "call",
                "direction": "inbound",
                "department": "sales",
                "caller": {"number": "79161234567"},
                "disposition": disposition,
                "talk_seconds": seconds,
                "started_at": at.isoformat(),
                "ended_at": at.isoformat(),
            }
        )
    desk.clock.advance(timedelta(minutes=10))
    await desk.follow_ups.look_back()
    await desk.follow_ups.work()
    states = {each.key: each.state for each in await desk.store.callbacks()}
    assert states == {"missed:c1": CallbackState.DONE, "missed:c3": CallbackState.PARTIAL}


async def test_a_store_that_is_away_delays_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The database does not answer.")

    with monkeypatch.context() as broken:
        broken.setattr(desk.store, "callback_of_channel", away)
        with pytest.raises(StoreUnavailable):
            await desk.ends()
    assert desk.follow_ups.waiting == 1
    await desk.follow_ups.work()
    assert len(await desk.store.callbacks()) == 1


async def test_one_bad_record_stops_no_other(desk: Desk) -> None:
    await desk.ends(started_at="yesterday")
    await desk.ends("c2")
    assert [each.key for each in await desk.store.callbacks()] == ["missed:c2"]
