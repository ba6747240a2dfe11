"""``fourthring erase`` and ``purge``: people leave the store, the recordings, the journal and the PBX's own logs.

Journal and logs are append-only and their last file is open in another process, so nothing is moved or made
anew: the number, and the name beside it, are written over in place with as many ``x``. Sequence numbers, line
lengths and everything that others count on stay as they are, and a replay tells the same story about nobody.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import phonenumbers

from ami_bridge.adapters.journal import segments_of
from ami_bridge.adapters.store import AuditEntry
from ami_bridge.adapters.store.erasing import Taken, erase_person, purge_before
from ami_bridge.adapters.store.sql import SqlStore
from ami_bridge.desk.callbacks_api import recording_file
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.settings import Settings

_SHORTEST = 6


class NoNumber(FourthRingError):
    """What was given cannot be told from other numbers."""


@dataclass(frozen=True, slots=True)
class Person:
    """A number in every form in which it is written down: ``digits`` are what all forms share."""

    shown: str
    digits: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Erased:
    """What was found, and taken out unless it was a dry run."""

    dry_run: bool
    calls: int
    notes: int
    callbacks: int
    other_entries: int
    recordings: int
    journal_and_log_lines: int


def person_of(text: str, settings: Settings) -> Person:
    """The person behind a number as people write it.

    Raises:
        NoNumber: no digits, too short (an extension stands in everybody's records), or our own.
    """
    region = settings.company.country
    bare = re.sub(r"[ ().\-\u00a0\u2011]", "", text)
    if not re.fullmatch(r"\+?[0-9]{6,15}", bare, re.ASCII):
        raise NoNumber(f"'{text}' is no telephone number; write 6 to 15 digits, such as +79161234567.")
    try:
        parsed = phonenumbers.parse(bare, region)
        if not phonenumbers.is_possible_number(parsed) and not bare.startswith("+"):
            parsed = phonenumbers.parse(f"+{bare}", region)
        national = phonenumbers.national_significant_number(parsed)
        lead = f"(?:\\+?{parsed.country_code}|0|8)?"
    except phonenumbers.NumberParseException:
        national, lead = bare.lstrip("+"), "\\+?"
    if len(national) < _SHORTEST:
        raise NoNumber(f"'{text}' is too short to be one person's; write the whole number.")
    pattern = re.compile(rf"(?<![0-9]){lead}{national}(?![0-9])")
    own = next(
        (did for each in settings.departments.values() for did in each.dids if pattern.search(did)), None
    )
    if own is not None:
        raise NoNumber(f"'{text}' is our own number {own}, which stands in every call; write the caller's.")
    return Person(bare, national, pattern)


async def erase(settings: Settings, store: SqlStore, person: Person, by: str, *, dry: bool) -> Erased:
    """Erase ``person``, or only count.

    Raises:
        StillTalking: a callback to the number is in somebody's hands.
    """
    taken = await erase_person(store, person.pattern, person.digits, datetime.now(UTC), dry=dry)
    sounds = await asyncio.to_thread(_remove_sounds, settings, taken.recordings, dry)
    lines = await asyncio.to_thread(_write_over_all, settings, person, dry)
    erased = Erased(dry, taken.calls, taken.notes, taken.callbacks, taken.other, sounds, lines)
    if not dry:
        # Who was erased is not written down: that would be the number again.
        detail = {name: getattr(erased, name) for name in ("calls", "notes", "callbacks", "recordings")}
        await store.audit(
            AuditEntry(secrets.token_hex(16), datetime.now(UTC), by, "person.erase", "", detail)
        )
    return erased


async def purge(settings: Settings, store: SqlStore, days: float, by: str, *, dry: bool) -> Erased:
    """Take out what ended more than ``days`` ago, with its recordings; the journal's old segments too."""
    before = datetime.now(UTC) - timedelta(days=days)
    taken: Taken = await purge_before(store, before, dry=dry)
    sounds = await asyncio.to_thread(_remove_sounds, settings, taken.recordings, dry)
    segments = await asyncio.to_thread(_remove_segments, settings, before, dry)
    purged = Erased(dry, taken.calls, taken.notes, taken.callbacks, taken.other, sounds, segments)
    if not dry:
        detail = {"before": before.isoformat(), "calls": taken.calls, "callbacks": taken.callbacks}
        await store.audit(AuditEntry(secrets.token_hex(16), datetime.now(UTC), by, "purge", "", detail))
    return purged


def _remove_sounds(settings: Settings, stored: Iterable[str], dry: bool) -> int:
    """The same guard as when a recording is heard: a path from the store deletes nothing outside its folders."""
    found = [file for path in stored if (file := recording_file(settings, path)) is not None]
    if not dry:
        for file in found:
            file.unlink(missing_ok=True)
    return len(found)


def _remove_segments(settings: Settings, before: datetime, dry: bool) -> int:
    """Journal segments that ended before then. The newest of a node is open and stays."""
    removed = 0
    folder = settings.state_folder / "journal"
    segments = segments_of(folder, None)
    newest = {path.stem.rpartition("-")[0]: path for path in segments}
    for path in segments:
        if path not in newest.values() and path.stat().st_mtime < before.timestamp():
            removed += 1
            if not dry:
                path.unlink(missing_ok=True)
    return removed


def _write_over_all(settings: Settings, person: Person, dry: bool) -> int:
    lines = sum(
        write_over(path, person, dry, names=True)
        for path in segments_of(settings.state_folder / "journal", None)
    )
    paths = PbxPaths.in_state(settings.state_folder)
    logs = [*paths.log.glob("*"), *paths.channel_event_log.parent.glob("*")]
    return lines + sum(write_over(path, person, dry) for path in sorted(logs) if path.is_file())


def write_over(path: Path, person: Person, dry: bool, *, names: bool = False) -> int:
    """Write ``x`` over the number in each whole line of ``path``; gives how many lines held it.

    ``names``: each line is a JSON object, and names beside the number go too. The file's length never changes,
    so a process that appends to it meanwhile is not disturbed.
    """
    digits, touched = person.digits.encode(), 0
    descriptor = os.open(path, os.O_RDONLY if dry else os.O_RDWR)
    with os.fdopen(descriptor, "rb" if dry else "r+b", buffering=0) as file, path.open("rb") as reader:
        offset = 0
        for line in reader:
            spans = list(_spans(line, person, names)) if digits in line and line.endswith(b"\n") else []
            touched += bool(spans)
            for start, end in () if dry else spans:
                file.seek(offset + start)
                file.write(b"x" * (end - start))
            offset += len(line)
        if touched and not dry:
            os.fsync(file.fileno())
    return touched


def _spans(line: bytes, person: Person, names: bool) -> Iterator[tuple[int, int]]:
    """Where the number stands in ``line``, and the names beside it."""
    pattern = re.compile(person.pattern.pattern.encode())
    yield from (found.span() for found in pattern.finditer(line))
    if not (names and pattern.search(line)):
        return
    try:
        headers = json.loads(line).get("headers") or {}
    except (ValueError, AttributeError):
        return
    for name in _names_beside(headers, person.pattern):
        # Only where it is a whole value: a caller may call himself like a header, or like a bracket.
        said = re.escape(json.dumps(name, ensure_ascii=False).encode())
        yield from ((found.start() + 1, found.end() - 1) for found in re.finditer(said + rb"(?!:)", line))


def _names_beside(headers: object, pattern: re.Pattern[str]) -> Iterator[str]:
    """Names of the party whose number it is: CallerIDName beside CallerIDNum, DestConnectedLineName beside …Num."""
    if not isinstance(headers, dict):
        return
    for key, value in headers.items():
        name = headers.get(f"{key.removesuffix('Num')}Name") if key.endswith("Num") else None
        theirs = isinstance(value, str) and pattern.search(value)
        if theirs and isinstance(name, str) and len(name) >= 2 and not name.startswith("<"):
            yield name
