"""Subject: what we may help with, spoken after the tone (S10, S15: the agent is prepared)."""

from __future__ import annotations

from agi.steps.recorded import ask_recording, plan_recording
from agi.turns import Answer, CaptureFacts, CaptureState, Kind, Move, Stage, Turn, onward


def ask(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """Asks for the subject."""
    return ask_recording("capture.subject", Kind.SUBJECT)


def plan(state: CaptureState, answer: Answer, _facts: CaptureFacts) -> Move:
    """On to when it suits, with the subject or, after two silent recordings, without."""
    return plan_recording(
        state,
        answer,
        heard=Move(onward(state, Stage.SUITS, has_subject=True)),
        silent=Move(onward(state, Stage.SUITS, has_subject=False)),
        kind=Kind.SUBJECT,
    )
