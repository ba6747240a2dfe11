"""Whether the carriers answer: Asterisk asks those that have ``qualify_seconds`` (SIP OPTIONS), and we ask it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ami_bridge.adapters.ami import AmiError, AmiPort
from ami_bridge.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
# An endpoint none of whose contacts answers is UNAVAILABLE. PJSIPShowContacts tells more, but wants "system".
_DOWN = frozenset({"UNAVAILABLE", "INVALID"})

Shown = dict[str, str]


class Trunks:
    """Looks while a desk listens and tells :attr:`tell` when something changed."""

    def __init__(
        self, settings: Settings, link: AmiPort, listened: Callable[[], bool], tell: Callable[[Shown], None]
    ) -> None:
        self._link, self._listened, self._tell = link, listened, tell
        self._asked = {name for name, trunk in settings.trunks.items() if trunk.qualify_seconds}
        self.shown: Shown = {}

    async def run(self) -> None:
        """Look until cancelled; with nothing to look at, wait."""
        while True:
            if self._asked and self._listened():
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look; a PBX that does not answer leaves what was known."""
        try:
            answer = await self._link.action("DeviceStateList")
        except AmiError as error:
            log.debug("The trunks are not known now: %s", error)
            return
        if not answer.complete:
            return
        shown = trunks_of((item.headers for item in answer.items), self._asked)
        if shown != self.shown:
            self.shown = shown
            self._tell(shown)


def trunks_of(items: Iterable[Mapping[str, Any]], asked: Collection[str]) -> Shown:
    """By trunk: ``up``, or ``down`` when nobody answers there; those that are not told of are not shown."""
    shown: Shown = {}
    for item in items:
        name = str(item.get("Device", "")).removeprefix("PJSIP/")
        if name in asked:
            shown[name] = "down" if item.get("State") in _DOWN else "up"
    return shown
