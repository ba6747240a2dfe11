"""Number: read back in groups (S20): 1 is right, 2 types another; typed by keys, checked, read back again."""

from __future__ import annotations

from dataclasses import replace

from agi.turns import (
    DIGIT_SECONDS,
    KEY_SECONDS,
    MISSES,
    Answer,
    CaptureFacts,
    CaptureState,
    Do,
    Keep,
    Move,
    Number,
    Phrase,
    Stage,
    Turn,
    helped,
    missed,
    onward,
    to,
)
from ami_bridge.core.callbacks import CallbackFields
from ami_bridge.numbers import CheckedNumber, Refusal, check_number, read_back_groups

# E.164 has 15 digits. What goes beyond this many would be taken for the answer to the next question, so all
# that a result may hold (see agi.request) is read and judged as one.
_MOST_KEYS = 40
_WORTH_ANOTHER_TRY = frozenset({Refusal.INVALID, Refusal.SHORT, Refusal.NOT_DIGITS})
CONFIRM = "capture.number_confirm"


def ask_confirm(state: CaptureState, facts: CaptureFacts) -> Turn:
    """Reads the number back."""
    groups = read_back_groups(state.number, facts.country)
    says = (Phrase("capture.number_intro"), Number(groups), Phrase(CONFIRM))
    return Turn(Do.KEY, says, digits=1, wait_seconds=KEY_SECONDS)


def plan_confirm(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """1: the consent is renewed for exactly this number. 2: it is forgotten and another asked for."""
    if answer.text == "1":
        keep = Keep(CallbackFields(number_confirmed=True), consent_key="1", consent_prompt=CONFIRM)
        return Move(onward(state, Stage.NAME, confirmed=True), keep=keep)
    if answer.text == "2":
        keep = Keep(CallbackFields(number=None, number_source="", number_confirmed=False))
        after = to(state, Stage.NUMBER_TYPE, number="", number_source="", confirmed=False)
        return Move(after, keep=keep)
    # The number stays as it is, unconfirmed; he may say another after the tone.
    return missed(state, answer, give_up=Move(helped(state, facts)))


def ask_type(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    """Asks for a number by keys."""
    return Turn(Do.DIGITS, (Phrase("capture.number_type"),), digits=_MOST_KEYS, wait_seconds=DIGIT_SECONDS)


def plan_type(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """Checks what was typed; what was typed before the last star does not count."""
    typed = answer.text.rpartition("*")[2]
    if not typed:
        silence = Answer()
        return missed(state, silence, give_up=Move(helped(state, facts)))
    checked = checked_number(typed, facts)
    if isinstance(checked, CheckedNumber):
        # Who types the number that he calls from is no stranger to it.
        source = "caller_id" if facts.caller and facts.caller.e164 == checked.e164 else "typed"
        keep = Keep(CallbackFields(number=checked.e164, number_source=source, number_confirmed=False))
        after = to(state, Stage.NUMBER_CONFIRM, number=checked.e164, number_source=source, confirmed=False)
        return Move(after, keep=keep)
    keep = Keep(refusal=checked, refused=typed)
    if state.misses + 1 >= MISSES:
        return Move(to(state, Stage.MESSAGE), keep=keep)
    mistyped = checked in _WORTH_ANOTHER_TRY
    sorry = Phrase("capture.number_incomplete" if mistyped else "capture.number_refused")
    return Move(replace(state, misses=state.misses + 1), before=(sorry,), keep=keep)


def checked_number(text: str, facts: CaptureFacts) -> CheckedNumber | Refusal:
    """What may be rung of what was typed, by the number plans and by what the store knows."""
    checked = check_number(
        text, facts.country, facts.allowed_regions, facts.own_numbers, facts.denied_prefixes
    )
    if isinstance(checked, CheckedNumber):
        return facts.refused.get(checked.e164, checked)
    return checked
