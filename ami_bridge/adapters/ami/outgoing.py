"""Checks on everything that we send: panoramisk checks nothing, and a CR LF would be a second action."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ami_bridge.adapters.ami.errors import AmiValueError

OutgoingHeaders = Mapping[str, str | int | list[str]]

# manager.c reads a line into 1024 bytes and the first 128 headers of an action (AST_MAX_MANHEADERS).
_MAX_LINE_BYTES = 1024
_MAX_HEADERS = 128
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
_OWN = frozenset({"action", "actionid", "commandid"})
_CHANNEL = re.compile(r"^[A-Za-z0-9][^\x00-\x20\x7f]{0,200}$")
_DIALPLAN_NAME = re.compile(r"^[A-Za-z0-9_+.-]{1,79}$")
_UNIQUEID = re.compile(r"^[A-Za-z0-9._-]{1,120}$")
_LOCAL = re.compile(r"^Local/[0-9]{1,32}@[a-z][a-z0-9_-]{0,78}/n$")
_VARIABLE_NAME = re.compile(r"^_{0,2}[A-Za-z][A-Za-z0-9_]{0,78}$")
_VARIABLE_VALUE = re.compile(r"^[A-Za-z0-9_.:+@/=-]{0,400}$")


def checked_headers(action: str, headers: OutgoingHeaders | None) -> dict[str, str | list[str]]:
    """Every header of an action as text, fit to be sent.

    Raises:
        AmiValueError: a name or value with CR, LF or NUL, too long, too many, or one of the link's own
        headers.
    """
    if not _NAME.match(action):
        raise AmiValueError("Action", "is not an action's name")
    checked: dict[str, str | list[str]] = {}
    count = 2
    seen = set()
    for name, value in (headers or {}).items():
        if not _NAME.match(name) or name.lower() in _OWN or name.lower() in seen:
            raise AmiValueError(name, "is no header's name, is the link's own, or comes twice")
        seen.add(name.lower())
        values = [_checked(name, item) for item in (value if isinstance(value, list) else [value])]
        count += len(values)
        checked[name] = values if isinstance(value, list) else values[0]
    if count > _MAX_HEADERS:
        raise AmiValueError(name, f"is one of {count} headers, and the PBX reads only {_MAX_HEADERS}")
    return checked


def _checked(name: str, value: str | int) -> str:
    text = str(value)
    if "\r" in text or "\n" in text or "\0" in text:
        raise AmiValueError(name, "has a line end or a NUL in its value")
    try:
        size = len(f"{name}: {text}\r\n".encode())
    except UnicodeEncodeError:
        raise AmiValueError(name, "has a value that is not Unicode text") from None
    if size > _MAX_LINE_BYTES:
        raise AmiValueError(name, f"takes {size} bytes, and the PBX reads only {_MAX_LINE_BYTES}")
    return text


def checked_channel(channel: str) -> str:
    """A channel's exact name. A leading slash would make Hangup a regular expression over all channels."""
    if not _CHANNEL.match(channel):
        raise AmiValueError("Channel", f"= {channel!r} is not a channel's name")
    return channel


def checked_dialplan_name(header: str, value: str) -> str:
    """A context or extension of ours."""
    if not _DIALPLAN_NAME.match(value):
        raise AmiValueError(header, f"= {value!r} is not a context or extension of the dialplan")
    return value


def checked_uniqueid(header: str, value: str) -> str:
    """A channel id that we chose ourselves."""
    if not _UNIQUEID.match(value):
        raise AmiValueError(header, f"= {value!r} is not a channel id")
    return value


def checked_local(channel: str) -> str:
    """The only thing that may be originated: ``Local/<digits>@<context>/n``."""
    if not _LOCAL.match(channel):
        raise AmiValueError(
            "Channel", f"= {channel!r} may not be originated, only Local/<digits>@<context>/n"
        )
    return channel


def checked_variables(variables: Mapping[str, str]) -> list[str]:
    """Channel variables as ``name=value``; no comma, ``$``, quote or space, so no caller's free text."""
    for name, value in variables.items():
        if not _VARIABLE_NAME.match(name) or not _VARIABLE_VALUE.match(value):
            raise AmiValueError("Variable", f"{name}={value!r} has a character that is not allowed in it")
    return [f"{name}={value}" for name, value in variables.items()]
