"""Message: the way out for who presses no keys. One recording holds name, number and subject.

The prompt says that leaving a message allows us to ring back, so a spoken message is a consent
("recorded"). It is dialled by itself only when the network told us a number that we may ring; otherwise
a person at the desk listens to it first.
"""

from __future__ import annotations

from agi.steps.recorded import ask_recording, plan_recording
from agi.turns import Answer, CaptureFacts, CaptureState, Keep, Kind, Move, Stage, Turn, to
from ami_bridge.core.callbacks import CallbackEvent, CallbackFields

QUESTION = "capture.message"


def ask(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """Asks for everything at once."""
    return ask_recording(QUESTION, Kind.SUBJECT)


def plan(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """Heard: kept with whatever number we have. Silent twice: a friendly farewell; nothing is promised."""
    number = "" if state.flooded else state.number or (facts.caller.e164 if facts.caller else "")
    kept = CallbackFields(number=number, number_source=state.number_source or "caller_id") if number else {}
    event = CallbackEvent.CAPTURED if number else CallbackEvent.BROKEN_OFF
    heard = Move(
        to(state, Stage.FAREWELL, outcome="message_kept", has_subject=True, number=number, consented=True),
        keep=Keep(kept, event, consent_key="recorded", consent_prompt=QUESTION),
    )
    return plan_recording(state, answer, heard=heard, silent=_nothing_said(state), kind=Kind.SUBJECT)


def _nothing_said(state: CaptureState) -> Move:
    """With a permission and a number from before, the callback is still good; else it is withdrawn."""
    if state.consented and state.number:
        accepted = to(state, Stage.FAREWELL, outcome="accepted")
        return Move(accepted, keep=Keep(event=CallbackEvent.CAPTURED))
    event = CallbackEvent.BROKEN_OFF if state.consented else CallbackEvent.CANCELLED
    return Move(to(state, Stage.FAREWELL, outcome="nothing_kept"), keep=Keep(event=event))
