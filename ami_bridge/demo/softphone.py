"""Real telephones without a sound card, for the demo and for tests with real calls.

Each ``Softphone`` runs one baresip process bound to one loopback address. It is told what to do over
ctrl_tcp; what happens is read from its log, because baresip 1.0 stops sending events after the first few.
What it heard and said is recorded by baresip itself, from the first packet of early media on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from ami_bridge.demo import baresip
from ami_bridge.demo.baresip import Line, PhoneError, PhoneTimeout
from ami_bridge.demo.recordings import Heard, Recording, RecordingShelf, join
from ami_bridge.demo.relay import AnyUserRelay

_LOOK_SECONDS = 0.005
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_RECORDING = re.compile(r"sndfile: dumping (encode|decode) audio to (?:\./)?(dump-\S+\.wav)")
_PROGRESS = re.compile(r"call: SIP Progress: (18\d) (.*?)(?: \(|$)")
_INCOMING = re.compile(r"Incoming call from: (.*) - \(press 'a' to accept\)")
_CLOSED = re.compile(r"(?:: session closed(?:: (.*))?$)|(?:call: (?:terminate|rejecting) (.*)$)")
_REGISTERED = re.compile(r"\{\d+/\S+/v\d\} (\d{3}) ")
_REGISTER_FAILED = re.compile(r"reg: .*?(\d{3} \S.*)$")
_DIGIT = re.compile(r"received event: '(.)' \(end=0\)")


class PhoneState(StrEnum):
    """Where the phone's present call is; ``RINGING`` is a 180 to the caller, ``EARLY`` a 183 with sound."""

    IDLE = "idle"
    DIALLING = "dialling"
    INCOMING = "incoming"
    RINGING = "ringing"
    EARLY = "early"
    ESTABLISHED = "established"
    CLOSED = "closed"


class AnswerMode(StrEnum):
    """What a phone does by itself with an incoming call.

    It waits for ``answer()``, answers after a while, refuses with 486 after a while, or rings on.
    """

    MANUAL = "manual"
    AUTO = "auto"
    REJECT = "reject"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class PhoneEvent:
    """One change of state; ``at`` is wall time (UTC), ``monotonic`` the same instant, ``call`` from 1 on."""

    state: PhoneState
    call: int
    detail: str
    at: datetime
    monotonic: float


class _Witness(threading.Thread):
    """Reads what baresip says and looks at its recordings, apart from the event loop.

    A loop busy with something else must not make the phone's instants late.
    """

    def __init__(
        self, descriptor: int, log: Path, shelf: RecordingShelf, said: Callable[[str, float], None]
    ) -> None:
        super().__init__(name="softphone-witness", daemon=True)
        self._descriptor, self._log, self._shelf, self._said = descriptor, log, shelf, said

    def run(self) -> None:
        """Until baresip closes its end."""
        rest = b""
        with self._log.open("ab", buffering=0) as log:
            while True:
                ready, _, _ = select.select(
                    [self._descriptor], [], [], _LOOK_SECONDS if self._shelf.growing else 0.2
                )
                now = time.monotonic()
                self._shelf.look(now)
                if not ready:
                    continue
                try:
                    block = os.read(self._descriptor, 65536)
                except OSError:  # EIO is how a pseudo-terminal says that the other end is gone
                    break
                if not block:
                    break
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    log.write(b"%.3f %s\n" % (now, line))
                    self._said(_ESCAPES.sub("", line.decode(errors="replace")).rstrip(), now)
        os.close(self._descriptor)


