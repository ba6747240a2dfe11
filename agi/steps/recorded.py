"""What the steps that record have in common."""

from __future__ import annotations

from dataclasses import replace

from agi.turns import (
    EMPTY_RECORDINGS,
    Answer,
    CaptureState,
    Do,
    Kind,
    Move,
    Phrase,
    Turn,
    recorded,
)
from ami_bridge.core.callbacks import CallbackFields


def ask_recording(phrase: str, kind: Kind) -> Turn:
    """Say ``phrase``, then record. The place of the recording is stored before it starts."""
    return Turn(Do.RECORD, (Phrase(phrase),), records=kind)


def plan_recording(state: CaptureState, answer: Answer, *, heard: Move, silent: Move, kind: Kind) -> Move:
    """``heard`` when something was said; else ask once more; then ``silent`` without the empty recording."""
    if recorded(answer):
        return heard
    if state.misses + 1 < EMPTY_RECORDINGS:
        return Move(replace(state, misses=state.misses + 1), before=(Phrase("capture.not_heard"),))
    dropped = (
        CallbackFields(name_recording=None) if kind is Kind.NAME else CallbackFields(subject_recording=None)
    )
    return replace(silent, keep=replace(silent.keep, fields={**silent.keep.fields, **dropped}))
