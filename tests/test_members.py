"""Who of the queues' members is there, and pausing one."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from ami_bridge.adapters.ami import ActionResult, AmiLost, FakeAmiLink
from ami_bridge.adapters.ami.raw_event import raw_event
from ami_bridge.members import QueueMembers, Shown
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings


def status(*members: dict[str, str], complete: bool = True) -> ActionResult:
    items = tuple(raw_event("QueueMember", {"Queue": "sales", **each}) for each in members)
    return ActionResult("QueueStatus", True, "", items=items, complete=complete)


def member(name: str, device: str = "1", **more: str) -> dict[str, str]:
    return {"Name": name, "Status": device, "Paused": "0", **more}


class Team:
    """Members asked for over a fake link; ``told`` is what desks got."""

    def __init__(self) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        self.link, self.told = FakeAmiLink(), list[Shown]()
        self.link.restore()
        self.members = QueueMembers(parse_settings(document), self.link, lambda: True, self.told.append)


async def test_states_and_pauses_are_told_once() -> None:
    team = Team()
    paused = member("102", Paused="1", PausedReason="lunch", LastPause="1795400000")
    here = status(member("101"), paused, member("103", "5"))
    team.link.answer("QueueStatus", here, here)
    await team.members.look()
    await team.members.look()
    (told,) = team.told
    assert told["101"] == {"device": "free", "paused": False, "reason": "", "since": ""}
    assert told["102"]["reason"] == "lunch"
    assert told["102"]["since"].startswith("2026-11-23T")
    assert told["103"]["device"] == "unavailable"


async def test_who_is_paused_in_one_of_two_queues_is_paused() -> None:
    team = Team()
    team.link.answer("QueueStatus", status(member("101", Paused="1"), member("101")))
    await team.members.look()
    assert team.told[0]["101"]["paused"]


@pytest.mark.parametrize("answer", [AmiLost("QueueStatus"), status(member("101", "5"), complete=False)])
async def test_half_an_answer_changes_nothing(answer: Any) -> None:
    team = Team()
    team.link.answer("QueueStatus", status(member("101")), answer)
    await team.members.look()
    await team.members.look()
    assert len(team.told) == 1


async def test_a_pause_goes_to_the_pbx_and_is_looked_at_again() -> None:
    team = Team()
    team.link.answer("QueueStatus", status(member("101", Paused="1", PausedReason="break")))
    assert (await team.members.answer({"pause": "101", "paused": True, "reason": "break"}))["ok"]
    (sent,) = [each.headers for each in team.link.sent if each.name == "QueuePause"]
    assert (sent["Interface"], sent["Paused"], sent["Reason"]) == (
        "Local/101@queue-member/n",
        "true",
        "break",
    )
    assert team.told[0]["101"]["paused"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"pause": "999", "paused": True},
        {"pause": "101"},
        {"pause": "101", "paused": "yes"},
        {"pause": ["101"], "paused": True},
        {"pause": "101", "paused": True, "reason": "x" * 41},
        {"pause": "101", "paused": True, "reason": None},
    ],
)
async def test_what_no_desk_would_ask_is_refused(asked: dict[str, Any]) -> None:
    team = Team()
    assert not (await team.members.answer(asked))["ok"]
    assert team.link.sent == []


async def test_a_pbx_that_refuses_is_told() -> None:
    team = Team()
    team.link.answer("QueuePause", AmiLost("QueuePause"))
    assert not (await team.members.answer({"pause": "101", "paused": True}))["ok"]
