"""The images are built here, without a Docker engine and a registry, and the node of compose.yaml runs in them."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from agi.voice.cache import VoiceCache
from ami_bridge import secrets
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.hearing import ring_tones
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from tests.docker.containers import DOCKER, USER, Node, why_not_here

pytestmark = [
    pytest.mark.pbx,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]
CALLER = "79165558001"
PORTS = (
    "sip_port = 15460\nami_port = 15438\nagi_port = 14473\ndesk_port = 18480\nrtp_ports = [15800, 15899]\n"
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if reason := why_not_here():
        pytest.skip(reason)
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


async def test_a_caller_hears_the_queue_after_four_rings_and_the_store_tells_it(node: Node) -> None:
    """One real call from end to end: Asterisk, bridge, AGI and store each in a container of its own."""
    settings = node.settings()
    listening = node.listener()
    voice = VoiceCache(listening)
    expected = ExpectedPrompts(listening, voice)
    pbx = f"127.0.0.1:{settings.network.sip_port}"
    password = secrets.read_secret(settings, secrets.sip_secret("101"))
    agent = node.phone("101", "127.0.0.1", registrar=pbx, user="101", password=password)
    caller = node.phone("caller", "127.0.0.2", peer=pbx, user=CALLER)
    try:
        await asyncio.gather(agent.start(), caller.start())
        await caller.dial("74950000001")
        rung = (await agent.wait_for(PhoneState.INCOMING, 5)).monotonic
        answered = (await caller.wait_for(PhoneState.ESTABLISHED, 25)).monotonic
        assert answered - rung == pytest.approx(16.0, abs=0.3)
        await Ear(caller).hears(expected.greeting("queue-join", "sales"), since=answered)
        heard = caller.heard_call()
        before = heard.samples[: int((answered - heard.started) * heard.rate)]
        assert len(ring_tones(before, "ru", shortest_seconds=0.3)) == 4
        await caller.hangup()
    finally:
        await asyncio.gather(agent.stop(), caller.stop())
        voice.close()
    record = await asyncio.to_thread(_record_of, node, CALLER)
    assert record["failover_reason"] == "ring_deadline"
    assert record["ring_verdict"] == "missed"
    assert record["hung_up_by"] == "caller"
    with closing(sqlite3.connect(f"file:{node.state}/fourthring.db?mode=ro", uri=True)) as database:
        assert database.execute("SELECT count(*) FROM call").fetchone() == (1,)


def _record_of(node: Node, number: str, seconds: float = 30) -> dict[str, Any]:
    """The finished record of the call from ``number``, as an admin asks for it."""
    deadline = time.monotonic() + seconds
    while True:
        asked = node.ask("app", "fourthring", "calls", "--json")
        assert asked.returncode == 0, asked.stderr
        calls = [json.loads(line) for line in asked.stdout.splitlines()]
        if found := [call for call in calls if number in call["caller"]["number"] and call["ended_at"]]:
            return dict(found[0])
        assert time.monotonic() < deadline, f"no finished call of {number} in {calls}"
        time.sleep(0.5)


def test_nothing_runs_as_root_and_all_is_written_by_one_user(node: Node) -> None:
    for image in ("app", "asterisk"):
        assert node.ask(image, "id", "-u").stdout.strip() == str(USER)
    strangers = {
        str(path.relative_to(node.state)): path.stat().st_uid
        for path in node.state.rglob("*")
        if not path.is_symlink() and path.stat().st_uid != USER
    }
    assert strangers == {}


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
