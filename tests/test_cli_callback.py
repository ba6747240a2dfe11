"""``fourthring callback`` as people use it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ami_bridge.adapters.store import opened_store
from ami_bridge.core.callbacks import Callback, CallbackEvent, Consent
from ami_bridge.settings import load_settings
from tests.test_cli import refused, run_here, write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


@pytest.fixture
def callback(config: Path) -> Callback:
    async def ask() -> Callback:
        now = datetime.now(UTC)
        async with opened_store(load_settings(config).store_url) as store:
            return await store.create_callback(
                "k1",
                "sales",
                event=CallbackEvent.CAPTURED,
                number="+79161234567",
                consent=Consent("1", "test", now, "+79161234567"),
            )

    return asyncio.run(ask())


def stored(config: Path, callback_id: str) -> tuple[Callback, list[str]]:
    async def ask() -> tuple[Callback, list[str]]:
        async with opened_store(load_settings(config).store_url) as store:
            found = await store.callback(callback_id)
            assert found is not None
            return found, [entry.action for entry in await store.audits(subject=callback_id)]

    return asyncio.run(ask())


def test_claim_release_assign_reschedule_cancel(config: Path, callback: Callback) -> None:
    assert run_here("callback", "claim", callback.id, config=config).stdout.startswith(
        f"callback {callback.id}: claimed"
    )
    assert run_here("callback", "release", callback.id, config=config).returncode == 0
    done = run_here("callback", "assign", callback.id, "102", config=config)
    assert done.stdout.rstrip().endswith("kept for 102")
    at = (datetime.now() + timedelta(days=2)).strftime("%Y-%m-%dT14:00")
    assert "11:00:00+00:00" in run_here("callback", "reschedule", callback.id, at, config=config).stdout
    assert run_here("callback", "cancel", callback.id, "--reason", "mended", config=config).returncode == 0
    after, trail = stored(config, callback.id)
    assert (after.state, after.assigned_to, after.closed_reason) == ("cancelled", "102", "mended")
    assert sorted(trail) == [
        "callback.assign",
        "callback.cancel",
        "callback.give_back",
        "callback.reschedule",
        "callback.take",
    ]


def test_what_cannot_be_is_one_sentence(config: Path, callback: Callback) -> None:
    assert "is no member of the queue" in refused(
        run_here("callback", "assign", callback.id, "999", config=config)
    )
    assert "There is no callback" in refused(run_here("callback", "cancel", "cb-nobody", config=config))
    late = run_here("callback", "reschedule", callback.id, "2020-01-01T10:00", config=config)
    assert "within the next year" in refused(late)


def test_the_switch(config: Path) -> None:
    assert run_here("callback", "stop", "fraud", config=config).stdout == "No callbacks are dialled.\n"
    assert run_here("callback", "stop", "again", config=config).stdout == "They were stopped already.\n"
    assert run_here("callback", "start", config=config).stdout == "Callbacks are dialled again.\n"
    assert run_here("callback", "start", config=config).stdout == "They were not stopped.\n"
