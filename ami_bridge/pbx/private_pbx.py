"""Starts, asks and stops the private PBX: an Asterisk of our own beside whatever else runs on the machine."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ami_bridge.errors import FourthRingError
from ami_bridge.pbx import complaints
from ami_bridge.pbx.asterisk import Asterisk, find_asterisk
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.pbx.ports import Port, PortTaken, holder_of, require_free
from ami_bridge.settings import Settings

START_LIMIT_SECONDS = 60
STOP_LIMIT_SECONDS = 5
_CLEARING_SECONDS = 2
_POLL_SECONDS = 0.05
# What Asterisk may know of our environment: no secret of ours, for the dialplan can read ENV().
_PASSED_ON = ("PATH", "HOME", "TZ", "USER", "LOGNAME")


class PbxNotBuilt(FourthRingError):
    """There is no Asterisk to run."""


class PbxNotRunning(FourthRingError):
    """The private PBX was asked something while it was down."""


class PbxFailed(FourthRingError):
    """Asterisk did not start, or does not answer; the message holds its own last errors."""


@dataclass(frozen=True, slots=True)
class PbxStatus:
    """What is known of the private PBX at one moment."""

    running: bool
    pid: int | None = None
    version: str | None = None
    control_socket: str = ""

    def as_json(self) -> dict[str, object]:
        """The same as a JSON object."""
        return asdict(self)


class PrivatePbx:
    """One Asterisk with its configuration, run and log folders in the state folder.

    The configuration must have been rendered into ``paths.etc`` before :meth:`start`. Another process may
    stop or ask what this one started: all state lies in files. Every method blocks: from asyncio, call it in
    a thread.
    """

    def __init__(self, paths: PbxPaths, ports: list[Port], asterisk: Asterisk | None = None) -> None:
        """``ports`` are those that must be free before and held by Asterisk after the start."""
        self.paths = paths
        self.ports = ports
        self._asterisk = asterisk
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, settings: Settings) -> PrivatePbx:
        """The private PBX of this configuration."""
        network = settings.network
        address = str(network.address)
        ports = [
            Port("udp", address, network.sip_port, "network.sip_port"),
            Port("tcp", address, network.ami_port, "network.ami_port"),
        ]
        if settings.webrtc.enabled:
            ports.append(Port("tcp", address, network.websocket_port, "network.websocket_port"))
        return cls(PbxPaths.in_state(settings.state_folder), ports)

    @property
    def configuration(self) -> Path:
        """The rendered ``asterisk.conf``, which also tells our Asterisk from any other."""
        return self.paths.etc / "asterisk.conf"

    @property
    def asterisk(self) -> Asterisk:
        """The Asterisk that is used.

        Raises:
            PbxNotBuilt: the machine has none of its own and none was built.
        """
        if self._asterisk is None:
            self._asterisk = find_asterisk()
        if self._asterisk is None:
            raise PbxNotBuilt(
                "There is no Asterisk 20 or later with sounds on this machine; run: fourthring pbx build"
            )
        return self._asterisk

    def start(self) -> PbxStatus:
        """Start Asterisk and return once it is fully booted and holds its ports; no-op when it runs already.

        Raises:
            PbxNotBuilt, PortTaken: see there.
            PbxFailed: Asterisk ended, did not boot in time, or does not listen; with its own error lines.
        """
        asterisk = self.asterisk
        if not self.configuration.is_file():
            raise PbxFailed(f"The PBX has no configuration in {self.paths.etc}; run: fourthring render")
        self.paths.make_folders()
        with self._alone():
            if self._pid() is not None:
                return self.status()
            self._require_ports()
            self._remove_traces()
            asterisk.link_into(self.paths)
            self._spawn(asterisk)
            try:
                self._await_boot()
                self._require_listening()
            except BaseException:
                self._end_child()
                raise
        return self.status()

    def stop(self, *, wait_for_calls_seconds: float = 0) -> bool:
        """Stop our Asterisk; False when it was not running.

        New calls are refused while at most ``wait_for_calls_seconds`` are given to those that are up. An
        Asterisk that does not end by command gets SIGTERM, then SIGKILL.

        Raises:
            PbxFailed: it belongs to another user, or survives SIGKILL.
        """
        pid = self._pid()
        if pid is None:
            self._reap()
            return False
        commands: list[tuple[str, float]] = [("core stop now", STOP_LIMIT_SECONDS)]
        if wait_for_calls_seconds > 0:
            commands.insert(0, ("core stop gracefully", wait_for_calls_seconds))
        for command, patience in commands:
            with suppress(FourthRingError):
                self.cli(command, timeout_seconds=STOP_LIMIT_SECONDS)
            if self._gone(pid, patience):
                return True
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(pid, number)
            if self._gone(pid, STOP_LIMIT_SECONDS):
                return True
        raise PbxFailed(f"Asterisk (pid {pid}) does not end, even when killed; look at it with: ps {pid}")

    def status(self) -> PbxStatus:
        """Whether our Asterisk runs, by its process, not by its files alone."""
        pid = self._pid()
        found = self._asterisk or find_asterisk()
        return PbxStatus(
            running=pid is not None,
            pid=pid,
            version=found.version if found else None,
            control_socket=str(self.paths.control_socket),
        )

    def cli(self, command: str, timeout_seconds: float = 10) -> str:
        """Run one command of Asterisk's own command line and return what it prints.

        Raises:
            PbxNotRunning: nothing answers on the control socket.
        """
        if self._pid() is None:
            raise PbxNotRunning("The private PBX is not running; start it with: fourthring pbx start")
        arguments = [*self.asterisk.command, "-C", str(self.configuration), "-rx", command]
        try:
            asked = subprocess.run(
                arguments,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PbxNotRunning(
                f"The private PBX did not answer '{command}' in {timeout_seconds:g} s; see {self.paths.log}."
            ) from None
        if asked.returncode != 0:
            raise PbxNotRunning(
                f"The private PBX did not answer '{command}': {(asked.stdout + asked.stderr).strip()}"
            )
        return asked.stdout

    def reload(self) -> str:
        """Have Asterisk read the rendered files again; calls that are up go on."""
        return self.cli("core reload", timeout_seconds=30)

    def complaints(self) -> list[str]:
        """Every warning and error that Asterisk wrote since its last start."""
        return complaints.since_start(self.paths)

    # The process ----------------------------------------------------------------------

    def _require_ports(self) -> None:
        """The ports must be free; those of a predecessor that was killed are, once the kernel has cleared up."""
        self._reap()
        patience = _CLEARING_SECONDS if self.paths.pid_file.exists() else 0
        deadline = time.monotonic() + patience
        while True:
            try:
                return require_free(self.ports)
            except PortTaken:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_POLL_SECONDS)

    def _spawn(self, asterisk: Asterisk) -> None:
        complaints.begin(self.paths)
        with self.paths.console_log.open("wb") as console:
            self._child = subprocess.Popen(
                [*asterisk.command, "-f", "-C", str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=self.paths.run,
                env=_environment(),
                start_new_session=True,
                umask=0o077,
            )
        # A call needs about five file descriptors; the usual soft limit of 1024 would end at 200 calls.
        with suppress(OSError, ValueError):
            hard = resource.prlimit(self._child.pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(self._child.pid, resource.RLIMIT_NOFILE, (hard, hard))

    def _await_boot(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if self._child is not None and self._child.poll() is not None:
                raise PbxFailed(f"Asterisk did not start: {self._reason()}")
            if self.paths.control_socket.exists() and self._booted():
                return
            time.sleep(_POLL_SECONDS)
        raise PbxFailed(f"Asterisk did not come up within {START_LIMIT_SECONDS} s: {self._reason()}")

    def _booted(self) -> bool:
        try:
            return "fully booted" in self.cli("core waitfullybooted", timeout_seconds=START_LIMIT_SECONDS)
        except FourthRingError:
            return False

    def _require_listening(self) -> None:
        """A PBX whose transport could not be made runs happily and hears nobody."""
        pid = self._pid()
        for port in self.ports:
            holder = holder_of(port)
            if holder is None or (holder.pid is not None and holder.pid != pid):
                raise PbxFailed(f"Asterisk runs but does not listen on {port}: {self._reason()}")

    def _reason(self) -> str:
        return complaints.reason(self.paths)

    def _end_child(self) -> None:
        child = self._child
        if child is None:
            return
        for end in (child.terminate, child.kill):
            end()
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_LIMIT_SECONDS)
                break
        self._remove_traces()

    def _pid(self) -> int | None:
        """The process id of our Asterisk, or None; the number in a stale pid file may be another's."""
        try:
            pid = int(self.paths.pid_file.read_text().strip())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except PermissionError:
            raise PbxFailed(
                f"{self.paths.run} belongs to another user; act as that user or as root."
            ) from None
        except (OSError, ValueError):
            return None
        ours = os.fsencode(self.configuration) in words and b"-f" in words
        return pid if ours and not _is_zombie(pid) else None

    def _gone(self, pid: int, patience_seconds: float) -> bool:
        deadline = time.monotonic() + patience_seconds
        while self._pid() == pid:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        self._reap()
        self._remove_traces()
        return True

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise PbxFailed(
                f"Asterisk (pid {pid}) runs as another user; stop it as that user or as root."
            ) from None

    def _reap(self) -> None:
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_LIMIT_SECONDS)
            self._child = None

    def _remove_traces(self) -> None:
        for left in (self.paths.pid_file, self.paths.control_socket):
            left.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One start at a time: two would both find the ports free."""
        lock = os.open(self.paths.run / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # PJSIP asks the resolver for this machine's own name while it starts. Where no resolver answers, that
    # takes ten seconds; so it asks once and waits one second.
    return {**passed, "LC_ALL": "C.UTF-8", "RES_OPTIONS": "timeout:1 attempts:1"}


def _is_zombie(pid: int) -> bool:
    try:
        # The state letter follows the program's name, which stands in brackets and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
