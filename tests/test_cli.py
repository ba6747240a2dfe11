"""The command line as people and programs use it: real processes, a configuration of their own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.testing import CliRunner

from ami_bridge.adapters.store import SqlStore
from ami_bridge.cli import main
from ami_bridge.cli.commands import app
from ami_bridge.core.callbacks import CallbackEvent, Consent
from ami_bridge.pbx.asterisk import find_asterisk
from ami_bridge.resources import shipped_folder

NOW = datetime.now(UTC)
HOSTILE = 'Eve\x1b[2J\x1b]0;owned\x07"; DROP\u202e [bold]x[/bold]\n'
SIP, AMI, AGI, DESK = 5960, 5938, 4973, 8980


def write_config(folder: Path, **replaced: str) -> Path:
    """The demo's configuration with ports and a state folder of its own; ``replaced`` changes its text."""
    text = (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    text = re.sub(r"state_folder = .*", f'state_folder = "{folder / "s"}"', text)
    for key, value in {"sip": SIP, "ami": AMI, "agi": AGI, "desk": DESK}.items():
        text = re.sub(rf"(?m)^{key}_port = .*", f"{key}_port = {value}", text)
    text = text.replace("rtp_ports = [12000, 12999]", "rtp_ports = [29000, 29999]")
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "fr.toml"
    path.write_text(text, encoding="utf-8")
    return path


def run(
    *words: str | Path, config: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``fourthring words --config …`` as a process."""
    command = [sys.executable, "-m", "ami_bridge.cli", *map(str, words)]
    if config is not None:
        command += ["--config", str(config)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FOURTHRING")}
    return subprocess.run(
        command,
        env={**inherited, "COLUMNS": "300", **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def run_here(*words: str | Path, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same without a process of its own, for the many variations of what one real run has shown."""
    command = ["fourthring", *map(str, words), *(["--config", str(config)] if config else [])]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", command)
        patch.setenv("COLUMNS", "300")
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> str:
    """The one clear sentence with which a command ended."""
    assert done.returncode not in {0, 1}, done
    told = [line for line in done.stderr.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT", line)]
    assert "Traceback" not in done.stderr
    assert len(told) == 1, done.stderr
    assert told[0].endswith(".") or ": fourthring" in told[0]
    for part in parts:
        assert part in told[0]
    return told[0]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: Asterisk's control socket lies in it."""
    with TemporaryDirectory(prefix="frc-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def config(folder: Path) -> Path:
    """A configuration whose store holds two calls and a callback."""
    path = write_config(folder)
    asyncio.run(_fill(f"sqlite+aiosqlite:///{folder}/s/fourthring.db"))
    return path


def record(call_id: str, hours_ago: float) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "node": "fr1",
        "started_at": (NOW - timedelta(hours=hours_ago)).isoformat(),
        "caller": {"number": HOSTILE, "name": HOSTILE},
        "department": "sales",
        "disposition": "ANSWERED",
        "answered_by": {"extension": "101"},
        "legs": [],
    }


async def _fill(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await store.save_calls([record("old", 48), record("new", 1)])
    await store.create_callback(
        "k",
        "sales",
        event=CallbackEvent.CAPTURED,
        at=NOW,
        number="+79161234567",
        caller_id=HOSTILE,
        name_text=HOSTILE,
        consent=Consent("1", "permission", NOW, "+79161234567"),
    )
    await store.close()


# Refusals: one sentence with its remedy, no traceback ----------------------------------------------


def test_an_unknown_time_zone(folder: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, **{"Europe/Moscow": "Europe/Moskva"})
    for done in (run("up", config=config), run_here("check", "--offline", config=config)):
        refused(done, "company.time_zone = 'Europe/Moskva'", "such as 'Europe/Moscow'")
        assert done.returncode == 2
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "Give another with --config"), (b"\xff", "save it as UTF-8"), (b"[x", "Mend that line")],
)
def test_an_unreadable_configuration(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refused(run_here("calls", config=path), told)


@pytest.mark.parametrize(("service", "port"), [("agi", AGI), ("desk", DESK)])
def test_a_port_that_is_taken(config: Path, service: str, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        done = run(service, config=config)
    refused(done, f"127.0.0.1:{port}", f"network.{service}_port")


def test_a_missing_secret(tmp_path: Path) -> None:
    config = write_config(tmp_path, **{"create_missing = true": "create_missing = false"})
    refused(run_here("dialer", config=config), "FOURTHRING_SECRET_AMI_DIALER")


@pytest.mark.parametrize("instant", ["yesterday", "2026-13-01", "999999w", "", "1x"])
def test_an_instant_that_is_none(config: Path, instant: str) -> None:
    refused(run_here("calls", "--since", instant, config=config), "--since", "write one such as")


def test_the_sounds_are_missing(config: Path, tmp_path: Path) -> None:
    """First no Asterisk at all, then one without the Russian sounds."""
    if find_asterisk() is not None and not str(find_asterisk().command[0]).startswith(str(Path.home())):  # type: ignore[union-attr]
        pytest.skip("this machine has an Asterisk of its own")
    done = run("check", config=config, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "FAIL  sounds: There is no Asterisk 20 or later with sounds on this machine; run:" in done.stdout
    tree = tmp_path / "fourthring" / "asterisk-22-forky"
    loader = tree / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    for path in (loader, tree / "usr/sbin/asterisk", tree / "usr/share/asterisk/sounds/en/digits/1.gsm"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho Asterisk 22.10.1\n")
        path.chmod(0o755)
    done = run("check", "--json", config=config, XDG_CACHE_HOME=str(tmp_path))
    (found,) = [line for line in map(json.loads, done.stdout.splitlines()) if line["subject"] == "sounds"]
    assert not found["ok"]
    assert "nothing for 'ru'" in found["message"]
    assert "asterisk-core-sounds-ru-wav" in found["message"]
    assert done.stderr == ""


# The private PBX --------------------------------------------------------------------------------------


@pytest.mark.pbx
@pytest.mark.skipif(find_asterisk() is None, reason="there is no Asterisk; run: fourthring pbx build")
def test_a_port_of_the_pbx_and_a_wrong_password(config: Path) -> None:
    with socket.create_server(("127.0.0.1", AMI)):
        refused(run("pbx", "start", config=config), f"127.0.0.1:{AMI}", "taken", "network.ami_port")
    assert run("pbx", "status", config=config).returncode == 3
    try:
        started = run("pbx", "start", "--json", config=config)
        assert json.loads(started.stdout)["running"], started.stderr
        done = run("bridge", config=config, FOURTHRING_SECRET_AMI_BRIDGE="not-the-password")
        refused(done, "refused the AMI account 'fourthring-bridge'", "manager.conf")
        assert "not-the-password" not in done.stdout + done.stderr
        checked = [json.loads(line) for line in run("check", "--json", config=config).stdout.splitlines()]
        assert all(finding["ok"] for finding in checked), checked
    finally:
        assert run("pbx", "stop", config=config).returncode == 0


# Looking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["new", "old"]),
        (["--since", "2h"], ["new"]),
        (["--until", "2h"], ["old"]),
        (["--since", "1d", "--until", "2h"], []),
        (["--limit", "1"], ["new"]),
    ],
)
def test_calls_as_json(config: Path, options: list[str], found: list[str]) -> None:
    done = run_here("calls", "--json", *options, config=config)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["call_id"] for each in records] == found
    assert "\x1b" not in done.stdout, "JSON escapes control characters"


@pytest.mark.parametrize("command", ["calls", "callbacks"])
def test_tables_are_safe_to_show(config: Path, command: str) -> None:
    done = run(command, config=config)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", done.stdout)
    assert "sales" in done.stdout
    if command == "calls":
        assert "Eve\ufffd[2J" in done.stdout
        assert "[bold]x[/bold]" in done.stdout, "a caller's text is no markup"


def test_a_terminal_that_cannot_show_a_name_still_shows_the_rest(config: Path) -> None:
    done = run("agents", config=config, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert "101" in done.stdout


def test_callbacks_as_json(config: Path) -> None:
    (line,) = run_here("callbacks", "--json", "--since", "1d", config=config).stdout.splitlines()
    callback = json.loads(line)
    assert (callback["number"], callback["state"]) == ("+79161234567", "queued")
    assert callback["consent"]["key"] == "1"
    assert run_here("callbacks", "--json", "--until", "1d", config=config).stdout == ""


def test_agents_with_and_without_their_passwords(config: Path, folder: Path) -> None:
    plain = [json.loads(line) for line in run("agents", "--json", config=config).stdout.splitlines()]
    assert [agent["extension"] for agent in plain] == ["101", "102", "103"]
    assert all("secret" not in agent for agent in plain)
    assert plain[0]["departments"] == ["sales"]
    assert plain[0]["phone"] in {"unknown", "absent"}
    told = [
        json.loads(line)
        for line in run_here("agents", "--json", "--secrets", config=config).stdout.splitlines()
    ]
    for agent in told:
        assert agent["secret"] == (folder / f"s/secrets/sip-{agent['extension']}").read_text().strip()


# Replay ---------------------------------------------------------------------------------------------------


def event(name: str, at: float, **headers: str) -> dict[str, str]:
    channel = {"Channel": "PJSIP/carrier-1", "Uniqueid": "c1", "Linkedid": "c1", "CallerIDNum": "7916"}
    return {"Event": name, "Timestamp": str(at), **channel, **headers}


EVENTS = [
    event("Newchannel", 1.0, ChannelState="4", Exten="74950000001", Context="from-carrier"),
    event("Hangup", 2.0, Cause="16"),
]


@pytest.mark.parametrize("form", ["list", "lines", "raw"])
def test_replay_tells_one_call_per_line(tmp_path: Path, form: str) -> None:
    path = tmp_path / "events"
    raw = "".join("".join(f"{key}: {value}\r\n" for key, value in each.items()) + "\r\n" for each in EVENTS)
    lines = "".join(json.dumps(each) + "\n" for each in EVENTS)
    path.write_text({"list": json.dumps(EVENTS), "lines": lines, "raw": raw}[form])
    done = run_here("replay", path)
    assert (done.returncode, done.stderr) == (0, "")
    (told,) = map(json.loads, done.stdout.splitlines())
    keys = {"disposition", "answered_by", "rung", "transfers", "hung_up_by", "uniqueids", "linkedids"}
    assert keys <= set(told)
    assert told["uniqueids"] == ["c1"]


def test_replay_of_text_that_is_no_unicode(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps([{**EVENTS[0], "CallerIDName": "\ud800"}, EVENTS[1]]))
    done = run("replay", path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "content", [b"", b"hello\nworld\n", b"[1, 2]", b"[{", b'{"a": 1}\nx\ny\n', bytes(range(256)) * 20, None]
)
def test_replay_of_garbage_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "garbage"
    if content is not None:
        path.write_bytes(content)
    done = run_here("replay", path)
    assert str(path) in refused(done)
    assert done.stdout == ""


# The rest ---------------------------------------------------------------------------------------------------


def test_say(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "hello.wav"
    done = run("say", "Здравствуйте", "--out", out, config=config)
    assert done.returncode == 0, done.stderr
    with wave.open(str(out)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
        assert sound.getnframes() > 4000
    done = run_here("say", "--greeting", "--agent", "101", "--out", out, config=config)
    assert "Анна Смирнова" in done.stdout
    assert "Ромашка" in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "either a TEXT or --greeting"),
        (["x", "--greeting"], "either a TEXT or --greeting"),
        (["--greeting", "--department", "sails"], "write one of sales, support"),
        (["--greeting", "--agent", "199"], "write one of 101, 102, 103"),
    ],
)
def test_say_what_cannot_be_said(config: Path, options: list[str], told: str) -> None:
    refused(run_here("say", *options, config=config), told)


def test_render_into_a_folder(config: Path, tmp_path: Path) -> None:
    done = run_here("render", "--out", tmp_path / "etc", config=config)
    assert done.returncode == 0, done.stderr
    assert f"\nport = {AMI}\n" in (tmp_path / "etc/manager.conf").read_text()


def test_check_offline_as_json(config: Path) -> None:
    done = run_here("check", "--offline", "--json", config=config)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert {finding["subject"] for finding in findings} >= {"configuration", "dialplan", "manager.conf"}
    assert all(finding["ok"] for finding in findings), findings
    assert done.returncode == 0


def test_doctor_tells_what_does_not_run(config: Path) -> None:
    done = run("doctor", "--json", config=config)
    ill = {
        line["subject"]: line["message"]
        for line in map(json.loads, done.stdout.splitlines())
        if not line["ok"]
    }
    assert {"PBX", "AGI", "desk", "bridge", "dialer"} <= set(ill)
    assert all("fourthring" in ill[subject] for subject in ("PBX", "AGI", "desk", "bridge", "dialer"))
    assert (done.returncode, done.stderr) == (1, "")


def commands() -> list[list[str]]:
    named = [[command.name or command.callback.__name__] for command in app.registered_commands]
    of_pbx = app.registered_groups[0].typer_instance.registered_commands
    return [[], ["pbx"], *named, *(["pbx", command.name or command.callback.__name__] for command in of_pbx)]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_explains_itself(words: list[str]) -> None:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


def test_the_version() -> None:
    assert re.fullmatch(r"fourthring \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_a_reader_that_has_seen_enough(config: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        command = [sys.executable, "-m", "ami_bridge.cli", "calls", "--json", "--config", str(config)]
        done = subprocess.run(command, stdout=broken, stderr=subprocess.PIPE, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
