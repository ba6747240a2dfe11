"""A small TCP server that speaks as much AMI as the link's faults need: real sockets, scripted behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

NODE = "fr1"
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
BOOTED = (
    b"Event: FullyBooted\r\nPrivilege: system,all\r\n"
    b"Uptime: 9\r\nLastReload: 9\r\nStatus: Fully Booted\r\n\r\n"
)


def block(
    channel: str, uniqueid: str, *, number: str = "74951234567", exten: str = "100", prefix: str = ""
) -> str:
    """The fourteen headers of a channel as manager_channels.c prints them."""
    values = {
        "Channel": channel,
        "ChannelState": "4",
        "ChannelStateDesc": "Ring",
        "CallerIDNum": number,
        "CallerIDName": "<unknown>",
        "ConnectedLineNum": "<unknown>",
        "ConnectedLineName": "<unknown>",
        "Language": "ru",
        "AccountCode": "",
        "Context": "from-carrier",
        "Exten": exten,
        "Priority": "1",
        "Uniqueid": uniqueid,
        "Linkedid": uniqueid,
    }
    return "".join(f"{prefix}{name}: {value}\r\n" for name, value in values.items())


def event(name: str, body: str = "", *, privilege: str = "call,all", node: str = NODE, at: int = 1) -> bytes:
    """One unsolicited event with the real opening."""
    stamp = f"17954098{at % 100:02d}.{at % 1000000:06d}"
    head = f"Event: {name}\r\nPrivilege: {privilege}\r\nTimestamp: {stamp}\r\nSystemName: {node}\r\n"
    return f"{head}{body}\r\n".encode()


def newchannel(channel: str, uniqueid: str, **values: str) -> bytes:
    """A channel begins."""
    return event("Newchannel", block(channel, uniqueid, **values))


def hangup(channel: str, uniqueid: str, **values: str) -> bytes:
    """A channel ends."""
    return event("Hangup", block(channel, uniqueid, **values) + "Cause: 16\r\nCause-txt: Normal Clearing\r\n")


async def until(holds: Callable[[], bool], limit_seconds: float = 5.0) -> None:
    """Wait until ``holds()``; fail after the limit."""
    async with asyncio.timeout(limit_seconds):
        while not holds():  # noqa: ASYNC110 - the thing waited for is in the code under test
            await asyncio.sleep(0.005)


class AmiServer:
    """Accepts logins, records every action, answers as scripted, and can be cut, frozen or stopped."""

    def __init__(self, secret: str = "right-secret") -> None:
        self.secret = secret
        self.actions: list[dict[str, str]] = []
        self.logins = 0
        self.silent: set[str] = set()
        self.on_action: Callable[[dict[str, str]], Awaitable[None]] | None = None
        self.answers: dict[str, Callable[[dict[str, str]], bytes]] = {"CoreShowChannels": self.empty_list}
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0
        self.frozen = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Drop every connection now."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def send(self, payload: bytes) -> None:
        for writer in self._writers:
            writer.write(payload)
            await writer.drain()

    def named(self, name: str) -> list[dict[str, str]]:
        return [action for action in self.actions if action["Action"] == name]

    @staticmethod
    def empty_list(action: dict[str, str]) -> bytes:
        return list_answer(action, "CoreShowChannels", [])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        try:
            while True:
                text = (await reader.readuntil(b"\r\n\r\n")).decode()
                action = dict(line.split(": ", 1) for line in text.strip("\r\n").split("\r\n"))
                await self._answer(action, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, action: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if action["Action"] == "Login":
            self.logins += 1
            if action["Secret"] != self.secret:
                writer.write(response(action, "Error", "Authentication failed"))
                await writer.drain()
                writer.close()
                return
            self._writers.append(writer)
            writer.write(response(action, "Success", "Authentication accepted") + BOOTED)
            return
        self.actions.append(action)
        if self.on_action is not None:
            await self.on_action(action)
        if self.frozen or action["Action"] in self.silent:
            return
        answer = self.answers.get(action["Action"])
        writer.write(answer(action) if answer else response(action, "Success", "done"))


def response(action: dict[str, str], outcome: str, message: str) -> bytes:
    return f"Response: {outcome}\r\nActionID: {action['ActionID']}\r\nMessage: {message}\r\n\r\n".encode()


def list_answer(action: dict[str, str], name: str, bodies: list[str], counted: int | None = None) -> bytes:
    """A list as Asterisk sends it: the start, the items with our ActionID, the Complete with their number."""
    action_id = action["ActionID"]
    head = f"Response: Success\r\nActionID: {action_id}\r\nEventList: start\r\nMessage: will follow\r\n\r\n"
    items = "".join(f"Event: {name[:-1]}\r\nActionID: {action_id}\r\n{body}\r\n" for body in bodies)
    total = len(bodies) if counted is None else counted
    tail = (
        f"Event: {name}Complete\r\nActionID: {action_id}\r\nEventList: Complete\r\nListItems: {total}\r\n\r\n"
    )
    return (head + items + tail).encode()
