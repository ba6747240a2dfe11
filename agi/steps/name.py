"""Name: last name, first name, patronymic, spoken after the tone (S10)."""

from __future__ import annotations

from agi.steps.recorded import ask_recording, plan_recording
from agi.turns import Answer, CaptureFacts, CaptureState, Kind, Move, Stage, Turn, onward


def ask(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """Asks for the name."""
    return ask_recording("capture.name", Kind.NAME)


def plan(state: CaptureState, answer: Answer, _facts: CaptureFacts) -> Move:
    """On to the subject, with the name or, after two silent recordings, without."""
    return plan_recording(
        state,
        answer,
        heard=Move(onward(state, Stage.SUBJECT, has_name=True)),
        silent=Move(onward(state, Stage.SUBJECT, has_name=False)),
        kind=Kind.NAME,
    )
