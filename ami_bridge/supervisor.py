"""``fourthring up``: runs each service as a process of its own and brings back one that died.

Separate processes, so that one that hangs or is killed takes nothing else with it. The way not
taken: one process with many tasks is smaller, but a crash of the dialer would stop the ring clock.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ami_bridge.errors import FourthRingError

log = logging.getLogger(__name__)

SERVICES = ("agi", "bridge", "desk", "dialer")

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
# A service that ran this long was well: its next fall is a new story, not the same one again.
_WELL_AFTER = 60.0
_STOP_LIMIT = 10.0
_LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class ServiceRefused(FourthRingError):
    """A service said that it cannot run as configured; starting it again would not help."""


@dataclass(slots=True)
class _Service:
    name: str
    child: asyncio.subprocess.Process | None = None
    pause: float = _FIRST_PAUSE
    restarts: int = 0
    renewed: bool = False
    """It was ended on purpose, to take over new settings."""
    started: float = field(default_factory=time.monotonic)


class Supervisor:
    """Keeps the services of one node running until :meth:`stop`.

    ``command_of`` gives the command line of a service; by default it is this installation's own.
    """

    def __init__(
        self,
        config: Path,
        services: tuple[str, ...] = SERVICES,
        log_folder: Path | None = None,
        command_of: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._config = config
        self._command_of = command_of or self._own_command
        self._log_folder = log_folder
        self._services = {name: _Service(name) for name in services}
        #: Touched by the desk when the services have to take over new settings.
        self.marker: Path | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until :meth:`stop` is called.

        Raises:
            ServiceRefused: a service exited saying that its configuration is wrong.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for service in self._services.values():
                    group.create_task(self._keep(service))
                group.create_task(self._watch_marker())
        except BaseExceptionGroup as ended:
            # Not `except*`: what that raises some Pythons wrap in a group again (3.11.2), others do not.
            refusals, others = ended.split(FourthRingError)
            if refusals is None or others is not None:
                raise
            raise refusals.exceptions[0] from None
        finally:
            await self._end_children()

    def stop(self) -> None:
        """Ask every service to end; :meth:`run` returns when they have."""
        self._stopping.set()

    def process_id(self, name: str) -> int | None:
        """The process id of service ``name`` now, or None while it is not running."""
        child = self._services[name].child
        return child.pid if child is not None and child.returncode is None else None

    async def _watch_marker(self) -> None:
        """Start every service anew when the configuration was changed, one after another, the desk last.

        Not by the file itself: a hand that edits it saves half-finished sentences too.
        """
        seen = self._stamp()
        while not self._stopping.is_set():
            await self._stopped_within(_LOOK_SECONDS)
            stamp = self._stamp()
            if stamp == seen or self._stopping.is_set():
                continue
            seen = stamp
            log.info("the configuration was changed; the services take it over")
            for service in sorted(self._services.values(), key=lambda each: each.name == "desk"):
                child = service.child
                if child is not None and child.returncode is None:
                    service.renewed = True
                    await self._end(child)

    def _stamp(self) -> int:
        try:
            return self.marker.stat().st_mtime_ns if self.marker is not None else 0
        except OSError:
            return 0

    async def _keep(self, service: _Service) -> None:
        while not self._stopping.is_set():
            code = await self._run_once(service)
            if self._stopping.is_set():
                return
            if code in {FourthRingError.exit_code, 2}:
                self._stopping.set()
                raise ServiceRefused(self._last_words(service.name))
            if service.renewed:
                service.renewed, service.pause = False, _FIRST_PAUSE
                continue
            if time.monotonic() - service.started > _WELL_AFTER:
                service.pause = _FIRST_PAUSE
            service.restarts += 1
            log.warning(
                "%s ended with code %s; starting it again in %.1f s", service.name, code, service.pause
            )
            await self._pause(service.pause)
            service.pause = min(service.pause * 2, _LONGEST_PAUSE)

    async def _run_once(self, service: _Service) -> int:
        output = None
        if self._log_folder is not None:
            self._log_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            output = (self._log_folder / f"{service.name}.log").open("ab")
        try:
            service.child = await asyncio.create_subprocess_exec(
                *self._command_of(service.name),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=output,
                preexec_fn=_die_with_parent,
            )
        finally:
            if output is not None:
                output.close()
        service.started = time.monotonic()
        log.info("%s runs as process %d", service.name, service.child.pid)
        ended = asyncio.ensure_future(service.child.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            await self._end(service.child)
        return await ended

    def _own_command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "ami_bridge.cli", name, "--config", str(self._config)]

    def _last_words(self, name: str) -> str:
        """The sentence with which a service refused: the last line of its log, or a pointer to the terminal."""
        refused = f"The service '{name}' cannot run as configured"
        if self._log_folder is None:
            return f"{refused}; its message is above."
        path = self._log_folder / f"{name}.log"
        said = path.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
        return f"{refused}: {said}"

    async def _pause(self, seconds: float) -> None:
        """Before a service that fell is started again."""
        await self._stopped_within(seconds)

    async def _stopped_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _end_children(self) -> None:
        children = [service.child for service in self._services.values() if service.child is not None]
        await asyncio.gather(*(self._end(child) for child in children))

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        """Ask politely, wait, then insist."""
        if child.returncode is not None:
            return
        child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await child.wait()
        except TimeoutError:
            log.warning("process %d did not end within %.0f s; killing it", child.pid, _STOP_LIMIT)
            child.kill()
            await child.wait()


def _die_with_parent() -> None:
    """In the child: be terminated when the supervisor is gone, even if it was killed (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def until_signalled(supervisor: Supervisor) -> None:
    """Run ``supervisor`` until Ctrl-C or SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run()
