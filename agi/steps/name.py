"""Name: last name, first name, patronymic, spoken after the tone (S10)."""

from __future__ import annotations

from agi.steps.recorded import ask_recording, plan_recording
from agi.turns import Answer, CaptureFacts, CaptureState, Kind, Move, Stage, Turn, onward, to


def ask(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """Asks for the name."""
    return ask_recording("capture.name", Kind.NAME)


def plan(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """On to the subject, with the name (spelled too, if that is wanted) or, after two silent recordings, without."""
    named = onward(state, Stage.SUBJECT, has_name=True)
    if facts.spells:
        named = to(state, Stage.SPELL, has_name=True, spelled="")
    return plan_recording(
        state,
        answer,
        heard=Move(named),
        silent=Move(onward(state, Stage.SUBJECT, has_name=False, spelled="")),
        kind=Kind.NAME,
    )
