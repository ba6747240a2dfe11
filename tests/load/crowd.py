"""Many callers and many agents at once, as SIPp plays them: each kind of call is one SIPp process.

Agents are registered phones; the first digit of an extension tells what its phone does, and all of one sort
share one SIPp. Callers come over the carrier's trunk, or are agents who dial a colleague.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ami_bridge import secrets
from ami_bridge.settings import Settings
from tests.load import scenarios
from tests.pbx.conftest import configuration
from tests.pbx.sipp import Sipp, SippResult

#: How long our greeting may be; a talk begins after it.
GREETING_MS = 8000


class Sort(StrEnum):
    """What an agent's phone does: the first digit of the extension."""

    CALLS = "1"
    ANSWERS = "2"
    HANGS_UP = "3"
    TRANSFERS = "4"
    TRANSFERS_TO_BUSY = "5"
    RINGS_ON = "6"
    TAKES = "7"  # answers colleagues, the queue, and who was transferred
    BUSY = "8"
    REFUSES = "9"


_AGENTS = {
    Sort.CALLS: 4,
    Sort.ANSWERS: 24,
    Sort.HANGS_UP: 8,
    Sort.TRANSFERS: 8,
    Sort.TRANSFERS_TO_BUSY: 4,
    Sort.RINGS_ON: 15,  # 5 before the queues, 5 in queues that nobody answers, 5 of their own
    Sort.TAKES: 12,
    Sort.BUSY: 2,
    Sort.REFUSES: 2,
}
# Departments whose one direct phone rings on: the queue takes over after one British ring.
_QUEUES = 5
QUEUED, ABANDONED = "queued", "abandoned"


def extensions(sort: Sort) -> list[str]:
    """The agents of one sort."""
    return [f"{sort}{number:02d}" for number in range(_AGENTS[sort])]


def crowded_configuration(state: Path, first_port: int) -> dict[str, Any]:
    """A company with an agent of his own behind each number, and a few queues."""
    document = configuration(state, first_port)
    # Short words: a talk begins when the greeting has ended.
    named = {"names": {"ru": "бюро", "en": "office"}}
    document["company"]["names"] = {"ru": "Мак", "en": "Poppy"}
    document["agents"] = {
        extension: {"names": {"ru": "Анна", "en": "Anna"}} for sort in Sort for extension in extensions(sort)
    }
    departments: dict[str, Any] = {}
    direct = (Sort.ANSWERS, Sort.HANGS_UP, Sort.TRANSFERS, Sort.TRANSFERS_TO_BUSY, Sort.RINGS_ON)
    for extension in (each for sort in direct for each in extensions(sort)):
        departments[f"d{extension}"] = {
            **named,
            "dids": [f"7495000{extension}"],
            "direct": [extension],
            "queue": extensions(Sort.TAKES)[:2],
        }
    quick = {"ring": {"zone": "uk", "answer_by_ring": 1}}
    ringing, taking = extensions(Sort.RINGS_ON), extensions(Sort.TAKES)
    for number in range(_QUEUES):
        phone = {**named, **quick, "direct": [ringing[number]]}
        members = taking[2 + 2 * number : 4 + 2 * number]
        departments[f"{QUEUED}{number}"] = {**phone, "dids": [f"749510{number:02d}"], "queue": members}
        departments[f"{ABANDONED}{number}"] = {
            **phone,
            "dids": [f"749520{number:02d}"],
            "queue": [ringing[_QUEUES + number]],
        }
    document["departments"] = departments
    return document


