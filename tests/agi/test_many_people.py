"""500 people in two languages: all is rendered ahead, with progress, and a call costs what it costs in a small company.

The voice here only hums (``fourthring bench greeting --agents 497`` lets espeak-ng speak them all).
"""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import numpy as np

from agi.voice import sound
from agi.voice.cache import VoiceCache
from agi.voice.compose import GreetingKind
from agi.voice.prompts import wav_of
from ami_bridge.bench.greeting import grown
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

from .conftest import NOON_IN_MOSCOW

LANGUAGES = ("ru", "en")


class Humming:
    """Counts what it is asked to say."""

    recipe = "humming"

    def __init__(self) -> None:
        self.asked = 0

    def speak(self, text: str) -> tuple[sound.Samples, int]:
        self.asked += 1
        return 0.1 * np.sin(2 * np.pi * 300 * np.arange(1600) / 8000), 8000

    def close(self) -> None:
        pass


def company(folder: Path, agents: int) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(folder)
    document["departments"] = {"sales": {**document["departments"]["sales"], "more_languages": ["en"]}}
    return grown(parse_settings(document), agents)


def greeted(voice: VoiceCache, agents: list[str]) -> float:
    """Each of ``agents`` answers once in each language; processor seconds for one greeting."""
    began = time.process_time()
    for agent in agents:
        for language in LANGUAGES:
            found = voice.find_greeting(
                GreetingKind.QUEUE_ANSWER, "sales", language=language, agent=agent, at=NOON_IN_MOSCOW
            )
            assert found is not None, f"the greeting of {agent} in {language} is not ready"
            assert wav_of(found).is_file()
    return (time.process_time() - began) / (len(agents) * len(LANGUAGES))


def test_a_call_costs_no_more_with_500_people(tmp_path: Path) -> None:
    small = VoiceCache(company(tmp_path / "small", 0), Humming())
    assert small.prepare(at=NOON_IN_MOSCOW) == 0
    people = sorted(small.settings.departments["sales"].queue)
    greeted(small, people)
    few = min(greeted(small, people * 50) for _ in range(3))
    humming, progress = Humming(), []
    large = VoiceCache(company(tmp_path / "large", 498), humming)
    assert large.prepare(lambda done, total: progress.append((done, total)), at=NOON_IN_MOSCOW) == 0
    assert progress[-1][0] == progress[-1][1] == humming.asked
    assert [done for done, _ in progress] == list(range(1, humming.asked + 1))
    everybody = sorted(large.settings.departments["sales"].queue)
    assert len(everybody) == 500
    assert humming.asked > len(everybody) * len(LANGUAGES)
    first = greeted(large, everybody)
    many = min(greeted(large, everybody) for _ in range(3))
    assert humming.asked == progress[-1][1], "nothing is rendered while a caller waits"
    # The first time the pieces are put together; later calls find the whole.
    assert first < 0.01
    assert many < 2 * few + 0.0005
