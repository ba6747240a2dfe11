"""What a customer who is rung first answers, key by key."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agi.steps.convenient import UNCONFIRMED, plan
from agi.steps.dial import plan as plan_dial
from agi.turns import Answer, Do
from ami_bridge.core.callbacks import AttemptState
from ami_bridge.dialer.outcomes import attempt_result
from ami_bridge.numbers import CheckedNumber, check_number


@pytest.mark.parametrize(
    ("keys", "does", "agreed", "result"),
    [
        (["1"], Do.CONNECT, "", None),
        (["", "9", "1"], Do.CONNECT, "", None),
        (["2", "3"], Do.PART, "LATER3", AttemptState.LATER),
        (["2", ""], Do.PART, "LATER24", AttemptState.LATER),
        (["2", "00"], Do.PART, "LATER24", AttemptState.LATER),
        (["2"], Do.DIGITS, "LATER24", AttemptState.LATER),  # hung up while he was asked for the hours
        (["3"], Do.PART, "REFUSED_BY_CUSTOMER", AttemptState.REFUSED),
        (["4"], Do.PART, "WRONG_NUMBER", AttemptState.WRONG_NUMBER),
        (["", "*", "8"], Do.PART, UNCONFIRMED, AttemptState.NO_ANSWER),
        (["", "7"], Do.KEY, "", None),
    ],
)
def test_keys(keys: Sequence[str], does: Do, agreed: str, result: AttemptState | None) -> None:
    """The dialer knows each of the answers."""
    stage, misses, so_far, turn = plan("", 0, None)
    assert (turn.do, so_far) == (Do.KEY, "")
    for key in keys:
        stage, misses, so_far, turn = plan(stage, misses, Answer(key))
    assert (turn.do, so_far) == (does, agreed)
    if result is not None:
        assert attempt_result(so_far) is result


def test_the_number_is_digits_or_nothing() -> None:
    checked = check_number("+79161234567", "RU", ["RU"])
    assert isinstance(checked, CheckedNumber)
    assert plan_dial(checked) == (Do.ACCEPT, "79161234567")
    assert plan_dial(None) == (Do.WITHDRAWN, "")
