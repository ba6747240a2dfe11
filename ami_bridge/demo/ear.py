"""A person's ear on a softphone: waits until a prompt has been heard whole, however long the words before it are."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from ami_bridge.demo.hearing import Match, Samples, correlate, load_wav
from ami_bridge.demo.recordings import Heard
from ami_bridge.demo.softphone import Softphone

LISTEN_EVERY_SECONDS = 0.25
# A prompt is looked for in this much of the call's end, so that listening to a long call stays cheap.
_MEMORY_SECONDS = 20.0
# How soon after the end of a prompt somebody acts on it: quicker than any person, slower than the PBX's join.
_REACTION_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class HeardPrompt:
    """A prompt, heard: where in the call, and how well."""

    match: Match
    starts: float  # monotonic instant of its first sample
    ends: float


class NotHeard(Exception):
    """What was waited for was not heard; the best that was is in ``match``."""

    def __init__(self, who: str, what: str, match: Match | None) -> None:
        self.match = match
        best = (
            f"best slice score {match.score_min:.2f}, {match.missing} of {match.slices} missing"
            if match
            else "no sound"
        )
        super().__init__(f"{who} did not hear {what}: {best}")


class Ear:
    """Listens to what one softphone hears in its present call."""

    def __init__(self, phone: Softphone) -> None:
        self._phone = phone

    async def hears(self, prompt: Path, *, timeout: float = 20.0, since: float | None = None) -> HeardPrompt:  # noqa: ASYNC109
        """Wait until the whole ``prompt`` (a WAV) was heard, first sample not before ``since`` (monotonic).

        Raises:
            NotHeard: it was not within ``timeout`` seconds.
        """
        wanted, _ = load_wav(prompt)
        deadline = time.monotonic() + timeout
        best: Match | None = None
        while True:
            heard = self._phone.heard_call()
            found = await asyncio.to_thread(self._find, heard, wanted, since)
            if found is not None and found.match.whole:
                # A person speaks when the words have ended, their last silent samples too; the two sides are not
                # joined before.
                await asyncio.sleep(max(0.0, found.ends + _REACTION_SECONDS - time.monotonic()))
                return found
            best = found.match if found is not None else best
            if time.monotonic() > deadline:
                raise NotHeard(self._phone.name, prompt.stem, best)
            await asyncio.sleep(LISTEN_EVERY_SECONDS)

    def _find(self, heard: Heard, wanted: Samples, since: float | None) -> HeardPrompt | None:
        length = len(wanted) / heard.rate
        begin = heard.started
        end = begin + len(heard.samples) / heard.rate
        start = max(begin, end - _MEMORY_SECONDS - length, (since or begin) - 0.1)
        part = heard.samples[int((start - begin) * heard.rate) :]
        if len(part) < len(wanted) // 2:
            return None
        match = correlate(part, wanted, rate=heard.rate)
        first = start + match.start_seconds
        return HeardPrompt(match, first, first + length)
