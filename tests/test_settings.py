"""The one TOML file: every mistake is told at once, with its key, its value and what to do; secrets."""

from __future__ import annotations

import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge import secrets
from ami_bridge.errors import ConfigError
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, default_config_path, load_settings, parse_settings

DEMO = shipped_folder("config") / "demo.toml"
Change = Callable[[dict[str, Any]], object]


def demo(state_folder: Path | str = "/tmp/state") -> dict[str, Any]:
    document = tomllib.loads(DEMO.read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(state_folder)
    return document


def faults(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse_settings(document, origin="my.toml")
    assert refused.value.exit_code == 2
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems


def test_the_demo_is_valid_and_says_what_the_contract_says() -> None:
    settings = load_settings(DEMO)
    assert settings.department_of_did("74950000001") == settings.department_of_did("+74950000001") == "sales"
    assert settings.department_of_did("1") is None
    assert settings.languages == ("ru",)
    assert settings.trunk_out() == "carrier"
    assert settings.state_folder.is_absolute()
    assert str(settings.state_folder) in settings.store_url
    assert settings.ring_of("sales").rule.cadence.deadline_seconds(4) == 16.0


def put(*keys: Any) -> Change:
    """A change of the document: the last of ``keys`` is put where the others lead."""

    def change(document: dict[str, Any]) -> None:
        for key in keys[:-2]:
            document = document.setdefault(key, {})
        document[keys[-2]] = keys[-1]

    return change


FAULTY: list[tuple[Change, str, str]] = [
    (put("callback", "retry_minutes", [30, 5]), "callback.retry_minutes", "from the shortest to the longest"),
    (put("callback", "retry", {"busy": []}), "callback.retry.busy", "at least 1"),
    (
        put("callback", "customer_hours", {"open": ["daily 9-21"]}),
        "callback.customer_hours.open",
        "mon-fri 09:00",
    ),
    (put("company", "time_zone", "Europe/Moskva"), "company.time_zone = 'Europe/Moskva'", "such as 'Europe/"),
    (put("company", "language", "de"), "company.names has no 'de'", "add it"),
    (put("company", "language", "german"), "company.language = 'german'", "two small letters"),
    (put("company", "country", "Russia"), "company.country = 'Russia'", "two capital letters"),
    (put("departments", "sales", "language", "en2"), "departments.sales.language = 'en2'", "two small"),
    (put("departments", "sales", "direct", ["199"]), "departments.sales.direct", "add [agents.199]"),
    (put("departments", "sales", "queue", []), "departments.sales.queue", "at least 1"),
    (put("departments", "support", "dids", ["74950000001"]), "departments.support.dids", "'sales' already"),
    (put("departments", "support", "dids", ["+74950000009"]), "support.dids.0 = '+74950000009'", "digits"),
    (put("departments", "support", "names", {"en": "support"}), "departments.support.names", "add it"),
    (put("agents", "101", "names", {"en": "Anna"}), "agents.101.names has no 'ru'", "add it"),
    (put("agents", "anna", {"names": {"ru": "Анна"}}), "agents.anna", "2 to 6 digits"),
    (put("ring", "zone", "fr"), "ring", "write one of au, de, jp, ru, uk, us"),
    (put("ring", "answer_by_ring", 0), "ring.answer_by_ring = 0", "greater than or equal to 1"),
    (put("network", "agi_port", 5038), "network", "must differ"),
    (put("network", "sip_port", 12500), "network", "choose one outside"),
    (put("network", "rtp_ports", [9, 8]), "network", "lower port first"),
    (put("network", "desk_port", 70000), "network.desk_port = 70000", "65535"),
    (put("network", "address", "localhost"), "network.address = 'localhost'", "IPv4"),
    (put("netwrok", {}), "netwrok", "mend its spelling"),
    (put("node", "state_folder", "/tmp/a,b"), "node.state_folder", "choose another folder"),
    (put("node", "name", "FR 1"), "node.name = 'FR 1'", "a-z and 0-9"),
    (put("departments", "h", {"names": {"ru": "х"}, "dids": ["999"], "queue": ["101"]}), "h", "letter first"),
    (
        put("departments", "general", {"names": {"ru": "х"}, "dids": ["999"], "queue": ["101"]}),
        "general",
        "word",
    ),
    (put("trunks", "global", {"address": "127.0.0.3"}), "trunks.global", "another word"),
    (put("callback", "allowed_regions", []), "callback.allowed_regions", "at least 1"),
    (put("webrtc", {"enabled": True}), "webrtc.enabled", "write webrtc = true in [agents.X]"),
    (put("webrtc", {"codecs": ["mp3"]}), "webrtc.codecs.0 = 'mp3'", "'opus'"),
]


@pytest.mark.parametrize(("change", "key", "remedy"), FAULTY, ids=[key for _, key, _ in FAULTY])
def test_a_fault_is_one_sentence_with_key_and_remedy(change: Change, key: str, remedy: str) -> None:
    document = demo()
    change(document)
    told = faults(document)
    (sentence,) = {line for line in told if key in line}
    assert sentence.startswith("my.toml: ")
    assert sentence.endswith(".")
    assert remedy in sentence
    assert "\n" not in sentence


def test_every_fault_is_told_at_once() -> None:
    document = demo()
    document["company"]["time_zone"] = "Mars/Olympus"
    document["network"]["desk_port"] = 0
    document["departments"]["sales"]["direct"] = ["199"]
    document["departments"]["support"]["dids"] = ["74950000001"]
    del document["callback"]
    told = "\n".join(faults(document))
    for part in ("Mars/Olympus", "desk_port", "agents.199", "DID 74950000001", "callback is missing; add it"):
        assert part in told
    assert told.count("\n") == 4


def test_a_fault_is_told_once_however_many_it_concerns() -> None:
    document = demo()
    del document["agents"]["102"]["names"]["ru"]
    assert len([line for line in faults(document) if "agents.102.names" in line]) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("network", "websocket_port", 8080), "network.websocket_port 8080 is desk_port already"),
        (put("trunks", "carrier", "address", "127.0.0.1"), "trunks.carrier.address is network.address"),
    ],
)
def test_browser_phones_want_a_port_and_an_address_of_their_own(change: Change, told: str) -> None:
    document = demo()
    change(document)
    parse_settings(document)
    document["webrtc"] = {"enabled": True}
    document["agents"]["101"]["webrtc"] = True
    (fault,) = faults(document)
    assert told in fault


