"""What a step is given and what it gives back."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agi.environment import AgiEnvironment
from agi.variables import Variable
from agi.voice.cache import VoiceCache
from ami_bridge.adapters.store.port import Store
from ami_bridge.settings import Settings

# RECORD_STATUS, or keys: what Read() and Record() can give.
_RESULT = re.compile(r"[0-9A-Da-zA-Z*#]{0,40}")


class StepRefused(Exception):
    """The step cannot be taken; the dialplan goes on alone, since FR_STEP_OK stays unset."""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One AGI request. ``now`` has a zone."""

    environment: AgiEnvironment
    settings: Settings
    store: Store
    voice: VoiceCache
    now: datetime

    def arguments(self, count: int) -> tuple[str, ...]:
        """The first ``count`` arguments, "" for those that were left out; the dialplan always sends as many as it can.

        Raises:
            StepRefused: there are more.
        """
        given = self.environment.arguments
        if any(given[count:]):
            raise StepRefused(f"{len(given)} arguments instead of {count}")
        return (given + ("",) * count)[:count]

    def department(self, slug: str) -> str:
        """``slug`` when it is a configured department.

        Raises:
            StepRefused: it is not.
        """
        if slug not in self.settings.departments:
            raise StepRefused("the department is not configured")
        return slug


Variables = Mapping[Variable, str]
Step = Callable[[StepRequest], Awaitable[Variables]]


def decode_result(encoded: str) -> str:
    """What came of the last turn: keys or a RECORD_STATUS; "" when nothing did.

    The dialplan encodes ``=`` and the result, because BASE64_ENCODE() refuses an empty text.

    Raises:
        StepRefused: it is not base64, or holds what neither Read() nor Record() can give.
    """
    try:
        text = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise StepRefused("the result of the last turn is not base64") from None
    if not text.startswith("=") or not _RESULT.fullmatch(text[1:]):
        raise StepRefused("the result of the last turn is neither keys nor a record status")
    return text[1:]
