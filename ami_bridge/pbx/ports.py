"""Is a port free, and if not, who holds it? Read from the kernel's own tables, proc(5)."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ami_bridge.errors import FourthRingError

_PROC = Path("/proc")
_TCP_LISTEN = "0A"


class PortTaken(FourthRingError):
    """A port that the private PBX needs cannot be had."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port that is to be listened on; ``setting`` is the key of the configuration that moves it."""

    protocol: Literal["udp", "tcp"]
    address: str
    number: int
    setting: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol} {host}:{self.number}"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process behind an open port; both are unknown when it belongs to another user."""

    pid: int | None = None
    program: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "a program of another user"
        return f"{self.program or 'a program'} (pid {self.pid})"


def require_free(ports: list[Port]) -> None:
    """Raise :class:`PortTaken` with one sentence per port that cannot be listened on."""
    faults = [fault for port in ports if (fault := _fault(port)) is not None]
    if faults:
        raise PortTaken("\n".join(faults))


def holder_of(port: Port) -> Holder | None:
    """Who listens on ``port``, or on its number at every address; None when nobody does."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and _has_open(folder / "fd", wanted):
            return Holder(int(folder.name), _program(folder))
    return Holder()


def _fault(port: Port) -> str | None:
    """Try the port as its listener will; a table could miss what the kernel knows."""
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as trial:
        if port.protocol == "tcp":
            # Connections of an earlier run that still linger do not hold the port against us.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((port.address, port.number))
            if port.protocol == "tcp":
                trial.listen(1)
        except OSError as error:
            return _sentence(port, error)
    return None


def _sentence(port: Port, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port) or "an unknown program"
        return f"The port {port} is taken by {holder}; stop it, or choose another {port.setting}."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {port.address} for the port {port}; mend network.address."
    if error.errno == errno.EACCES:
        return f"This user may not listen on the port {port}; choose a {port.setting} above 1023."
    return f"The port {port} cannot be used: {error.strerror}; choose another {port.setting}."


def _listening_inodes(port: Port) -> set[str]:
    inodes = set()
    for name in (port.protocol, f"{port.protocol}6"):
        try:
            rows = (_PROC / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            address, number = fields[1].split(":")
            if int(number, 16) != port.number or (port.protocol == "tcp" and fields[3] != _TCP_LISTEN):
                continue
            if _overlaps(_decoded(address), port.address):
                inodes.add(fields[9])
    return inodes


def _overlaps(bound: str, wanted: str) -> bool:
    first, second = ipaddress.ip_address(bound), ipaddress.ip_address(wanted)
    if isinstance(first, ipaddress.IPv6Address) and first.ipv4_mapped is not None:
        first = first.ipv4_mapped
    return first == second or first.is_unspecified or second.is_unspecified


def _decoded(hexadecimal: str) -> str:
    """The kernel prints an address as 32-bit words in this machine's byte order."""
    raw = bytes.fromhex(hexadecimal)
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _has_open(folder: Path, wanted: set[str]) -> bool:
    try:
        return any(_link_of(entry) in wanted for entry in folder.iterdir())
    except OSError:
        return False


def _link_of(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def _program(folder: Path) -> str | None:
    """The name of the program; for one that was started through a dynamic loader, not the loader's."""
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    names = [Path(word).name for word in words if word]
    if not names:
        return None
    if names[0].startswith("ld-linux"):
        return next((name for name in names if name == "asterisk"), names[0])
    return names[0]
