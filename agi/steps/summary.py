"""Summary: number, name, subject and time are played back; 1 confirms, 2 to 5 change one of them (S20)."""

from __future__ import annotations

from agi.steps import suits
from agi.turns import (
    KEY_SECONDS,
    Answer,
    CaptureFacts,
    CaptureState,
    Do,
    Keep,
    Kind,
    Move,
    Number,
    Part,
    Phrase,
    Recording,
    Stage,
    Turn,
    missed,
    to,
)
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.numbers import read_back_groups

_CHANGES = {"2": Stage.NUMBER_CONFIRM, "3": Stage.NAME, "4": Stage.SUBJECT, "5": Stage.SUITS}


def ask(state: CaptureState, facts: CaptureFacts) -> Turn:
    """Plays back what we have and asks whether it is right."""
    groups = read_back_groups(state.number, facts.country)
    says: list[Part] = [Phrase("capture.summary_number"), Number(groups)]
    if state.has_name:
        says += [Phrase("capture.summary_name"), Recording(Kind.NAME)]
    says += [Phrase(f"letters.{letter}") for letter in state.spelled if letter != " "]
    if state.has_subject:
        says += [Phrase("capture.summary_subject"), Recording(Kind.SUBJECT)]
    says += [*suits.agreed(state, facts), Phrase("capture.summary_confirm"), Phrase("capture.summary_change")]
    return Turn(Do.KEY, tuple(says), digits=1, wait_seconds=KEY_SECONDS)


def plan(state: CaptureState, answer: Answer, _facts: CaptureFacts) -> Move:
    """1 accepts. Silence accepts too in the end: permission was given and the number confirmed before."""
    accepted = Move(to(state, Stage.FAREWELL, outcome="accepted"), keep=Keep(event=CallbackEvent.CAPTURED))
    if answer.text == "1":
        return accepted
    if stage := _CHANGES.get(answer.text):
        return Move(to(state, stage, revising=True))
    return missed(state, answer, give_up=accepted)
