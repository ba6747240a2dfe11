"""A caller who knows the greeting is told less; the agent may hear a tone in its place. Asked as Asterisk asks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agi.server import AgiLimits, AgiServer
from agi.voice import compose, sound
from agi.voice.cache import VoiceCache
from agi.voice.prompts import wav_of
from agi.voice.script import text_of
from ami_bridge.adapters.store import SqlStore, StoreUnavailable
from ami_bridge.settings import Settings
from ami_bridge.voice_settings import Greeting

from .conftest import CALLER, NOON_IN_MOSCOW, TOKEN, Peer, TickingClock, environment_bytes, free_port


def changed(settings: Settings, **greeting: Any) -> Settings:
    network = settings.network.model_copy(update={"agi_port": free_port()})
    return settings.model_copy(update={"greeting": Greeting(**greeting), "network": network})


class Asker:
    """A server with a [greeting] of its own; tells what is played to whom."""

    def __init__(self, settings: Settings, voice: VoiceCache, store: SqlStore) -> None:
        self.settings, self.voice, self.store = settings, voice, store

    async def plays(
        self, kind: str = "direct", *, caller: str = CALLER, side: str = "", uniqueid: str = "fr1-9.1"
    ) -> Path:
        server = AgiServer(
            self.settings,
            self.store,
            self.voice,
            TOKEN,
            limits=AgiLimits(step_seconds=10.0, answer_seconds=10.0),
            clock=TickingClock(NOON_IN_MOSCOW),
        )
        await server.start()
        try:
            agent = "101" if kind == "direct" else ""
            asked = environment_bytes("greeting", (kind, "sales", agent, caller, side), uniqueid=uniqueid)
            answer = await Peer(server.port).ask(asked)
        finally:
            await server.stop()
        assert answer["FR_STEP_OK"] == "1"
        return Path(answer["FR_FILES"])

    def greeting(self, kind: str = "direct", *, again: bool = False) -> Path:
        agent = "101" if kind == "direct" else ""
        found = self.voice.find_greeting(
            compose.GreetingKind(kind), "sales", agent=agent, at=NOON_IN_MOSCOW, again=again
        )
        assert found is not None
        return found


@pytest.fixture
async def short(settings: Settings, prepared: VoiceCache, store: SqlStore) -> AsyncIterator[Asker]:
    voice = VoiceCache(changed(settings, short_within_minutes=30))
    yield Asker(voice.settings, voice, store)
    voice.close()


async def heard(
    store: SqlStore,
    minutes_ago: float,
    *,
    department: str = "sales",
    status: str = "SUCCESS",
    uid: str = "fr1-1.1",
) -> None:
    ended = NOON_IN_MOSCOW - timedelta(minutes=minutes_ago)
    played = {"kind": "queue-join", "department": department, "agent": "", "status": status}
    times = {"started_at": (ended - timedelta(seconds=4)).isoformat(), "ended_at": ended.isoformat()}
    await store.save_call(
        {
            "call_id": f"c-{uid}",
            "started_at": (ended - timedelta(minutes=1)).isoformat(),
            "caller_number": CALLER,
            "uniqueids": [uid],
            "greetings": [{**played, **times}],
        }
    )


@pytest.mark.parametrize("kind", ["direct", "queue-join"])
async def test_who_heard_it_lately_is_told_less(short: Asker, kind: str) -> None:
    assert await short.plays(kind) == short.greeting(kind)
    await heard(short.store, 5)
    told = await short.plays(kind)
    assert told == short.greeting(kind, again=True) != short.greeting(kind)
    assert await short.plays(kind, side="agent") == told, "both hear the same"
    assert await short.plays(kind, caller="") == short.greeting(kind)


async def test_the_words_of_the_short_form_name_the_person(short: Asker) -> None:
    book = short.voice.book_of("sales")
    kind = compose.GreetingKind.DIRECT
    script = compose.greeting_at(
        book, short.settings, kind, "sales", agent="101", at=NOON_IN_MOSCOW, again=True
    )
    assert "Анна Смирнова" in text_of(script)
    assert text_of(script).endswith("?")


@pytest.mark.parametrize(
    ("minutes_ago", "how"),
    [
        (31, {}),
        (5, {"department": "support"}),
        (5, {"status": "FAILED"}),
        (5, {"uid": "fr1-9.1"}),  # in this very call
    ],
)
async def test_everybody_else_hears_the_whole(short: Asker, minutes_ago: float, how: dict[str, str]) -> None:
    await heard(short.store, minutes_ago, **how)
    assert await short.plays() == short.greeting()


async def test_a_store_that_is_away_costs_nobody_the_greeting(
    short: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(**_: Any) -> list[Any]:
        raise StoreUnavailable("gone")

    await heard(short.store, 5)
    monkeypatch.setattr(short.store, "calls", away)
    assert await short.plays() == short.greeting()


async def test_or_nothing_at_all(short: Asker) -> None:
    await heard(short.store, 5)
    short.settings = changed(short.settings, short_within_minutes=30, when_heard="skip")
    quiet = await short.plays()
    samples, _ = sound.read_wav(wav_of(quiet).read_bytes())
    assert 0 < len(samples) < sound.RATE / 5
    assert not np.any(samples)


async def test_unless_it_is_configured_nobody_asks(short: Asker) -> None:
    await heard(short.store, 5)
    short.settings = changed(short.settings)
    assert await short.plays() == short.greeting()


async def test_the_agent_hears_a_tone_that_ends_with_the_greeting(short: Asker) -> None:
    short.settings = changed(short.settings, agent_hears="tone")
    assert await short.plays() == short.greeting()
    tone = await short.plays(side="agent")
    assert tone != short.greeting()
    (greeting, _), (heard_, rate) = (
        sound.read_wav(wav_of(path).read_bytes()) for path in (short.greeting(), tone)
    )
    assert 0 <= len(greeting) - len(heard_) <= rate // 10
    loud = np.abs(heard_) > 0.02
    assert loud[: rate // 5].any(), "one tone when it begins"
    assert not loud[rate // 2 : -rate // 2].any()
    assert loud[-rate // 5 :].any(), "one when it ends"


async def test_a_tone_that_the_disk_refuses_is_the_greeting(
    short: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    short.settings = changed(short.settings, agent_hears="tone")
    for file in (short.voice.folder / "fixed/tones").glob("*"):
        file.unlink()
    monkeypatch.setattr(sound, "write_atomically", full)
    assert await short.plays(side="agent") == short.greeting()
