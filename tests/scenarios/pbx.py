"""A private Asterisk whose dialplan holds nothing but the ways in which calls are joined and moved.

Everything else (modules, AMI account, codecs) is the product's own rendered configuration, so the events are
those that the product sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ami_bridge import secrets
from ami_bridge.core.events import READ_EVENTS, parse
from ami_bridge.core.facts import CallEnded
from ami_bridge.core.records import CallRecord
from ami_bridge.core.tracker import CallTracker
from ami_bridge.pbx.private_pbx import PrivatePbx
from ami_bridge.render import render_asterisk
from ami_bridge.settings import Settings
from tests.scenarios.phone import ScriptedPhone

AGENTS = ("101", "102", "103", "104", "105")
CALLERS = ("79160000001", "79160000002")
QUIET_SECONDS = 10.0

_EXTENSIONS = """\
[general]
static = yes
autofallthrough = yes
[globals]

; From outside. The name of the extension is the scene.
[from-carrier]
exten => plain,1,Dial(PJSIP/101,20)
exten => short,1,Dial(PJSIP/101,1)
exten => keys,1,Dial(PJSIP/101,20,tk)
exten => group,1,Dial(PJSIP/101&PJSIP/102&PJSIP/103,20)
exten => local,1,Dial(Local/101@phones,20)
exten => localn,1,Dial(Local/101@phones/n,20)
exten => early,1,Progress()
 same => n,Wait(0.5)
 same => n,Dial(PJSIP/101,20)
exten => deputy,1,Dial(PJSIP/101,20)
 same => n,Dial(PJSIP/102,20)
exten => full,1,Congestion(1)
exten => engaged,1,Busy(1)
exten => nobody,1,Answer()
 same => n,Wait(0.5)
exten => conference,1,Answer()
 same => n,ConfBridge(room)
exten => message,1,Dial(PJSIP/101,1)
 same => n,VoiceMail(101@default,us)
exten => ringall,1,Queue(ringall,,,,30)
exten => rrmemory,1,Queue(rrmemory,,,,30)
exten => leastrecent,1,Queue(leastrecent,,,,30)
exten => members,1,Queue(members,,,,30)
exten => lost,1,Dial(PJSIP/105,20)

[from-agents]
include => phones

[phones]
exten => _10X,1,Dial(PJSIP/${EXTEN},20,tk)
 same => n,Hangup(${HANGUPCAUSE})
exten => 2104,1,Dial(PJSIP/104,1)
 same => n,Hangup(${HANGUPCAUSE})
exten => 800,1,ConfBridge(room)
exten => *8,1,Pickup(101@phones&101@from-carrier&PJSIP/101)
exten => *9,1,Pickup()
exten => _7[1-9],1,ParkedCall(default,${EXTEN})
exten => 70,1,Park(default)

[parked-back]
exten => PJSIP_101,1,Dial(PJSIP/101,20)

[outbound]
exten => s,1,Dial(PJSIP/102,20)
"""

_FEATURES = """\
[general]
transferdigittimeout = 2
featuredigittimeout = 1000
atxfernoanswertimeout = 5
atxferdropcall = no
atxferabort = *1
atxfercomplete = *2
atxferthreeway = *3
pickupexten = *0
[featuremap]
blindxfer = ##
atxfer = *2
parkcall = *7
"""

_PARKING = """\
[general]
[default]
parkext = 700
parkpos = 71-79
context = parkinglot
parkingtime = 2
comebacktoorigin = no
comebackcontext = parked-back
findslot = first
"""

_QUEUES = """\
[general]
persistentmembers = no
"""

_MODULES = """
load = app_voicemail.so
"""


def _endpoint(name: str, address: str, port: int, context: str) -> str:
    return f"""
