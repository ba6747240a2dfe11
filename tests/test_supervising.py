"""What supervisors ask of the bridge, and what it asks of the PBX for them."""

from __future__ import annotations

import asyncio
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiLost, FakeAmiLink
from ami_bridge.adapters.clock import FakeClock
from ami_bridge.core.events import parse
from ami_bridge.core.tracker import CallTracker
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings
from ami_bridge.supervising import Supervising
from tests.core.conftest import Story

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Scene:
    """A tracker that was told a story, and the two accounts of the bridge."""

    def __init__(self, story: Story) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        self.link, self.caller = FakeAmiLink(), FakeAmiLink()
        self.link.restore()
        self.caller.restore()
        self.tracker, self.clock = CallTracker("fr1"), FakeClock(START)
        self.changed: list[str] = []
        settings = parse_settings(document)
        self.supervising = Supervising(settings, self.link, self.tracker, self.clock, self.changed.append)
        self.supervising.caller = self.caller
        self.story, self._told = story, 0
        self.tell()
        self.call = self.tracker.call_ids()[0]

    def tell(self) -> None:
        """What the story has more by now."""
        for headers in self.story.events[self._told :]:
            event = parse(headers)
            for fact in self.tracker.apply(event) if event is not None else ():
                self.supervising.on_fact(fact)
        self._told = len(self.story.events)

    async def ask(self, mode: str, phone: str = "103", call: str = "") -> dict[str, Any]:
        wish = {"supervise": call or self.call, "mode": mode, "by": "boss", "phone": phone}
        return await self.supervising.answer(wish)

    async def listening(self) -> str:
        """103 listens; gives the id of the channel that does."""
        assert (await self.ask("listen"))["ok"]
        (sent,) = self.caller.sent
        uniqueid = str(sent.headers["ChannelId"])
        self.story.at(20).local(uniqueid, f"{uniqueid}-2", "103", "supervise", uniqueid)
        self.story.channel("s1", "PJSIP/103-00000009", linkedid=uniqueid)
        self.story.dial(f"{uniqueid}-2", "s1", "103")
        self.story.answer(f"{uniqueid}-2", "s1")
        self.tell()
        return uniqueid

    @property
    def asked(self) -> list[str]:
        return [sent.name for sent in self.link.sent]


@pytest.fixture
def talking(story: Story) -> Scene:
    story.direct_call(answered_after=7)
    story.at(9).enter("b1", "c1", "p1")
    return Scene(story)


@pytest.fixture
def waiting(story: Story) -> Scene:
    story.at(0).caller()
    story.write("QueueCallerJoin", **story.of("c1"), Queue="sales", Position="2", Count="2")
    return Scene(story)


@pytest.fixture
def story() -> Story:
    return Story()


async def test_the_supervisors_own_phone_is_rung_and_the_call_says_so(talking: Scene) -> None:
    assert await talking.ask("listen") == {"ok": True, "why": ""}
    (sent,) = talking.caller.sent
    assert sent.name == "Originate"
    assert sent.headers["Channel"] == "Local/103@supervise/n"
    assert sent.headers["Context"] == "supervise-listen"
    assert sent.headers["Variable"] == [
        "FR_WATCHED=PJSIP/101-00000001",
        "FR_CUSTOMER=PJSIP/carrier-00000000",
    ]
    assert talking.link.sent == [], "the bridge's own account originates nothing"
    (shown,) = talking.supervising.shown(talking.call)
    assert (shown["by"], shown["mode"], shown["phone"]) == ("boss", "listen", "103")
    assert talking.changed == [talking.call]


async def test_another_mode_moves_the_phone_that_is_up(talking: Scene) -> None:
    await talking.listening()
    assert (await talking.ask("whisper"))["ok"]
    (sent,) = talking.link.sent
    assert (sent.name, sent.headers["Context"]) == ("Redirect", "supervise-whisper")
    assert len(talking.caller.sent) == 1, "the phone does not ring again"
    assert talking.supervising.shown(talking.call)[0]["mode"] == "whisper"


