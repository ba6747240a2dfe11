"""``fourthring doctor``: what is ill in a running system, and what to do about it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agi.voice.cache import VoiceCache
from agi.voice.prompts import FIXED_NAMES, fixed_prompt
from agi.voice.upkeep import read_trouble
from ami_bridge.adapters.store import SqlStore, StoreUnavailable
from ami_bridge.check import Finding
from ami_bridge.directory import registered_phones
from ami_bridge.errors import ConfigError
from ami_bridge.pbx.private_pbx import PrivatePbx
from ami_bridge.render import spool_folder
from ami_bridge.settings import Settings

_LATE = timedelta(seconds=20)
_ENOUGH_DISK_BYTES = 512 * 1024 * 1024
_CONNECT_SECONDS = 2.0


async def examine(settings: Settings) -> list[Finding]:
    """Look at every part; the order is that in which a call meets them."""
    findings = [*_pbx(settings), *_prompts(settings), *_disk(settings)]
    findings.append(await _port(settings, "AGI", settings.network.agi_port, "fourthring agi"))
    findings.append(await _port(settings, "desk", settings.network.desk_port, "fourthring desk"))
    findings += [finding async for finding in _store(settings)]
    return findings


def _pbx(settings: Settings) -> list[Finding]:
    if not PrivatePbx.of(settings).status().running:
        return [Finding("PBX", False, "does not run; start it with: fourthring pbx start")]
    registered = registered_phones(settings) or set()
    absent = sorted(set(settings.agents) - registered)
    phones = Finding("phones", not absent, f"all {len(registered)} registered")
    if absent:
        phones = Finding(
            "phones", False, f"not registered: {', '.join(absent)}; their callers go to the queue at once"
        )
    return [Finding("PBX", True, "runs"), phones]


def _prompts(settings: Settings) -> list[Finding]:
    missing = [
        f"{department}/{name}"
        for department in settings.departments
        for name in FIXED_NAMES
        if not fixed_prompt(settings, department, name).with_suffix(".wav").is_file()
    ]
    if missing:
        return [
            Finding("prompts", False, f"missing: {', '.join(missing)}; start the AGI, which renders them")
        ]
    return [Finding("prompts", True, "every fixed prompt is there"), _voice(settings)]


def _voice(settings: Settings) -> Finding:
    """What callers hear a generic prompt in the place of. A full disk takes no note of why: see ``disk``."""
    try:
        voice = VoiceCache(settings)
    except ConfigError as error:
        return Finding("voice", False, str(error))
    missing, trouble = voice.missing(datetime.now(UTC)), read_trouble(settings)
    voice.close()
    if missing or trouble:
        why = trouble or "start the AGI, or run: fourthring prompts"
        return Finding(
            "voice", False, f"{missing} prompts are missing, generic ones are heard instead; {why}"
        )
    return Finding("voice", True, "everything that may be said within two days is ready")


def _disk(settings: Settings) -> list[Finding]:
    folder = settings.state_folder
    free = shutil.disk_usage(folder if folder.exists() else folder.anchor).free
    waiting = len(list(spool_folder(settings).glob("*.wav")))
    spool = Finding("spool", True, f"{waiting} recordings wait to be filed")
    enough = free >= _ENOUGH_DISK_BYTES
    message = (
        f"{free // 2**20} MiB free" if enough else f"only {free // 2**20} MiB free; recordings will fail"
    )
    return [Finding("disk", enough, message), spool]


async def _port(settings: Settings, subject: str, port: int, command: str) -> Finding:
    address = str(settings.network.address)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return Finding(subject, False, f"nobody answers on {address}:{port}; start it with: {command}")
    writer.close()
    return Finding(subject, True, f"answers on {address}:{port}")


async def _store(settings: Settings) -> AsyncIterator[Finding]:
    store = SqlStore(settings.store_url)
    try:
        await store.open()
        beats = {beat.service: beat for beat in await store.heartbeats() if beat.node == settings.node.name}
    except StoreUnavailable as error:
        yield Finding("store", False, str(error))
        return
    finally:
        await store.close()
    yield Finding("store", True, "answers")
    for service in ("bridge", "dialer"):
        beat = beats.get(service)
        if beat is None or datetime.now(UTC) - beat.at > _LATE:
            last = f"last seen {beat.at:%Y-%m-%d %H:%M:%S} UTC" if beat else "never seen"
            yield Finding(service, False, f"{last}; start it with: fourthring {service}")
        elif beat.detail.get("link") != "ready":
            yield Finding(service, False, f"its AMI link is {beat.detail.get('link')}; is the PBX running?")
        else:
            yield Finding(service, True, "runs, and its AMI link is ready")
    for beat in beats.values():
        if beat.service == "dialer" and "overtakings" in beat.detail:
            yield _fairness(beat.detail)


def _fairness(told: Mapping[str, Any]) -> Finding:
    """Was anybody served before one who came earlier? Since the dialer's start."""
    served, passed = told.get("served", 0), told.get("overtakings", 0)
    if passed:
        last = told.get("last_overtaking", "")
        return Finding(
            "fairness", False, f"{passed} of {served} served before one who came earlier; last {last}"
        )
    return Finding("fairness", True, f"{served} served, nobody before one who came earlier")
