"""The files that make the containers, as far as they can be proved without building an image."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.render import rendered_files
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import load_settings, parse_settings

DOCKER = shipped_folder("docker")
CHECKOUT = DOCKER.parent


def _make_secrets(folder: Path) -> None:
    subprocess.run(
        ["sh", DOCKER / "make-secrets.sh", DOCKER / "fourthring.toml", folder],
        check=True,
        capture_output=True,
    )


def test_the_secrets_that_are_made_are_the_secrets_that_are_needed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    _make_secrets(folder)
    document = tomllib.loads((DOCKER / "fourthring.toml").read_text(encoding="utf-8"))
    document["secrets"]["folder"] = str(folder)
    document["node"]["state_folder"] = str(tmp_path)
    settings = parse_settings(document)
    assert rendered_files(settings, PbxPaths.in_state(tmp_path))["manager.conf"]
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert "desk-token" in made
    assert len(set(made.values())) == len(made), "no two are alike"
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    _make_secrets(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made, "those that are there stay"


def test_one_user_and_one_state_folder_in_every_container() -> None:
    settings = load_settings(DOCKER / "fourthring.toml")
    compose = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    users = set()
    for name in ("app.Dockerfile", "asterisk.Dockerfile"):
        text = (DOCKER / name).read_text(encoding="utf-8")
        users |= set(re.findall(r"(?m)^USER (\S+)$", text))
        assert f"--mode=0700 {settings.state_folder}" in text
    assert users == {"10001:10001"}
    assert set(re.findall(r"state:(/\S+?)[\"\s]", compose)) == {str(settings.state_folder)}
    assert f":{settings.secrets_folder}:ro" in compose


def test_asterisk_without_a_configuration_says_what_to_run(tmp_path: Path) -> None:
    said = subprocess.run(
        ["sh", DOCKER / "asterisk-entrypoint.sh"],
        env={**os.environ, "FOURTHRING_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert "run the service 'prepare' first" in said.stderr


@pytest.mark.parametrize(
    "script", ["asterisk-entrypoint.sh", "build-offline.sh", "make-secrets.sh", "private-pbx/build-tree.sh"]
)
def test_scripts_are_posix_shell(script: str) -> None:
    subprocess.run(["sh", "-n", DOCKER / script], check=True)


def test_the_image_gets_what_the_wheel_needs_and_no_test_tools() -> None:
    printed = subprocess.run(
        [
            sys.executable,
            DOCKER / "runtime_lock.py",
            CHECKOUT / "requirements.lock",
            "fourthring[postgresql]",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = set(re.findall(r"(?m)^([a-z0-9-]+)==", printed))
    assert {"panoramisk", "pyst2", "aiohttp", "sqlalchemy", "greenlet", "asyncpg", "pydantic-core"} <= names
    assert not names & {"pytest", "mypy", "ruff", "hypothesis", "hatchling", "fourthring"}
    assert printed.count("--hash=sha256:") >= len(names), "each with its hashes"


def test_a_lock_file_that_lacks_a_package_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("aiohttp==3.10.0 \\\n    --hash=sha256:00\n")
    refused = subprocess.run(
        [sys.executable, DOCKER / "runtime_lock.py", lock, "fourthring"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "has no entry for" in refused.stderr
    assert "make lock" in refused.stderr