class Softphone:
    """One telephone.

    Args:
        name: for messages and logs.
        address, sip_port: where it listens (UDP and TCP; TLS takes the next port: space phones by 10).
            Its control connection uses the same number plus 3, an ``any_user`` phone's inner SIP port plus 5.
        folder: its own; holds config, log and recordings; made if missing.
        registrar: ``address:port`` to register with; None for a carrier's phone.
        peer: ``address:port`` where plain numbers are dialled; the registrar by default.
        user, password, display: who it is; a carrier's caller may be anybody.
        answer_mode, answer_after: what it does with an incoming call, and after how many seconds.
        voice: a WAV (8 kHz mono 16 bit) that it says from the start of each call; silence without.
        rtp_ports: its own range.
        any_user: take calls to any user part, as a carrier's side does.
    """

    def __init__(
        self,
        name: str,
        address: str,
        sip_port: int,
        folder: Path,
        *,
        registrar: str | None = None,
        peer: str | None = None,
        user: str | None = None,
        password: str | None = None,
        display: str | None = None,
        answer_mode: AnswerMode | str = AnswerMode.MANUAL,
        answer_after: float = 0.0,
        voice: Path | None = None,
        rtp_ports: tuple[int, int] = (13000, 13099),
        codec: str = "PCMA",
        any_user: bool = False,
    ) -> None:
        self.name, self.address, self.sip_port, self.folder = name, address, sip_port, folder
        self.answer_mode, self.answer_after = AnswerMode(answer_mode), answer_after
        self.events: list[PhoneEvent] = []
        self.digits_heard: list[str] = []
        self.registered = False
        self._peer = peer or registrar
        self._inner_port = sip_port + 5 if any_user else sip_port
        domain = registrar or f"{address}:{self._inner_port}"
        self._line = Line(user or name, domain, display, password, registered=registrar is not None)
        self._codec, self._rtp_ports, self._voice = codec, rtp_ports, voice
        self._control = baresip.Control(address, sip_port + 3, name)
        self._relay = (
            AnyUserRelay((address, sip_port), (address, self._inner_port), self._line.user)
            if any_user
            else None
        )
        self._shelf = RecordingShelf(folder)
        self._process: asyncio.subprocess.Process | None = None
        self._witness: _Witness | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._call, self._in_call, self._cursor, self._speeches = 0, False, 0, 0
        self._known_lines = {self._line.aor}
        self._registration_error = ""
        self._reactions: set[asyncio.Task[None]] = set()

    # -- life ---------------------------------------------------------------------------------------------

    async def start(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Start baresip; return when it takes commands and, with a registrar, is registered.

        Raises:
            PhoneError: baresip is missing, or the registrar refused.
            PhoneTimeout: not ready within ``timeout`` seconds.
        """
        self._loop = asyncio.get_running_loop()
        self.folder.mkdir(parents=True, exist_ok=True)
        baresip.write_source(self.folder / "voice-0.wav", self._voice)
        baresip.write_config(
            self.folder,
            address=self.address,
            sip_port=self._inner_port,
            control_port=self.sip_port + 3,
            rtp_ports=self._rtp_ports,
            account=self._line.as_account(self._codec),
            source="voice-0.wav",
        )
        # A pseudo-terminal makes baresip write each log line at once; into a pipe they come in 4 kB blocks.
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *baresip.command_line(self.folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                cwd=self.folder,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._witness = _Witness(ours, self.folder / "baresip.log", self._shelf, self._line_said)
        self._witness.start()
        try:
            await self._control.connect(timeout)
            if self._relay is not None:
                await self._relay.start()
            if self._line.registered:
                await self.wait_registered(timeout)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the call and the process (by its id); recordings and log stay in ``folder``."""
        for reaction in tuple(self._reactions):
            reaction.cancel()
        self._control.close()
        if self._relay is not None:
            self._relay.stop()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            # baresip says BYE and unregisters at the first SIGTERM; a second would make it drop both.
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 4.0)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._witness is not None:
            await asyncio.to_thread(self._witness.join, 2.0)
            self._witness = None
        self._shelf.closed(time.monotonic())

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None else None

    async def wait_registered(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Wait for the registrar's answer.

        Raises:
            PhoneError: it refused; PhoneTimeout: it kept silent.
        """
        await self._until(lambda: self.registered or bool(self._registration_error), timeout, "registered")
        if not self.registered:
            raise PhoneError(
                f"The softphone '{self.name}' was refused by its registrar: {self._registration_error};"
                " check user and password."
            )

    # -- what a person does with a phone ------------------------------------------------------------------

    async def dial(self, target: str, *, from_user: str | None = None, display: str | None = None) -> None:
        """Call ``target`` (a SIP URI, or a number at ``peer``); return once the INVITE is on its way.

        ``from_user`` and ``display`` make the call come from somebody else; baresip passes most strings, but
        parses them: for bytes that no parser lets through, use the tests' raw SIP client.

        Raises:
            PhoneError: baresip refuses the address, or no ``peer`` is known for a plain number.
        """
        if from_user is not None or display is not None:
            await self._become(Line(from_user or self._line.user, self._line.domain, display))
        if not target.startswith("sip:"):
            if self._peer is None:
                raise PhoneError(
                    f"The softphone '{self.name}' has no peer to dial '{target}' at; give a SIP URI."
                )
            target = f"sip:{target}@{self._peer}"
        self._cursor = len(self.events)
        self._call_begins(PhoneState.DIALLING, target, time.monotonic())
        await self._control.command("dial", target)

    async def answer(self) -> None:
        """Take the ringing call."""
        await self._control.command("accept")

    async def hangup(self) -> None:
        """End the call, cancel it, or refuse it with 486 while it rings."""
        await self._control.command("hangup")

    async def hold(self, *, on: bool = True) -> None:
        """Put the other side on hold, or with ``on=False`` come back."""
        await self._control.command("hold" if on else "resume")

    async def send_dtmf(self, digits: str, *, pause: float = 0.26) -> None:
        """Press keys one after another (RFC 4733), ``pause`` seconds from each to the next.

        baresip needs 0.24 s for a key; with less they wait in its queue and are still being sent on return.
        """
        for digit in digits:
            await self._control.command("sndcode", digit)
            await asyncio.sleep(pause)

    async def speak(self, speech: Path | None) -> float:
        """Say a WAV (8 kHz mono 16 bit) from now on, then silence; return its length in seconds.

        It holds for this call and begins every later call too; None makes the phone silent.
        """
        self._speeches += 1
        name = f"voice-{self._speeches}.wav"
        seconds = baresip.write_source(self.folder / name, speech)
        await self._control.command("ausrc", f"aufile,{name}")
        return seconds

    # -- what happened ------------------------------------------------------------------------------------

    @property
    def state(self) -> PhoneState:
        """Where the present call is; ``IDLE`` when there is none."""
        return self.events[-1].state if self._in_call and self.events else PhoneState.IDLE

    @property
    def calls(self) -> int:
        """How many calls this phone has made or got; the present or last one has this number."""
        return self._call

    @property
    def dialled_users(self) -> list[str]:
        """The user parts that callers asked for (``any_user`` phones only), in order."""
        return list(self._relay.dialled_users) if self._relay is not None else []

    async def wait_for(self, state: PhoneState | str, timeout: float = 30.0) -> PhoneEvent:  # noqa: ASYNC109
        """Wait until the phone gets into ``state`` and return when that was.

        Looks at what happened since the last state that was waited for, so nothing fast is missed; a state in
        which the phone still is counts at once.

        Raises:
            PhoneTimeout: it did not, with the states that were seen instead.
        """
        wanted = PhoneState(state)
        begin = self._cursor

        def match() -> int | None:
            if wanted is PhoneState.IDLE:
                return len(self.events) - 1 if not self._in_call else None
            later = (i for i in range(begin, len(self.events)) if self.events[i].state is wanted)
            now = len(self.events) - 1 if self.state is wanted else None
            return next(later, now)

        await self._until(lambda: match() is not None, timeout, wanted)
        found = match()
        if found is None or found < 0:  # idle and never in a call
            return PhoneEvent(PhoneState.IDLE, 0, "", datetime.now(UTC), time.monotonic())
        self._cursor = max(self._cursor, found + 1)
        return self.events[found]

    def heard(self) -> list[Path]:
        """The files of what was heard, in the order they were opened; usually one a call."""
        return [recording.path for recording in self._shelf.of(heard=True)]

    def said(self) -> list[Path]:
        """The files of what was said, in the order they were opened."""
        return [recording.path for recording in self._shelf.of(heard=False)]

    def recordings(self, *, heard: bool = True, call: int | None = None) -> list[Recording]:
        """The recordings with their times."""
        return self._shelf.of(heard=heard, call=call)

    def heard_call(self, call: int | None = None) -> Heard:
        """All that was heard in one call (the last by default) on one true time line."""
        files = self._shelf.of(heard=True, call=call or self._call)
        return join(files, now_monotonic=time.monotonic(), now=datetime.now(UTC))

    def said_call(self, call: int | None = None) -> Heard:
        """All that was said in one call (the last by default)."""
        files = self._shelf.of(heard=False, call=call or self._call)
        return join(files, now_monotonic=time.monotonic(), now=datetime.now(UTC))

    def heard_started_at(self, call: int | None = None) -> datetime:
        """The wall clock at the first sample heard in a call."""
        return self.heard_call(call).started_at

    # -- the inside ---------------------------------------------------------------------------------------

    async def _become(self, line: Line) -> None:
        if line.aor not in self._known_lines or line.display is not None:
            if line.aor in self._known_lines:
                await self._control.command("uadel", line.aor)
            await self._control.command("uanew", line.as_account(self._codec))
            self._known_lines.add(line.aor)
        await self._control.command("uafind", line.aor)

    async def _until(self, reached: Callable[[], bool], timeout: float, what: str) -> None:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not reached():
            left = deadline - loop.time()
            if left <= 0 or (self._process is not None and self._process.returncode is not None):
                seen = (
                    ", ".join(f"{e.state}({e.detail})" if e.detail else e.state for e in self.events[-6:])
                    or "nothing"
                )
                raise PhoneTimeout(
                    f"The softphone '{self.name}' was not {what} within {timeout} s; it saw {seen}."
                )
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(left, 0.5))

    def _line_said(self, line: str, now: float) -> None:
        """One line of baresip's log (witness thread)."""
        if found := _RECORDING.search(line):
            self._shelf.opened(found[2], self._call, heard=found[1] == "decode", now=now)
            return
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop closed in between
                self._loop.call_soon_threadsafe(self._understand, line, now)

    def _understand(self, line: str, now: float) -> None:
        """Turn one line of the log into what happened."""
        if found := _PROGRESS.search(line):
            # 183 without a body would only be a change of words; baresip calls 18x with SDP «in-progress».
            if found[1] == "180":
                self._happened(PhoneState.RINGING, found[2], now)
        elif "Call in-progress: " in line:
            self._happened(PhoneState.EARLY, "", now)
        elif "Call established: " in line:
            self._happened(PhoneState.ESTABLISHED, "", now)
        elif found := _INCOMING.search(line):
            self._call_begins(PhoneState.INCOMING, found[1].strip(), now)
            self._react()
        elif found := _CLOSED.search(line):
            self._call_ends(found[1] or "by us", now)
        elif found := _DIGIT.search(line):
            self.digits_heard.append(found[1])
        elif found := _REGISTERED.search(line):
            self.registered = found[1] == "200"
        elif found := _REGISTER_FAILED.search(line):
            self._registration_error = found[1]
        self._changed.set()

    def _call_begins(self, state: PhoneState, detail: str, now: float) -> None:
        self._call += 1
        self._in_call = True
        self._happened(state, detail, now)

    def _call_ends(self, detail: str, now: float) -> None:
        if not self._in_call:
            return
        self._happened(PhoneState.CLOSED, detail, now)
        self._in_call = False
        self._shelf.closed(now)

    def _happened(self, state: PhoneState, detail: str, now: float) -> None:
        ago = time.monotonic() - now
        at = datetime.fromtimestamp(time.time() - ago, UTC)
        self.events.append(PhoneEvent(state, self._call, detail, at, now))
        self._changed.set()

    def _react(self) -> None:
        if self.answer_mode in (AnswerMode.AUTO, AnswerMode.REJECT):
            task = asyncio.ensure_future(self._react_later(self._call, self.answer_mode, self.answer_after))
            self._reactions.add(task)
            task.add_done_callback(self._reactions.discard)

    async def _react_later(self, call: int, mode: AnswerMode, after: float) -> None:
        await asyncio.sleep(after)
        if self._call == call and self.state is PhoneState.INCOMING:
            with contextlib.suppress(PhoneError):  # the caller gave up in the same instant
                await (self.answer() if mode is AnswerMode.AUTO else self.hangup())


def baresip_is_installed() -> bool:
    """Whether softphones can run on this machine."""
    return shutil.which("baresip") is not None
