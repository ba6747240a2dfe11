"""Spell: the last name by keys, for who wants it written right (``callback.spell_names``); a lone hash goes on."""

from __future__ import annotations

from agi.turns import (
    DIGIT_SECONDS,
    Answer,
    CaptureFacts,
    CaptureState,
    Do,
    Keep,
    Move,
    Phrase,
    Stage,
    Turn,
    missed,
    onward,
)
from ami_bridge.core.callbacks import CallbackFields
from ami_bridge.core.spelling import spelled

# As many as a result may hold (see agi.request): enough for twenty letters.
_MOST_KEYS = 40


def ask(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """How it is done, and that it need not be."""
    return Turn(Do.DIGITS, (Phrase("capture.spell"),), digits=_MOST_KEYS, wait_seconds=DIGIT_SECONDS)


def plan(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """The name in letters; nothing pressed: without it, as most people prefer."""
    without = Move(onward(state, Stage.SUBJECT), keep=Keep(CallbackFields(name_text="")))
    if not answer.text:
        return without
    name = spelled(answer.text, facts.spells)
    if name is None:
        return missed(state, answer, give_up=without)
    keep = Keep(CallbackFields(name_text=name))
    return Move(onward(state, Stage.SUBJECT, spelled=name.upper()), keep=keep)
