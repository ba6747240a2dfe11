"""A SIP caller that sends whatever bytes it is told to: the stranger on the trunk.

Asyncio over UDP, no parser that could clean up what is sent. It keeps the promises that a PBX needs to get
rid of the call (ACK, CANCEL, BYE, 200 to a BYE; RFC 3261 sections 9, 13, 15, 17) and swallows the sound.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

Address = tuple[str, int]
_T1_SECONDS = (
    0.5  # RFC 3261 timer T1: an INVITE that got no answer is sent again after this, then twice this…
)


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message that came in, as bytes, with both clocks."""

    raw: bytes
    at: datetime
    monotonic: float

    @property
    def first_line(self) -> bytes:
        return self.raw.split(b"\r\n", 1)[0]

    @property
    def status(self) -> int:
        """The status code of a response, 0 for a request."""
        found = re.match(rb"SIP/2\.0 (\d{3})", self.raw)
        return int(found[1]) if found else 0

    @property
    def method(self) -> bytes:
        """The method of a request, or the one that a response answers."""
        return self.header(b"CSeq").split()[-1] if self.status else self.raw.split(b" ", 1)[0]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    def headers(self, name: bytes) -> list[bytes]:
        """All values of a header, long form of its name, in order."""
        head = self.raw.partition(b"\r\n\r\n")[0]
        return re.findall(rb"(?im)^" + re.escape(name) + rb"[ \t]*:[ \t]*(.*?)\r?$", head)

    def header(self, name: bytes) -> bytes:
        """The first value of a header, empty when it is missing."""
        return next(iter(self.headers(name)), b"")


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes, Address], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._heard(data, addr)


@dataclass(slots=True)
class RawCall:
    """One INVITE and what became of it; made by ``RawSip.invite``."""

    sip: RawSip
    call_id: bytes
    request_uri: bytes
    from_header: bytes
    to_header: bytes
    branch: bytes
    invite: bytes
    responses: list[SipMessage] = field(default_factory=list)
    farewell: SipMessage | None = None
    ended_by_peer: SipMessage | None = None
    rtp_packets: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def statuses(self) -> list[int]:
        """The status codes of the INVITE's responses, in order, retransmissions included."""
        return [response.status for response in self.responses]

    @property
    def final(self) -> SipMessage | None:
        """The final response, once there is one."""
        return next((r for r in self.responses if r.status >= 200), None)

    async def wait_for(self, *statuses: int, within: float = 10.0) -> SipMessage:
        """The first response with one of these codes (any final one without codes).

        Raises:
            TimeoutError: with the codes that came instead.
        """

        def wanted() -> SipMessage | None:
            if not statuses:
                return self.final
            return next((r for r in self.responses if r.status in statuses), None)

        await self._until(lambda: wanted() is not None, within, f"{statuses or 'a final answer'}")
        found = wanted()
        assert found is not None
        return found

    async def wait_ended(self, within: float = 10.0) -> SipMessage:
        """The BYE of the other side."""
        await self._until(lambda: self.ended_by_peer is not None, within, "BYE")
        assert self.ended_by_peer is not None
        return self.ended_by_peer

    async def _until(self, reached: Callable[[], bool], within: float, what: str) -> None:
        try:
            async with asyncio.timeout(within):
                while not reached():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no {what} within {within} s, only {self.statuses}") from None

    def cancel(self) -> None:
        """CANCEL the INVITE (same branch, RFC 3261 section 9.1)."""
        self.sip.send(self._request(b"CANCEL", self.request_uri, self.to_header, self.branch, 1))

    async def bye(self, within: float = 5.0) -> SipMessage:
        """Hang up an answered call and return the answer to the BYE."""
        self.hang_up()
        await self._until(lambda: self.farewell is not None, within, "answer to BYE")
        assert self.farewell is not None
        return self.farewell

    def hang_up(self) -> None:
        """Send CANCEL or BYE, whichever fits; nothing when the call was refused."""
        if self.final is None:
            self.cancel()
        elif self.final.status < 300:
            branch = self.sip.new_branch()
            self.sip.send(self._request(b"BYE", self._target(), self._answered_to(), branch, 2))

    def _target(self) -> bytes:
        found = re.search(rb"<([^>]+)>", self.final.header(b"Contact")) if self.final else None
        return found[1] if found else self.request_uri

    def _answered_to(self) -> bytes:
        return (self.final.header(b"To") if self.final else b"") or self.to_header

    def _request(self, method: bytes, uri: bytes, to: bytes, branch: bytes, number: int) -> bytes:
        return b"\r\n".join(
            (
                method + b" " + uri + b" SIP/2.0",
                self.sip.via(branch),
                b"Max-Forwards: 70",
                b"From: " + self.from_header,
                b"To: " + to,
                b"Call-ID: " + self.call_id,
                b"CSeq: %d %s" % (number, method),
                b"Content-Length: 0",
                b"",
                b"",
            )
        )

    def received(self, message: SipMessage) -> None:
        """A response to the INVITE, or a request within the call."""
        if message.status and message.method == b"INVITE":
            self.responses.append(message)
            if 200 <= message.status < 300:
                self.sip.send(
                    self._request(b"ACK", self._target(), self._answered_to(), self.sip.new_branch(), 1)
                )
            elif message.status >= 300:
                self.sip.send(self._request(b"ACK", self.request_uri, message.header(b"To"), self.branch, 1))
        elif message.method == b"BYE" and message.status:
            self.farewell = message
        elif message.method == b"BYE":
            self.ended_by_peer = message
        self.changed.set()


