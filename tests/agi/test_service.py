"""The service as it is started: it greets at once, needs no store for that, and stops when it is told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agi.service import serve
from ami_bridge import secrets
from ami_bridge.settings import Settings


async def until(reached: Callable[[], bool]) -> None:
    """Wait for ``reached``; the test's own time-out is the limit."""
    while not reached():  # noqa: ASYNC110 - the log tells nobody that it has grown
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("store_is_there", [True, False])
async def test_it_serves_until_it_is_cancelled(
    settings: Settings,
    environment: Callable[..., bytes],
    tmp_path: Path,
    store_is_there: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "store"
    if store_is_there:
        folder.mkdir()
    else:
        folder.write_text("a file where a folder should be")
    store = settings.store.model_copy(update={"url": f"sqlite+aiosqlite:///{folder}/fourthring.db"})
    configured = settings.model_copy(update={"store": store})
    token = secrets.read_secret(configured, secrets.AGI_TOKEN)
    with caplog.at_level(logging.INFO, "agi"):
        service = asyncio.create_task(serve(configured, take_signals=False))
        await until(lambda: service.done() or "FastAGI listens" in caplog.text)
        assert not service.done()
        reader, writer = await asyncio.open_connection("127.0.0.1", configured.network.agi_port)
        writer.write(environment("greeting", ("direct", "sales", "101"), token=token))
        assert (await reader.readline()).startswith(b'SET VARIABLE "FR_FILES"')
        writer.close()
        await until(lambda: store_is_there or "Callbacks cannot be taken" in caplog.text)
        service.cancel()
        with suppress(asyncio.CancelledError):
            await service
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", configured.network.agi_port)
