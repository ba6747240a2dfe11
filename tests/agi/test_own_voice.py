"""A person's recording wins over the synthetic voice: by phone, turn by turn, and from a file."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agi.steps import own_name
from agi.turns import Answer, Do
from agi.voice import compose, own_voice, sound
from agi.voice.cache import VoiceCache
from agi.voice.loudness import loudness_lufs
from agi.voice.prompts import wav_of, wide_of
from agi.voice.render import RenderError

NOON_IN_MOSCOW = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)
HEARD, EMPTY = Answer("DTMF", heard=True), Answer("DTMF", heard=False)


def said(seconds: float = 1.0, rate: int = 8000, pitch: float = 300.0) -> bytes:
    """Somebody's voice, quiet, with silence around it."""
    time = np.arange(int(seconds * rate)) / rate
    voice = 0.05 * np.sin(2 * np.pi * pitch * time) * (1 + np.sin(2 * np.pi * 4 * time)) / 2
    return sound.wav_bytes(np.pad(voice, rate // 2), rate)


@pytest.fixture
def voice(tmp_path: Path, prepared: VoiceCache) -> VoiceCache:
    shutil.copytree(prepared.folder, tmp_path / "prompts")
    node = prepared.settings.node.model_copy(update={"state_folder": tmp_path})
    return VoiceCache(prepared.settings.model_copy(update={"node": node}))


def greeting(voice: VoiceCache, kind: compose.GreetingKind, agent: str, department: str = "support") -> Path:
    found = voice.find_greeting(kind, department, agent=agent, at=NOON_IN_MOSCOW)
    assert found is not None
    return found


def holds(whole: Path, part: Path) -> bool:
    samples, piece = (sound.read_wav(wav_of(path).read_bytes())[0] for path in (whole, part))
    size = 1 << (len(samples) + len(piece)).bit_length()
    product = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(piece, size))
    return bool(np.fft.irfft(product, size).max() > 0.99 * np.square(piece).sum())


def test_the_next_caller_hears_the_name_in_the_own_voice(voice: VoiceCache) -> None:
    kind = compose.GreetingKind.DIRECT
    before = greeting(voice, kind, "103")
    own_voice.keep(voice.settings, "103", said())
    after = greeting(voice, kind, "103")
    own = own_voice.name_of(voice.settings, "103")
    assert own is not None
    assert after != before
    assert holds(after, own.path)
    assert not holds(before, own.path)
    assert holds(after, voice.path_of("speaking.", voice.books["en"]))
    for file_of in (wav_of, wide_of):
        samples, rate = sound.read_wav(file_of(own.path).read_bytes())
        assert loudness_lufs(samples, rate) == pytest.approx(sound.LOUDNESS_LUFS, abs=1)
        assert len(samples) / rate == pytest.approx(1.0, abs=0.15)  # trimmed
    own_voice.keep(voice.settings, "103", said(pitch=500))
    assert greeting(voice, kind, "103") != after  # recorded again
    assert holds(greeting(voice, compose.GreetingKind.DIRECT, "101", "sales"), own.path) is False
    own_voice.forget(voice.settings, "103")
    assert greeting(voice, kind, "103") == before


def test_a_whole_greeting_in_the_own_voice(voice: VoiceCache) -> None:
    """Said where the agent answers; a callback has its own words."""
    own_voice.keep(voice.settings, "103", said(2.0), greeting="en")
    own = own_voice.greeting_of(voice.settings, "103", "en")
    assert own is not None
    assert greeting(voice, compose.GreetingKind.QUEUE_ANSWER, "103") == own.path
    assert greeting(voice, compose.GreetingKind.CALLBACK, "103") != own.path
    assert own_voice.greeting_of(voice.settings, "103", "ru") is None
    assert own_voice.greeting_of(voice.settings, "../103", "en") is None


@pytest.mark.parametrize("content", [b"", b"RIFF", sound.wav_bytes(np.zeros(8000))])
def test_what_is_no_voice_is_refused(voice: VoiceCache, content: bytes) -> None:
    with pytest.raises(RenderError, match=r"record it again|Record a WAV"):
        own_voice.keep(voice.settings, "103", content)
    assert own_voice.name_of(voice.settings, "103") is None


def test_listen_record_again_accept() -> None:
    stage, misses, turn = own_name.plan("", 0, Answer())
    assert turn.do is Do.RECORD
    stage, misses, turn = own_name.plan(stage, misses, EMPTY)
    assert turn.do is Do.RECORD
    stage, misses, turn = own_name.plan(stage, misses, HEARD)
    assert turn.do is Do.KEY
    stage, misses, turn = own_name.plan(stage, misses, Answer("3"))
    assert turn.do is Do.KEY
    stage, misses, turn = own_name.plan(stage, misses, Answer("2"))
    assert turn.do is Do.RECORD
    stage, misses, turn = own_name.plan(stage, misses, HEARD)
    stage, misses, turn = own_name.plan(stage, misses, Answer("1"))
    assert (stage, turn) == ("done", own_name._ACCEPTED)


def test_silence_changes_nothing_and_ends() -> None:
    for stage, answer in (("record", EMPTY), ("choose", Answer())):
        misses, turn = 0, None
        now = stage
        for _ in range(5):
            now, misses, turn = own_name.plan(now, misses, answer)
        assert turn == own_name._LEFT


async def test_by_phone_step_by_step(peer, settings, environment) -> None:  # type: ignore[no-untyped-def]
    """The AGI's side of it: a recording is asked for, played, and kept on key 1."""
    assert (await peer.turn("103", "", conversation="own_name"))["FR_DO"] == "record"
    Path(peer.variables["FR_RECORDING"] + ".wav").write_bytes(said())
    assert (await peer.turn("103", "DTMF", conversation="own_name"))["FR_DO"] == "key"
    assert "own-103/name" in peer.variables["FR_FILES"]
    assert own_voice.name_of(settings, "103") is None
    assert (await peer.turn("103", "1", conversation="own_name"))["FR_DO"] == "end"
    assert own_voice.name_of(settings, "103") is not None
    own_voice.forget(settings, "103")


async def test_the_whole_greeting_by_phone(peer, settings, voice) -> None:  # type: ignore[no-untyped-def]
    """In the first language of the agent's department; the name is another recording."""
    assert (await peer.turn("103", "", conversation="own_greeting"))["FR_DO"] == "record"
    asked = voice.book_of("support").say("own_name.ask_greeting")
    assert peer.variables["FR_FILES"] == str(voice.path_of(asked, voice.book_of("support")))
    Path(peer.variables["FR_RECORDING"] + ".wav").write_bytes(said(2.0))
    await peer.turn("103", "DTMF", conversation="own_greeting")
    assert (await peer.turn("103", "1", conversation="own_greeting"))["FR_DO"] == "end"
    own = own_voice.greeting_of(settings, "103", "en")
    assert own is not None
    assert greeting(VoiceCache(settings), compose.GreetingKind.QUEUE_ANSWER, "103") == own.path
    assert own_voice.name_of(settings, "103") is None
    own_voice.forget(settings, "103")


async def test_who_has_no_phone_records_nothing(peer) -> None:  # type: ignore[no-untyped-def]
    assert "FR_DO" not in await peer.turn("666", "", conversation="own_name")
