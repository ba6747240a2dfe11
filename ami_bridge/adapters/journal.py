"""The local journal: everything that came in and every command that went out, append-only, before anything
else.

One JSON object per line, in segments named ``<node>-<first sequence number>.jsonl``. ``append`` never
blocks: a thread writes and fsyncs in batches, so that at most ``fsync_ms`` of events are lost when the
machine dies. The store may be away for hours; a replay of the journal brings it up to date, and its sequence
numbers make each write idempotent.

A full disk stops nobody: lines wait in memory (bounded, counted), the reserve file is given up so that the
last lines and the clean-up still fit, and ``trouble`` says so in one sentence.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Protocol

from ami_bridge.adapters.ami.raw_event import (
    Headers,
    LongCalls,
    RawEvent,
    SnapshotFailed,
    SnapshotTaken,
    StreamItem,
    utc_now,
)
from ami_bridge.errors import FourthRingError

_log = logging.getLogger(__name__)
_RESERVE_BYTES = 4 * 1024 * 1024
_WRITE_CHUNK = 512


class JournalError(FourthRingError):
    """The journal cannot be kept at all; the bridge must not start without it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was sent to the PBX, for the record. Never put a secret into ``headers``."""

    name: str
    headers: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line: ``kind`` is event, marker (link lost, ready, gap, snapshot wanted, taken, failed) or command."""

    seq: int
    at: datetime
    kind: str
    name: str
    headers: Headers
    repaired: bool = False

    def as_raw_event(self) -> RawEvent:
        """The event as the link gave it."""
        return RawEvent(self.name, self.headers, self.at, self.repaired)


Journalled = StreamItem | SnapshotTaken | SnapshotFailed | LongCalls | Command
TornLine = Callable[[Path, int, str], None]


class JournalPort(Protocol):
    """What the bridge needs of a journal."""

    @property
    def synced_seq(self) -> int:
        """The last sequence number that is durable (0: none)."""

    def append(self, item: Journalled) -> int:
        """Take one item without blocking; returns its sequence number."""

    async def flush(self) -> bool:
        """Wait until all that was appended is on the disk; False when it could not be written."""

    async def close(self) -> None:
        """Flush and end; later appends are refused."""

    def entries(
        self, since: int | None = None, mentioning: Collection[str] | None = None
    ) -> Iterator[JournalEntry]:
        """What is durable, from sequence number ``since`` on; see :func:`read_journal` for ``mentioning``."""


def to_line(seq: int, item: Journalled) -> str:
    """One item as its line, without the line end."""
    if isinstance(item, RawEvent):
        line: dict[str, Any] = {
            "seq": seq,
            "at": item.received_at.isoformat(),
            "kind": "event",
            "name": item.name,
        }
        line["headers"] = item.headers.copy()
        if item.repaired:
            line["repaired"] = True
    elif isinstance(item, Command):
        line = {"seq": seq, "at": item.at.isoformat(), "kind": "command", "name": item.name}
        line["headers"] = dict(item.headers)
    else:
        line = {"seq": seq, "at": item.at.isoformat(), "kind": "marker", "name": item.name}
        own = {field.name: getattr(item, field.name) for field in fields(item)}
        line["headers"] = {name: str(value) for name, value in own.items() if name not in {"at", "name"}}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


def _safe_line(seq: int, item: Journalled) -> str:
    """The line of an item, whatever it is: one bad item must not stop the thread that writes all others."""
    try:
        return f"{to_line(seq, item)}\n"
    except Exception:
        _log.exception("Journal entry %d cannot be written as JSON", seq)
        return f"{to_line(seq, Command('UnwritableEntry', {}, utc_now()))}\n"


