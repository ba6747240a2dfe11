"""A taken port is named with its protocol and its holder, before Asterisk is started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ami_bridge.pbx.ports import Port, PortTaken, holder_of, require_free


@contextmanager
def _held(protocol: str, address: str) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as held:
        held.bind((address, 0))
        if protocol == "tcp":
            held.listen(1)
        yield held.getsockname()[1]


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "::"])
def test_the_holder_is_named_with_pid_program_and_remedy(protocol: str, bound: str) -> None:
    with _held(protocol, bound) as number:
        port = Port(protocol, "127.0.0.1", number, "network.sip_port")  # type: ignore[arg-type]
        with pytest.raises(PortTaken) as refused:
            require_free([port])
    sentence = str(refused.value)
    assert f"{protocol} 127.0.0.1:{number}" in sentence
    assert f"(pid {os.getpid()})" in sentence
    assert "choose another network.sip_port" in sentence


def test_a_free_port_and_the_same_number_of_the_other_protocol_pass() -> None:
    with _held("udp", "127.0.0.1") as number:
        require_free([Port("tcp", "127.0.0.1", number, "network.ami_port")])
        assert holder_of(Port("tcp", "127.0.0.1", number, "network.ami_port")) is None
    require_free([Port("udp", "127.0.0.1", number, "network.sip_port")])


def test_another_loopback_address_is_no_clash() -> None:
    with _held("udp", "127.0.0.2") as number:
        require_free([Port("udp", "127.0.0.1", number, "network.sip_port")])


def test_every_taken_port_is_told_at_once() -> None:
    with _held("udp", "127.0.0.1") as sip, _held("tcp", "127.0.0.1") as ami:
        ports = [
            Port("udp", "127.0.0.1", sip, "network.sip_port"),
            Port("tcp", "127.0.0.1", ami, "network.ami_port"),
        ]
        with pytest.raises(PortTaken) as refused:
            require_free(ports)
    assert len(str(refused.value).splitlines()) == 2


def test_an_address_that_is_not_this_machines() -> None:
    with pytest.raises(PortTaken, match=r"no address 192\.0\.2\.1 .*mend network\.address"):
        require_free([Port("udp", "192.0.2.1", 5060, "network.sip_port")])
