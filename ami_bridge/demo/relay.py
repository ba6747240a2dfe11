"""Lets one softphone take calls to any number, as a carrier's side does.

baresip 1.0 refuses a call whose user part is not one of its accounts (404) and has no setting against it.
This relay stands in front of it: it writes the phone's own user into the request line and passes all else on
unchanged. Answers come back through it because baresip answers to where the packet came from; sound never
passes here.
"""

from __future__ import annotations

import asyncio
import re

_REQUEST = re.compile(rb"^([A-Z]+) sip:(?:([^@\s]*)@)?(\S+) SIP/2\.0\r\n")


class AnyUserRelay:
    """UDP relay from ``front``, where the PBX calls, to ``phone``; ``dialled_users`` tells for whom."""

    def __init__(self, front: tuple[str, int], phone: tuple[str, int], user: str) -> None:
        self._front, self._phone, self._user = front, phone, user
        self._transport: asyncio.DatagramTransport | None = None
        self._caller: tuple[str, int] | None = None
        self._calls_seen: set[bytes] = set()
        self.dialled_users: list[str] = []

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken.
        """
        relay = self

        class _Ear(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                relay._passed(data, addr)

        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(_Ear, local_addr=self._front)

    def stop(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _passed(self, packet: bytes, sender: tuple[str, int]) -> None:
        if self._transport is None:
            return
        if sender == self._phone:
            if self._caller is not None:
                self._transport.sendto(packet, self._caller)
            return
        self._caller = sender
        request = _REQUEST.match(packet)
        if request is not None:
            self._note(request, packet)
            packet = (
                b"%s sip:%s@%s SIP/2.0\r\n" % (request[1], self._user.encode(), request[3])
                + packet[request.end() :]
            )
        self._transport.sendto(packet, self._phone)

    def _note(self, request: re.Match[bytes], packet: bytes) -> None:
        call = re.search(rb"(?im)^(?:Call-ID|i)\s*:\s*(\S+)", packet)
        if request[1] == b"INVITE" and call is not None and call[1] not in self._calls_seen:
            self._calls_seen.add(call[1])
            self.dialled_users.append((request[2] or b"").decode(errors="replace"))
