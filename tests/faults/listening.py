"""Listening for what a caller must hear, at little cost: many phones are listened to on few cores."""

from __future__ import annotations

import asyncio
import time
import wave
from pathlib import Path

from ami_bridge.demo.ear import Ear, HeardPrompt
from ami_bridge.demo.hearing import load_wav
from ami_bridge.demo.softphone import Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import spoken

AGENT_SAYS, CALLER_SAYS = "Слушаю вас, чем могу помочь", "Здравствуйте, хочу сделать заказ"


def seconds_of(sound: Path) -> float:
    """How long a WAV is."""
    samples, rate = load_wav(sound)
    return len(samples) / rate


def beginning(stage: Stage, prompt: Path, seconds: float = 3.0) -> Path:
    """The first words of a long prompt, where only their coming in time matters."""
    path = stage.phones_folder / f"{prompt.parent.name}-{prompt.stem}-{seconds:g}.wav"
    with wave.open(str(prompt)) as whole, wave.open(str(path), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(int(seconds * whole.getframerate())))
    return path


async def listen(
    phone: Softphone, prompt: Path, *, since: float, within: float | None = None, limit: float = 20.0
) -> HeardPrompt:
    """Wait until the whole ``prompt`` was heard; it must begin at most ``within`` seconds after ``since``.

    Nobody listens before the prompt can be over: each look at a recording costs processor time that the
    phones need.
    """
    await asyncio.sleep(max(0.0, since + seconds_of(prompt) - time.monotonic()))
    heard = await Ear(phone).hears(prompt, since=since, timeout=limit)
    late = heard.starts - since
    assert within is None or late <= within, f"{phone.name} heard {prompt.stem} only after {late:.2f} s"
    return heard


async def talk(stage: Stage, caller: Softphone, agent: Softphone, *, since: float) -> None:
    """Both say something, the other one hears it."""
    words = await spoken(stage, AGENT_SAYS)
    await agent.speak(words)
    reply = await spoken(stage, CALLER_SAYS)
    await caller.speak(reply)
    await asyncio.gather(listen(caller, words, since=since), listen(agent, reply, since=since))
