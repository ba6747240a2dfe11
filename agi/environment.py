"""Reads the environment that Asterisk sends when it connects, and believes nothing else.

A stranger's caller ID reaches ``agi_callerid`` raw: with ``%0d%0a`` in a SIP From he can write whole
lines into this stream. So only the exact sequence of lines is accepted that Asterisk 22 writes
(``setup_env`` in ``res/res_agi.c``, checked against 22.10), each once, and the last argument must be our
secret. An injected line is in the wrong place; an injected end of the environment lacks what follows.

The channel that asks is an errand of the one that is served (the dialplan's context ``ask`` says why); the
last argument before the secret is the uniqueid of the latter.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

#: The names in the order in which Asterisk 22 sends them; ``agi_arg_1`` … follow.
ORDER = (
    "agi_network",
    "agi_network_script",
    "agi_request",
    "agi_channel",
    "agi_language",
    "agi_type",
    "agi_uniqueid",
    "agi_version",
    "agi_callerid",
    "agi_calleridname",
    "agi_callingpres",
    "agi_callingani2",
    "agi_callington",
    "agi_callingtns",
    "agi_dnid",
    "agi_rdnis",
    "agi_context",
    "agi_extension",
    "agi_priority",
    "agi_enhanced",
    "agi_accountcode",
    "agi_threadid",
)
END = b"\n\n"
MAX_BYTES = 8192
MAX_LINE_BYTES = 1024
MAX_ARGUMENTS = 8
#: The uniqueid of the channel that is served, and the secret.
FIXED_ARGUMENTS = 2

_STEP = re.compile(r"[a-z]{1,32}")
_UNIQUEID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_CALLER = re.compile(r"\+?[0-9]{3,20}")
# Q.931 presentation: 0x20 "restricted" and 0x40 "not available" (agi_callingpres is decimal).
_WITHHELD = 0x60


class AgiProtocolError(Exception):
    """The peer does not speak as Asterisk does; the message never quotes what it sent."""


class TokenRefused(AgiProtocolError):
    """The environment is whole but its last argument is not the secret."""


@dataclass(frozen=True, slots=True)
class AgiEnvironment:
    """Who asks, for which step.

    ``uniqueid`` is that of the channel that is served; ``caller`` is "" when it is withheld or not a number.
    """

    step: str
    channel: str
    uniqueid: str
    language: str
    caller: str
    arguments: tuple[str, ...]
    """The step's own arguments."""


def parse_environment(raw: bytes, token: str) -> AgiEnvironment:
    """Check the whole environment (``raw`` ends with the empty line) and return what steps need.

    Raises:
        AgiProtocolError: it is not exactly what Asterisk 22 sends, or too long.
        TokenRefused: the last argument is not ``token``.
    """
    if len(raw) > MAX_BYTES or not raw.endswith(END):
        raise AgiProtocolError("the environment is too long or has no end")
    lines = raw[: -len(END)].split(b"\n")
    if not len(ORDER) + FIXED_ARGUMENTS <= len(lines) <= len(ORDER) + MAX_ARGUMENTS:
        raise AgiProtocolError(f"the environment has {len(lines)} lines")
    names = (*ORDER, *(f"agi_arg_{index}" for index in range(1, len(lines) - len(ORDER) + 1)))
    values = [_value(line, name) for line, name in zip(lines, names, strict=True)]
    given = dict(zip(ORDER, values, strict=False))
    *arguments, served, secret = values[len(ORDER) :]
    if not hmac.compare_digest(secret.encode(), token.encode()):
        raise TokenRefused("the last argument is not the secret of this service")
    return AgiEnvironment(
        step=_matching(_STEP, given, "agi_network_script"),
        channel=given["agi_channel"],
        uniqueid=_matching(_UNIQUEID, {"the served channel": served}, "the served channel"),
        language=given["agi_language"],
        caller=_caller(given["agi_callerid"], given["agi_callingpres"]),
        arguments=tuple(arguments),
    )


def _value(line: bytes, name: str) -> str:
    prefix = f"{name}: ".encode()
    if len(line) > MAX_LINE_BYTES or not line.startswith(prefix):
        raise AgiProtocolError(f"the line in the place of {name} is another or too long")
    value = line[len(prefix) :]
    if any(byte < 0x20 or byte == 0x7F for byte in value):
        raise AgiProtocolError(f"{name} has a control character")
    # Asterisk cuts caller names at 79 bytes, in the middle of a letter if need be.
    return value.decode("utf-8", errors="replace")


def _matching(pattern: re.Pattern[str], given: dict[str, str], name: str) -> str:
    if not pattern.fullmatch(given[name]):
        raise AgiProtocolError(f"{name} has characters that we never send")
    return given[name]


def _caller(number: str, presentation: str) -> str:
    """A number that the caller withheld is not read aloud by a machine, even if the carrier tells it."""
    try:
        withheld = int(presentation) & _WITHHELD
    except ValueError:
        raise AgiProtocolError("agi_callingpres is no number") from None
    return number if not withheld and _CALLER.fullmatch(number) else ""
