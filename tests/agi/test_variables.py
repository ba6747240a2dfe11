"""The dialplan and the AGI speak of the same variables, and each is named once."""

from __future__ import annotations

import re

from agi.turns import Do
from agi.variables import Variable
from ami_bridge.resources import shipped_folder


def _dialplan() -> str:
    return (shipped_folder("dialplans") / "extensions.conf.j2").read_text(encoding="utf-8")


def test_every_variable_of_the_dialplan_is_named() -> None:
    used = set(re.findall(r"\bFR_[A-Z_]+\b", _dialplan().replace("__FR_", "FR_")))
    assert used
    assert used <= {str(variable) for variable in Variable}


def test_the_dialplan_can_do_everything_that_a_turn_asks() -> None:
    converse = _dialplan().partition("[converse]")[2].partition("\n[")[0]
    assert {str(do) for do in Do} <= set(re.findall(r"^exten => (\w+),1", converse, re.MULTILINE))
