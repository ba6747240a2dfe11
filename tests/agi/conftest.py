"""A small company, its prompts (rendered once, by the real espeak-ng), and a peer that speaks as Asterisk."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agi.environment import ORDER
from agi.server import AgiLimits, AgiServer
from agi.voice.cache import VoiceCache
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.adapters.store import SqlStore
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

TOKEN = "a-secret-of-the-tests"
NOON_IN_MOSCOW = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)  # a Wednesday
CALLER = "+79161234567"


class TickingClock(FakeClock):
    """Between two questions a second passes, as between two turns of a call."""

    def now(self) -> datetime:
        self.advance(timedelta(seconds=1))
        return super().now()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def company(state_folder: Path, agi_port: int) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(state_folder)
    document["network"]["agi_port"] = agi_port
    document["departments"]["support"]["language"] = "en"
    return parse_settings(document)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> VoiceCache:
    """The voice of the company with every prompt rendered."""
    voice = VoiceCache(company(tmp_path_factory.mktemp("company"), 4999))
    assert voice.prepare(at=NOON_IN_MOSCOW) == 0
    return voice


@pytest.fixture
def settings(prepared: VoiceCache) -> Settings:
    return company(prepared.settings.state_folder, free_port())


@pytest.fixture
def voice(settings: Settings, prepared: VoiceCache) -> Iterator[VoiceCache]:
    cache = VoiceCache(settings)
    yield cache
    cache.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(f"sqlite+aiosqlite:///{tmp_path}/store.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def server(settings: Settings, voice: VoiceCache, store: SqlStore) -> AsyncIterator[AgiServer]:
    serving = AgiServer(
        settings,
        store,
        voice,
        TOKEN,
        limits=AgiLimits(step_seconds=10.0, answer_seconds=10.0),
        clock=TickingClock(NOON_IN_MOSCOW),
    )
    await serving.start()
    yield serving
    await serving.stop()


def environment_bytes(
    step: str,
    arguments: tuple[str, ...],
    *,
    uniqueid: str = "fr1-1.1",
    token: str | None = TOKEN,
    **changed: str,
) -> bytes:
    """What Asterisk 22.10 was seen to send."""
    values = dict.fromkeys(ORDER, "0") | {
        "agi_network": "yes",
        "agi_network_script": step,
        "agi_request": f"agi://127.0.0.1:4573/{step}",
        "agi_channel": "Local/s@errand-00000001;2",
        "agi_language": "ru",
        "agi_type": "Local",
        "agi_uniqueid": "fr1-1785000000.99",
        "agi_version": "22.10.1+dfsg",
        "agi_callerid": CALLER,
        "agi_calleridname": "Иван",
        "agi_dnid": "74950000001",
        "agi_rdnis": "unknown",
        "agi_accountcode": "",
        **changed,
    }
    lines = [f"{name}: {value}" for name, value in values.items()]
    given = (*arguments, uniqueid, token) if token is not None else (*arguments, uniqueid)
    lines += [f"agi_arg_{index}: {value}" for index, value in enumerate(given, start=1)]
    return ("\n".join(lines) + "\n\n").encode()


_SET = re.compile(r'SET VARIABLE "(\w+)" "((?:[^"\\]|\\.)*)"')


@dataclass
class Peer:
    """Connects as Asterisk does, answers every command, remembers the variables."""

    port: int
    reply: Callable[[str], bytes] = lambda _command: b"200 result=1\n"
    variables: dict[str, str] = field(default_factory=dict)

    async def ask(self, environment: bytes) -> dict[str, str]:
        """Send ``environment``, serve commands until the server closes; the variables that were set."""
        self.variables = {}
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        # The server may refuse and close before everything was written: that is an answer, too.
        with suppress(ConnectionError):
            writer.write(environment)
            await writer.drain()
            while line := await asyncio.wait_for(reader.readline(), 20):
                command = line.decode().rstrip("\n")
                if match := _SET.fullmatch(command):
                    self.variables[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
                writer.write(self.reply(command))
        writer.close()
        return self.variables

    async def turn(
        self, about: str, result: str, *, conversation: str = "capture", **changed: str
    ) -> dict[str, str]:
        encoded = base64.b64encode(f"={result}".encode()).decode()
        return await self.ask(environment_bytes("turn", (conversation, about, encoded), **changed))


@pytest.fixture
def peer(server: AgiServer) -> Peer:
    return Peer(server.port)


@pytest.fixture
def environment() -> Callable[..., bytes]:
    return environment_bytes
