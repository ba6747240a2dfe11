"""The section ``[desk]`` of the configuration: house rules of the agent's card, and who may log in from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from ami_bridge.setting_types import Section, Slug


class RonaSettings(Section):
    """After how many calls in a row that rang out an agent is paused (S5); 0: never.

    ``queue``: calls from the queue; ``direct``: calls under the ring clock.
    """

    queue: Annotated[int, Field(ge=0, le=20)] = 1
    direct: Annotated[int, Field(ge=0, le=20)] = 2


class DeskSettings(Section):
    """How the card behaves.

    Attributes:
        smile: whether the one-line cue stands on the card while the phone rings (S24).
        note_seconds: after the call, until its note should stand (S11).
        transfer_budget: transfers of one call without a warning (S7).
        introduction_seconds: until the caller should have had the word (S14).
        card_hours: until a supervisor may open an etiquette card that its agent has not looked at yet.
        cues: a folder with cue files of the company's own, see :mod:`ami_bridge.cues`.
        silent: departments whose card shows no smile cue although ``smile`` is on.
    """

    smile: bool = True
    silent: list[Slug] = Field(default=[])
    note_seconds: Annotated[int, Field(ge=30, le=3600)] = 180
    transfer_budget: Annotated[int, Field(ge=0, le=10)] = 1
    introduction_seconds: Annotated[int, Field(ge=5, le=300)] = 45
    card_hours: Annotated[float, Field(ge=0, le=720)] = 24.0
    cues: Path | None = None
    rona: RonaSettings = RonaSettings()
