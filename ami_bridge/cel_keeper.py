"""Keeps the PBX's channel event log bounded: moves it aside when it has grown, removes what is too old.

Asterisk opens the file anew for each line (cel_custom over res_cdrel_custom, 22.10, seen in its list of open
files), so a rename is all that a rotation takes: no signal, no reload, no line lost. A ``logger rotate`` or
``core reload`` of somebody else does not touch the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ami_bridge.adapters.channel_event_log import ChannelEventLog, number_of
from ami_bridge.settings import ChannelEventSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 15.0
_MEGABYTE = 1024 * 1024


class CelKeeper:
    """Looks after one log. Its segments are numbered without end: the newest is never removed, so that
    nobody takes what was removed for what never was (:meth:`ChannelEventLog.covers`)."""

    def __init__(self, events: ChannelEventLog, settings: ChannelEventSettings) -> None:
        self._events = events
        self._rotate_bytes = settings.rotate_megabytes * _MEGABYTE
        self._keep_bytes = settings.keep_megabytes * _MEGABYTE
        self._keep = timedelta(days=settings.keep_days)

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.tend, datetime.now(UTC))
            except OSError as error:
                log.warning("The channel event log %s cannot be tended: %s", self._events.file, error)
            await asyncio.sleep(LOOK_SECONDS)

    def tend(self, now: datetime) -> None:
        """Rotate when it is time, then remove what is too old or too much. Raises OSError."""
        with suppress(FileNotFoundError):
            if self._events.file.stat().st_size >= self._rotate_bytes:
                self.rotate()
        self._retain(now)

    def rotate(self) -> Path:
        """Move the current file aside; returns where it is now. Raises OSError."""
        file = self._events.file
        last = max(map(number_of, self._events.segments()), default=0)
        aside = file.with_name(f"{file.stem}.{last + 1:06d}{file.suffix}")
        file.rename(aside)
        # Asterisk makes the file with its next line. Until then an empty one says that nothing has happened since.
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return aside

    def _retain(self, now: datetime) -> None:
        segments = [(path, path.stat()) for path in self._events.segments()]
        total = sum(status.st_size for _, status in segments)
        oldest = (now - self._keep).timestamp()
        for path, status in segments[:-1]:
            if total <= self._keep_bytes and status.st_mtime >= oldest:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size
