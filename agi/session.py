"""A safe conversation with one Asterisk channel: pyst2's vocabulary on a guarded transport.

pyst2's own ``AGI`` installs a SIGHUP handler (which fails off the main thread), prints personal data,
quotes nothing, never stops reading and knows neither 511 nor ``HANGUP``. :class:`SafeAgi` keeps its
commands (``set_variable``, ``get_variable``, ``verbose`` …) and replaces everything beneath them. Every way
of losing the caller is one exception: :class:`CallerGone`.

Protocol: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Gateway-Interface-AGI/
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any

from asterisk.agi import AGI, AGIAppError, AGIInvalidCommand, AGIUsageError

from agi.environment import AgiEnvironment, AgiProtocolError

__all__ = ["AgiProtocolError", "CallerGone", "SafeAgi"]

#: Asterisk reads a command into 2048 bytes (AGI_BUF_LEN); a longer one would be cut in two.
MAX_COMMAND_BYTES = 2000
MAX_REPLY_LINE_BYTES = 4096
MAX_USAGE_LINES = 100

_REPLY = re.compile(r"([0-9]{3})([ -])(.*)", re.ASCII | re.DOTALL)
_RESULT = re.compile(r"result=(-?[0-9]+)(?: \((.*)\))?(?: endpos=[0-9]+)?", re.ASCII | re.DOTALL)


class CallerGone(Exception):
    """The caller has hung up, Asterisk has closed the connection, or it no longer answers."""


class SafeAgi(AGI):
    """One AGI session over a connected socket. Blocking, with one deadline for everything.

    Use it in a thread. ``early`` is what was read from the socket behind the environment.
    """

    def __init__(
        self, connection: socket.socket, environment: AgiEnvironment, *, seconds: float, early: bytes = b""
    ) -> None:
        # Deliberately not super().__init__(): it takes SIGHUP, writes to stderr and reads without limit.
        self.env = {
            "agi_channel": environment.channel,
            "agi_uniqueid": environment.uniqueid,
            "agi_language": environment.language,
            "agi_callerid": environment.caller,
        }
        self._connection = connection
        self._buffer = bytearray(early)
        self._deadline = time.monotonic() + seconds
        self._got_sighup = False

    # pyst2's hooks ------------------------------------------------------------------------------

    def _quote(self, string: object) -> str:
        """``string`` as one argument: in quotes, with quotes and backslashes escaped.

        Raises:
            ValueError: it has CR, LF or NUL, which no AGI argument can hold.
        """
        text = str(string)
        _refuse_line_ends(text)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def execute(self, command: str, *args: object) -> dict[str, tuple[str, str]]:
        """Send one command and return its result as pyst2 does: ``{"result": (value, text)}``.

        Raises:
            CallerGone: hang-up, end of the connection or no answer in time.
            AgiProtocolError: the answer is not Asterisk's.
            AGIInvalidCommand, AGIUsageError, AGIAppError: Asterisk refuses the command.
            ValueError: the command cannot be written on one line.
        """
        self.send_command(command, *args)
        return self.get_result()

    def send_command(self, command: str, *args: object) -> None:
        """Write one command; see :meth:`execute`."""
        line = " ".join([command, *map(str, args)]).strip()
        _refuse_line_ends(line)
        raw = line.encode("utf-8") + b"\n"
        if len(raw) > MAX_COMMAND_BYTES:
            raise ValueError(f"An AGI command of {len(raw)} bytes is longer than Asterisk reads.")
        try:
            self._arm()
            self._connection.sendall(raw)
        except OSError as error:
            raise CallerGone(f"writing failed: {error.strerror or error}") from None

    def get_result(self, stdin: Any = None) -> dict[str, tuple[str, str]]:
        """Read one answer; see :meth:`execute`. ``stdin`` is pyst2's and unused."""
        code, rest = self._reply()
        if code == 200:
            return _result(rest)
        if code == 510:
            raise AGIInvalidCommand(rest)
        if code == 511:  # "Command Not Permitted on a dead channel or intercept routine"
            raise CallerGone("the channel is dead")
        if code == 520:
            raise AGIUsageError(rest)
        raise AgiProtocolError(f"an answer with the unknown code {code}")

    def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable; raises as :meth:`execute` does."""
        self.execute("SET VARIABLE", self._quote(name), self._quote(value))

    # The transport ------------------------------------------------------------------------------

    def _reply(self) -> tuple[int, str]:
        line = self._line()
        if line == "HANGUP" or line.startswith("HANGUP "):
            raise CallerGone("the caller has hung up")
        match = _REPLY.fullmatch(line)
        if match is None:
            raise AgiProtocolError("an answer without a code")
        code, mark, rest = match.groups()
        if code == "520" and mark == "-":
            self._skip_usage()
        elif mark == "-":
            raise AgiProtocolError(f"an answer of several lines with the code {code}")
        return int(code), rest

    def _skip_usage(self) -> None:
        """Read on to the closing "520 End of proper usage."; pyst2 looks for it for ever."""
        for _ in range(MAX_USAGE_LINES):
            if self._line().startswith("520 "):
                return
        raise AgiProtocolError("a usage text without an end")

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_REPLY_LINE_BYTES:
                raise AgiProtocolError("an answer without an end")
            self._buffer += self._receive()
        raw, _, rest = self._buffer.partition(b"\n")
        self._buffer = bytearray(rest)
        if len(raw) > MAX_REPLY_LINE_BYTES or b"\0" in raw:
            raise AgiProtocolError("an answer that is too long or binary")
        return raw.decode("utf-8", errors="replace").removesuffix("\r")

    def _receive(self) -> bytes:
        try:
            self._arm()
            chunk = self._connection.recv(4096)
        except OSError as error:
            raise CallerGone(f"reading failed: {error.strerror or error}") from None
        if not chunk:
            raise CallerGone("Asterisk has closed the connection")
        return chunk

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise CallerGone("Asterisk does not answer in time")
        self._connection.settimeout(left)


def _result(rest: str) -> dict[str, tuple[str, str]]:
    match = _RESULT.fullmatch(rest)
    if match is None:
        raise AgiProtocolError("an answer without a result")
    value, text = match.group(1), match.group(2) or ""
    if text == "hangup":
        raise CallerGone("the caller has hung up")
    if value == "-1":
        raise AGIAppError("Asterisk could not carry out the command")
    return {"result": (value, text)}


def _refuse_line_ends(text: str) -> None:
    if any(character in text for character in "\r\n\0"):
        raise ValueError("An AGI command cannot hold a line end or NUL.")
