"""Runs the FastAGI service: opens the store, prepares the voice, serves until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from agi.server import AgiServer
from agi.voice.cache import VoiceCache
from ami_bridge import secrets
from ami_bridge.adapters.store import SqlStore, StoreUnavailable
from ami_bridge.settings import Settings

_log = logging.getLogger(__name__)
_LONGEST_DELAY_SECONDS = 15.0
# What is prepared lasts two days; a quarter of one leaves room for a voice that is mended in between.
_PREPARE_AGAIN_SECONDS = 6 * 3600.0


async def serve(settings: Settings, *, take_signals: bool = True) -> None:
    """Serve until cancelled, or until SIGTERM or SIGINT.

    Whoever runs several services in one loop passes ``take_signals=False`` and cancels this one itself.
    The server listens before the store is open and all prompts are rendered: greetings need no store, and
    what is missing is replaced by the generic prompt.

    Raises:
        ConfigError: a secret or a phrase book is missing or wrong.
        PortTaken: somebody else has the port.
    """
    token = secrets.read_secret(settings, secrets.AGI_TOKEN)
    voice = VoiceCache(settings)
    # A caller waits for each answer, and the questions are small.
    store = SqlStore(settings.store_url, at_once=True)
    server = AgiServer(settings, store, voice, token)
    helpers: list[asyncio.Task[object]] = []
    try:
        await server.start()
        _log.info("FastAGI listens on %s:%d", settings.network.address, server.port)
        helpers = [asyncio.create_task(_open_store(store)), asyncio.create_task(_keep_voice_ready(voice))]
        await _told_to_stop(take_signals)
    finally:
        await asyncio.to_thread(voice.close)
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await server.stop()
        await store.close()


async def _open_store(store: SqlStore) -> None:
    """Open the store, however long it is away: greetings need none, and the rest fails open."""
    delay = 0.5
    while True:
        try:
            await store.open()
        except StoreUnavailable as error:
            _log.error("Callbacks cannot be taken, callers leave messages instead: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
        else:
            return


async def _keep_voice_ready(voice: VoiceCache) -> None:
    """Render ahead now and every few hours: tomorrow may be a holiday."""
    while True:
        await prepare_voice(voice)
        await asyncio.sleep(_PREPARE_AGAIN_SECONDS)


async def prepare_voice(voice: VoiceCache) -> int:
    """Render ahead in a thread; returns how many prompts could not be rendered."""
    missing = await asyncio.to_thread(voice.prepare, _tenths)
    if missing:
        _log.error("%d prompts are missing; generic ones are played in their place", missing)
    else:
        _log.info("Every prompt of this company is ready")
    return missing


def _tenths(done: int, total: int) -> None:
    """Log each tenth of a long preparation."""
    if total >= 10 and done * 10 // total > (done - 1) * 10 // total:
        _log.info("%d of %d prompts are ready", done, total)


async def _told_to_stop(take_signals: bool) -> None:
    """Wait for SIGTERM or SIGINT; where signals are not ours to take, for ever (until cancelled)."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    taken = []
    for number in (signal.SIGTERM, signal.SIGINT) if take_signals else ():
        # Not the main thread, or no signals on this platform.
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, told.set)
            taken.append(number)
    try:
        await told.wait()
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
