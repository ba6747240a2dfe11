"""``fourthring do-not-call`` as people use it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ami_bridge.adapters.store import AuditEntry, opened_store
from ami_bridge.settings import load_settings
from tests.test_cli import refused, run_here, write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def trail(config: Path) -> list[AuditEntry]:
    async def ask() -> list[AuditEntry]:
        async with opened_store(load_settings(config).store_url) as store:
            return await store.audits()

    return asyncio.run(ask())


def test_add_list_and_remove(config: Path) -> None:
    done = run_here(
        "do-not-call",
        "add",
        "8 916 123-45-67".replace(" ", "").replace("-", ""),
        "--reason",
        "asked",
        config=config,
    )
    assert (done.returncode, done.stdout) == (0, "+79161234567 is never rung again; callbacks cancelled: 0\n")
    listed = run_here("do-not-call", "list", "--json", config=config)
    (entry,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert (entry["number"], entry["reason"]) == ("+79161234567", "asked")
    assert "+79161234567" in run_here("do-not-call", "list", config=config).stdout
    assert run_here("do-not-call", "remove", "+79161234567", config=config).returncode == 0
    assert run_here("do-not-call", "list", "--json", config=config).stdout == ""
    assert [(told.action, told.subject) for told in trail(config)] == [
        ("do_not_call.remove", "+79161234567"),
        ("do_not_call.add", "+79161234567"),
    ]
    assert trail(config)[0].actor.startswith("cli:")


def test_what_is_not_on_the_list_cannot_be_taken_off_it(config: Path) -> None:
    refused(run_here("do-not-call", "remove", "+79161234567", config=config), "+79161234567", "is not on")


@pytest.mark.parametrize("number", ["", "anna", "1", "8916123456789012345678", "+7 916"])
def test_what_is_no_number(config: Path, number: str) -> None:
    refused(run_here("do-not-call", "add", number, config=config), "is no telephone number")
