"""Hostile callers through real SIP, while other people talk: nothing they write becomes an event or an answer.

What PJSIP itself makes of it (Asterisk 22): a From or Request-URI with raw control characters or an unpaired
quote is no SIP and gets no call; escaped ones (%0d%0a) are decoded and reach AMI and AGI raw.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import pytest
import pytest_asyncio

from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.adapters.store import SqlStore
from ami_bridge.auditing import audit
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.render import cel_file
from tests.faults.listening import listen, talk
from tests.faults.plant import Plant
from tests.pbx.calls import eventually, now, record_of
from tests.pbx.rawsip import RawCall, RawSip

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

# A number that only injected lines name.
FORGED = "79990000000"
DID = b"74950000010"


@dataclass(frozen=True, slots=True)
class Hostile:
    """What a stranger writes where; ``served``: it becomes a call at all."""

    name: str
    user: bytes = b"79161112233"
    display: bytes = b""
    dialled: bytes = DID
    headers: tuple[bytes, ...] = ()
    served: bool = True


def escaped(text: str) -> bytes:
    """As the user part of a SIP URI (RFC 3261 section 25.1), every byte that may be in doubt as %xx."""
    return quote(text, safe="").encode()


def hostile_calls(live: str) -> list[Hostile]:
    """Every stranger; ``live`` is the uniqueid of a call that they want to end."""
    hangup = escaped(f"1\r\n\r\nEvent: Hangup\r\nUniqueid: {live}")
    whole = escaped(
        "1\r\n\r\nEvent: Hangup\r\nPrivilege: call,all\r\nTimestamp: 1.1\r\nSystemName: fr1\r\n"
        f"Uniqueid: {live}"
    )
    line = escaped(f"7\r\nUniqueid: {live}")
    number = escaped(f"7\r\nCallerIDNum: {FORGED}")
    logged = escaped(
        f'7\r\n"ANSWER","1795411743.397711","{live}","{live}","PJSIP/carrier-{FORGED}","",""\r\n'
    )
    answer = escaped(f"7\n200 result=1\nagi_arg_3: 1\nagi_callerid: {FORGED}")
    shell = escaped("${SHELL(touch pwned)}")
    dial = b"500&PJSIP/carrier/" + escaped(f"sip:{FORGED}")
    return [
        Hostile("event in From", hangup),
        Hostile("whole event in From", whole),
        Hostile("event in Request-URI", dialled=hangup),
        Hostile("whole event in Request-URI", dialled=whole),
        Hostile("line in From", line),
        Hostile("line in Request-URI", dialled=line),
        Hostile("number in From", number),
        Hostile("number in Request-URI", dialled=number),
        Hostile("number in display", display=b'"x\\\r\nCallerIDNum: ' + FORGED.encode() + b'"', served=False),
        Hostile("line of the channel event log in From", logged),
        Hostile("line of the channel event log in Request-URI", dialled=logged),
        Hostile("AGI answer in From", answer),
        Hostile("AGI answer in Request-URI", dialled=answer),
        Hostile("NUL in From", b"7%00" + FORGED.encode()),
        Hostile("NUL in Request-URI", dialled=b"7%00" + FORGED.encode()),
        Hostile("quotes", b"7%22%3b%22", b'"a\\"b\\\\\\"; x"'),
        Hostile("emoji", "7☎😀".encode(), '"😀 ☎"'.encode(), served=False),
        Hostile("escaped emoji", b"7%f0%9f%98%80", '"😀 ☎"'.encode()),
        Hostile("right to left", b"7%e2%80%ae" + FORGED[::-1].encode(), '"\u202eabc\u2066"'.encode()),
        Hostile("shell in From", shell, b'"${SHELL(touch pwned)}"'),
        Hostile("shell in Request-URI", dialled=shell),
        Hostile("dial string", dial, dialled=dial),
        Hostile("10 kB in From", b"7" * 10_000),
        Hostile("10 kB in display", display=b'"' + b"x" * 10_000 + b'"'),
        Hostile("10 kB in Request-URI", dialled=b"7" * 10_000),
        Hostile(
            "other headers",
            headers=(
                b"P-Asserted-Identity: <sip:" + number + b"@127.0.0.2>",
                b"Remote-Party-ID: <sip:" + number + b"@127.0.0.2>;party=calling;screen=yes",
                b"Diversion: <sip:" + answer + b"@127.0.0.2>;reason=unconditional",
                b"X-Fact: callback%0d%0aEvent: Hangup",
            ),
        ),
    ]


@pytest_asyncio.fixture(loop_scope="session")
async def strangers(phones: Plant) -> AsyncIterator[list[RawSip]]:
    """Sockets on the trunk's address, each closed in the end."""
    opened: list[RawSip] = []
    yield opened
    await asyncio.gather(*(stranger.__aexit__() for stranger in opened))


