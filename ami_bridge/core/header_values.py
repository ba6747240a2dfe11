"""Single values out of AMI headers: what is missing, repeated, too long or escaped becomes plain text here.

The header names themselves are known in :mod:`ami_bridge.core.read_channels` and
:mod:`ami_bridge.core.read_services`; here stand only those that every kind of event shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

from ami_bridge.core.event_types import Event

Headers = Mapping[str, str | list[str]]

# A channel in an event: these fourteen headers, always in this order (``main/manager_channels.c``,
# ``ast_manager_build_channel_state_string_prefix``, Asterisk 13 to 22), with a prefix for every channel but the first.
CHANNEL_BLOCK = (
    "Channel",
    "ChannelState",
    "ChannelStateDesc",
    "CallerIDNum",
    "CallerIDName",
    "ConnectedLineNum",
    "ConnectedLineName",
    "Language",
    "AccountCode",
    "Context",
    "Exten",
    "Priority",
    "Uniqueid",
    "Linkedid",
)

# Asterisk's own identifiers are short (systemname up to 79 bytes, then epoch and counter).
# Anything longer was not made by Asterisk.
LONGEST_UNIQUEID = 150
LONGEST_TEXT = 300


def flat_text(value: object) -> str:
    """Plain text of a header that is missing, repeated, or no text at all."""
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, list | tuple) and value and isinstance(value[0], str):
        return value[0][:LONGEST_TEXT]
    return ""


def text_of(headers: Headers, name: str) -> str:
    value = headers.get(name)
    return value if type(value) is str and len(value) <= LONGEST_TEXT else flat_text(value)


def _value_of(headers: Headers, name: str) -> str:
    value = text_of(headers, name)
    return value if len(value) <= longest(name) else ""


def number_in(value: str) -> str:
    return "" if value == "<unknown>" else value


def name_in(value: str) -> str:
    """A person's name; AMI C-escapes it, the other interfaces do not."""
    value = number_in(value)
    return _unescape(value) if "\\" in value else value


def _unescape(value: str) -> str:
    out: list[str] = []
    characters = iter(value)
    for character in characters:
        out.append(next(characters, "\\") if character == "\\" else character)
    return "".join(out)


def longest(name: str) -> int:
    """How many characters the value of the header ``name`` may have."""
    return LONGEST_UNIQUEID if name.endswith(("Uniqueid", "Linkedid", "BridgeId")) else LONGEST_TEXT


class Reading:
    """How one kind of event is read: which headers it takes, and what it makes of their values.

    All headers are taken at once: from a match by their places, from a dict by one ``itemgetter``.
    """

    __slots__ = ("_get", "_ids_of", "besides", "build", "names", "optional")

    def __init__(
        self,
        build: Callable[[datetime | None, Any], Event | None],
        *names: str,
        optional: tuple[str, ...] = (),
        besides: Callable[[Headers], object] | None = None,
    ) -> None:
        """
        Args:
            build: called with the instant and the values in order; gives None when it lacks what the kind needs.
            names: headers that an event of this kind nearly always has; two or more, among them an identifier.
            optional: headers that it may have; they come last.
            besides: takes what else is to be known out of all headers; it is the last of the values.
        """
        self.build = build
        self.names = names
        self.optional = optional
        self.besides = besides
        places = [place for place, name in enumerate(names + optional) if longest(name) == LONGEST_UNIQUEID]
        self._ids_of: Callable[[tuple[str, ...]], Iterable[str]] = itemgetter(*places)
        self._get: Callable[[Headers], tuple[str, ...]] = itemgetter(*names)

    def of(self, headers: Headers) -> tuple[str, ...]:
        """The values in order, as plain text of a sane length; what is missing, and an identifier that is too
        long, is empty."""
        try:
            values = self._get(headers)
            if self.optional:
                values += tuple([headers.get(name, "") for name in self.optional])  # type: ignore[misc]
            # TypeError when a value is no text. What is short together is short each for itself.
            together = len("".join(values))
            if together <= LONGEST_UNIQUEID:
                return values
            if together <= LONGEST_TEXT and len("".join(self._ids_of(values))) <= LONGEST_UNIQUEID:
                return values
        except (KeyError, TypeError):
            pass
        return tuple(_value_of(headers, name) for name in self.names + self.optional)


_CHANNEL_STATES = {str(number): number for number in range(11)}


def state_in(value: str) -> int:
    return _CHANNEL_STATES.get(value, -1)


def cause_in(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        return 0


def whole_in(value: str, otherwise: int = 0) -> int:
    try:
        return int(value)
    except ValueError:
        return otherwise
