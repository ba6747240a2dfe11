"""Who waits is told the truth, keeps his place, is not forgotten at closing time, and gets a person where keys fail."""

from __future__ import annotations

import asyncio
import contextlib
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackEvent, CallbackState, IllegalTransition
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from ami_bridge.render import render_asterisk
from ami_bridge.settings import parse_settings
from tests.pbx.calls import callback_of, eventually, now, record_of
from tests.pbx.capture_player import Player
from tests.pbx.capture_story import HANG_UP, LISTEN, WAYS, Act, Kept, Say, Story

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

# Long enough to dial and to hear the words before the queue.
_LEAD = timedelta(seconds=40)


def talks_of(department: str, seconds: float, count: int = 200) -> list[dict[str, object]]:
    """Calls of the last minutes from which the wait is estimated: so many that those of other tests weigh nothing."""
    ended = now() - timedelta(minutes=5)
    return [
        {
            "call_id": f"paper-{department}-{number}",
            "started_at": (ended - timedelta(seconds=seconds + 30)).isoformat(),
            "ended_at": ended.isoformat(),
            "department": department,
            "disposition": "ANSWERED",
            "talk_seconds": seconds,
        }
        for number in range(count)
    ]


@asynccontextmanager
async def closing_soon(stage: Stage, department: str) -> AsyncIterator[datetime]:
    """Reload the dialplan as it is when ``department`` closes within a minute or two; yields when that is."""
    zone = ZoneInfo("Europe/Moscow")
    if (datetime.now(zone) + timedelta(minutes=5)).date() != datetime.now(zone).date():
        zone = ZoneInfo("Asia/Vladivostok")  # not at midnight, which is no closing time here
    closes = (datetime.now(zone) + _LEAD + timedelta(minutes=1)).replace(second=0, microsecond=0)
    document = tomllib.loads(stage.config.read_text(encoding="utf-8"))
    document["departments"][department] |= {
        "time_zone": zone.key,
        "hours": {"open": [f"mon-sun 00:00-{closes:%H:%M}"]},
    }
    try:
        await asyncio.to_thread(render_asterisk, parse_settings(document), stage.pbx.paths)
        await asyncio.to_thread(stage.pbx.reload)
        yield closes
    finally:
        await asyncio.to_thread(render_asterisk, stage.settings, stage.pbx.paths)
        await asyncio.to_thread(stage.pbx.reload)


def waiting(name: str, number: str, *script: tuple[str, str | Say | Act], way: str = "quick") -> Story:
    """What a caller of the queue hears and does; see capture_stories."""
    return Story(name, way, (script,), Kept(), caller=number)


async def called_off(store: SqlStore, callback: str) -> None:
    """Nobody is to be rung for it in later tests; what the dialer has in hand by now, or was merged, ends by itself."""
    with contextlib.suppress(IllegalTransition):
        await store.update_callback(callback, event=CallbackEvent.CANCELLED)


async def at_closing_time(stage: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Somebody waits, and goes on waiting when the department closes: asked whether we may ring."""
    began, member = now(), await stage.agent("103", answer_mode="never")
    phone = await stage.caller("79165552001", index=0)
    player = Player(stage, store, expected, phone, patience=150)
    story = waiting(
        "closing",
        "79165552001",
        ("fixed:busy", LISTEN),
        ("fixed:closing", LISTEN),
        ("permission", "1"),
        ("number_intro", "1"),
        way="ru",
    )
    async with closing_soon(stage, "bilingual") as closes:
        await player.begin(WAYS[story.way][0], story.caller)
        await player.follow(story, story.caller, story.calls[0])
        assert datetime.now(closes.tzinfo) >= closes
    await member.stop()  # with somebody free, the dialer would take what is kept before it is looked at
    await player.step(story, story.caller, "name", HANG_UP)
    kept = await callback_of(store, "79165552001", {CallbackState.PARTIAL}, began)
    assert kept.number == "+79165552001"
    assert [stay["left_reason"] for stay in (await record_of(store, "79165552001", began))["queues"]] == [
        "timeout"
    ]
    await called_off(store, kept.id)


async def joined(stage: Stage, number: str, index: int) -> Softphone:
    """A caller on the way to the queue of "quick"."""
    phone = await stage.caller(number, index=index)
    await phone.dial("74950000005")
    await phone.wait_for(PhoneState.ESTABLISHED, 20)
    return phone


async def told_the_truth_and_put_in_his_place(
    stage: Stage, store: SqlStore, expected: ExpectedPrompts, agent: Softphone
) -> None:
    """The second hears how long it takes, that he may be rung instead, and his place; one who was missed half an
    hour ago rings again and is served before both."""
    await store.save_calls(talks_of("quick", 400))
    missed = await store.create_callback(
        "test:missed-before",
        "quick",
        event=CallbackEvent.BROKEN_OFF,
        number="+79165552004",
        caller_id="79165552004",
        place_at=now() - timedelta(minutes=30),
        origin="missed",
    )
    first = await joined(stage, "79165552002", 1)
    await agent.wait_for(PhoneState.INCOMING, 40)
    second = Player(stage, store, expected, await stage.caller("79165552003", index=2))
    story = waiting(
        "second",
        "79165552003",
        ("waits:waits.15", LISTEN),
        ("waits:queue.offer", LISTEN),
        ("fixed:position", LISTEN),
    )
    await second.begin("74950000005", story.caller)
    await second.follow(story, story.caller, story.calls[0])
    returned = Player(stage, store, expected, await stage.caller("79165552004", index=3))
    await returned.begin("74950000005", "79165552004")
    await returned.step(story, "79165552004", "waits:waits.10", LISTEN)
    await returned.step(story, "79165552004", "waits:queue.offer!", LISTEN)
    await asyncio.sleep(1)  # he joins
    await first.hangup()
    await asyncio.sleep(3)  # the phone may still be ringing for the first
    await rung(agent)
    await agent.answer()
    await returned.step(story, "79165552004", "greeting:queue-answer:102", HANG_UP)
    await second.hang_up()
    await called_off(store, missed.id)


async def rung(agent: Softphone) -> None:
    """The phone is ringing now, whatever it did before: the queue rings it again and again."""

    async def ringing() -> bool | None:
        return agent.state is PhoneState.INCOMING or None

    await eventually(ringing, "the agent's phone rings", 40)


async def keys_are_nothing_for_him(
    stage: Stage, store: SqlStore, expected: ExpectedPrompts, agent: Softphone
) -> None:
    """Three wrong keys at the permission while a colleague is free: he is put through to a person."""
    story = waiting("person", "79165552005", ("permission", "9"), ("wrong_key", "9"), ("wrong_key", "9"))
    caller = Player(stage, store, expected, await stage.caller(story.caller, index=4))
    await caller.begin("74950000005", story.caller)
    await caller.step(story, story.caller, "fixed:busy", "1")
    await caller.follow(story, story.caller, story.calls[0])
    await caller.step(story, story.caller, "to_person", LISTEN)
    await rung(agent)
    await agent.answer()
    await caller.step(story, story.caller, "greeting:queue-answer:102", HANG_UP)


@pytest.mark.timeout(400)
async def test_waiting_callers(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    async def with_one_agent() -> None:
        agent = await phones.agent("102")
        await told_the_truth_and_put_in_his_place(phones, store, expected, agent)
        await keys_are_nothing_for_him(phones, store, expected, agent)

    await asyncio.gather(at_closing_time(phones, store, expected), with_one_agent())