def dids_of(group: Sort | str) -> list[str]:
    """The numbers to dial for agents of one sort, or for one kind of queue."""
    if isinstance(group, Sort):
        return [f"7495000{extension}" for extension in extensions(group)]
    return [f"7495{10 if group == QUEUED else 20}{number:02d}" for number in range(_QUEUES)]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of call: its share of a hundred, what the caller does, and whom he dials."""

    name: str
    share: int
    scenario: str
    dialled: list[str]
    internal: bool = False


def kinds(talk_ms: int = GREETING_MS) -> list[Kind]:
    """The mix. ``talk_ms`` is long enough for a greeting and some words."""
    return [
        Kind("caller hangs up", 32, scenarios.caller_who_hangs_up(talk_ms), dids_of(Sort.ANSWERS)),
        Kind("agent hangs up", 12, scenarios.caller_who_listens(60_000), dids_of(Sort.HANGS_UP)),
        Kind("transferred", 10, scenarios.caller_who_hangs_up(talk_ms + 4000), dids_of(Sort.TRANSFERS)),
        Kind("transferred to busy", 4, scenarios.caller_who_listens(60_000), dids_of(Sort.TRANSFERS_TO_BUSY)),
        Kind("gives up", 8, scenarios.caller_who_gives_up(1500), dids_of(Sort.RINGS_ON)[2 * _QUEUES :]),
        Kind("queue", 12, scenarios.caller_who_hangs_up(talk_ms + 5000), dids_of(QUEUED)),
        Kind("abandoned", 10, scenarios.caller_who_hangs_up(9000), dids_of(ABANDONED)),
        Kind("busy", 4, scenarios.caller_who_is_refused(486), extensions(Sort.BUSY), internal=True),
        Kind("refused", 4, scenarios.caller_who_is_refused(480), extensions(Sort.REFUSES), internal=True),
        Kind(
            "colleague",
            4,
            scenarios.caller_who_hangs_up(1500, known=False),
            extensions(Sort.TAKES),
            internal=True,
        ),
    ]


class Crowd:
    """All SIPp processes of one run, on ports from ``first_port`` on; each has a folder in ``folder``."""

    def __init__(self, settings: Settings, folder: Path, first_port: int) -> None:
        self._settings = settings
        self._folder = folder
        self._port = first_port
        self._running: list[Sipp] = []
        network = settings.network
        self._pbx = f"{network.address}:{network.sip_port}"

    async def phones(self, talk_ms: int = GREETING_MS) -> None:
        """Start and register every agent's phone."""
        busy = extensions(Sort.BUSY)[0]
        taker = extensions(Sort.TAKES)[0]
        behaviours = {
            Sort.ANSWERS: scenarios.phone_that_answers(300),
            Sort.HANGS_UP: scenarios.phone_that_hangs_up(300, talk_ms),
            Sort.TRANSFERS: scenarios.phone_that_transfers(300, talk_ms, taker),
            Sort.TRANSFERS_TO_BUSY: scenarios.phone_that_transfers(300, talk_ms, busy),
            Sort.RINGS_ON: scenarios.phone_that_rings_on(),
            # Nobody waits for ever, whatever went wrong before.
            Sort.TAKES: scenarios.phone_that_hangs_up(300, 30_000),
            Sort.BUSY: scenarios.phone_that_refuses("486 Busy Here", 200),
            Sort.REFUSES: scenarios.phone_that_refuses("480 Temporarily Unavailable", 200),
        }
        rows = []
        for sort, scenario in behaviours.items():
            phone = self._sipp(f"phone-{sort.name.lower()}", scenario, "127.0.0.1")
            await phone.start(calls=1_000_000)
            contact = f"127.0.0.1:{phone.local_port}"
            rows += [(extension, contact, self._proof(extension)) for extension in extensions(sort)]
        register = self._sipp("register", scenarios.registering(), "127.0.0.1", rows)
        await register.start(calls=len(rows), per_second=100)
        result = await register.result(30)
        assert result.clean, result.errors

    async def call(self, kind: Kind, calls: int, per_second: float, number: int) -> SippResult:
        """Make ``calls`` of one kind and wait for the last one's end; callers are ``7916<number>…``."""
        caller = self.caller(kind, calls, number)
        await caller.start(calls=calls, per_second=per_second)
        return await caller.result(calls / per_second + 120)

    def caller(self, kind: Kind, calls: int, number: int) -> Sipp:
        """The SIPp that makes ``calls`` of one kind, not started yet."""
        rows = list(self._rows(kind, calls, number))
        address = "127.0.0.1" if kind.internal else "127.0.0.2"
        return self._sipp(f"calls-{kind.name.replace(' ', '-')}-{number}", kind.scenario, address, rows)

    def _rows(self, kind: Kind, calls: int, number: int) -> Iterable[tuple[str, str, str]]:
        for each in range(calls):
            dialled = kind.dialled[each % len(kind.dialled)]
            if kind.internal:
                who = extensions(Sort.CALLS)
                extension = who[each % len(who)]
                yield extension, dialled, self._proof(extension)
            else:
                yield f"7916{number:03d}{each:04d}", dialled, ""

    def _proof(self, extension: str) -> str:
        password = secrets.read_secret(self._settings, secrets.sip_secret(extension))
        return f"[authentication username={extension} password={password}]"

    def _sipp(
        self, name: str, scenario: str, address: str, rows: Iterable[tuple[str, str, str]] = ()
    ) -> Sipp:
        port, self._port = self._port, self._port + 10
        sipp = Sipp(
            self._folder / name,
            scenario,
            self._pbx,
            local_ip=address,
            local_port=port,
            media_port=port + 2,
            fields=list(rows),
        )
        self._running.append(sipp)
        return sipp

    async def stop(self) -> None:
        """End every SIPp that still runs."""
        await asyncio.gather(*(sipp.stop() for sipp in self._running))
        self._running.clear()
