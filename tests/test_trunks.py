"""Whether the carriers answer, as the PBX tells it."""

from __future__ import annotations

import tomllib

from ami_bridge.adapters.ami import ActionResult, AmiLost, FakeAmiLink
from ami_bridge.adapters.ami.raw_event import raw_event
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings
from ami_bridge.trunks import Shown, Trunks


def states(**told: str) -> ActionResult:
    items = tuple(
        raw_event("DeviceStateChange", {"Device": f"PJSIP/{name}", "State": status})
        for name, status in told.items()
    )
    return ActionResult("DeviceStateList", True, "", items=items)


class Scene:
    def __init__(self, *, asked: bool = True) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        document["trunks"]["carrier"]["qualify_seconds"] = 30 if asked else 0
        self.link, self.told = FakeAmiLink(), list[Shown]()
        self.link.restore()
        self.trunks = Trunks(parse_settings(document), self.link, lambda: True, self.told.append)


async def test_what_changes_is_told_once() -> None:
    scene = Scene()
    down, up = states(carrier="UNAVAILABLE", phone="UNAVAILABLE"), states(carrier="NOT_INUSE")
    scene.link.answer("DeviceStateList", states(phone="UNAVAILABLE"), down, down, up)
    for _ in range(4):
        await scene.trunks.look()
    assert scene.told == [{"carrier": "down"}, {"carrier": "up"}]


async def test_a_carrier_that_is_never_asked_is_never_down() -> None:
    scene = Scene(asked=False)
    scene.link.answer("DeviceStateList", states(carrier="UNAVAILABLE"))
    await scene.trunks.look()
    assert scene.told == []


async def test_a_pbx_that_does_not_answer_changes_nothing() -> None:
    scene = Scene()
    scene.link.answer("DeviceStateList", states(carrier="NOT_INUSE"), AmiLost("DeviceStateList"))
    await scene.trunks.look()
    await scene.trunks.look()
    assert scene.trunks.shown == {"carrier": "up"}
