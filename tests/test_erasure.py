"""The report, and how people leave the house: command lines, journal, recordings, logs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

from ami_bridge.adapters.ami.raw_event import Headers, RawEvent
from ami_bridge.adapters.journal import Journal, read_journal
from ami_bridge.adapters.store import Store, StoredCall, opened_store
from ami_bridge.adapters.store.entries import call_of_record
from ami_bridge.cli.commands import app
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.erasure import NoNumber, person_of, write_over
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.report import FEWEST_CALLS, day_of
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, load_settings

NOW = datetime.now(UTC)
NUMBER, OTHER = "+79161234567", "+79161234568"
HOSTILE_NAMES = ["Иван Петров", 'a"b\\c', "},{", "CallerIDName", "Num", "😀", "Event"]
T = TypeVar("T")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    text = (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    path = tmp_path / "fr.toml"
    path.write_text(
        re.sub(r"state_folder = .*", f'state_folder = "{tmp_path / "s"}"', text), encoding="utf-8"
    )
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load_settings(config)


def run(config: Path, *words: str, stdin: str = "") -> str:
    result = CliRunner().invoke(app, [*words, "--config", str(config)], input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def in_store(settings: Settings, ask: Callable[[Store], Any]) -> Any:
    async def asking() -> Any:
        async with opened_store(settings.store_url) as store:
            return await ask(store)

    return asyncio.run(asking())


def event(number: str, name: str, **more: str) -> RawEvent:
    headers: Headers = {
        "Event": "Newchannel",
        "CallerIDNum": number,
        "CallerIDName": name,
        "Uniqueid": "1",
        **more,
    }
    return RawEvent("Newchannel", headers, NOW)


def journal_of(settings: Settings) -> Journal:
    return Journal(settings.state_folder / "journal", settings.node.name)


@pytest.mark.parametrize(
    "written", ["+79161234567", "79161234567", "89161234567", "8 (916) 123-45-67", "9161234567"]
)
def test_a_number_is_found_in_every_form(settings: Settings, written: str) -> None:
    person = person_of(written, settings)
    for form in (NUMBER, "79161234567", "89161234567", "9161234567", "PJSIP/79161234567@x"):
        assert person.pattern.search(form), form
    for other in (OTHER, "791612345670", "1179161234567", "916123456", "16.9161234567"[:-1]):
        assert not person.pattern.search(other), other


@pytest.mark.parametrize(
    "wrong", ["101", "Иван", "", "+7", "1" * 16, ".*", "74950000001", "+7 495 000-00-01"]
)
def test_what_would_find_others_too_is_refused(settings: Settings, wrong: str) -> None:
    with pytest.raises(NoNumber, match="write"):
        person_of(wrong, settings)


def test_the_journal_forgets_a_person_while_the_bridge_writes_it(settings: Settings) -> None:
    journal = journal_of(settings)
    for name in HOSTILE_NAMES:
        journal.append(event(NUMBER, name, ConnectedLineNum=OTHER, ConnectedLineName="Пётр"))
        journal.append(event(OTHER, name))
    assert journal.flush_now()
    (path,) = (settings.state_folder / "journal").glob("*.jsonl")
    size, before = path.stat().st_size, list(read_journal(settings.state_folder / "journal"))
    person = person_of(NUMBER, settings)
    assert write_over(path, person, True, names=True) == len(HOSTILE_NAMES)
    assert list(read_journal(settings.state_folder / "journal")) == before
    assert write_over(path, person, False, names=True) == len(HOSTILE_NAMES)
    assert path.stat().st_size == size
    journal.append(event(OTHER, "after"))  # the writer never noticed
    journal.close_now()
    after = list(read_journal(settings.state_folder / "journal"))
    assert [entry.seq for entry in after] == [*(entry.seq for entry in before), before[-1].seq + 1]
    for entry, was in zip(after, before, strict=False):
        theirs = was.headers["CallerIDNum"] == NUMBER
        assert entry.headers.keys() == was.headers.keys()
        if theirs:
            assert set(entry.headers["CallerIDNum"]) == {"x"}
            assert set(entry.headers["CallerIDName"]) == {"x"} or len(was.headers["CallerIDName"]) < 2
            assert entry.headers["ConnectedLineName"] == "Пётр"
            assert entry.headers["Event"] == "Newchannel" or was.headers["CallerIDName"] == "Newchannel"
        else:
            assert entry.headers == was.headers
    assert "9161234567" not in path.read_text(encoding="utf-8")
    assert write_over(path, person, False, names=True) == 0


def test_erase_counts_asks_and_then_leaves_nothing(config: Path, settings: Settings) -> None:
    state = settings.state_folder
    recordings = state / "recordings"
    recordings.mkdir(parents=True)
    for name in ("mine.wav", "others.wav"):
        (recordings / name).write_bytes(b"RIFF")
    (state / "secret.wav").write_bytes(b"x")
    paths = PbxPaths.in_state(state)
    paths.channel_event_log.parent.mkdir(parents=True)
    paths.channel_event_log.write_text(f'"CHAN_START","1","Local/{NUMBER}@out"\n"CHAN_END","2","PJSIP/101"\n')
    (paths.log / "queue_log").write_text(
        "1|u|sales|NONE|ENTERQUEUE||79161234567|1\n1|u|sales|NONE|X||79161234568\n"
    )
    journal = journal_of(settings)
    journal.append(event(NUMBER, "Иван"))
    journal.close_now()

    async def fill(store: Store) -> None:
        await store.save_call({"call_id": "c1", "caller": {"number": NUMBER, "name": "Иван"}})
        await store.create_callback(
            "k1", "sales", caller_id=NUMBER, name_recording="recordings/mine.wav", subject_recording="secret.wav",
            event=CallbackEvent.BROKEN_OFF,
        )  # fmt: skip
        await store.create_callback("k2", "sales", caller_id=OTHER, name_recording="recordings/others.wav")

    in_store(settings, fill)
    told = json.loads(run(config, "erase", NUMBER, "--dry-run", "--json"))
    figures = {"calls": 1, "notes": 0, "callbacks": 1, "other_entries": 0, "recordings": 1}
    assert told == {"dry_run": True, **figures, "journal_and_log_lines": 3}
    assert (recordings / "mine.wav").exists()
    refused = CliRunner().invoke(app, ["erase", NUMBER, "--config", str(config)], input="n\n")
    assert refused.exit_code == 1
    assert "Found: 1 calls" in refused.output
    assert (recordings / "mine.wav").exists()
    assert json.loads(run(config, "erase", "8 916 123 45 67", "--yes", "--json")) == {
        **told,
        "dry_run": False,
    }
    assert not (recordings / "mine.wav").exists()
    assert (recordings / "others.wav").exists()
    assert (state / "secret.wav").exists()  # whatever a stored path says
    for file in (path for path in state.rglob("*") if path.is_file()):
        assert b"9161234567" not in file.read_bytes(), file  # the database's free pages too
    (entry,) = in_store(settings, lambda store: store.audits())
    assert (entry.action, entry.detail["callbacks"], "916" in str(entry)) == ("person.erase", 1, False)
    assert json.loads(run(config, "erase", NUMBER, "--yes", "--json"))["calls"] == 0


def test_purge_wants_to_know_how_long(config: Path, settings: Settings) -> None:
    result = CliRunner().invoke(app, ["purge", "--config", str(config)])
    assert isinstance(result.exception, FourthRingError)
    assert "retention.days" in str(result.exception)
    old = (NOW - timedelta(days=40)).isoformat()

    async def fill(store: Store) -> None:
        await store.save_call({"call_id": "old", "started_at": old, "ended_at": old})
        await store.save_call({"call_id": "new", "started_at": NOW.isoformat(), "ended_at": NOW.isoformat()})

    in_store(settings, fill)
    config.write_text(config.read_text(encoding="utf-8") + "\n[retention]\ndays = 30\n", encoding="utf-8")
    assert json.loads(run(config, "purge", "--dry-run", "--json"))["calls"] == 1
    assert json.loads(run(config, "purge", "--yes", "--json"))["calls"] == 1
    calls = in_store(settings, lambda store: store.calls())
    assert [call.id for call in calls] == ["new"]
    (entry,) = in_store(settings, lambda store: store.audits())
    assert entry.action == "purge"


# The report ---------------------------------------------------------------------------------


def made(number: int, **more: Any) -> dict[str, Any]:
    start = NOW - timedelta(minutes=number)
    return {
        "call_id": f"c{number}",
        "department": "sales",
        "started_at": start.isoformat(),
        "ended_at": (start + timedelta(seconds=60)).isoformat(),
        "talk_started_at": (start + timedelta(seconds=10)).isoformat(),
        "disposition": "ANSWERED",
        "ring_verdict": "ideal",
        "talk_seconds": 40.0,
        **more,
    }


def test_the_report_counts_by_its_formula(config: Path, settings: Settings) -> None:
    records = [made(number) for number in range(15)]
    records += [made(20, ring_verdict="missed", queue={"wait_seconds": 20.0})]
    records += [made(21, ring_verdict="missed", queue={"wait_seconds": 20.1}), made(22, ring_verdict="late")]
    records += [
        made(23, disposition="ABANDONED", ring_verdict="missed"),
        made(24, disposition="NO_ANSWER", ring_verdict=""),
    ]
    records += [made(25, disposition="CANCELLED", ring_verdict="")]  # gave up before: not counted
    records += [made(26, kind="callback"), made(27, ended_at=None)]  # ours, and one that goes on
    records += [made(28, department="support")]

    async def fill(store: Store) -> None:
        await store.save_calls(records)
        await store.create_callback("k", "sales", caller_id=NUMBER)

    in_store(settings, fill)
    told = json.loads(run(config, "report", "--since", "1d", "--json"))
    sales, support = told["departments"]
    assert (sales["calls"], sales["answered"], sales["gave_up"]) == (21, 18, 2)
    assert (sales["counted"], sales["in_time"], sales["service_level"]) == (20, 16, 80)
    assert (sales["answer_seconds"], sales["talk_seconds"]) == (10.0, 40.0)
    assert (sales["callbacks"], sales["callbacks_by_state"]) == (1, {"capturing": 1})
    assert (support["calls"], support["service_level"]) == (1, None)  # thin data: no figure
    assert (told["total"]["department"], told["total"]["calls"]) == ("", 22)
    assert "in_time ÷ counted" in told["formula"]
    table = run(config, "report", "--since", "1d")
    assert "80 %" in table
    assert "too few" in table
    assert "Service level = 100 × in_time ÷ counted" in table
    assert "none" not in run(config, "report", "--until", "1d", "--json").split('"formula"')[0]


def test_thin_data_have_no_percentage() -> None:
    calls: list[StoredCall] = [call_of_record(made(number)) for number in range(FEWEST_CALLS)]
    assert day_of(calls).level == 100
    assert day_of(calls[1:]).level is None
