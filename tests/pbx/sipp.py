"""Load from SIPp: writes a scenario, runs it apart from the terminal, reads its statistics."""

from __future__ import annotations

import asyncio
import csv
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SippResult:
    """What one run of SIPp reports at its end.

    ``peak_calls`` is the largest number of calls at once seen in a second's sample; ``exit_code`` 0 means
    that every call went as the scenario says, 1 that at least one failed.
    """

    exit_code: int
    created: int
    successful: int
    failed: int
    retransmissions: int
    peak_calls: int
    seconds: float
    errors: str

    @property
    def clean(self) -> bool:
        """Whether every call that was started went as the scenario says."""
        return self.exit_code == 0 and self.failed == 0 and self.successful == self.created


def calling_scenario(talk_ms: int = 1000, *, user: str = "79160000000", ringing_ms: int = 30000) -> str:
    """A caller: INVITE, any 1xx, 200 within ``ringing_ms``, ACK, talk, BYE.

    ``[field…]`` of an injection file and SIPp's key words may be used in ``user``.
    """
    head = (
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        f"From: <sip:{user}@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]\n"
    )
    tail = "Call-ID: [call_id]\nMax-Forwards: 70\n"
    contact = f"Contact: <sip:{user}@[local_ip]:[local_port]>\n"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
{head}To: <sip:[service]@[remote_ip]:[remote_port]>
{tail}CSeq: 1 INVITE
{contact}Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true" rtd="true" timeout="{ringing_ms}"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
{head}To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
{tail}CSeq: 1 ACK
Content-Length: 0

]]></send>
  <pause milliseconds="{talk_ms}"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
{head}To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
{tail}CSeq: 2 BYE
{contact}Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


def answering_scenario(ring_ms: int = 0) -> str:
    """A phone that answers every call after ``ring_ms`` and waits for the BYE."""
    copies = "[last_Via:]\n[last_From:]\n[last_To:]{tag}\n[last_Call-ID:]\n[last_CSeq:]\n"
    tagged = copies.format(tag=";tag=[pid]SIPpTag[call_number]")
    contact = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="phone">
  <recv request="INVITE"/>
  <send><![CDATA[
SIP/2.0 180 Ringing
{tagged}{contact}Content-Length: 0

]]></send>
  <pause milliseconds="{ring_ms}"/>
  <send retrans="500"><![CDATA[
SIP/2.0 200 OK
{tagged}{contact}Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
  <recv request="ACK"/>
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
{copies.format(tag="")}{contact}Content-Length: 0

]]></send>
</scenario>
"""


class Sipp:
    """One SIPp process; give each its own ``media_port`` (SIPp takes the two ports from there on)."""

    def __init__(
        self,
        folder: Path,
        scenario: str,
        remote: str,
        *,
        local_ip: str,
        local_port: int,
        media_port: int,
        service: str = "s",
        fields: Sequence[Sequence[str]] = (),
        echo: bool = False,
    ) -> None:
        """``fields``: the rows of the injection file, taken in turn: ``[field0]`` and so on.

        ``echo``: send back what is heard; SIPp is silent otherwise.
        """
        self._fields, self._echo = fields, echo
        self._folder, self._scenario, self._remote, self._service = folder, scenario, remote, service
        self._local_ip, self.local_port, self._media_port = local_ip, local_port, media_port
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0

    async def start(self, *, calls: int, per_second: float = 1.0, at_once: int | None = None) -> None:
        """Start; ``calls`` in all, ``per_second`` new ones, ``at_once`` at most (no limit by default).

        Raises:
            FileNotFoundError: SIPp is not installed (Debian: sip-tester).
        """
        program = shutil.which("sipp")
        if program is None:
            raise FileNotFoundError("SIPp is not installed; install the package sip-tester.")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "scenario.xml").write_text(self._scenario)
        if self._fields:
            rows = ["SEQUENTIAL", *(";".join(row) for row in self._fields)]
            (self._folder / "fields.csv").write_text("\n".join(rows) + "\n")
        command = [
            *(program, self._remote, "-sf", "scenario.xml", "-s", self._service, "-nostdin"),
            *("-i", self._local_ip, "-p", str(self.local_port), "-mi", self._local_ip),
            *("-mp", str(self._media_port), "-m", str(calls), "-l", str(at_once or calls)),
            # A rate of 0.5 is one call in two seconds.
            *("-r", str(max(1, round(per_second * 10))), "-rp", "10000"),
            *(("-inf", "fields.csv") if self._fields else ()),
            *(("-rtp_echo",) if self._echo else ()),
            *("-trace_stat", "-stf", "statistics.csv", "-fd", "1", "-trace_err", "-error_file", "errors.log"),
        ]
        self._started = asyncio.get_running_loop().time()
        with (self._folder / "screen.log").open("wb") as screen:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=screen,
                stderr=asyncio.subprocess.STDOUT,
            )

    async def result(self, within: float = 120.0) -> SippResult:
        """Wait for the end and read the statistics.

        Raises:
            TimeoutError: still running after ``within`` seconds; it is ended.
        """
        assert self._process is not None, "start first"
        try:
            code = await asyncio.wait_for(self._process.wait(), within)
        except TimeoutError:
            await self.stop()
            raise
        return self._read(code, asyncio.get_running_loop().time() - self._started)

    async def stop(self) -> None:
        """End the process if it still runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 3.0)
            except TimeoutError:  # it may wait for the end of its calls
                self._process.kill()
                await self._process.wait()

    def _read(self, code: int, seconds: float) -> SippResult:
        rows: list[dict[str, str]] = []
        statistics = self._folder / "statistics.csv"
        if statistics.is_file():
            with statistics.open(newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        last = rows[-1] if rows else {}

        def total(name: str) -> int:
            return int(last.get(name) or 0)

        errors = self._folder / "errors.log"
        text = errors.read_text(errors="replace") if errors.is_file() else ""
        if not rows:  # SIPp refused to start: what it said is on its screen
            text += re.sub(
                r"\x1b\[[0-9;]*[A-Za-z]", "", (self._folder / "screen.log").read_text(errors="replace")
            )
        return SippResult(
            exit_code=code,
            created=total("TotalCallCreated"),
            successful=total("SuccessfulCall(C)"),
            failed=total("FailedCall(C)"),
            retransmissions=total("Retransmissions(C)"),
            peak_calls=max((int(row.get("CurrentCall") or 0) for row in rows), default=0),
            seconds=seconds,
            errors=text,
        )
