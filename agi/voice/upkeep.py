"""Keeping the shelf: what is no longer said goes, and what could not be said is written down for the admin."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from agi.voice.prompts import prompts_folder, wav_of, wide_of
from ami_bridge.settings import Settings

_log = logging.getLogger(__name__)

_DAY_SECONDS = 86_400.0
#: A prompt that nobody asked for in so many days goes, unless it may be needed within two days.
KEPT_DAYS = 30.0
_STAGED_DAYS = 1.0


def sweep(settings: Settings, languages: Collection[str], kept: Collection[Path]) -> int:
    """Remove prompts that are not ``kept`` and have not been used for :data:`KEPT_DAYS`; returns how many files went.

    ``kept`` are paths without extension. Half-written files of a process that died go after a day.
    """
    gone = 0
    kept_files = {file for path in kept for file in (wav_of(path), wide_of(path))}
    for language in languages:
        for file in (prompts_folder(settings) / language).rglob("*"):
            days = _STAGED_DAYS if file.name.startswith(".") else KEPT_DAYS
            if file in kept_files or not file.is_file() or _age_days(file) < days:
                continue
            with suppress(OSError):
                file.unlink()
                gone += 1
    if gone:
        _log.info("%d prompts that nobody needs any more are gone", gone)
    return gone


def _age_days(file: Path) -> float:
    try:
        return (time.time() - file.stat().st_mtime) / _DAY_SECONDS
    except OSError:
        return 0.0


class Usage:
    """Marks the files of prompts that are played as used, at most once a day each."""

    def __init__(self) -> None:
        self._marked: dict[Path, float] = {}

    def mark(self, path: Path) -> None:
        """``path`` (without extension) is about to be played."""
        now = time.monotonic()
        if now - self._marked.get(path, -_DAY_SECONDS) < _DAY_SECONDS:
            return
        self._marked[path] = now
        for file in (wav_of(path), wide_of(path)):
            with suppress(OSError):
                os.utime(file)


def note_trouble(settings: Settings, reasons: Collection[str], missing: int, at: datetime) -> None:
    """Write down why prompts are missing, for ``fourthring doctor``; or that none is."""
    file = _trouble_file(settings)
    try:
        if not missing:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        told = {
            "missing": missing,
            "reasons": sorted(set(reasons))[:5],
            "at": at.isoformat(timespec="seconds"),
        }
        # In one step: `doctor` may read at any instant, and several threads may have something to tell.
        staged = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
        staged.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        staged.replace(file)
    except OSError as error:
        _log.error("Cannot write down which prompts are missing: %s", error.strerror)


def read_trouble(settings: Settings) -> str:
    """One sentence on what could not be rendered when prompts were last prepared; "" when nothing."""
    try:
        told = json.loads(_trouble_file(settings).read_text(encoding="utf-8"))
        reasons = " ".join(map(str, told["reasons"]))
        return f"{told['missing']} could not be rendered on {told['at']}: {reasons}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _trouble_file(settings: Settings) -> Path:
    return prompts_folder(settings) / "trouble.json"
