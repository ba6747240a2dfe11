"""How baresip is found, configured, started and told what to do.

Nothing here knows what a call is; ``softphone`` does. Written against baresip 1.0 (Debian bookworm)
and its source: ``modules/ctrl_tcp``, ``modules/menu``, ``modules/aufile``, ``modules/sndfile``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path

from ami_bridge.errors import FourthRingError

SAMPLE_RATE = 8000
# baresip ends the call when its source file ends, so every source gets a long tail of silence.
# The tail is a hole in a sparse file: it costs no disk, only 16 kB of baresip's memory per second.
LONGEST_CALL_SECONDS = 420
# Only what a telephone without a sound card needs. aufile speaks, aubridge swallows what is heard,
# sndfile writes both down, menu carries out commands, ctrl_tcp takes them.
_MODULES = ("g711.so", "aufile.so", "aubridge.so", "sndfile.so")


class PhoneError(FourthRingError):
    """A softphone could not do what was asked; the sentence names the phone and what it saw."""


class PhoneTimeout(PhoneError, TimeoutError):
    """A softphone did not reach a state in time."""


@dataclass(frozen=True, slots=True)
class Line:
    """One SIP account: who the phone says it is and, for an agent, where it registers."""

    user: str
    domain: str
    display: str | None = None
    password: str | None = None
    registered: bool = False

    @property
    def aor(self) -> str:
        """The address of record as baresip spells it: the key of its ``uafind`` command."""
        return f"sip:{self.user}@{self.domain}"

    def as_account(self, codec: str) -> str:
        """One line of baresip's ``accounts`` file."""
        name = f'"{self.display}" ' if self.display is not None else ""
        account = f"{name}<{self.aor}>;audio_codecs={codec}/8000/1;ptime=20;call_transfer=yes"
        if self.password is not None:
            account += f";auth_user={self.user};auth_pass={self.password}"
        # A minute, so that a PBX that was killed gets its phones back soon.
        return account + (";regint=60" if self.registered else ";regint=0")


def program() -> str:
    """The baresip program.

    Raises:
        PhoneError: it is not installed.
    """
    found = shutil.which("baresip")
    if found is None:
        raise PhoneError("The softphone 'baresip' is not installed; install the package baresip-core.")
    return found


def command_line(folder: Path) -> list[str]:
    """The program and its arguments; the phone dies with the process that started it where setpriv allows."""
    line = [program(), "-f", str(folder)]
    if shutil.which("setpriv") is not None:
        line = ["setpriv", "--pdeathsig", "TERM", "--", *line]
    return line


def _modules_folder() -> Path:
    for pattern in ("lib/baresip/modules", "lib/*/baresip/modules", "local/lib/baresip/modules"):
        for found in sorted(Path("/usr").glob(pattern)):
            return found
    raise PhoneError("baresip's modules are not installed; install the package baresip-core.")


