"""What a scene is: who does what, and what the record must say of it. The truth is the script's, never the tracker's.

``rung`` lists [phone, verdict], sorted; ``transfers`` [kind, from, whom, to, outcome].
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.scenarios.pbx import ScenarioPbx
from tests.scenarios.phone import Line

CALLER = "79160000001"
GROUP_RUNG: list[list[str | None]] = [["101", "elsewhere"], ["102", None], ["103", "elsewhere"]]
TALK_SECONDS = 0.4

Play = Callable[[ScenarioPbx], Awaitable[None]]
Truth = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """A story with its truth: one record, or several (in the order in which the calls end)."""

    name: str
    play: Play
    truth: list[Truth]


SCENES: dict[str, Scene] = {}


def call(
    disposition: str = "ANSWERED",
    *,
    answered: list[str] | None = None,
    rung: list[list[str | None]] | None = None,
    transfers: list[list[str | None]] | None = None,
    by: str = "caller",
) -> Truth:
    """What one record must say. By default everybody who answered was also rung."""
    answered = answered or []
    return {
        "disposition": disposition,
        "answered": answered,
        "rung": [[name, None] for name in sorted(answered)] if rung is None else rung,
        "transfers": transfers or [],
        "hung_up_by": by,
    }


def scene(*truth: Truth) -> Callable[[Play], Play]:
    """Register the story under its function's name."""

    def register(play: Play) -> Play:
        SCENES[play.__name__] = Scene(play.__name__, play, list(truth))
        return play

    return register


async def talk() -> None:
    """A moment of conversation."""
    await asyncio.sleep(TALK_SECONDS)


async def joined(pbx: ScenarioPbx, extension: str = "plain", agent: str = "101") -> tuple[Line, Line]:
    """A caller and an agent in conversation: their two ends."""
    caller = await pbx.callers[0].dial(extension)
    answered = await pbx.agents[agent].picks_up()
    await caller.until("up")
    await talk()
    return caller, answered
