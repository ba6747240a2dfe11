"""The capture conversation as one pure function: (state, answer, facts) → (state', turn, what to keep).

::

    permission ─1─► number_confirm ◄────────── number_type        three misses ─► person ─► message
        │              │1      └────2──────────────▲                  (one is free: to the queue)  │
        2              ▼                           │ (no number known: straight from permission)   │
        ▼            name ─► subject ─► suits ─► summary ─1─► farewell ◄───────────────────────────┘
      queue             ▲        ▲        ▲          │
                        └────────┴────────┴──2 3 4 5─┘  one thing is changed, then the summary again

Each stage has its file in ``agi/steps``: ``ask`` words the question, ``plan`` judges the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agi.steps import farewell, message, name, number, permission, spell, subject, suits, summary
from agi.turns import MAX_TURNS, Answer, CaptureFacts, CaptureState, Do, Keep, Move, Phrase, Stage, Turn, to

#: What the dialplan answers to Do.PERSON when no member is free.
ALONE = "alone"

_Ask = Callable[[CaptureState, CaptureFacts], Turn]
_Plan = Callable[[CaptureState, Answer, CaptureFacts], Move]


def _back_to_queue(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    return Turn(Do.QUEUE, (Phrase("capture.back_to_queue"),))


def _from_queue(state: CaptureState, _answer: Answer, _facts: CaptureFacts) -> Move:
    """The caller has waited again and is back: a new conversation."""
    return Move(CaptureState(turns=state.turns, person_tried=state.person_tried))


def _to_person(_state: CaptureState, _facts: CaptureFacts) -> Turn:
    return Turn(Do.PERSON, (Phrase("capture.to_person"),))


def _from_person(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Move:
    """Nobody was free: the message. Else he has waited, and is back."""
    return Move(to(state, Stage.MESSAGE)) if answer.text == ALONE else _from_queue(state, answer, facts)


_STAGES: dict[Stage, tuple[_Ask, _Plan]] = {
    Stage.PERMISSION: (permission.ask, permission.plan),
    Stage.NUMBER_CONFIRM: (number.ask_confirm, number.plan_confirm),
    Stage.NUMBER_TYPE: (number.ask_type, number.plan_type),
    Stage.NAME: (name.ask, name.plan),
    Stage.SPELL: (spell.ask, spell.plan),
    Stage.SUBJECT: (subject.ask, subject.plan),
    Stage.SUITS: (suits.ask, suits.plan),
    Stage.SUITS_TODAY: (suits.ask_today, suits.plan_today),
    Stage.SUITS_DAY: (suits.ask_day, suits.plan_day),
    Stage.SUITS_HOUR: (suits.ask_hour, suits.plan_hour),
    Stage.SUMMARY: (summary.ask, summary.plan),
    Stage.MESSAGE: (message.ask, message.plan),
    Stage.FAREWELL: (farewell.ask, farewell.plan),
    Stage.QUEUE: (_back_to_queue, _from_queue),
    Stage.PERSON: (_to_person, _from_person),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The next state (to be stored), what to keep before the turn is performed, and the turn."""

    state: CaptureState
    keep: Keep
    turn: Turn


def begin(facts: CaptureFacts) -> Outcome:
    """The first turn: asks for permission."""
    return _ask(Move(CaptureState()), facts)


def advance(state: CaptureState, answer: Answer, facts: CaptureFacts) -> Outcome:
    """The turn after ``answer``. Never raises for anything that a caller can do."""
    if state.turns >= MAX_TURNS and state.stage is not Stage.FAREWELL:
        return _ask(Move(replace(state, stage=Stage.FAREWELL)), facts)
    _, plan = _STAGES[state.stage]
    return _ask(plan(state, answer, facts), facts)


def _ask(move: Move, facts: CaptureFacts) -> Outcome:
    ask, _ = _STAGES[move.state.stage]
    turn = ask(move.state, facts)
    return Outcome(
        replace(move.state, turns=move.state.turns + 1),
        move.keep,
        replace(turn, says=(*move.before, *turn.says)),
    )
