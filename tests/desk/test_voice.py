"""An agent's own voice over the desk: a WAV goes up, the next caller hears it; it can be heard and forgotten here."""

from __future__ import annotations

import numpy as np
import pytest
from aiohttp.test_utils import TestClient

from agi.voice import own_voice, sound
from ami_bridge.adapters.store import Store
from ami_bridge.desk.voice_api import LARGEST_FILE
from ami_bridge.settings import Settings

from .conftest import add_user, csrf, log_in, token_of

ONE = "/api/v1/agents/101/voice"


def said(seconds: float = 1.0, rate: int = 44100) -> bytes:
    time = np.arange(int(seconds * rate)) / rate
    voice = 0.1 * np.sin(2 * np.pi * 300 * time) * (1 + np.sin(2 * np.pi * 4 * time)) / 2
    return sound.wav_bytes(voice, rate)


async def test_upload_hear_and_forget(desk: TestClient, settings: Settings, store: Store) -> None:
    empty = await (await desk.get(ONE)).json()
    assert empty == {"extension": "101", "parts": ["name", "greeting-ru"], "recorded": []}
    answer = await desk.put(f"{ONE}/name", data=said(), headers={"Content-Type": "audio/wav"})
    assert answer.status == 200, await answer.text()
    (recorded,) = (await answer.json())["recorded"]
    assert (recorded["part"], recorded["seconds"]) == ("name", pytest.approx(1.0, abs=0.15))
    assert own_voice.name_of(settings, "101") is not None
    heard = await desk.get(f"{ONE}/name")
    assert heard.content_type == "audio/wav"
    assert sound.read_wav(await heard.read())[1] == sound.RATE
    assert (await desk.put(f"{ONE}/greeting-ru", data=said(2.0))).status == 200
    assert own_voice.greeting_of(settings, "101", "ru") is not None
    left = await (await desk.delete(f"{ONE}/name")).json()
    assert [each["part"] for each in left["recorded"]] == ["greeting-ru"]
    assert own_voice.name_of(settings, "101") is None
    assert (await desk.get(f"{ONE}/name")).status == 404
    assert [entry.action for entry in await store.audits()] == ["voice.drop", "voice.keep", "voice.keep"]


@pytest.mark.parametrize(
    ("part", "content", "status"),
    [
        ("name", b"", 400),
        ("name", b"RIFF....WAVE", 400),
        ("name", sound.wav_bytes(np.zeros(8000)), 400),
        ("name", b"\0" * (LARGEST_FILE + 1), 413),
        ("greeting-fi", b"x", 404),
        ("..", b"x", 404),
    ],
)
async def test_what_nobody_can_hear_is_refused(
    desk: TestClient, settings: Settings, part: str, content: bytes, status: int
) -> None:
    assert (await desk.put(f"{ONE}/{part}", data=content)).status == status
    assert not own_voice.voices_folder(settings).exists()


async def test_agents_speak_for_themselves(stranger: TestClient, store: Store, settings: Settings) -> None:
    await add_user(store, "anna", extension="101")
    await add_user(store, "pyotr", extension="102")
    await add_user(store, "chief", "supervisor")
    for name, status in (("pyotr", 404), ("chief", 200), ("anna", 200)):
        headers = await token_of(store, name)
        assert (await stranger.put(f"{ONE}/name", data=said(), headers=headers)).status == status, name
    assert (await stranger.put(f"{ONE}/name", data=said())).status == 401
    narrow = await token_of(store, "anna", "calls:read")
    assert (await stranger.put(f"{ONE}/name", data=said(), headers=narrow)).status == 403


async def test_the_page(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    await add_user(store, "chief", "supervisor")
    await log_in(stranger, "anna")
    page = await (await stranger.get("/voice")).text()
    assert f'data-voice="{ONE}/name"' in page
    assert f'data-voice="{ONE}/greeting-ru"' in page
    assert "*61" in page
    assert "*62" in page
    assert "<audio" not in page
    assert (await stranger.get("/voice/102")).status == 404
    token = {"X-CSRF-Token": await csrf(stranger)}
    assert (await stranger.put(f"{ONE}/name", data=said())).status == 403, (
        "another site's page could send this"
    )
    assert (await stranger.put(f"{ONE}/name", data=said(), headers=token)).status == 200
    assert f'<audio controls preload="none" src="{ONE}/name"' in await (await stranger.get("/voice")).text()
    stranger.session.cookie_jar.clear()
    await log_in(stranger, "chief")
    assert (await stranger.get("/voice")).status == 404
    assert f'data-voice="{ONE}/name"' in await (await stranger.get("/voice/101")).text()