[{name}]
type = endpoint
transport = transport-udp
context = {context}
disallow = all
allow = alaw
aors = {name}
identify_by = ip
direct_media = no
dtmf_mode = info
allow_transfer = yes
callerid = <{name}>
call_group = 1
pickup_group = 1
[{name}]
type = aor
contact = sip:{name}@{address}:{port}
[{name}]
type = identify
endpoint = {name}
match = {address}
"""


def _queues() -> str:
    return "".join(_queue(name) for name in ("ringall", "rrmemory", "leastrecent"))


def _members() -> str:
    return "[members]\nstrategy = ringall\ntimeout = 5\nringinuse = no\n" + "".join(
        f"member => Local/{agent}@phones/n,0,{agent},PJSIP/{agent}\n" for agent in AGENTS[:3]
    )


def _carrier(address: str, port: int) -> str:
    # As the product's trunk: the caller's number is what he says.
    return _endpoint("carrier", address, port, "from-carrier").replace("callerid = <carrier>\n", "")


def _queue(strategy: str) -> str:
    members = "".join(f"member => PJSIP/{agent}\n" for agent in AGENTS[:3])
    return f"[{strategy}]\nstrategy = {strategy}\ntimeout = 2\nretry = 1\nringinuse = no\n{members}"


class ScenarioPbx:
    """The PBX with its phones, listened to. ``async with ScenarioPbx(settings) as pbx``."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pbx = PrivatePbx.of(settings)
        network = settings.network
        address, port = (str(network.address), network.sip_port)
        self.agents = {
            name: ScriptedPhone(name, (f"127.0.1.{name}", port), (address, port)) for name in AGENTS
        }
        # The second caller comes from the carrier's address too: trunks are told by address, not by port.
        carrier = str(settings.trunks[settings.trunk_out()].address)
        self.callers = [
            ScriptedPhone(number, (carrier, port + 10 * index), (address, port))
            for index, number in enumerate(CALLERS)
        ]
        self._carrier = carrier, port
        self.events: list[dict[str, Any]] = []  # of this scene, those that the tracker reads
        self._all: list[dict[str, Any]] = []
        self.records: list[CallRecord] = []
        self.tracker = CallTracker("scenes")
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._render)
        await asyncio.to_thread(self.pbx.start)
        for phone in self.phones:
            await phone.__aenter__()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
        for phone in self.phones:
            await phone.__aexit__()
        await asyncio.to_thread(self.pbx.stop)

    @property
    def phones(self) -> list[ScriptedPhone]:
        """All of them."""
        return [*self.agents.values(), *self.callers]

    def _render(self) -> None:
        etc = render_asterisk(self.settings, self.pbx.paths)
        port = self.settings.network.sip_port
        sip = (etc / "pjsip.conf").read_text(encoding="utf-8").partition("[fr-media]")[0]
        sip += _carrier(*self._carrier)
        # Scripted phones are silent: all calls of this one are lost after a second.
        sip += "".join(_endpoint(name, f"127.0.1.{name}", port, "from-agents") for name in AGENTS)
        sip = sip.replace("[105]\ntype = endpoint\n", "[105]\ntype = endpoint\nrtp_timeout = 1\n")
        manager = (etc / "manager.conf").read_text(encoding="utf-8")
        files = {
            "pjsip.conf": sip,
            "extensions.conf": _EXTENSIONS,
            "features.conf": _FEATURES,
            "res_parking.conf": _PARKING,
            "queues.conf": _QUEUES + _members() + _queues(),
            "confbridge.conf": "[general]\n[default_user]\ntype=user\nquiet=yes\n[default_bridge]\ntype=bridge\n",
            "voicemail.conf": "[general]\nformat=wav\nmaxsilence=0\n[default]\n101 => 0000,Scene\n",
            "modules.conf": (etc / "modules.conf").read_text(encoding="utf-8") + _MODULES,
            # One account for what the product's two do apart: scenes originate and redirect.
            "manager.conf": manager.replace(
                "write = call,agent,reporting", "write = call,agent,originate,reporting"
            ),
        }
        for name, text in files.items():
            (etc / name).write_text(text, encoding="utf-8")

    # Listening -----------------------------------------------------------------------------

    async def _listen(self) -> None:
        network = self.settings.network
        reader, self._writer = await asyncio.open_connection(str(network.address), network.ami_port)
        await reader.readline()
        self._reading = asyncio.create_task(self._read(reader))
        await self.action(
            Action="Login",
            Username="fourthring-bridge",
            Secret=secrets.read_secret(self.settings, secrets.AMI_BRIDGE),
        )
        await asyncio.sleep(0.3)

    async def action(self, **headers: str) -> None:
        """Send an AMI action."""
        assert self._writer is not None
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(f"{text}\r\n".encode())
        await self._writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        headers: dict[str, str] = {}
        while line := (await reader.readline()).decode(errors="replace"):
            name, colon, value = line.rstrip("\r\n").partition(": ")
            if colon or name.endswith(":"):
                headers.setdefault(name.rstrip(":"), value)
            elif headers:
                self._heard(headers)
                headers = {}

    def _heard(self, headers: Mapping[str, str]) -> None:
        if "Event" in headers:
            self._all.append(dict(headers))
        if headers.get("Event") not in READ_EVENTS or headers["Event"] == "CoreShowChannel":
            return
        self.events.append(dict(headers))
        event = parse(headers)
        if event is not None:
            ended = [fact.record for fact in self.tracker.apply(event) if isinstance(fact, CallEnded)]
            self.records += ended
            if ended:
                self._ended.set()

    def channel_of(self, beginning: str) -> str:
        """The newest channel whose name begins so."""
        names = [headers["Channel"] for headers in self.events if headers["Event"] == "Newchannel"]
        return next(name for name in reversed(names) if name.startswith(beginning))

    async def heard(self, event: str, within: float = QUIET_SECONDS, **headers: str) -> dict[str, Any]:
        """The first event of that name in this scene with these headers.

        Raises:
            TimeoutError: none came.
        """
        async with asyncio.timeout(within):
            while True:
                for known in self._all:
                    if known["Event"] == event and all(
                        known.get(name) == value for name, value in headers.items()
                    ):
                        return known
                await asyncio.sleep(0.02)

    async def quiet(self) -> tuple[list[dict[str, Any]], list[CallRecord]]:
        """Wait until every call of the scene has ended; its events and records.

        Raises:
            TimeoutError: a call goes on.
        """
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                while self.tracker.calls() or not self.records:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            going_on = [record.uniqueids for record in self.tracker.calls()]
            raise TimeoutError(f"calls go on {QUIET_SECONDS} s after the scene: {going_on}") from None
        await asyncio.sleep(0.1)
        return self.events, self.records

    async def forget(self) -> None:
        """Every channel ends; the next scene begins with nothing."""
        await self.action(Action="Hangup", Channel="/.*/")
        await asyncio.sleep(0.2)
        self.events, self.records, self._all = [], [], []
        self.tracker = CallTracker("scenes")


def scenario_settings(folder: Path, first_port: int) -> dict[str, Any]:
    """What differs from the demo's configuration: state folder and ports."""
    return {
        "node": {"name": "scenes", "state_folder": str(folder)},
        "network": {
            "address": "127.0.0.1",
            "sip_port": first_port,
            "ami_port": first_port + 1,
            "agi_port": first_port + 2,
            "desk_port": first_port + 3,
            "rtp_ports": [first_port + 1000, first_port + 1998],
        },
    }
