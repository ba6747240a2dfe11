"""The images are built here, without a Docker engine and a registry, and the node of compose.yaml runs in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.docker.containers import DOCKER, USER, Node

pytestmark = [
    pytest.mark.pbx,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.getuid() != 0 or not shutil.which("buildah") or not shutil.which("mmdebstrap"),
        reason="images are built with buildah and mmdebstrap, as root",
    ),
]
PORTS = (
    "sip_port = 15460\nami_port = 15438\nagi_port = 14473\ndesk_port = 18480\nrtp_ports = [25000, 25099]\n"
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    subprocess.run([DOCKER / "build-offline.sh"], check=True)
    toml = (DOCKER / "fourthring.toml").read_text(encoding="utf-8")
    made = Node(re.sub(r'(?m)^address = "127\.0\.0\.1".*\n', lambda match: match[0] + PORTS, toml))
    prepared = made.ask("app", "/usr/local/lib/fourthring/prepare.py")
    assert prepared.returncode == 0, prepared.stderr
    made.start("asterisk")
    made.until_healthy("asterisk")
    for service in ("agi", "bridge", "dialer", "desk"):
        made.start(service)
    yield made
    made.close()


@pytest.mark.parametrize("service", ["asterisk", "agi", "bridge", "dialer", "desk"])
def test_every_service_becomes_healthy(node: Node, service: str) -> None:
    node.until_healthy(service)


def test_nothing_runs_as_root_and_all_is_written_by_one_user(node: Node) -> None:
    for image in ("app", "asterisk"):
        assert node.ask(image, "id", "-u").stdout.strip() == str(USER)
    owners = {path.stat().st_uid for path in node.state.rglob("*") if not path.is_symlink()}
    assert owners == {USER}


def test_asterisk_speaks_every_language_of_the_company(node: Node) -> None:
    for language in ("en", "ru"):
        heard = node.ask(
            "asterisk", "ls", f"/var/lib/fourthring/asterisk/data/sounds/{language}/digits/1.wav"
        )
        assert heard.returncode == 0, heard.stderr


def test_asterisk_complains_of_nothing(node: Node) -> None:
    messages = (node.state / "asterisk/log/messages").read_text(encoding="utf-8")
    assert not [line for line in messages.splitlines() if re.search("ERROR|WARNING", line)], messages


def test_nothing_of_the_building_machine_is_left_in_the_images(node: Node) -> None:
    for image in ("app", "asterisk"):
        left = node.ask(
            image,
            "sh",
            "-c",
            "ls -A /mnt; ls /etc/pip.conf /etc/apt/sources.list /etc/apt/apt.conf.d/*lent* 2>/dev/null",
        )
        assert left.stdout == ""
