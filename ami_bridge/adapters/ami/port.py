"""The port: what the rest of the bridge may ask of an AMI link, real or fake."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ami_bridge.adapters.ami import outgoing
from ami_bridge.adapters.ami.outgoing import OutgoingHeaders
from ami_bridge.adapters.ami.raw_event import Headers, RawEvent, StreamItem

ACTION_TIMEOUT_SECONDS = 5.0


class LinkState(enum.Enum):
    """Where the link is. Actions go out in READY alone; REFUSED and CLOSED are final."""

    CONNECTING = "connecting"
    READY = "ready"
    LOST = "lost"
    CLOSED = "closed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The PBX's answer to one action.

    ``items`` are the events of a list; ``complete`` is False when the PBX counted more of them than arrived
    unharmed (``ListItems``), so that a snapshot must not be taken for the whole truth.
    """

    action: str
    success: bool
    message: str
    headers: Headers = field(default_factory=dict)
    items: tuple[RawEvent, ...] = ()
    complete: bool = True


class AmiPort(Protocol):
    """An AMI link. One consumer reads :meth:`events`; anybody may send actions."""

    @property
    def state(self) -> LinkState:
        """Where the link is."""

    def events(self) -> AsyncIterator[StreamItem]:
        """Everything in exact order; ends after :meth:`close`, raises AmiAuthError when refused."""

    async def action(
        self,
        name: str,
        headers: OutgoingHeaders | None = None,
        *,
        timeout_seconds: float = ACTION_TIMEOUT_SECONDS,
    ) -> ActionResult:
        """Send one action and wait for its whole answer."""

    async def close(self) -> None:
        """End the link for good."""

    async def core_show_channels(self) -> ActionResult: ...
    async def core_status(self) -> ActionResult: ...
    async def queue_status(self, queue: str | None = None) -> ActionResult: ...
    async def redirect(self, channel: str, context: str, exten: str, priority: int = 1) -> ActionResult: ...
    async def blind_transfer(self, channel: str, context: str, exten: str) -> ActionResult: ...
    async def hangup(self, channel: str, cause: int | None = None) -> ActionResult: ...
    async def queue_pause(
        self, interface: str, paused: bool, *, reason: str = "", queue: str | None = None
    ) -> ActionResult: ...
    async def originate(
        self,
        channel: str,
        context: str,
        exten: str,
        *,
        channel_id: str,
        other_channel_id: str,
        timeout_seconds: float,
        variables: Mapping[str, str] | None = None,
        caller_id: str = "",
    ) -> ActionResult: ...


class AmiActions:
    """The named actions, built on ``action`` alone, so that the real link and the fake share them."""

    async def action(
        self,
        name: str,
        headers: OutgoingHeaders | None = None,
        *,
        timeout_seconds: float = ACTION_TIMEOUT_SECONDS,
    ) -> ActionResult:
        """Send one action and wait for its whole answer."""
        raise NotImplementedError

    async def core_status(self) -> ActionResult:
        """CoreStatus: when the PBX started (its boot) and how many calls it has."""
        return await self.action("CoreStatus")

    async def core_show_channels(self) -> ActionResult:
        """CoreShowChannels: one ``CoreShowChannel`` item for each live channel."""
        return await self.action("CoreShowChannels")

    async def queue_status(self, queue: str | None = None) -> ActionResult:
        """QueueStatus: items QueueParams, QueueMember and QueueEntry, of one queue or of all."""
        return await self.action("QueueStatus", {"Queue": queue} if queue else None)

    async def redirect(self, channel: str, context: str, exten: str, priority: int = 1) -> ActionResult:
        """Move the channel to another place of the dialplan."""
        return await self.action(
            "Redirect",
            {
                "Channel": outgoing.checked_channel(channel),
                "Context": outgoing.checked_dialplan_name("Context", context),
                "Exten": outgoing.checked_dialplan_name("Exten", exten),
                "Priority": priority,
            },
        )

    async def blind_transfer(self, channel: str, context: str, exten: str) -> ActionResult:
        """Hand whoever talks with ``channel`` over to another place of the dialplan, as its own phone could."""
        return await self.action(
            "BlindTransfer",
            {
                "Channel": outgoing.checked_channel(channel),
                "Context": outgoing.checked_dialplan_name("Context", context),
                "Exten": outgoing.checked_dialplan_name("Exten", exten),
            },
        )

    async def hangup(self, channel: str, cause: int | None = None) -> ActionResult:
        """Hang up one channel. It leaves no trace of who asked: log the reason before."""
        headers: dict[str, str | int | list[str]] = {"Channel": outgoing.checked_channel(channel)}
        if cause is not None:
            headers["Cause"] = cause
        return await self.action("Hangup", headers)

    async def queue_pause(
        self, interface: str, paused: bool, *, reason: str = "", queue: str | None = None
    ) -> ActionResult:
        """Pause or unpause a member, in one queue or in all."""
        headers: dict[str, str | int | list[str]] = {
            "Interface": outgoing.checked_channel(interface),
            "Paused": "true" if paused else "false",
        }
        if reason:
            headers["Reason"] = reason
        if queue:
            headers["Queue"] = outgoing.checked_dialplan_name("Queue", queue)
        return await self.action("QueuePause", headers)

    async def originate(
        self,
        channel: str,
        context: str,
        exten: str,
        *,
        channel_id: str,
        other_channel_id: str,
        timeout_seconds: float,
        variables: Mapping[str, str] | None = None,
        caller_id: str = "",
    ) -> ActionResult:
        """Start a call: ``Local/<digits>@<our context>/n`` on one side, ``exten@context`` on the other.

        Always ``Async: true`` (else the whole session waits); the result says only that the PBX took it, and
        the ``OriginateResponse`` event and the channels with our ids tell the rest. AMI's ``originate`` right
        is as strong as ``system``, hence the narrow channel and variables.
        """
        headers: dict[str, str | int | list[str]] = {
            "Channel": outgoing.checked_local(channel),
            "Context": outgoing.checked_dialplan_name("Context", context),
            "Exten": outgoing.checked_dialplan_name("Exten", exten),
            "Priority": 1,
            "Async": "true",
            "Timeout": round(timeout_seconds * 1000),
            # The default, slin, silences what the dialled leg plays to itself after Dial(G()): its write path
            # to slin stands already when Playback begins, and no packet leaves (Asterisk 22.10, tried).
            "Codecs": "alaw,ulaw",
            "ChannelId": outgoing.checked_uniqueid("ChannelId", channel_id),
            "OtherChannelId": outgoing.checked_uniqueid("OtherChannelId", other_channel_id),
        }
        if variables:
            headers["Variable"] = outgoing.checked_variables(variables)
        if caller_id:
            headers["CallerID"] = outgoing.checked_dialplan_name("CallerID", caller_id)
        return await self.action("Originate", headers)
