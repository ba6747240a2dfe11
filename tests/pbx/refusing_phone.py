"""A registered telephone that answers every call with one status code: 603, 480, 503 or any other.

baresip can refuse with 486 only.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from datetime import UTC, datetime
from typing import Self

from tests.pbx.rawsip import Address, SipMessage


class RefusingPhone(asyncio.DatagramProtocol):
    """Registers ``user`` at ``registrar`` (digest MD5, RFC 2617) and refuses every call with ``status``.

    ``invites`` are the calls that came; ``ring_seconds`` is how long each rings (180) before it is refused.
    """

    def __init__(
        self,
        local: Address,
        registrar: Address,
        user: str,
        password: str,
        *,
        status: int = 603,
        reason: str = "Decline",
        ring_seconds: float = 0.0,
    ) -> None:
        self.local, self.registrar, self.user, self._password = local, registrar, user, password
        self.status, self.reason, self.ring_seconds = status, reason, ring_seconds
        self.invites: list[SipMessage] = []
        self._answer: asyncio.Future[SipMessage] | None = None
        self._number = 0
        self._call_id = os.urandom(6).hex()
        self._transport: asyncio.DatagramTransport | None = None
        self._ringing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self.local)
        challenge = await self._register(60)
        if challenge.status == 401:
            challenge = await self._register(60, self._credentials(challenge))
        if challenge.status != 200:
            raise ConnectionError(f"the registrar refused {self.user}: {challenge.first_line!r}")
        return self

    async def __aexit__(self, *_: object) -> None:
        for ringing in self._ringing:
            ringing.cancel()
        challenge = await self._register(0)
        if challenge.status == 401:
            await self._register(0, self._credentials(challenge))
        if self._transport is not None:
            self._transport.close()

    def _credentials(self, challenge: SipMessage) -> str:
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge.header(b"WWW-Authenticate").decode()))
        uri = f"sip:{self.registrar[0]}:{self.registrar[1]}"

        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        secret, request = md5(self.user, fields["realm"], self._password), md5("REGISTER", uri)
        answer = md5(secret, fields["nonce"], "00000001", "c0ffee", "auth", request)
        return (
            f'Authorization: Digest username="{self.user}", realm="{fields["realm"]}", '
            f'nonce="{fields["nonce"]}", uri="{uri}", response="{answer}", algorithm=MD5, '
            f'qop=auth, nc=00000001, cnonce="c0ffee", opaque="{fields.get("opaque", "")}"'
        )

    async def _register(self, seconds: int, credentials: str = "") -> SipMessage:
        self._number += 1
        host = f"{self.local[0]}:{self.local[1]}"
        target = f"{self.registrar[0]}:{self.registrar[1]}"
        lines = [
            f"REGISTER sip:{target} SIP/2.0",
            f"Via: SIP/2.0/UDP {host};rport;branch=z9hG4bK{self._call_id}{self._number}",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{target}>;tag={self._call_id}",
            f"To: <sip:{self.user}@{target}>",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._number} REGISTER",
            f"Contact: <sip:{self.user}@{host}>",
            f"Expires: {seconds}",
            *([credentials] if credentials else []),
            "Content-Length: 0",
        ]
        self._answer = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        self._transport.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), self.registrar)
        async with asyncio.timeout(5):
            return await self._answer

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = SipMessage(data, datetime.now(UTC), time.monotonic())
        if message.status:
            if self._answer is not None and not self._answer.done() and message.status >= 200:
                self._answer.set_result(message)
        elif message.method == b"INVITE":
            if message.header(b"CSeq") + message.header(b"Call-ID") not in {
                known.header(b"CSeq") + known.header(b"Call-ID") for known in self.invites
            }:
                self.invites.append(message)
                ringing = asyncio.ensure_future(self._refuse(message, addr))
                self._ringing.add(ringing)
                ringing.add_done_callback(self._ringing.discard)
        elif message.method != b"ACK":
            self._reply(message, addr, 200, "OK")

    async def _refuse(self, invite: SipMessage, caller: Address) -> None:
        if self.ring_seconds:
            self._reply(invite, caller, 180, "Ringing")
            await asyncio.sleep(self.ring_seconds)
        self._reply(invite, caller, self.status, self.reason)

    def _reply(self, request: SipMessage, to: Address, status: int, reason: str) -> None:
        lines = [f"SIP/2.0 {status} {reason}".encode()]
        for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
            for value in request.headers(name):
                tag = b";tag=refusing" if name == b"To" and b";tag=" not in value else b""
                lines.append(name + b": " + value + tag)
        lines += [
            f"Contact: <sip:{self.user}@{self.local[0]}:{self.local[1]}>".encode(),
            b"Content-Length: 0",
        ]
        if self._transport is not None:
            self._transport.sendto(b"\r\n".join(lines) + b"\r\n\r\n", to)
