"""Farewell: thanks, a good day, evening or weekend (S13); then the caller hangs up, not we (S12)."""

from __future__ import annotations

from agi.turns import Answer, CaptureFacts, CaptureState, Do, Move, Phrase, Turn


def ask(state: CaptureState, _facts: CaptureFacts) -> Turn:
    """Says goodbye. What it promises has been committed to the store before."""
    return Turn(Do.WAIT, (Phrase(f"capture.{state.outcome or 'nothing_kept'}"),))


def plan(state: CaptureState, _answer: Answer, _facts: CaptureFacts) -> Move:
    """Whatever comes now: goodbye once more, nothing changes."""
    return Move(state)
