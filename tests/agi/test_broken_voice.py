"""What breaks a voice never reaches the caller, and always the admin: renderer, voice file, a disk that is full."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agi.server import AgiLimits, AgiServer
from agi.voice.cache import VoiceCache
from agi.voice.prompts import fixed_prompt, wav_of
from ami_bridge import doctor
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.store import SqlStore
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings
from tests.disks import fill, small_disk

from .conftest import NOON_IN_MOSCOW, TOKEN, Peer, environment_bytes, free_port


def company(folder: Path, **voice: Any) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(folder)
    document["network"]["agi_port"] = free_port()
    document["voices"] = {"ru": voice} if voice else {}
    return parse_settings(document)


async def heard(settings: Settings, voice: VoiceCache, store: SqlStore) -> Path:
    """What a caller hears whom 101 answers."""
    server = AgiServer(
        settings, store, voice, TOKEN, limits=AgiLimits(step_seconds=10), clock=FakeClock(NOON_IN_MOSCOW)
    )
    await server.start()
    try:
        answer = await Peer(server.port).ask(environment_bytes("greeting", ("direct", "sales", "101")))
    finally:
        await server.stop()
    assert answer["FR_STEP_OK"] == "1"
    path = Path(answer["FR_FILES"])
    assert wav_of(path).stat().st_size > 8000, "something is heard"
    return path


@pytest.mark.parametrize(
    ("voice", "told"),
    [
        ({"renderer": "command", "command": ["false"]}, "false refused"),
        ({"renderer": "command", "command": ["no-such-program"]}, "no-such-program is missing"),
        ({"renderer": "command", "command": ["cat"]}, "did not answer with sound"),
        ({"renderer": "piper", "voice": "/nowhere/irina.onnx"}, "iper"),
    ],
)
async def test_a_voice_that_cannot_speak(
    tmp_path: Path, store: SqlStore, voice: dict[str, Any], told: str
) -> None:
    settings = company(tmp_path / "state", **voice)
    cache = VoiceCache(settings)
    assert cache.prepare() > 0
    assert await heard(settings, cache, store) == fixed_prompt(settings, "sales", "greeting")
    cache.close()
    found = {each.subject: each for each in doctor._prompts(settings)}
    assert found["prompts"].ok, "the plain voice spoke what must always be heard"
    assert not found["voice"].ok
    assert told in found["voice"].message


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 64 MiB."""
    folder = tmp_path / "disk"
    with small_disk(folder, "64m"):
        yield folder


async def test_a_disk_that_is_full(disk: Path, store: SqlStore) -> None:
    settings = company(disk)
    cache = VoiceCache(settings)
    assert cache.prepare(at=NOON_IN_MOSCOW) == 0
    ballast = fill(disk)
    # Never put together before, and now it cannot be.
    assert await heard(settings, cache, store) == fixed_prompt(settings, "sales", "greeting")
    found = next(each for each in doctor._disk(settings) if each.subject == "disk")
    assert not found.ok
    assert "only 0 MiB free" in found.message
    ballast.unlink()
    assert await heard(settings, cache, store) != fixed_prompt(settings, "sales", "greeting")
    cache.close()
