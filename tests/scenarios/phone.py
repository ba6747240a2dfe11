"""A telephone that does exactly what a script says: answers, refuses, deflects, holds, transfers, presses keys.

SIP over UDP with no parser that could hide anything, no sound, no registration: the PBX knows it by its
address. baresip is the phone for what is heard; this one is for what baresip cannot do: 302, REFER with
Replaces, any refusal, two calls at once, all of it to the millisecond.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from datetime import UTC, datetime
from typing import Literal, Self

from tests.pbx.rawsip import Address, SipMessage

State = Literal["calling", "ringing", "up", "over"]
WAIT_SECONDS = 8.0


class Line:
    """One call at one phone (an INVITE dialog, RFC 3261 section 12)."""

    def __init__(
        self, phone: ScriptedPhone, call_id: bytes, local: bytes, remote: bytes, target: bytes
    ) -> None:
        self.phone = phone
        self.call_id = call_id
        self.local, self.remote, self.target = local, remote, target
        self.state: State = "calling"
        self.invite: SipMessage | None = None  # of an incoming call
        self.statuses: list[int] = []
        self.changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._branch = b""
        self._invite_number = 0

    # What a person does --------------------------------------------------------------------

    async def answer(self) -> Line:
        """Pick up."""
        self._respond(200, "OK", self.phone.sdp())
        self._become("up")
        return self

    def ring(self) -> None:
        """180: let it ring."""
        self._respond(180, "Ringing")
        self._become("ringing")

    def refuse(self, status: int = 486, reason: str = "Busy Here") -> None:
        """Decline."""
        self._respond(status, reason)
        self._become("over")

    def deflect(self, user: str) -> None:
        """302: call him instead."""
        self._respond(302, "Moved Temporarily", contact=b"<sip:%s@%s>" % (user.encode(), self.phone.pbx_host))
        self._become("over")

    async def hang_up(self) -> None:
        """End it, whatever its state: BYE, CANCEL or a refusal."""
        if self.state == "up":
            await self.request("BYE")
            self._become("over")
        elif self.state != "over" and self.invite is None:
            self.phone.send(self._text("CANCEL", self._invite_number, self._branch))
            await self.until("over")
        elif self.state != "over":
            self.refuse()

    async def hold(self, *, on: bool = True) -> None:
        """A re-INVITE that only sends, or both again (RFC 3264 section 8.4)."""
        await self._reinvite(self.phone.sdp("sendonly" if on else "sendrecv"))

    async def keys(self, keys: str, pause: float = 0.15) -> None:
        """Press keys (SIP INFO)."""
        for key in keys:
            body = b"Signal=%s\r\nDuration=100\r\n" % key.encode()
            await self.request("INFO", (b"Content-Type: application/dtmf-relay",), body)
            await asyncio.sleep(pause)

    async def send_to(self, user: str) -> None:
        """Blind transfer (REFER, RFC 3515)."""
        await self._refer(b"<sip:%s@%s>" % (user.encode(), self.phone.pbx_host))

    async def join_with(self, other: Line) -> None:
        """Attended transfer: my party shall talk to that of ``other`` (REFER with Replaces, RFC 3891)."""
        tags = [re.search(rb"tag=([^;>\s]+)", header) for header in (other.remote, other.local)]
        theirs, mine = (found[1] if found else b"" for found in tags)
        replaces = b"%s%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s" % (
            other.call_id.replace(b"@", b"%40"),
            theirs,
            mine,
        )
        address = re.search(rb"<([^>]+)>", other.remote)
        await self._refer(b"<%s?Replaces=%s>" % (address[1] if address else other.target, replaces))

    async def until(self, *states: State, within: float = WAIT_SECONDS) -> Line:
        """Wait for one of ``states``.

        Raises:
            TimeoutError: with the state that it is in instead.
        """
        try:
            async with asyncio.timeout(within):
                while self.state not in states:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"{self.phone.user}: {self.state} and not {states} in {within} s, {self.statuses}"
            ) from None
        return self

    # Signalling ----------------------------------------------------------------------------

    def start(self, user: str) -> None:
        """Send the INVITE of an outgoing call."""
        self._branch = self.phone.new_branch()
        self._invite_number = next(self._numbers)
        self.phone.send(self._text("INVITE", self._invite_number, self._branch, (), self.phone.sdp()))

    async def _reinvite(self, offer: bytes) -> None:
        self._branch, self._invite_number = self.phone.new_branch(), next(self._numbers)
        self.statuses.clear()
        self.phone.send(self._text("INVITE", self._invite_number, self._branch, (), offer))
        async with asyncio.timeout(WAIT_SECONDS):
            while not any(status >= 200 for status in self.statuses):
                self.changed.clear()
                await self.changed.wait()

    async def _refer(self, target: bytes) -> None:
        referred = (
            b"Refer-To: " + target,
            b"Referred-By: <sip:%s@%s>" % (self.phone.user.encode(), self.phone.host),
        )
        await self.request("REFER", referred)

    async def request(self, method: str, headers: tuple[bytes, ...] = (), body: bytes = b"") -> int:
        """Send a request within the call and return the answer's status."""
        return await self.phone.transact(
            self._text(method, next(self._numbers), self.phone.new_branch(), headers, body)
        )

    def _text(
        self, method: str, number: int, branch: bytes, headers: tuple[bytes, ...] = (), body: bytes = b""
    ) -> bytes:
        lines = [
            b"%s %s SIP/2.0" % (method.encode(), self.target),
            b"Via: SIP/2.0/UDP %s:%d;rport;branch=%s" % (self.phone.host, self.phone.port, branch),
            b"Max-Forwards: 70",
            b"From: " + self.local,
            b"To: " + self.remote,
            b"Call-ID: " + self.call_id,
            b"CSeq: %d %s" % (number, method.encode()),
            b"Contact: " + self.phone.contact(),
            *headers,
        ]
        if body.startswith(b"v=0"):
            lines.append(b"Content-Type: application/sdp")
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])

    def _respond(self, status: int, reason: str, body: bytes = b"", contact: bytes = b"") -> None:
        assert self.invite is not None, "only an incoming call can be answered"
        self.phone.reply(self.invite, status, reason, to=self.local, body=body, contact=contact)

    def _become(self, state: State) -> None:
        self.state = state
        self.changed.set()

    def responded(self, message: SipMessage) -> None:
        """A response to an INVITE of ours: ACK what is final."""
        if int(message.header(b"CSeq").split()[0]) != self._invite_number:
            return
        self.statuses.append(message.status)
        if message.status >= 200:
            self._settle(message)
        elif message.status == 180:
            self.remote = message.header(b"To")  # the tag of the early dialog, for Replaces
            self._become("ringing" if self.state == "calling" else self.state)
        self.changed.set()

    def _settle(self, message: SipMessage) -> None:
        accepted = message.status < 300
        if accepted:
            self.remote = message.header(b"To")
            contact = re.search(rb"<([^>]+)>", message.header(b"Contact"))
            self.target = contact[1] if contact else self.target
        branch = self.phone.new_branch() if accepted else self._branch
        remote, self.remote = self.remote, message.header(b"To")
        self.phone.send(self._text("ACK", self._invite_number, branch))
        self.remote = remote
        if self.state != "up":
            self._become("up" if accepted else "over")

    def asked(self, message: SipMessage) -> None:
        """A request of the PBX within this call."""
        if message.method == b"INVITE":
            self.phone.reply(message, 200, "OK", to=self.local, body=self.phone.sdp())
            return
        self.phone.reply(message, 200, "OK", to=self.local)
        if message.method == b"BYE":
            self._become("over")
        elif message.method == b"CANCEL" and self.state in ("calling", "ringing"):
            self._respond(487, "Request Terminated")
            self._become("over")