async def place(plant: Plant, stranger: Hostile, opened: list[RawSip]) -> RawCall | None:
    """Call as ``stranger``; returns the call once it is answered and sounds, None when it became none."""
    network = plant.settings.network
    sip = RawSip(("127.0.0.2", 0), (str(network.address), network.sip_port))
    await sip.__aenter__()
    opened.append(sip)
    here = b"@%s:%d" % (str(network.address).encode(), network.sip_port)
    call = await sip.invite(
        b"sip:" + stranger.dialled + here,
        b"sip:" + stranger.user + b"@127.0.0.2",
        stranger.display,
        headers=stranger.headers,
    )
    try:
        final = await call.wait_for(within=2.5)
    except TimeoutError:
        return None
    return call if final.status == 200 else None


def uniqueids(plant: Plant) -> dict[str, str]:
    """Channel → uniqueid of what lives now, by Asterisk's own command line."""
    listed = plant.pbx.cli("core show channels concise").splitlines()
    return {line.split("!")[0]: line.split("!")[-1] for line in listed if "!" in line}


async def test_strangers(
    phones: Plant, store: SqlStore, expected: ExpectedPrompts, strangers: list[RawSip]
) -> None:
    """Two people talk; 26 strangers call; the two go on talking, and their record is theirs alone."""
    since = now()
    agent, customer = await phones.agent("101"), await phones.customer()
    await phones.agent("102")
    caller = await phones.caller("79165551001")
    await caller.dial("74950000005")
    await agent.wait_for(PhoneState.INCOMING, 5)
    await agent.answer()
    answered = (await caller.wait_for(PhoneState.ESTABLISHED, 5)).monotonic
    heard = await listen(caller, expected.greeting("direct", "quick", "101"), since=answered)
    mine = next(
        uniqueid
        for channel, uniqueid in (await asyncio.to_thread(uniqueids, phones)).items()
        if channel.startswith("PJSIP/carrier-")
    )
    hostile = hostile_calls(mine)
    spool = phones.settings.state_folder / "spool"
    calls = []
    for stranger in hostile:  # one after another, so that what is wrong has a name
        call = await place(phones, stranger, strangers)
        calls.append(call)
        assert (call is not None) == stranger.served, f"{stranger.name}: {strangers[-1].received[-1:]}"
    await asyncio.sleep(3.0)
    for stranger, sip, call in zip(hostile, strangers, calls, strict=True):
        if call is not None:
            assert call.rtp_packets > 100, f"{stranger.name}: no greeting ({call.rtp_packets} packets)"
            assert call.ended_by_peer is None, f"{stranger.name} was hung up"
        assert sip.calls
    # The two still hear each other, whoever was said to have hung up.
    await talk(phones, caller, agent, since=time.monotonic())
    ended = now()
    for call in calls:
        if call is not None:
            call.hang_up()
    await caller.hangup()
    record = await record_of(store, "79165551001", since)
    assert record["hung_up_by"] == "caller"
    assert record["answered_by"]["extension"] == "101"
    assert record["talk_seconds"] >= (time.monotonic() - heard.ends) - 5.0
    believed = [
        entry
        for entry in phones.journal(since)
        if entry.name == "Hangup" and entry.headers.get("Uniqueid") == mine
    ]
    assert len(believed) == 1
    assert believed[0].at >= ended, "a forged Hangup was believed"
    await numbers_are_clean(store, since, len([call for call in calls if call is not None]) + 1)
    await the_log_is_clean(phones, store, since)
    assert customer.calls == 0, "a dial string was obeyed"
    assert not list(spool.iterdir())
    assert not list(phones.settings.state_folder.rglob("pwned")), "a command was carried out"
    assert "FR_STEP_OK" not in phones.log_of("agi")


async def the_log_is_clean(plant: Plant, store: SqlStore, since: datetime) -> None:
    """Asterisk's own log holds whole lines only, none with their words, and tells the same as our records."""
    log, journal = ChannelEventLog(cel_file(plant.settings)), plant.settings.state_folder / "journal"
    assert FORGED not in log.file.read_text(errors="replace")
    report = await audit(store, log, journal, plant.settings.node.name, since=since, until=now())
    assert report.unreadable == 0
    assert report.unexplained == ()
    assert report.calls > 20


async def numbers_are_clean(store: SqlStore, since: datetime, expected_calls: int) -> None:
    """Every served call has one finished record; none has a number that an injected line named."""

    async def all_ended() -> list[str] | None:
        stored = [call for call in await store.calls(limit=1000) if call.started_at >= since]
        ended = [str(call.record["caller"]["number"]) for call in stored if call.ended_at is not None]
        return ended if len(ended) == len(stored) == expected_calls else None

    numbers = await eventually(all_ended, f"{expected_calls} finished records", 20)
    for number in numbers:
        assert re.fullmatch(r"\+?[0-9]*", number), f"{number!r} is no number"
        assert FORGED not in number
