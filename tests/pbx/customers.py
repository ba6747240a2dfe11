"""Who answers callbacks, for tests with real calls: an answering machine; a customer who is rung before the agent."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from agi.voice import sound
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import OPEN_ATTEMPT, Attempt, Callback
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import eventually, spoken

by_hand = pytest.mark.skipif(
    os.environ.get("FOURTHRING_STORIES") != "all", reason="set FOURTHRING_STORIES=all to play every customer"
)

# The department of tests/pbx/conftest.py that rings its customers first; its only agent.
FIRST, AGENT = "first", "102"


async def ended(store: SqlStore, callback: Callback, seconds: float = 30) -> Attempt:
    """The callback's only attempt, once it has ended."""

    async def ask() -> Attempt | None:
        attempts = await store.attempts(callback.id)
        return attempts[0] if attempts and attempts[0].state not in OPEN_ATTEMPT else None

    return await eventually(ask, "the attempt's end", seconds)


async def machines_greeting(phones: Stage, quiet_before_tone: float) -> tuple[Path, float]:
    """What an answering machine says, its tone at the end; and how long that is in seconds."""
    words, rate = load_wav(
        await spoken(
            phones,
            "Здравствуйте. Вы позвонили на автоответчик. Сейчас никого нет дома. "
            "Пожалуйста, оставьте сообщение после сигнала.",
        )
    )
    tone = 0.4 * np.sin(2 * np.pi * 1000 * np.arange(int(0.6 * rate)) / rate)
    whole = np.concatenate([words, np.zeros(int(quiet_before_tone * rate)), tone]).astype(np.float32)
    path = phones.phones_folder / f"machine-{quiet_before_tone}.wav"
    path.write_bytes(sound.wav_bytes(whole))
    return path, len(whole) / rate


async def asked(expected: ExpectedPrompts, customer: Softphone, agent: Softphone) -> None:
    """The customer has answered, heard who rings, and is asked whether it suits him; no agent's phone has rung."""
    await customer.wait_for(PhoneState.INCOMING, 15)
    assert agent.calls == 0, "the customer is rung first"
    answered = time.monotonic()
    await customer.answer()
    await Ear(customer).hears(expected.greeting("callback-first", FIRST, ""), since=answered - 0.1)
    await Ear(customer).hears(expected.phrase("convenient.ask", FIRST), timeout=30)
    assert agent.calls == 0, "nobody's time is taken before the customer has agreed"


async def agreed(expected: ExpectedPrompts, customer: Softphone, agent: Softphone) -> None:
    """The customer is asked and presses 1; now the agent's phone rings."""
    await asked(expected, customer, agent)
    await customer.send_dtmf("1")
    await agent.wait_for(PhoneState.INCOMING, 10)
