"""Brings call records into the store: in batches, in the background, however long the store is away.

The loop only says which call has changed; what is written is the newest record, so a call that
changes ten times while the database is down costs one write when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ami_bridge.adapters.store import CallStore, StoreUnavailable

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.2
_LONGEST_PAUSE = 15.0
_FORMS_AT_ONCE = 20
_LAST_WRITE_SECONDS = 2.0


class RecordsWriter:
    """Writes changed records; ``record_of`` gives a record's newest form, or None when it is unknown."""

    def __init__(self, store: CallStore, record_of: Callable[[str], Mapping[str, Any] | None]) -> None:
        self._store = store
        self._record_of = record_of
        self._open: set[str] = set()
        self._finished: dict[str, Mapping[str, Any]] = {}
        self._wake = asyncio.Event()
        self.failures = 0

    @property
    def waiting(self) -> int:
        """How many records the store does not have yet."""
        return len(self._open) + len(self._finished)

    def changed(self, call_id: str) -> None:
        """The open call ``call_id`` has changed."""
        if call_id not in self._finished:
            self._open.add(call_id)
            self._wake.set()

    def finished(self, call_id: str, record: Mapping[str, Any]) -> None:
        """The call has ended with ``record``; the tracker may forget it now."""
        self._open.discard(call_id)
        self._finished[call_id] = record
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; then once more, so that a call that ended just now is not forgotten."""
        try:
            await self._write_on()
        finally:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(_LAST_WRITE_SECONDS):
                    await self.flush()

    async def _write_on(self) -> None:
        pause = BATCH_SECONDS
        while True:
            await self._wake.wait()
            await asyncio.sleep(pause)
            self._wake.clear()
            try:
                await self.flush()
                pause = BATCH_SECONDS
            except StoreUnavailable as error:
                self.failures += 1
                pause = min(max(pause, 0.5) * 2, _LONGEST_PAUSE)
                log.warning("%s %d records wait; next try in %.0f s", error, self.waiting, pause)
                self._wake.set()

    async def flush(self) -> None:
        """Write everything that waits.

        Raises:
            StoreUnavailable: the rest still waits; nothing is lost.
        """
        finished, self._finished = self._finished, {}
        changed, self._open = self._open, set()
        try:
            await self._save([*finished.values(), *await self._newest(changed)])
        except BaseException:
            # A call may have ended while its earlier form was being written: the later one stands.
            self._finished = {**finished, **self._finished}
            self._open |= changed - self._finished.keys()
            raise

    async def _newest(self, call_ids: set[str]) -> list[Mapping[str, Any]]:
        """Their newest forms. Ten thousand take a second or two: the ring clocks must not wait for them."""
        found = []
        for place, call_id in enumerate(call_ids):
            if place % _FORMS_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                record = self._record_of(call_id)
            except Exception:
                log.exception("The record of call %s cannot be told and is left out", call_id)
                continue
            if record is not None:
                found.append(record)
        return found

    async def _save(self, records: list[Mapping[str, Any]]) -> None:
        """Write ``records``; one that no store can take is logged and left out, so that it stops no other."""
        try:
            if records:
                await self._store.save_calls(records)
        except StoreUnavailable:
            raise
        except Exception:
            if len(records) == 1:
                log.exception("This record cannot be stored and is left out: %r", records[0])
                return
            for record in records:
                await self._save([record])
