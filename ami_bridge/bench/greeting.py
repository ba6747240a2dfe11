"""How long a caller waits for the greeting to be planned: the AGI step, beside a bare AGI round trip.

Everything is real but Asterisk: sockets, the server, the composed greeting found in (or joined into) the cache. Calls
come at a steady rate, for agents and departments in turn.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agi import server as agi_server
from agi.environment import ORDER
from agi.request import StepRequest, Variables
from agi.server import AgiServer
from agi.variables import Variable
from agi.voice.cache import Progress, VoiceCache
from ami_bridge.adapters.store import SqlStore
from ami_bridge.settings import Agent, Settings

TOKEN = "bench-of-the-greeting"  # noqa: S105 - the server under measurement is this process's own
# Syllables of which names are made up: 20 first names by 25 last names.
_SYLLABLES = {
    "ru": ("Ан Ма Оль Ве Ро", "на рия га ра", "Смир Кузне Ива Пет Соко", "нова цова лова рова кова"),
    "en": ("An Ma Jo Pe Ro", "na ry hn ter", "Smi Coo Wal Bak Tur", "ther per ker man ner"),
}
_SET = re.compile(r'SET VARIABLE "(\w+)" "(.*)"')


@dataclass(frozen=True, slots=True)
class Load:
    """How many calls, and how many a second."""

    calls: int = 500
    per_second: float = 50.0


def grown(settings: Settings, agents: int) -> Settings:
    """``settings`` with so many people more in the first department, named in each of its languages."""
    first = next(iter(settings.departments))
    languages = settings.languages_of(first)
    people = {
        f"8{number:04d}": Agent(names={language: _name(language, number) for language in languages})
        for number in range(agents)
    }
    department = settings.departments[first]
    larger = department.model_copy(update={"queue": [*department.queue, *people]})
    return settings.model_copy(
        update={
            "agents": {**settings.agents, **people},
            "departments": {**settings.departments, first: larger},
        }
    )


def _name(language: str, number: int) -> str:
    one, two, three, four = (part.split() for part in _SYLLABLES["ru" if language == "ru" else "en"])
    first, last = number % 20, number // 20 % 25
    return f"{one[first % 5]}{two[first // 5]} {three[last % 5]}{four[last // 5]}"


async def measure(settings: Settings, load: Load, progress: Progress | None = None) -> dict[str, Any]:
    """Figures of one run; ``ratio_bare`` is the greeting's p99 over that of a step that plans nothing."""
    network = settings.network.model_copy(update={"agi_port": free_port(str(settings.network.address))})
    settings = settings.model_copy(update={"network": network})
    voice = VoiceCache(settings)
    began = time.monotonic()
    missing = await asyncio.to_thread(voice.prepare, progress)
    prepared = time.monotonic() - began
    agi_server.STEPS["bare"] = _bare
    server = AgiServer(settings, SqlStore(settings.store_url), voice, TOKEN)
    await server.start()
    try:
        bare = await _played(server.port, [("bare", ())] * load.calls, load)
        asked = [("greeting", arguments) for arguments in _arguments(settings, load.calls)]
        greeting = await _played(server.port, asked, load)
        again = await _played(server.port, asked, load)
    finally:
        await server.stop()
        voice.close()
        agi_server.STEPS.pop("bare", None)
    return {
        "calls": load.calls,
        "calls_per_second": load.per_second,
        "agents": len(settings.agents),
        "prompts_missing": missing,
        "prepare_seconds": prepared,
        "prompts": len(voice.wanted(datetime.now(UTC))),
        "again_p50_ms": percentile(again, 0.50),
        "again_p99_ms": percentile(again, 0.99),
        "greeting_p50_ms": percentile(greeting, 0.50),
        "greeting_p99_ms": percentile(greeting, 0.99),
        "bare_p50_ms": percentile(bare, 0.50),
        "bare_p99_ms": percentile(bare, 0.99),
        "ratio_bare": percentile(greeting, 0.99) / percentile(bare, 0.99),
    }


async def _bare(_request: StepRequest) -> Variables:
    return {Variable.FILES: "nothing"}


def _arguments(settings: Settings, count: int) -> list[tuple[str, ...]]:
    pairs = [
        ("direct", key, agent)
        for key, department in settings.departments.items()
        for agent in (*department.direct, *department.queue)
    ]
    return [pairs[number % len(pairs)] for number in range(count)]


async def _played(port: int, asked: list[tuple[str, tuple[str, ...]]], load: Load) -> list[float]:
    """Seconds from the request to the end of its answer, for each of ``asked``, at a steady rate."""
    begin = time.monotonic()

    async def one(number: int, step: str, arguments: tuple[str, ...]) -> float:
        await asyncio.sleep(max(0.0, begin + number / load.per_second - time.monotonic()))
        seconds, variables = await ask(port, step, arguments)
        if Variable.STEP_OK not in variables:
            raise RuntimeError(f"the step {step} was refused; is every prompt prepared?")
        return seconds

    return await asyncio.gather(*(one(number, *each) for number, each in enumerate(asked)))


async def ask(
    port: int, step: str, arguments: tuple[str, ...], *, uniqueid: str = "bench-1.1", caller: str = ""
) -> tuple[float, dict[str, str]]:
    """Ask as Asterisk does: seconds from the request to the end of its answer, and the variables that were set."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_environment(step, arguments, uniqueid, caller))
    variables = {}
    while line := await reader.readline():
        if found := _SET.fullmatch(line.decode().rstrip()):
            variables[found[1]] = found[2]
        writer.write(b"200 result=1\n")
    writer.close()
    return time.perf_counter() - began, variables


def _environment(step: str, arguments: tuple[str, ...], uniqueid: str, caller: str) -> bytes:
    known = {
        "agi_network": "yes",
        "agi_network_script": step,
        "agi_uniqueid": uniqueid,
        "agi_callerid": caller,
    }
    lines = [f"{name}: {known.get(name, '0')}" for name in ORDER]
    given = (*arguments, uniqueid, TOKEN)
    lines += [f"agi_arg_{number}: {value}" for number, value in enumerate(given, start=1)]
    return ("\n".join(lines) + "\n\n").encode()


def percentile(seconds: list[float], part: float) -> float:
    """In milliseconds."""
    return sorted(seconds)[min(len(seconds) - 1, int(part * len(seconds)))] * 1000


def free_port(address: str) -> int:
    """One that nobody listens on."""
    with socket.create_server((address, 0)) as probe:
        return int(probe.getsockname()[1])
