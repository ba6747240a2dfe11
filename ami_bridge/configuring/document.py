"""The configuration as a file that people wrote: read, changed in single places, kept in all its versions.

tomlkit changes one value and leaves every comment and blank line where it was. The way not taken: writing the
settings models out again would be simpler, and would throw away what the admin wrote beside the values.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable

from ami_bridge.errors import FourthRingError
from ami_bridge.resources import shipped_folder

#: Sections that the desk may change. Left out: where services listen and keep their state (node, network, secrets,
#: store, channel_events), trunks, and voices, whose ``command`` is a program that would be run.
EDITABLE = frozenset(
    {
        "company",
        "ring",
        "queue",
        "hours",
        "calendar",
        "callback",
        "promises",
        "talk",
        "retention",
        "departments",
        "agents",
        "languages_by",
        "own_voices",
    }
)
_MOST_VERSIONS = 200
_Table = Container | AbstractTable


class NotEditable(FourthRingError):
    """The configuration, or this part of it, cannot be changed from the desk."""


class Outdated(FourthRingError):
    """Somebody else changed the configuration meanwhile."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value: its keys from the outside in, and what it becomes; None takes it out."""

    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class Version:
    """The file as it was applied once. ``id`` is the hash of its text."""

    id: str
    at: datetime
    by: str
    what: str


class Configuration:
    """The file at ``path`` and its earlier versions in ``folder``."""

    def __init__(self, path: Path, state_folder: Path) -> None:
        self.path = path.absolute()
        self.folder = state_folder / "configuration"

    def text(self) -> str:
        """As it is now. Raises NotEditable: it cannot be read."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NotEditable(f"The configuration {self.path} cannot be read: {error}.") from None

    def obstacle(self) -> str:
        """Why it cannot be written, in one sentence; "" when it can."""
        try:
            shipped = self.path.is_relative_to(shipped_folder("config").resolve())
        except FileNotFoundError:
            shipped = False
        if shipped:
            return f"{self.path} belongs to the program; copy it and start the services with --config and the copy."
        if not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            return f"The user of the desk may not write {self.path}; change it by hand or let that user write it."
        return ""

    def write(self, text: str) -> None:
        """Replace the file in one step, with its own mode. Raises NotEditable."""
        if obstacle := self.obstacle():
            raise NotEditable(obstacle)
        staged = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            staged.write_text(text, encoding="utf-8")
            staged.chmod(self.path.stat().st_mode & 0o777)
            staged.replace(self.path)
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise NotEditable(f"The configuration {self.path} cannot be written: {error}.") from None

    # Versions -------------------------------------------------------------------------

    def keep(self, text: str, by: str, what: str) -> Version:
        """Keep ``text`` as a version; the oldest are forgotten one day."""
        version = Version(id_of(text), datetime.now(UTC), by, what)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / f"{version.id}.toml").write_text(text, encoding="utf-8")
        lines = [*self._log(), json.dumps({**_told(version)}, ensure_ascii=False)][-_MOST_VERSIONS:]
        staged = self.folder / f".versions.{os.getpid()}"
        staged.write_text("\n".join(lines) + "\n", encoding="utf-8")
        staged.replace(self.folder / "versions.jsonl")
        return version

    def versions(self) -> list[Version]:
        """Newest first."""
        found = []
        for line in reversed(self._log()):
            entry = json.loads(line)
            at = datetime.fromisoformat(entry["at"])
            found.append(Version(entry["id"], at, entry["by"], entry["what"]))
        return found

    def version_text(self, version_id: str) -> str | None:
        """What the file was; None when it is not kept."""
        if not (version_id.isascii() and version_id.isalnum()):
            return None
        try:
            return (self.folder / f"{version_id}.toml").read_text(encoding="utf-8")
        except OSError:
            return None

    def _log(self) -> list[str]:
        try:
            return (self.folder / "versions.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []


def id_of(text: str) -> str:
    """What a version is called."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def document_of(text: str) -> dict[str, Any]:
    """The values. Raises NotEditable: it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotEditable(f"The configuration is no TOML any more: {error}. Mend it by hand.") from None


def changed(text: str, changes: Sequence[Change]) -> str:
    """``text`` with ``changes`` made and all else as it stands.

    Raises:
        NotEditable: a part that the desk does not change, or a value that TOML cannot hold.
    """
    try:
        document = tomlkit.parse(text)
        for change in changes:
            _make(document, change)
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, ValueError, KeyError) as error:
        raise NotEditable(f"The configuration cannot be changed so: {error}.") from None


def _make(document: tomlkit.TOMLDocument, change: Change) -> None:
    if not change.path or change.path[0] not in EDITABLE:
        raise NotEditable(
            f"{'.'.join(change.path) or '(nothing)'} is not changed from the desk; edit the file by hand."
        )
    above = _way_to(document, change)
    if not above:
        return
    table, last = above[-1][0], change.path[-1]
    if change.value is None:
        _take_out(above)
    elif isinstance(change.value, list) and change.value and all(isinstance(e, dict) for e in change.value):
        table[last] = _tables(change.value)
    elif isinstance(change.value, dict):
        table[last] = _table(change.value)
    elif not _same(table.get(last), change.value):
        table[last] = change.value


def _way_to(document: tomlkit.TOMLDocument, change: Change) -> list[tuple[_Table, str]]:
    """Each table on the way and the key in it; missing ones are made, unless there is only something to take out."""
    table: _Table = document
    way: list[tuple[_Table, str]] = [(table, change.path[0])]
    for key, following in pairwise(change.path):
        if key not in table:
            if change.value is None:
                return []
            table[key] = tomlkit.table()
        below = table[key]
        if not isinstance(below, AbstractTable | Container):
            raise NotEditable(f"{'.'.join(change.path)}: '{key}' holds no keys.")
        table = below
        way.append((table, following))
    return way


def _take_out(way: list[tuple[_Table, str]]) -> None:
    """A table that is left empty goes too: it would stand for all of its defaults, not for "as everywhere"."""
    table, last = way[-1]
    if last in table:
        table.remove(last)
    for outer, key in reversed(way[1:-1]):
        if outer[key]:
            break
        outer.remove(key)


def _tables(values: Sequence[dict[str, Any]]) -> Any:
    """``[[calendar.days]]``, one after another."""
    array = tomlkit.aot()
    for value in values:
        array.append(_table(value))
    return array


def _table(value: dict[str, Any]) -> Any:
    """What a table holds below it stays on its line."""
    table = tomlkit.table()
    for key, item in value.items():
        if isinstance(item, dict):
            inline = tomlkit.inline_table()
            inline.update(item)
            table.add(key, inline)
        else:
            table.add(key, item)
    return table


def _same(old: Any, new: Any) -> bool:
    """A value that did not change is not written anew: a number keeps the form in which a person wrote it."""
    old = old.unwrap() if hasattr(old, "unwrap") else old
    return bool(old == new) and type(old) is type(new)


def _told(version: Version) -> dict[str, str]:
    return {"id": version.id, "at": version.at.isoformat(), "by": version.by, "what": version.what}
