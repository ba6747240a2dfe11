"""``fourthring callbacks`` as people use it: find one, take it in hand, move it, call it off, take the list home."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from ami_bridge.adapters.store import AuditEntry, UserEntry, opened_store
from ami_bridge.core.callbacks import CallbackEvent, Consent
from ami_bridge.settings import load_settings
from tests.test_cli import refused, run_here, write_config

NOW = datetime.now(UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three callbacks of two departments, and two users."""
    path = write_config(tmp_path)
    asyncio.run(_fill(load_settings(path).store_url))
    return path


async def _fill(url: str) -> None:
    async with opened_store(url) as store:
        for key, department, number in (("a", "sales", 4567), ("b", "sales", 4568), ("c", "support", 4569)):
            e164 = f"+7916123{number}"
            consent = Consent("1", "v", NOW, e164)
            made = await store.create_callback(
                key, department, event=CallbackEvent.CAPTURED, number=e164, caller_id="=1+1", consent=consent
            )
            if key == "b":
                await store.update_callback(made.id, event=CallbackEvent.CANCELLED)
        for name in ("anna", "boris"):
            await store.add_user(UserEntry(name, "agent", NOW, extension="101"))


def listed(config: Path, *options: str) -> list[dict[str, Any]]:
    done = run_here("callbacks", *options, "--json", config=config)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def trail(config: Path) -> list[AuditEntry]:
    async def ask() -> list[AuditEntry]:
        async with opened_store(load_settings(config).store_url) as store:
            return list(reversed(await store.audits()))

    return asyncio.run(ask())


def id_of(config: Path) -> str:
    (found,) = listed(config, "--number", "89161234567")
    return str(found["id"])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 3),
        (("--department", "sales"), 2),
        (("--state", "queued"), 2),
        (("--department", "sales", "--state", "cancelled"), 1),
        (("--number", "+79161234568", "--state", "queued"), 0),
        (("--number", "+79161234568", "--until", "1d"), 0),
        (("--limit", "1"), 1),
    ],
)
def test_the_list_is_narrowed(config: Path, options: tuple[str, ...], count: int) -> None:
    assert len(listed(config, *options)) == count


def test_in_hand_in_other_hands_and_back(config: Path) -> None:
    callback = id_of(config)
    assert "anna" in run_here("callbacks", "take", callback, "--for", "anna", config=config).stdout
    (taken,) = listed(config, "--state", "claimed")
    assert taken["worker"] == "desk:anna", "the desk knows it by the same name"
    assert run_here("callbacks", "reassign", callback, "boris", config=config).returncode == 0
    assert listed(config, "--state", "claimed")[0]["worker"] == "desk:boris"
    assert run_here("callbacks", "give-back", callback, config=config).returncode == 0
    assert len(listed(config, "--state", "queued")) == 2
    refused(run_here("callbacks", "give-back", callback, config=config), "no user has it in hand")
    refused(run_here("callbacks", "take", callback, "--for", "nobody", config=config), "no user 'nobody'")
    told = [(entry.action, entry.subject, entry.actor.split(":")[0]) for entry in trail(config)]
    assert told == [(f"callback.{action}", callback, "cli") for action in ("take", "reassign", "give_back")]


def test_put_off_called_now_and_called_off(config: Path) -> None:
    callback, later = id_of(config), NOW + timedelta(days=2)
    done = run_here("callbacks", "reschedule", callback, later.isoformat(), config=config)
    assert done.returncode == 0, done.stderr
    assert datetime.fromisoformat(listed(config, "--number", "89161234567")[0]["due_at"]) == later
    assert run_here("callbacks", "call-now", callback, config=config).returncode == 0
    assert datetime.fromisoformat(listed(config, "--number", "89161234567")[0]["due_at"]) < later
    for bad in ("2001-01-01", "2099-01-01", "soon"):
        refused(run_here("callbacks", "reschedule", callback, bad, config=config), bad)
    done = run_here("callbacks", "cancel", callback, "--reason", "rang us himself", config=config)
    assert done.returncode == 0
    shown = json.loads(run_here("callbacks", "show", callback, config=config).stdout)
    assert (shown["state"], shown["closed_reason"]) == ("cancelled", "rang us himself")
    assert [consent["key"] for consent in shown["consents"]] == ["1"]
    refused(run_here("callbacks", "cancel", callback, config=config), "cancelled")
    refused(run_here("callbacks", "cancel", "nothing", config=config), "no callback 'nothing'")


def test_the_list_is_taken_home_and_holds_no_formula(config: Path, tmp_path: Path) -> None:
    done = run_here("callbacks", "--department", "sales", "export", tmp_path / "list.csv", config=config)
    assert done.stdout.endswith("list.csv: 2 callbacks\n")
    with (tmp_path / "list.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["number"].lstrip("'") for row in rows} == {"+79161234567", "+79161234568"}
    assert all(not row["caller_id"].startswith("=") for row in rows)
    assert run_here("callbacks", "export", tmp_path / "list.xlsx", config=config).returncode == 0
    sheet = load_workbook(tmp_path / "list.xlsx").active
    assert sheet is not None
    assert sheet.max_row == 4
    refused(run_here("callbacks", "export", tmp_path / "list.pdf", config=config), ".csv")
    refused(run_here("callbacks", "export", tmp_path / "no" / "list.csv", config=config), "Cannot write")
    assert {entry.action for entry in trail(config)} == {"export.callbacks"}


def test_one_agent_alone_or_all_again(config: Path) -> None:
    callback = id_of(config)
    assert run_here("callbacks", "assign", callback, "102", config=config).returncode == 0
    assert listed(config, "--number", "89161234567")[0]["assigned_to"] == "102"
    refused(run_here("callbacks", "assign", callback, "999", config=config), "no member of the queue")
    assert run_here("callbacks", "assign", callback, "", config=config).returncode == 0
    assert listed(config, "--number", "89161234567")[0]["assigned_to"] == ""
    assert [entry.action for entry in trail(config)] == ["callback.assign"] * 2


def test_the_switch(config: Path) -> None:
    def told(*words: str) -> str:
        return run_here("callbacks", *words, config=config).stdout

    assert told("stop", "fraud") == "No callbacks are dialled.\n"
    assert told("stop", "again") == "They were stopped already.\n"
    assert told("start") == "Callbacks are dialled again.\n"
    assert told("start") == "They were not stopped.\n"
    assert [entry.action for entry in trail(config)] == ["callbacks.stop", "callbacks.start"]