@pytest.mark.parametrize("key", ["company", "departments", "agents", "network"])
@pytest.mark.parametrize("value", [[], "text", 5, {"x": 5}])
def test_a_document_of_any_shape_is_refused_in_words(key: str, value: object) -> None:
    document = demo()
    document[key] = value
    assert faults(document)


HOSTILE = [
    'Anna"',
    "a\nb",
    "a\r\nAction: Login",
    "${SHELL(id)}",
    "a;b",
    "a\x00b",
    "a&b",
    "a\\",
    "]x[",
    "\x7f",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("owner", [("company",), ("departments", "sales"), ("agents", "101")])
def test_names_that_could_end_a_line_or_a_string_are_refused(owner: tuple[str, ...], name: str) -> None:
    document = demo()
    section: dict[str, Any] = document
    for key in owner:
        section = section[key]
    section["names"]["ru"] = name
    (sentence,) = faults(document)
    assert ".".join(owner) in sentence
    assert "\n" not in sentence
    assert "\0" not in sentence


def test_a_hostile_key_stays_on_one_line() -> None:
    document = demo()
    document["agents"]["1\n2"] = {"names": {"ru": "Анна"}}
    assert all(line.isprintable() for line in faults(document))


@given(
    st.text(st.characters(categories=("L", "N", "Zs"), include_characters="-'.,()"), min_size=1, max_size=70)
)
def test_any_name_of_letters_is_welcome(name: str) -> None:
    document = demo()
    document["agents"]["101"]["names"]["ru"] = name
    assert parse_settings(document).agents["101"].names["ru"] == name


# The file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe[company]", "is not UTF-8 text (byte 0)"),
        (b"[company\n", "is not valid TOML"),
        (b"", "company is missing; add it"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.toml") as refused:
        load_settings(path)
    assert told in str(refused.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_settings(tmp_path)


def test_which_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOURTHRING_CONFIG", raising=False)
    assert default_config_path() == DEMO
    monkeypatch.setenv("FOURTHRING_CONFIG", "/etc/other.toml")
    assert default_config_path() == Path("/etc/other.toml")


# Secrets -------------------------------------------------------------------------------------


def company(folder: Path, *, create: bool) -> Settings:
    document = demo(folder)
    document["secrets"]["create_missing"] = create
    return parse_settings(document)


def test_a_secret_is_never_defaulted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        secrets.read_secret(company(tmp_path, create=False), secrets.AMI_BRIDGE)
    assert "FOURTHRING_SECRET_AMI_BRIDGE" in str(refused.value)
    assert str(tmp_path / "secrets" / "ami-bridge") in str(refused.value)
    assert not (tmp_path / "secrets").exists()


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "sip-101").write_text("from-the-file-0123\n")
    settings = company(tmp_path, create=False)
    assert secrets.read_secret(settings, secrets.sip_secret("101")) == "from-the-file-0123"
    monkeypatch.setenv("FOURTHRING_SECRET_SIP_101", "from-the-environment")
    assert secrets.read_secret(settings, secrets.sip_secret("101")) == "from-the-environment"


@pytest.mark.parametrize(
    "weak", ["short", "with space 0123", "line\nbreak-01234", 'quote"quote-0123', "x" * 65]
)
def test_a_weak_or_unsafe_secret_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv("FOURTHRING_SECRET_AGI_TOKEN", weak)
    with pytest.raises(ConfigError, match="12 to 64") as refused:
        secrets.read_secret(company(tmp_path, create=True), secrets.AGI_TOKEN)
    assert weak not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe-not-text-0123"])
def test_a_spoilt_secret_file_is_told_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secrets").mkdir()
    path = tmp_path / "secrets" / "agi-token"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="agi-token"):
        secrets.read_secret(company(tmp_path, create=True), secrets.AGI_TOKEN)
    assert path.read_bytes() == content


def test_a_secret_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secrets" / "agi-token").mkdir(parents=True)
    with pytest.raises(ConfigError, match="let this user read it"):
        secrets.read_secret(company(tmp_path, create=True), secrets.AGI_TOKEN)


def test_a_secret_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file in its place")
    with pytest.raises(ConfigError, match="agi-token"):
        secrets.read_secret(company(tmp_path, create=True), secrets.AGI_TOKEN)


def test_a_state_folder_where_nothing_can_be_made() -> None:
    with pytest.raises(ConfigError, match=r"make node\.state_folder writable"):
        secrets.read_secret(company(Path("/proc/fourthring"), create=True), secrets.AGI_TOKEN)


def test_the_demos_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    made = secrets.read_secret(company(tmp_path, create=True), secrets.AGI_TOKEN)
    assert len(made) >= 32
    path = tmp_path / "secrets" / "agi-token"
    assert path.read_text().strip() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert secrets.read_secret(company(tmp_path, create=True), secrets.AGI_TOKEN) == made


RACER = """
import sys
from pathlib import Path
from ami_bridge.secrets import _create
sys.stdin.readline()
for number in range(60):
    print(_create(Path(sys.argv[1]) / f"s{number}"), flush=True)
"""


def test_processes_that_make_a_secret_at_once_agree_on_it(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=30)[0].split() for racer in racers]
    assert told[0] == told[1] == told[2]
    assert len(set(told[0])) == 60
    assert {path.name for path in tmp_path.iterdir()} == {f"s{number}" for number in range(60)}