async def test_the_agent_is_let_go_only_when_the_supervisor_has_the_caller(talking: Scene) -> None:
    uniqueid = await talking.listening()
    assert (await talking.ask("take"))["ok"]
    await asyncio.sleep(0)
    assert talking.asked == ["Redirect"]
    talking.story.at(30).leave("b1", "c1")
    talking.story.enter("b3", "c1", uniqueid)
    talking.tell()
    for _ in range(5):
        await asyncio.sleep(0)
    assert talking.asked == ["Redirect", "Hangup"]
    assert talking.link.sent[-1].headers["Channel"] == "PJSIP/101-00000001"
    assert talking.supervising.shown(talking.call) == []


async def test_the_notice_goes_when_he_hangs_up(talking: Scene) -> None:
    uniqueid = await talking.listening()
    talking.story.at(30).hangup("s1", f"{uniqueid}-2", uniqueid)
    talking.tell()
    assert talking.supervising.shown(talking.call) == []
    assert talking.changed == [talking.call, talking.call]


async def test_a_phone_that_could_not_be_rung_is_no_longer_told_after_a_while(talking: Scene) -> None:
    assert (await talking.ask("listen"))["ok"]
    talking.clock.advance(timedelta(seconds=11))
    assert (await talking.ask("end"))["why"] == "not_listening"
    assert talking.supervising.shown(talking.call) == []


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"phone": "999"}, "unknown_phone"),
        ({"phone": "103", "mode": "sing"}, "unknown_mode"),
        ({"phone": "101"}, "own_call"),
        ({"phone": "103", "call": "nothing"}, "nobody_talks"),
        ({"phone": "103", "mode": "end"}, "not_listening"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_word(
    talking: Scene, wish: dict[str, str], why: str
) -> None:
    assert await talking.ask(**{"mode": "listen", **wish}) == {"ok": False, "why": why}
    assert talking.caller.sent == []


async def test_a_pbx_that_does_not_answer_leaves_no_notice(talking: Scene) -> None:
    talking.caller.answer("Originate", AmiLost("Originate"))
    assert await talking.ask("listen") == {"ok": False, "why": "link"}
    assert talking.supervising.shown(talking.call) == []


async def test_who_listens_without_a_notice_is_ended(talking: Scene) -> None:
    """The bridge was started anew: it does not know whose phone that is."""
    uniqueid = await talking.listening()
    talking.supervising.end_strangers()
    await asyncio.sleep(0)
    assert talking.asked == [], "this one is known"
    anew = Supervising(
        talking.supervising._settings, talking.link, talking.tracker, talking.clock, talking.changed.append
    )
    anew.end_strangers()
    for _ in range(5):
        await asyncio.sleep(0)
    ended = [sent.headers["Channel"] for sent in talking.link.sent if sent.name == "Hangup"]
    assert len(ended) == 2
    assert all(talking.tracker.channel_name(uniqueid)[:-1] in str(name) for name in ended)  # type: ignore[index]


async def test_a_waiting_caller_is_moved_to_the_front_or_elsewhere(waiting: Scene) -> None:
    supervising, call = waiting.supervising, waiting.call
    assert (await supervising.answer({"move": call, "to": ""}))["ok"]
    assert (await supervising.answer({"move": call, "to": "support"}))["ok"]
    front, elsewhere = waiting.link.sent
    assert front.name == "QueueChangePriorityCaller"
    assert front.headers["Queue"] == "sales"
    assert front.headers["Caller"] == "PJSIP/carrier-00000000"
    assert (elsewhere.name, elsewhere.headers["Context"]) == ("Redirect", "moved")
    for to, why in (("sales", "unknown_department"), ("nowhere", "unknown_department")):
        assert (await supervising.answer({"move": call, "to": to}))["why"] == why


async def test_who_talks_is_not_moved(talking: Scene) -> None:
    assert (await talking.supervising.answer({"move": talking.call, "to": ""}))["why"] == "not_waiting"