def from_line(text: str) -> JournalEntry:
    """The entry of a line.

    Raises:
        ValueError: the line is torn or is no entry.
    """
    line = json.loads(text)
    try:
        at = datetime.fromisoformat(line["at"])
        return JournalEntry(
            int(line["seq"]), at, line["kind"], line["name"], line["headers"], line.get("repaired", False)
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a journal entry: {error}") from None


def read_journal(
    folder: Path,
    since: int | datetime | None = None,
    *,
    node: str | None = None,
    mentioning: Collection[str] | None = None,
    on_torn: TornLine | None = None,
) -> Iterator[JournalEntry]:
    """Every entry in ``folder`` in order.

    A torn or damaged line is skipped and told to ``on_torn(path, line number, fault)``, default: the log.

    Args:
        folder: where the segments lie.
        since: first sequence number, or the earliest instant of interest.
        node: only this node's journal.
        mentioning: only markers, and entries of which one of these is a whole value: many times as fast.
    """
    told = on_torn or _log_torn
    segments = segments_of(folder, node)
    for index, path in enumerate(segments):
        if isinstance(since, int) and _ends_before(since, path, segments[index + 1 : index + 2]):
            continue
        yield from _read_segment(path, since, told, pattern_of(mentioning))


def pattern_of(mentioning: Collection[str] | None) -> re.Pattern[str] | None:
    """Quotes within a value are escaped, so no text of a stranger can look like a value, or like a marker."""
    if mentioning is None:
        return None
    values = (json.dumps(text, ensure_ascii=False) for text in mentioning)
    return re.compile("|".join(['"kind":"marker"', *map(re.escape, values)]))


def _read_segment(
    path: Path, since: int | datetime | None, told: TornLine, wanted: re.Pattern[str] | None = None
) -> Iterator[JournalEntry]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, text in enumerate(lines, 1):
            if wanted is not None and not wanted.search(text):
                continue
            if not text.endswith("\n"):
                told(path, number, "torn last line")
                return
            try:
                entry = from_line(text)
            except ValueError as error:
                told(path, number, str(error))
                continue
            if since is None or (entry.seq >= since if isinstance(since, int) else entry.at >= since):
                yield entry


def _log_torn(path: Path, number: int, fault: str) -> None:
    _log.warning("Journal %s line %d is skipped: %s", path.name, number, fault)


def segments_of(folder: Path, node: str | None) -> list[Path]:
    """The journal's files in order, of ``node`` or of all nodes."""
    return sorted(folder.glob(f"{node or '*'}-[0-9]*.jsonl"))


def _ends_before(since: int, path: Path, following: list[Path]) -> bool:
    """True when the next segment of the same node begins at or before ``since``."""
    node = path.stem.rpartition("-")[0]
    return any(other.stem.rpartition("-")[0] == node and _first_seq(other) <= since for other in following)


def _first_seq(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


class Journal:
    """The journal of one node in one folder. Make it once per process; a second one is refused."""

    def __init__(
        self,
        folder: Path,
        node: str,
        rotate_bytes: int = 64 * 1024 * 1024,
        fsync_ms: int = 200,
        *,
        keep_bytes: int = 4 * 1024**3,
        keep_days: float = 30.0,
        max_waiting: int = 200_000,
        opener: Callable[[Path], IO[bytes]] | None = None,
    ) -> None:
        """
        Args:
            folder: where the segments lie; made when missing.
            node: the node's name.
            rotate_bytes: a new segment begins beyond this size.
            fsync_ms: at most this much may be lost when the machine dies.
            keep_bytes, keep_days: older segments beyond these are removed, never the current one.
            max_waiting: how many items may wait in memory while the disk is full; more are dropped and
            counted. opener: opens a segment for appending (tests give one that fails).

        Raises:
            JournalError: the folder cannot be written, or another process keeps this journal.
        """
        self.folder, self.node = folder, node
        self.written = self.dropped = self.failures = 0
        self._trouble: str | None = None
        self._rotate_bytes, self._fsync_seconds = rotate_bytes, fsync_ms / 1000
        self._keep_bytes, self._keep_days, self._max_waiting = keep_bytes, keep_days, max_waiting
        self._open = opener or (lambda path: path.open("ab", buffering=0))
        self._waiting: deque[tuple[int, Journalled]] = deque()
        self._changed = threading.Condition()
        self._closing = self._ended = False
        self._segment: IO[bytes] | None = None
        self._size = 0
        self._prepare()
        self._next_seq = self._synced = self._last_seq()
        self._thread = threading.Thread(target=self._run, name=f"journal {node}", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """One sentence while the journal cannot be written, else None."""
        return self._trouble

    @property
    def synced_seq(self) -> int:
        """The last sequence number that is safely on the disk (0: none)."""
        return self._synced

    @property
    def waiting(self) -> int:
        """Items that are not on the disk yet."""
        return len(self._waiting)

    def append(self, item: Journalled) -> int:
        """Take one item without blocking; returns its sequence number, which rises by one each."""
        with self._changed:
            if self._closing:
                raise JournalError("The journal is closed; nothing more can be written to it.")
            self._next_seq += 1
            if len(self._waiting) >= self._max_waiting:
                self.dropped += 1
            else:
                self._waiting.append((self._next_seq, item))
            return self._next_seq

    async def flush(self) -> bool:
        """Wait until all that was appended is on the disk; False when it could not be written."""
        return await asyncio.to_thread(self.flush_now)

    def flush_now(self) -> bool:
        """:meth:`flush` for code without a loop."""
        with self._changed:
            failures = self.failures
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting or self.failures > failures or self._ended)
            return not self._waiting

    async def close(self) -> None:
        """Flush and end."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """:meth:`close` for code without a loop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._waiting:
            _log.error(
                "The journal ends with %d items that could not be written: %s", self.waiting, self.trouble
            )
        if self._segment is not None:
            self._segment.close()
        self._lock.close()

    def entries(
        self, since: int | None = None, mentioning: Collection[str] | None = None
    ) -> Iterator[JournalEntry]:
        """What is durable, from sequence number ``since`` on."""
        return read_journal(self.folder, since, node=self.node, mentioning=mentioning)

    # The thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closing:
                    self._changed.wait(self._fsync_seconds)
                batch, closing = list(self._waiting), self._closing
            if batch:
                self._write_batch(batch)
            if closing:
                return

    def _write_batch(self, batch: list[tuple[int, Journalled]]) -> None:
        for start in range(0, len(batch), _WRITE_CHUNK):
            chunk = batch[start : start + _WRITE_CHUNK]
            try:
                self._write(chunk)
            except OSError as error:
                self._fail(error)
                return
            with self._changed:
                for _ in chunk:
                    self._waiting.popleft()
                self.written += len(chunk)
                self._synced = chunk[-1][0]
                if self._trouble is not None:
                    _log.warning(
                        "The journal is written again; %d items were dropped meanwhile.", self.dropped
                    )
                    self._trouble = None
                self._changed.notify_all()

    def _write(self, chunk: Iterable[tuple[int, Journalled]]) -> None:
        lines = list(chunk)
        if self._segment is None or self._size >= self._rotate_bytes:
            self._rotate(lines[0][0])
        assert self._segment is not None  # noqa: S101 - for the type checker
        payload = "".join(_safe_line(seq, item) for seq, item in lines).encode("utf-8", "replace")
        view = memoryview(payload)
        while view:
            view = view[self._segment.write(view) :]
        os.fsync(self._segment.fileno())
        self._size += len(payload)

    def _rotate(self, first_seq: int) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        self._segment = self._open(self.folder / f"{self.node}-{first_seq:016d}.jsonl")
        self._size = self._segment.seek(0, os.SEEK_END)
        if self._size:
            # What an earlier try left torn must not swallow the next line.
            self._size += self._segment.write(b"\n")
        self._sync_folder()
        self._retain()
        self._make_reserve()

    def _sync_folder(self) -> None:
        """Make the new segment's name durable, not only its content."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _fail(self, error: OSError) -> None:
        """Leave no half line inside a segment, give up the reserve, try again at the next beat."""
        if self._segment is not None:
            try:
                self._segment.truncate(self._size)
                self._segment.seek(self._size)
            except OSError:
                self._segment.close()
                self._segment = None  # the reader skips the torn line; the next try begins a new segment
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            self._reserve.unlink(missing_ok=True)
            self._retain()
        with self._changed:
            self.failures += 1
            if self._trouble is None:
                reason = error.strerror or str(error)
                self._trouble = (
                    f"The journal in {self.folder} cannot be written ({reason}); free space there: "
                    f"calls go on, but events wait in memory only."
                )
                _log.error("%s", self._trouble)
            self._changed.notify_all()

    # The folder ---------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._reserve = self.folder / f".{self.node}.reserve"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (self.folder / f".{self.node}.lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise JournalError(
                f"Another process keeps the journal in {self.folder}; stop it, or use another folder."
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise JournalError(
                f"Cannot keep the journal in {self.folder}: {reason}; make it writable."
            ) from None

    def _last_seq(self) -> int:
        """The highest sequence number that any segment has, by content or by name."""
        for path in reversed(segments_of(self.folder, self.node)):
            last = max((entry.seq for entry in _read_segment(path, None, _log_torn)), default=0)
            return max(last, _first_seq(path))
        return 0

    def _retain(self) -> None:
        old = segments_of(self.folder, self.node)[:-1]
        too_old = utc_now() - timedelta(days=self._keep_days)
        total = sum(path.stat().st_size for path in old) + self._size
        for path in old:
            status = path.stat()
            if total > self._keep_bytes or datetime.fromtimestamp(status.st_mtime, UTC) < too_old:
                path.unlink(missing_ok=True)
                total -= status.st_size

    def _make_reserve(self) -> None:
        """A file to give up when the disk is full, so that the last lines still fit."""
        if self._reserve.exists():
            return
        try:
            with self._reserve.open("wb") as reserve:
                os.posix_fallocate(reserve.fileno(), 0, _RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)
