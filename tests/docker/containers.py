"""Runs the built images without a Docker engine: buildah, chroot isolation, the host's network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ami_bridge.demo.softphone import Softphone
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

USER = 10001
DOCKER = shipped_folder("docker")
# Softphones beside the containers: ten SIP ports for each, and as many for RTP right after all of these.
PHONE_PORTS = (15500, 15600)
HEALTH = {"asterisk": ("fourthring-asterisk", "healthy")}


def why_not_here() -> str | None:
    """Why no image can be built on this machine, or None. Tries buildah on nothing of ours."""
    if os.getuid() != 0 or not shutil.which("buildah") or not shutil.which("mmdebstrap"):
        return "images are built with buildah and mmdebstrap, as root"
    tried = subprocess.run(["sh", "-euc", _TRY_BUILDAH], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    return f"buildah cannot make images on this machine: {tried.stderr.strip().rpartition(chr(10))[2]}"


# Unpacks one file into an image and runs nothing: what a machine that forbids mounts already refuses.
_TRY_BUILDAH = """
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null; buildah rmi localhost/fourthring/tried >/dev/null 2>&1 || true' EXIT
buildah add --quiet "$container" /etc/passwd /passwd >/dev/null
buildah commit --quiet "$container" localhost/fourthring/tried >/dev/null
"""


class Node:
    """The services of compose.yaml on one state folder. ``toml`` must keep the volume's and the secrets' paths."""

    def __init__(self, toml: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fr-images-"))
        self.folder.chmod(0o755)
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o700)
        shutil.chown(self.state, USER, USER)
        self._toml = self.folder / "fourthring.toml"
        self._toml.write_text(toml, encoding="utf-8")
        self._secrets = self.folder / "secrets"
        subprocess.run(["sh", DOCKER / "make-secrets.sh", self._toml, self._secrets], check=True)
        self._ports = iter(range(PHONE_PORTS[0], PHONE_PORTS[1], 10))
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._containers: list[str] = []

    def start(self, service: str) -> None:
        """Start ``asterisk``, ``agi``, ``bridge``, ``dialer`` or ``desk`` in a container of its own."""
        log = (self.folder / f"{service}.log").open("w")
        image, command = (
            ("asterisk", ["fourthring-asterisk"])
            if service == "asterisk"
            else ("app", ["fourthring", service])
        )
        self._running[service] = subprocess.Popen(
            self._command(image, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
        )

    def ask(self, image: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one command in a fresh container of ``image``."""
        return subprocess.run(
            self._command(image, command), capture_output=True, text=True, timeout=60, check=False
        )

    def until_healthy(self, service: str, seconds: float = 60) -> None:
        """Ask the health check of ``service`` until it is content.

        Raises:
            AssertionError: the service ended, or is not well in time; with what it said.
        """
        image = "asterisk" if service == "asterisk" else "app"
        check = HEALTH.get(service, ("/usr/local/lib/fourthring/healthcheck.py", service))
        deadline = time.monotonic() + seconds
        while True:
            asked = self.ask(image, *check)
            if asked.returncode == 0:
                return
            said = (self.folder / f"{service}.log").read_text()
            assert self._running[service].poll() is None, f"{service} ended: {said}"
            assert time.monotonic() < deadline, f"{service} is not well: {asked.stdout}{asked.stderr}{said}"
            time.sleep(0.5)

    def settings(self) -> Settings:
        """What the containers are configured with, its paths as this machine sees them."""
        document = tomllib.loads(self._toml.read_text(encoding="utf-8"))
        document["node"]["state_folder"] = str(self.state)
        document["secrets"]["folder"] = str(self._secrets)
        return parse_settings(document)

    def listener(self) -> Settings:
        """The same company on a copy of the prompts: who only wants to know a prompt's sound joins one here.

        In the node's own folder a prompt joined by this process would belong to whoever runs the tests.
        """
        own = self.folder / "listener"
        shutil.copytree(self.state / "prompts", own / "prompts", symlinks=True)
        settings = self.settings()
        return settings.model_copy(update={"node": settings.node.model_copy(update={"state_folder": own})})

    def phone(self, name: str, address: str, **options: Any) -> Softphone:
        """A softphone on this machine, not started; ``options`` as of :class:`Softphone`."""
        port = next(self._ports)
        rtp = (port + 100, port + 109)
        return Softphone(name, address, port, self.folder / f"phone-{port}", rtp_ports=rtp, **options)

    def close(self) -> None:
        """End every service, remove the containers and the state."""
        if "asterisk" in self._running:
            self.ask("asterisk", "fourthring-asterisk", "core stop now")
        for child in self._running.values():
            child.terminate()
            child.wait(20)
        for container in self._containers:
            subprocess.run(["buildah", "rm", container], check=False, capture_output=True)
        shutil.rmtree(self.folder)

    def _command(self, image: str, command: Sequence[str]) -> list[str]:
        made = subprocess.run(
            ["buildah", "from", "--pull=never", f"localhost/fourthring/{image}"],
            check=True,
            capture_output=True,
            text=True,
        )
        container = made.stdout.strip()
        self._containers.append(container)
        mounts = {
            self.state: "/var/lib/fourthring",
            self._toml: "/etc/fourthring/fourthring.toml:ro",
            self._secrets: "/run/secrets:ro",
        }
        volumes = [f"--volume={source}:{target}" for source, target in mounts.items()]
        return ["buildah", "run", "--isolation", "chroot", *volumes, container, "--", *command]
