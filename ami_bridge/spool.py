"""Files the recordings that the dialplan took alone: each becomes a callback, once.

The dialplan writes ``<department>-<epoch>-<uniqueid>-<caller's digits>.wav`` when the AGI is gone. The
prompt before it says that leaving a message is consent to be rung back (S9); an empty recording is none.
The file's name is the key of the callback, so filing the same file twice gives one callback; the
file is moved only after the callback is stored.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ami_bridge.adapters.store import CallbackStore, StoreUnavailable
from ami_bridge.core.callbacks import CallbackEvent, Consent
from ami_bridge.numbers import CheckedNumber, check_number
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0
# Asterisk writes a frame every 20 ms while it records; a file that rested this long is finished.
QUIET_SECONDS = 3.0

# Less than this is a cough and the hanging up: 8000 samples a second, two bytes each.
_SPOKEN_BYTES = 44 + int(1.5 * 8000 * 2)

_NAME = re.compile(
    r"^(?P<department>[a-z][a-z0-9_]*)-(?P<epoch>\d{9,11})-(?P<uniqueid>[A-Za-z0-9.-]+)-(?P<digits>\d*)$"
)


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """What the file's name tells."""

    department: str
    at: datetime
    uniqueid: str
    digits: str


def parse_name(stem: str) -> SpooledMessage | None:
    """Read a spool file's name without its ending; None when the dialplan did not write it."""
    match = _NAME.match(stem)
    if match is None:
        return None
    at = datetime.fromtimestamp(int(match["epoch"]), UTC)
    return SpooledMessage(match["department"], at, match["uniqueid"], match["digits"])


class SpoolFiler:
    """Looks into the spool now and then and files what lies there."""

    def __init__(self, settings: Settings, store: CallbackStore, spool: Path, recordings: Path) -> None:
        self._settings = settings
        self._store = store
        self._spool = spool
        self._recordings = recordings
        self._passed_over: set[str] = set()

    async def run(self) -> None:
        """File messages until cancelled; a store that is away only delays them."""
        while True:
            try:
                await self.file_all()
            except StoreUnavailable as error:
                log.warning("%s Messages stay in the spool meanwhile.", error)
            except OSError as error:
                log.error("Cannot read the spool %s: %s", self._spool, error)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def file_all(self) -> int:
        """File every finished message; returns how many. One that cannot be filed stops no other.

        Raises:
            StoreUnavailable: the rest stays in the spool until the next look.
        """
        filed = 0
        for path in sorted(self._spool.glob("*.wav")):
            if path.name in self._passed_over:
                continue
            try:
                filed += await self._file_if_finished(path)
            except StoreUnavailable:
                raise
            except OSError as error:
                log.error("The message %r waits: %s", path.name, error)
            except Exception:
                self._passed_over.add(path.name)
                log.exception("The message %r could not be filed; it stays in the spool.", path.name)
        return filed

    async def _file_if_finished(self, path: Path) -> bool:
        if time.time() - path.stat().st_mtime < QUIET_SECONDS:
            return False
        message = parse_name(path.stem)
        if message is None or message.department not in self._settings.departments:
            self._passed_over.add(path.name)
            log.warning("The spool holds %r, which the dialplan did not write; it stays there.", path.name)
            return False
        await self._file(path, message)
        return True

    async def _file(self, path: Path, message: SpooledMessage) -> None:
        recording = self._recordings / f"spool-{path.stem}.wav"
        number = self._number(message.digits)
        spoken = path.stat().st_size >= _SPOKEN_BYTES
        consent = self._consent(message, number) if spoken and number else None
        made = await self._store.create_callback(
            f"spool:{path.stem}",
            message.department,
            channel_uniqueid=message.uniqueid,
            at=message.at,
            language=self._settings.language_of(message.department),
            caller_id=message.digits,
            number=number,
            number_source="caller_id" if number else "",
            subject_recording=str(recording),
            consent=consent,
            place_at=message.at,
            origin="message",
        )
        # Whoever began a capture before the AGI went away, or has an open callback, goes on in that one.
        callback = await self._store.settle_capture(
            made.id,
            event=CallbackEvent.CAPTURED if consent else CallbackEvent.BROKEN_OFF,
            by="caller",
            at=message.at,
        )
        self._recordings.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.replace(recording)
        log.info("A message of %s for %s became callback %s", message.at, message.department, callback.id)

    def _number(self, digits: str) -> str | None:
        own = [did for department in self._settings.departments.values() for did in department.dids]
        checked = check_number(
            digits, self._settings.company.country, self._settings.callback.allowed_regions, own
        )
        return checked.e164 if isinstance(checked, CheckedNumber) else None

    def _consent(self, message: SpooledMessage, number: str) -> Consent:
        return Consent(
            key="recorded", prompt_version="fixed.leave-message", given_at=message.at, number=number
        )
