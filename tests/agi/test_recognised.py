"""An independent listener (pocketsphinx) understands the English greetings: company, department and name.

It may choose among several of each, so it must have heard which: a garbled name is another one, or none.
"""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pocketsphinx import Decoder

from agi.voice import compose, sound
from agi.voice.cache import VoiceCache
from agi.voice.prompts import wide_of
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings

NOON = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)
# How words sound that no English dictionary has (ARPAbet): as Russians say them, and as English readers do.
SOUNDS = {
    "romashka": ("R OW M AE SH K AH", "R AA M AE SH K AH"),
    "vasilek": ("V AE S IH L EH K", "V AH S IH L EH K"),
    "granit": ("G R AE N IH T",),
    "smirnova": ("S M IH R N OW V AH", "S M ER N OW V AH"),
    "kuznetsova": ("K UH Z N EH T S OW V AH", "K AH Z N IH T S OW V AH"),
    "ivanov": ("IH V AA N AO F", "AY V AH N AA V"),
    "pyotr": ("P Y OW T ER", "P AY AA T ER", "P AY AA D ER"),
}
# A greeting's pieces lie in it as they are (tests/agi/test_voice.py), and each is listened to by itself.
GRAMMARS = {
    "opening": """#JSGF V1.0;
grammar opening;
public <opening> = good (morning | afternoon | evening) <company> <department>;
<company> = romashka | vasilek | granit;
<department> = sales department | support department | accounts department;
""",
    "person": """#JSGF V1.0;
grammar person;
public <person> = [<position>] <name> speaking;
<position> = senior manager | manager | support engineer;
<name> = anna smirnova | pyotr ivanov | olga kuznetsova | john miller;
""",
}


@pytest.fixture(scope="module")
def listener() -> Decoder:
    # Wide beams: the right words are few, and a synthetic voice is not what the model was taught.
    decoder = Decoder(lm=None, loglevel="FATAL", beam=1e-80, wbeam=1e-60, pbeam=1e-80, lw=3.0)
    for word, ways in SOUNDS.items():
        for number, phones in enumerate(ways, start=1 if decoder.lookup_word(word) is None else 2):
            decoder.add_word(word if number == 1 else f"{word}({number})", phones, True)
    for name, grammar in GRAMMARS.items():
        decoder.add_jsgf_string(name, grammar)
    return decoder


def understood(listener: Decoder, grammar: str, prompt: Path) -> str:
    """What was understood, from the prompt as wide band carries it; the model was taught at 16 kHz."""
    samples, rate = sound.read_wav(prompt.read_bytes())
    assert rate == 16000
    # The faint noise of every line: the model was never taught perfect silence.
    heard = np.pad(samples, rate // 4) + np.random.default_rng(1).normal(
        0, 3e-4, len(samples) + rate // 4 * 2
    )
    listener.activate_search(grammar)
    listener.start_utt()
    listener.process_raw((heard * 32767).astype("<i2").tobytes(), full_utt=True)
    listener.end_utt()
    hypothesis = listener.hyp()
    return hypothesis.hypstr if hypothesis else ""


def voice_of(renderer: str, folder: Path) -> Iterator[VoiceCache]:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(folder)
    document["company"]["language"] = "en"
    document["voices"] = {"en": {"renderer": renderer}}
    voice = VoiceCache(parse_settings(document))
    yield voice
    voice.close()


@pytest.fixture(
    scope="module",
    params=[
        "espeak",
        pytest.param(
            "piper",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("piper") is None, reason="the extra 'piper' is not installed"
            ),
        ),
    ],
)
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceCache]:
    yield from voice_of(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize(
    ("department", "agent", "words"),
    [
        ("sales", "101", ("romashka", "sales department", "anna smirnova")),
        ("sales", "102", ("romashka", "sales department", "pyotr ivanov")),
        ("support", "103", ("romashka", "support department", "olga kuznetsova")),
    ],
)
def test_company_department_and_name_are_understood(
    listener: Decoder, voice: VoiceCache, department: str, agent: str, words: tuple[str, ...]
) -> None:
    book = voice.book_of(department)
    kind = compose.GreetingKind.DIRECT
    script = compose.greeting_at(book, voice.settings, kind, department, agent=agent, at=NOON)
    voice.render_script(script, book)
    opening, person, _ = (wide_of(voice.path_of(piece.text, book)) for piece in script)
    heard = understood(listener, "opening", opening) + " " + understood(listener, "person", person)
    assert [word for word in words if word not in heard] == [], heard