class ScriptedPhone:
    """A telephone at ``local``, a user of the PBX at ``pbx``. New calls wait in ``rung`` order for the script."""

    def __init__(self, user: str, local: Address, pbx: Address) -> None:
        self.user = user
        self.local, self.pbx = local, pbx
        self.host, self.port, self.pbx_host = (
            local[0].encode(),
            local[1],
            b"%s:%d" % (pbx[0].encode(), pbx[1]),
        )
        self.lines: dict[bytes, Line] = {}
        self._fresh: asyncio.Queue[Line] = asyncio.Queue()
        self._names = itertools.count(1)
        self._mark = os.urandom(4).hex().encode()
        self._transport: asyncio.DatagramTransport | None = None
        self._awaited: dict[tuple[bytes, bytes], asyncio.Future[int]] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        heard = self._heard

        class Ear(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Address) -> None:
                heard(SipMessage(data, datetime.now(UTC), time.monotonic()))

        self._transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=self.local)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()

    async def dial(self, user: str, *, until: tuple[State, ...] = ()) -> Line:
        """Call ``user`` at the PBX; wait for one of the states ``until`` when given."""
        number = next(self._names)
        line = Line(
            self,
            b"%s-%d@%s" % (self._mark, number, self.host),
            b"<sip:%s@%s>;tag=%s%d" % (self.user.encode(), self.host, self._mark, number),
            b"<sip:%s@%s>" % (user.encode(), self.pbx_host),
            b"sip:%s@%s" % (user.encode(), self.pbx_host),
        )
        self.lines[line.call_id] = line
        line.start(user)
        return await line.until(*until) if until else line

    async def rung(self, within: float = WAIT_SECONDS) -> Line:
        """The next call that comes in: it rings (180).

        Raises:
            TimeoutError: none came.
        """
        line = await self.offered(within)
        line.ring()
        return line

    async def offered(self, within: float = WAIT_SECONDS) -> Line:
        """The next call that comes in, not even rung yet.

        Raises:
            TimeoutError: none came.
        """
        try:
            return await asyncio.wait_for(self._fresh.get(), within)
        except TimeoutError:
            raise TimeoutError(f"no call came to {self.user} in {within} s") from None

    async def picks_up(self, after: float = 0.25) -> Line:
        """The next call rings for ``after`` seconds and is answered."""
        line = await self.rung()
        await asyncio.sleep(after)
        return await line.answer()

    async def clear(self) -> None:
        """End whatever is left of a scene."""
        for line in list(self.lines.values()):
            if line.state != "over":
                await line.hang_up()
        self.lines.clear()
        while not self._fresh.empty():
            self._fresh.get_nowait()

    # Signalling ----------------------------------------------------------------------------

    def contact(self) -> bytes:
        """Where requests for this phone go."""
        return b"<sip:%s@%s:%d>" % (self.user.encode(), self.host, self.port)

    def new_branch(self) -> bytes:
        """RFC 3261 section 8.1.1.7."""
        return b"z9hG4bK%s%d" % (self._mark, next(self._names))

    def sdp(self, direction: str = "sendrecv") -> bytes:
        """One A-law stream to a port where nobody listens."""
        return (
            b"v=0\r\no=- %d %d IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 8\r\n"
            b"a=rtpmap:8 PCMA/8000\r\na=%s\r\n"
        ) % (next(self._names), 1, self.host, self.host, self.port + 20000, direction.encode())

    def send(self, packet: bytes) -> None:
        """Send bytes to the PBX."""
        assert self._transport is not None
        self._transport.sendto(packet, self.pbx)

    async def transact(self, packet: bytes) -> int:
        """Send a request and return its final answer's status; again after half a second without one."""
        message = SipMessage(packet, datetime.now(UTC), 0.0)
        key = (message.header(b"Call-ID"), message.header(b"CSeq"))
        self._awaited[key] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(6):
                self.send(packet)
                done, _ = await asyncio.wait([self._awaited[key]], timeout=0.5)
                if done:
                    return self._awaited[key].result()
        finally:
            self._awaited.pop(key)
        raise TimeoutError(f"{self.user}: no answer to {key[1].decode()}")

    def reply(
        self,
        request: SipMessage,
        status: int,
        reason: str,
        *,
        to: bytes = b"",
        body: bytes = b"",
        contact: bytes = b"",
    ) -> None:
        """Answer a request."""
        lines = [b"SIP/2.0 %d %s" % (status, reason.encode())]
        for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
            tagged = [to] if name == b"To" and to else request.headers(name)
            lines += [name + b": " + value for value in tagged]
        lines.append(b"Contact: " + (contact or self.contact()))
        if body:
            lines.append(b"Content-Type: application/sdp")
        self.send(b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body]))

    def _heard(self, message: SipMessage) -> None:
        line = self.lines.get(message.header(b"Call-ID"))
        if message.status:
            awaited = self._awaited.get((message.header(b"Call-ID"), message.header(b"CSeq")))
            if awaited is not None and message.status >= 200 and not awaited.done():
                awaited.set_result(message.status)
            elif line is not None and message.method == b"INVITE":
                line.responded(message)
        elif (
            line is not None
            and line.invite is not None
            and line.invite.header(b"CSeq") == message.header(b"CSeq")
        ):
            if message.method == b"CANCEL":
                line.asked(message)
            elif line.state == "ringing":
                line.ring()  # the INVITE was sent again
        elif line is not None and message.method != b"ACK":
            line.asked(message)
        elif message.method == b"INVITE":
            self._offer(message)
        elif message.method not in (b"ACK", b"INVITE"):
            self.reply(message, 200, "OK")

    def _offer(self, invite: SipMessage) -> None:
        tag = b"%s%d" % (self._mark, next(self._names))
        contact = re.search(rb"<([^>]+)>", invite.header(b"Contact"))
        line = Line(
            self,
            invite.header(b"Call-ID"),
            invite.header(b"To") + b";tag=" + tag,
            invite.header(b"From"),
            contact[1] if contact else b"",
        )
        line.invite = invite
        self.lines[line.call_id] = line
        self._fresh.put_nowait(line)