def write_config(
    folder: Path,
    *,
    address: str,
    sip_port: int,
    control_port: int,
    rtp_ports: tuple[int, int],
    account: str,
    source: str,
) -> None:
    """Write baresip's ``config``, ``accounts`` and ``contacts`` into ``folder``.

    baresip cuts file names of sounds at 128 bytes, so it runs inside ``folder`` and ``source`` is relative.
    """
    modules = "\n".join(f"module {name}" for name in _MODULES)
    config = f"""\
sip_listen {address}:{sip_port}
net_interface {address}
rtp_ports {rtp_ports[0]}-{rtp_ports[1]}
rtp_timeout 0
jitter_buffer_delay 0-0
call_local_timeout 3600
call_max_calls 4
audio_path {folder}
audio_source aufile,{source}
audio_player aubridge,ear
audio_alert aubridge,bell
audio_buffer 20-160
snd_path .
module_path {_modules_folder()}
{modules}
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{control_port}
statmode_default off
menu_bell no
ringback_disabled yes
"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(config)
    (folder / "accounts").write_text(account + "\n")
    (folder / "contacts").write_text("")


def write_source(path: Path, speech: Path | None) -> float:
    """Write what a phone says, ``speech`` (or nothing) and then silence; return the speech's seconds.

    Raises:
        PhoneError: ``speech`` has another format than baresip's aufile module takes.
    """
    frames = b""
    if speech is not None:
        with wave.open(str(speech), "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
                raise PhoneError(
                    f"A softphone can say only 8000 Hz mono 16-bit WAV; convert '{speech}' first."
                )
            frames = file.readframes(file.getnframes())
    size = len(frames) + 2 * SAMPLE_RATE * LONGEST_CALL_SECONDS
    with path.open("wb") as out:
        out.write(b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt ")
        for value, width in (
            (16, 4),
            (1, 2),
            (1, 2),
            (SAMPLE_RATE, 4),
            (2 * SAMPLE_RATE, 4),
            (2, 2),
            (16, 2),
        ):
            out.write(value.to_bytes(width, "little"))
        out.write(b"data" + size.to_bytes(4, "little") + frames)
        out.truncate(44 + size)
    return len(frames) / 2 / SAMPLE_RATE


class Control:
    """baresip's ``ctrl_tcp``: JSON commands in netstrings, one answer each.

    Its events are skipped: baresip 1.0 stops sending them after the first few, the log does not.
    """

    def __init__(self, address: str, port: int, name: str) -> None:
        self._address, self._port, self._name = address, port, name
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._tokens = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()

    async def connect(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Connect as soon as baresip listens.

        Raises:
            PhoneTimeout: it does not listen within ``timeout`` seconds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            try:
                self._streams = await asyncio.open_connection(self._address, self._port)
            except OSError as refused:
                if loop.time() > deadline:
                    raise PhoneTimeout(
                        f"The softphone '{self._name}' does not listen on {self._address}:{self._port};"
                        " see baresip.log in its folder."
                    ) from refused
                await asyncio.sleep(0.02)
            else:
                return

    async def command(self, command: str, params: str = "", timeout: float = 5.0) -> str:  # noqa: ASYNC109
        """Carry out a baresip command and return what it prints.

        Raises:
            PhoneError: baresip refused it, or the command is longer than its 1024-byte buffer.
            PhoneTimeout: no answer within ``timeout`` seconds.
        """
        if len(f"{command} {params}".encode()) > 1000:
            raise PhoneError(
                f"The softphone '{self._name}' takes commands up to 1000 bytes; use rawsip for longer."
            )
        async with self._one_at_a_time:
            try:
                answer = await asyncio.wait_for(self._exchange(command, params), timeout)
            except TimeoutError as silent:
                raise PhoneTimeout(
                    f"The softphone '{self._name}' did not answer '{command}' in {timeout} s."
                ) from silent
            except (OSError, asyncio.IncompleteReadError) as gone:
                raise PhoneError(f"The softphone '{self._name}' is gone: no answer to '{command}'.") from gone
        if not answer.get("ok"):
            raise PhoneError(
                f"The softphone '{self._name}' refused '{command} {params}': {answer.get('data')}."
            )
        return str(answer.get("data", ""))

    async def _exchange(self, command: str, params: str) -> dict[str, object]:
        if self._streams is None:
            raise PhoneError(f"The softphone '{self._name}' is not running; start it first.")
        reader, writer = self._streams
        token = str(next(self._tokens))
        request: dict[str, str] = {"command": command, "token": token}
        if params:
            request["params"] = params
        body = json.dumps(request, ensure_ascii=False).encode()
        writer.write(b"%d:%s," % (len(body), body))
        await writer.drain()
        while True:
            length = int((await reader.readuntil(b":"))[:-1])
            message = json.loads((await reader.readexactly(length + 1))[:-1].decode(errors="replace"))
            if message.get("response") and message.get("token") == token:
                return dict(message)

    def close(self) -> None:
        """Close the connection; the phone goes on."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