class RawSip:
    """A UDP socket that speaks SIP, at ``local`` (port 0: any), to ``remote``."""

    def __init__(self, local: Address, remote: Address) -> None:
        self.local, self.remote = local, remote
        self.calls: dict[bytes, RawCall] = {}
        self.received: list[SipMessage] = []
        self._names = itertools.count(1)
        self._mark = os.urandom(4).hex().encode()
        self._transports: list[asyncio.DatagramTransport] = []
        self._resends: set[asyncio.Task[None]] = set()
        self._rtp_port = 0

    async def __aenter__(self) -> Self:
        self.local = await self._open(self._heard, self.local)
        _, self._rtp_port = await self._open(self._rtp, (self.local[0], 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self.calls.values():
            if call.ended_by_peer is None and call.farewell is None:
                call.hang_up()
        for resend in self._resends:
            resend.cancel()
        await asyncio.sleep(0.05)  # the answers to the last BYE and CANCEL
        for transport in self._transports:
            transport.close()

    async def _open(self, heard: Callable[[bytes, Address], None], at: Address) -> Address:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(heard), local_addr=at)
        self._transports.append(transport)
        name = transport.get_extra_info("sockname")
        return str(name[0]), int(name[1])

    def new_branch(self) -> bytes:
        """A branch that no other transaction has (RFC 3261 section 8.1.1.7)."""
        return b"z9hG4bK%s-%d" % (self._mark, next(self._names))

    def via(self, branch: bytes) -> bytes:
        """The Via header of a request of ours."""
        return b"Via: SIP/2.0/UDP %s:%d;rport;branch=%s" % (self.local[0].encode(), self.local[1], branch)

    def send(self, packet: bytes) -> None:
        """Send bytes as they are."""
        self._transports[0].sendto(packet, self.remote)

    def sdp(self) -> bytes:
        """The least offer: one A-law stream and RFC 4733 keys, at the socket that swallows sound."""
        host = self.local[0].encode()
        return (
            b"v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 8 101\r\n"
            b"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n"
        ) % (host, host, self._rtp_port)

    async def invite(
        self,
        request_uri: bytes,
        from_uri: bytes = b"sip:79160000000@127.0.0.2",
        display: bytes = b"",
        *,
        from_header: bytes | None = None,
        to_header: bytes | None = None,
        headers: tuple[bytes, ...] = (),
        body: bytes | None = None,
    ) -> RawCall:
        """Send an INVITE of these very bytes; nothing is quoted or checked.

        Args:
            request_uri: whole, such as ``b"sip:7495%0d%0a@127.0.0.1:5060"``; To is the same by default.
            from_uri, display: make the From header, ``display <from_uri>``, unless ``from_header`` is given
                whole (with its tag).
            headers: further header lines without line ends.
            body: instead of the least SDP offer; empty for none.
        """
        branch, call_id = self.new_branch(), b"%s-%d@raw" % (self._mark, next(self._names))
        sender = from_header or b"%s <%s>;tag=%s%d" % (display, from_uri, self._mark, next(self._names))
        to = to_header or b"<%s>" % request_uri
        offer = self.sdp() if body is None else body
        lines = [
            b"INVITE " + request_uri + b" SIP/2.0",
            self.via(branch),
            b"Max-Forwards: 70",
            b"From: " + sender.lstrip(),
            b"To: " + to,
            b"Call-ID: " + call_id,
            b"CSeq: 1 INVITE",
            b"Contact: <sip:raw@%s:%d>" % (self.local[0].encode(), self.local[1]),
            *headers,
            *((b"Content-Type: application/sdp",) if offer else ()),
            b"Content-Length: %d" % len(offer),
        ]
        packet = b"\r\n".join(lines) + b"\r\n\r\n" + offer
        call = RawCall(self, call_id, request_uri, sender.lstrip(), to, branch, packet)
        self.calls[call_id] = call
        self.send(packet)
        resend = asyncio.ensure_future(self._resend(call))
        self._resends.add(resend)
        resend.add_done_callback(self._resends.discard)
        return call

    async def _resend(self, call: RawCall) -> None:
        """Timer A: again after 0.5, 1 and 2 s as long as nothing at all came back."""
        for wait in (_T1_SECONDS, 2 * _T1_SECONDS, 4 * _T1_SECONDS):
            await asyncio.sleep(wait)
            if call.responses:
                return
            self.send(call.invite)

    def _heard(self, packet: bytes, _sender: Address) -> None:
        message = SipMessage(packet, datetime.now(UTC), time.monotonic())
        self.received.append(message)
        call = self.calls.get(message.header(b"Call-ID"))
        if not message.status and message.method != b"ACK":
            self.send(self._ok(message))
        if call is not None:
            call.received(message)

    def _rtp(self, _packet: bytes, _sender: Address) -> None:
        for call in self.calls.values():
            call.rtp_packets += 1

    @staticmethod
    def _ok(request: SipMessage) -> bytes:
        lines = [b"SIP/2.0 200 OK"]
        for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
            lines += [name + b": " + value for value in request.headers(name)]
        return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])
