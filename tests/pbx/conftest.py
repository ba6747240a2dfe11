"""One running system for the tests with real calls: private Asterisk, our services, real softphones.

Its ports and its state folder are its own, so a demo may run beside it. Departments differ only in what the
tests need: cadences, who rings, how soon the caller is moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import tomllib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import FINAL, CallbackEvent, IllegalTransition
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.stage import Stage
from ami_bridge.pbx.ports import Port, holder_of
from ami_bridge.resources import shipped_folder

FIRST_PORT = 25060


def free_block(first_port: int) -> int:
    """``first_port``, or the next block of ports when another run of these tests holds it."""
    for block in range(first_port, first_port + 5 * 500, 500):
        ports = [Port("udp", "127.0.0.1", block, "sip")]
        ports += [Port("tcp", "127.0.0.1", block + more, "services") for more in (1, 2, 3, 4)]
        if all(holder_of(port) is None for port in ports):
            return block
    raise RuntimeError(f"every block of ports from {first_port} is held; end the earlier runs")


def toml_of(document: dict[str, Any], prefix: str = "") -> str:
    """Write a nested dict as TOML (only what our configuration uses)."""
    plain = {key: value for key, value in document.items() if not isinstance(value, dict)}
    lines = [f"[{prefix}]"] if prefix else []
    lines += [f"{key} = {_value(value)}" for key, value in plain.items()]
    for key, value in document.items():
        if isinstance(value, dict):
            lines.append(toml_of(value, f"{prefix}.{key}" if prefix else key))
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value)


def configuration(state_folder: Path, first_port: int = FIRST_PORT) -> dict[str, Any]:
    """The demo's company with ports of its own and a few more departments."""
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(state_folder)
    document["network"].update(
        sip_port=first_port,
        ami_port=first_port + 1,
        agi_port=first_port + 2,
        desk_port=first_port + 3,
        websocket_port=first_port + 4,
        rtp_ports=[first_port + 1000, first_port + 1998],
    )
    document["trunks"]["carrier"]["port"] = first_port + 10
    # Tests let phones ring out on purpose; who is paused for it would not ring in the next one.
    document["desk"] = {"rona": {"queue": 0, "direct": 0}}
    names = {"ru": "отдел продаж", "en": "sales department"}
    document["departments"]["america"] = {
        "names": names,
        "dids": ["74950000003"],
        "direct": ["102"],
        "queue": ["102"],
        "language": "en",
        "ring": {"zone": "us"},
    }
    document["departments"]["britain"] = {
        "names": names,
        "dids": ["74950000004"],
        "direct": ["103"],
        "queue": ["103"],
        "language": "en",
        "ring": {"zone": "uk"},
    }
    # One British ring: 1.0 s to the queue, for tests that are about something else.
    document["departments"]["quick"] = {
        "names": names,
        "dids": ["74950000005"],
        "direct": ["101"],
        "queue": ["102"],
        "ring": {"zone": "uk", "answer_by_ring": 1},
    }
    # Both languages, chosen by DID; only a queue, so that nothing rings before it.
    document["departments"]["bilingual"] = {
        "names": names,
        "dids": ["74950000007", "74950000008"],
        "queue": ["103"],
        "more_languages": ["en"],
        "did_languages": {"74950000008": "en"},
    }
    # A second carrier at whose address nobody is.
    document["trunks"]["reserve"] = {"address": "127.0.0.9", "port": 5060, "qualify_seconds": 3}
    # Phones of supervisors: in no queue, so nothing but a supervisor's own wish makes them ring.
    for extension in ("104", "105"):
        document["agents"][extension] = {"names": {"ru": "Мария Орлова", "en": "Maria Orlova"}}
    # While the caller is greeted the agent hears a tone; who rings again is told less. Callbacks in both languages.
    document["departments"]["toned"] = {
        "names": names,
        "dids": ["74950000011"],
        "direct": ["103"],
        "queue": ["103"],
        "more_languages": ["en"],
        "ring": {"zone": "uk"},
        "greeting": {"agent_hears": "tone", "short_within_minutes": 30},
    }
    # Machine detection listens to who answers its callbacks.
    document["departments"]["listening"] = {
        "names": names,
        "dids": ["74950000041"],
        "queue": ["102"],
        "callback_detect_machines": True,
    }
    # Its callbacks may last twelve seconds.
    document["departments"]["brief"] = {
        "names": names,
        "dids": ["74950000042"],
        "queue": ["102"],
        "callback_max_minutes": 0.2,
    }
    # Its callbacks ring the customer first.
    document["departments"]["first"] = {
        "names": names,
        "dids": ["74950000043"],
        "queue": ["102"],
        "callback_mode": "customer_first",
    }
    document["departments"]["first_listening"] = {
        **document["departments"]["first"],
        "dids": ["74950000044"],
        "callback_detect_machines": True,
    }
    # Closed now, whatever the day is, and open again in three days.
    opens = (datetime.now(ZoneInfo("Europe/Moscow")) + timedelta(days=3)).strftime("%a").lower()
    document["departments"]["shut"] = {
        "names": names,
        "dids": ["74950000009", "74950000010"],
        "queue": ["103"],
        "more_languages": ["en"],
        "did_languages": {"74950000010": "en"},
        "hours": {"open": [f"{opens} 09:00-18:00"]},
    }
    return document


def write_configuration(folder: Path, document: dict[str, Any]) -> Path:
    """Write ``document`` and return the file."""
    path = folder / "fourthring.toml"
    path.write_text(toml_of(document), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def state_folder() -> Iterator[Path]:
    """A short path: Asterisk's control socket lies in it."""
    with TemporaryDirectory(prefix="fr-") as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(state_folder: Path) -> AsyncIterator[Stage]:
    """The running system; its phones end after each test, see ``phones``."""
    document = configuration(state_folder / "s", free_block(FIRST_PORT))
    # Here alone: elsewhere a callback ends when the customer hangs up.
    document["callback"]["ask_outcome"] = True
    document["callback"]["requests_per_day"] = 3  # as in a real company, see config/demo.toml
    config = write_configuration(state_folder, document)
    async with Stage(config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def phones(stage: Stage, store: SqlStore) -> AsyncIterator[Stage]:
    """The stage, to take phones from; they hang up and end with the test.

    Callbacks that earlier tests left are called off: else the dialer rings this test's agents because of them.
    """
    for _ in range(100):
        waiting = [each for each in await store.callbacks(limit=500) if each.state not in FINAL]
        if not waiting:
            break
        for callback in waiting:
            # What the dialer has in hand ends by itself first: the agents of that test are gone.
            with contextlib.suppress(IllegalTransition):
                await store.update_callback(callback.id, event=CallbackEvent.CANCELLED)
        await asyncio.sleep(0.2)
    yield stage
    await stage.stop_phones()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def store(stage: Stage) -> AsyncIterator[SqlStore]:
    """The store that the services write to."""
    opened = SqlStore(stage.settings.store_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def expected(stage: Stage) -> ExpectedPrompts:
    """Which prompts a caller must hear."""
    return ExpectedPrompts(stage.settings, stage.voice)
