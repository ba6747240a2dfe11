"""``fourthring demo``: sets the stage, plays the story, tells it, and stays up."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from rich.console import Console

from ami_bridge.demo.ear import NotHeard
from ami_bridge.demo.people import DemoUser, demo_users
from ami_bridge.demo.stage import Stage
from ami_bridge.demo.story import Step, Story
from ami_bridge.errors import FourthRingError

_BROKEN = 1


async def run_demo(config: Path, *, once: bool) -> int:
    """Play the story; returns the exit code: 0 only when every step was seen.

    ``once``: one JSON line a step on standard output, then end. Else: a timeline for people, then stay up
    until Ctrl-C.
    """
    told = _JsonLines() if once else _Timeline()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with Stage(config, told.preparing) as stage:
        people = await demo_users(stage.settings)
        told.preparing(_logins(stage, people))
        playing = asyncio.create_task(_play(stage, told))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return 130
        seen = playing.result()
        await stage.stop_phones()
        if not once:
            told.staying_up(stage, people)
            await stopped
        stopped.cancel()
        return 0 if seen else _BROKEN


def _logins(stage: Stage, people: list[DemoUser]) -> str:
    network = stage.settings.network
    lines = [f"  desk        http://{network.address}:{network.desk_port}, log in as"]
    for user in people:
        password = f"one-time password {user.password}" if user.password else "your own password"
        lines.append(f"              {user.name:<12} {user.role:<11} {password}")
    return "\n".join(lines)


async def _play(stage: Stage, told: _JsonLines | _Timeline) -> bool:
    try:
        async for step in Story(stage).steps():
            told.step(step)
    except (FourthRingError, NotHeard) as error:
        told.broken(str(error))
        return False
    told.whole()
    return True


class _JsonLines:
    """For programs."""

    def __init__(self) -> None:
        self._started = asyncio.get_running_loop().time()

    def preparing(self, line: str) -> None:
        sys.stderr.write(line + "\n")

    def step(self, step: Step) -> None:
        self._write({"step": step.name, "ok": True, "tells": step.tells, "seen": step.seen})

    def broken(self, sentence: str) -> None:
        self._write({"step": "broken", "ok": False, "tells": sentence, "seen": {}})

    def whole(self) -> None:
        self._write({"step": "end", "ok": True, "tells": "Every step was seen.", "seen": {}})

    def staying_up(self, stage: Stage, people: list[DemoUser]) -> None:
        """Not in this mode."""

    def _write(self, line: dict[str, object]) -> None:
        at = round(asyncio.get_running_loop().time() - self._started, 2)
        sys.stdout.write(json.dumps({"at_seconds": at, **line}, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()


class _Timeline:
    """For people."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._started: float | None = None

    def preparing(self, line: str) -> None:
        self._console.print(line, style="dim")

    def step(self, step: Step) -> None:
        now = asyncio.get_running_loop().time()
        self._started = self._started or now
        seconds = now - self._started
        seen = "  ".join(f"{key} {value}" for key, value in step.seen.items())
        self._console.print(f"[bold cyan]{int(seconds) // 60:02d}:{seconds % 60:04.1f}[/]  {step.tells}")
        if seen:
            self._console.print(f"         {seen}", style="dim", markup=False)

    def broken(self, sentence: str) -> None:
        self._console.print(f"[bold red]The story broke:[/] {sentence}")

    def whole(self) -> None:
        self._console.print("[bold green]Every step was seen.[/]")

    def staying_up(self, stage: Stage, people: list[DemoUser]) -> None:
        network = stage.settings.network
        self._console.print(
            f"\nEverything stays up until Ctrl-C:\n"
            f"{_logins(stage, people)}\n"
            f"  SIP         {network.address}:{network.sip_port} (passwords: fourthring agents --secrets)\n"
            f"  look        .venv/bin/fourthring calls    .venv/bin/fourthring callbacks    .venv/bin/fourthring doctor"
        )
