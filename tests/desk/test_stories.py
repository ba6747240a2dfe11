"""An agent's day at the desk in a real browser, in short stories without a call, each in Russian and in English.

Store, bridge, live wire, desk and browser are real; the PBX is scripted, so that a day takes a minute. Each page is
looked at by axe-core and kept as a screenshot. With real calls: tests/pbx/test_desk_browser.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from ami_bridge.adapters.ami import FakeAmiLink
from ami_bridge.adapters.clock import SystemClock
from ami_bridge.adapters.memory_journal import MemoryJournal
from ami_bridge.adapters.store import CallMark, SqlStore
from ami_bridge.bridge import Bridge
from ami_bridge.core.callbacks import CallbackEvent, Consent
from ami_bridge.desk import create_app, serving
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings
from tests.pbx.browser import CHROMIUM_OPTIONS, Screen, Screens, add_user, chromium

from .conftest import TOKEN
from .test_card_delay import ring

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_MS = 15_000
NOW = datetime.now(UTC)
MOSCOW = ZoneInfo("Europe/Moscow")
NUMBER = "79165550901"
NOTE = {
    "last_name": "Иванова",
    "first_name": "Мария",
    "number": "+79165550901",
    "subject": "смета",
    "result": "прислать до пятницы",
}


@dataclass
class Day:
    """The agent's browser in one language, her colleague's and the supervisor's, and the store behind them."""

    screens: Screens
    store: SqlStore
    link: FakeAmiLink
    language: str
    told: dict[str, Screen] = field(default_factory=dict)
    made: int = 0

    async def as_(self, user: str) -> Screen:
        """The window of ``user``; logged in once for all stories."""
        if user not in self.told:
            self.told[user] = await self.screens.log_in(user, language=self.language)
        return self.told[user]

    async def anna(self, path: str = "/agent") -> Screen:
        screen = await self.as_(f"day-{self.language}")
        await screen.open(path)
        return screen

    async def call(self, **more: Any) -> str:
        """A call that Anna answered and that is over."""
        self.made += 1
        call_id = f"story-{self.language}-{self.made}"
        at = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
        plain = {
            "call_id": call_id,
            "kind": "call",
            "direction": "inbound",
            "disposition": "ANSWERED",
            "complete": True,
            "department": "sales",
            "caller": {"number": NUMBER, "name": "Мария"},
            "started_at": at,
            "answered_at": at,
            "talk_started_at": at,
            "talk_seconds": 30.0,
            "ended_at": datetime.now(UTC).isoformat(),
            "ring_verdict": "ideal",
            "answered_on_ring": 3,
            "answered_by": {"extension": "101"},
            "hung_up_by": "agent",
            "hung_up_confidence": "high",
            "hung_up_evidence": ["HangupRequest of PJSIP/101-00000001, cause 16"],
            "greetings": [{"kind": "direct", "status": "SUCCESS", "started_at": at, "ended_at": at}],
        }
        await self.store.save_call({**plain, **more})
        return call_id

    def word(self, ru: str, en: str) -> str:
        return ru if self.language == "ru" else en


@dataclass
class House:
    """What runs for all stories."""

    screens: Screens
    store: SqlStore
    link: FakeAmiLink


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A desk with its store and its bridge, Chromium, an agent for each language, a supervisor."""
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(tmp_path_factory.mktemp("s"))
    settings = parse_settings(document)
    store, link = SqlStore(settings.store_url), FakeAmiLink()
    await store.open()
    for name, role, extension in (
        ("day-ru", "agent", "101"),
        ("day-en", "agent", "101"),
        ("leader", "supervisor", ""),
    ):
        await add_user(store, name, role, extension)
    bridge = Bridge(settings, link, MemoryJournal(), store, SystemClock())
    link.restore()
    tasks = [asyncio.create_task(bridge.run()), asyncio.create_task(bridge.wire.run())]
    async with (
        serving(create_app(store, settings, TOKEN), "127.0.0.1", 0) as port,
        async_playwright() as driver,
    ):
        network = settings.network.model_copy(update={"desk_port": port})
        browser = await driver.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
        screens = Screens(browser, settings.model_copy(update={"network": network}))
        yield House(screens, store, link)
        await screens.close()
        await browser.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["ru", "en"])
async def day(request: pytest.FixtureRequest, house: House) -> Day:
    return Day(house.screens, house.store, house.link, request.param)


async def begins_at_the_desk_that_waits(day: Day) -> None:
    anna = await day.anna("/")
    await expect(anna.page.locator(".idle h2")).to_have_text(
        day.word("Готовы к следующему звонку", "Ready for the next call")
    )
    assert anna.page.url.endswith("/agent")
    await anna.is_accessible("s01-idle")


async def the_first_page_is_small_and_asks_nobody_else(day: Day) -> None:
    anna = await day.anna()
    sizes = await anna.page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter((e) => !e.name.includes('/api/')).map((e) => e.encodedBodySize)"
    )
    assert len(sizes) >= 6
    assert 10_000 < sum(sizes) <= 200_000
    anna.is_clean()


async def the_keys_are_told(day: Day) -> None:
    anna = await day.anna()
    await anna.page.keyboard.press("?")
    await expect(anna.page.locator("#keys")).to_be_visible()
    await expect(anna.page.locator("#keys")).to_contain_text("F9")
    await anna.is_accessible("s03-keys")
    await anna.page.keyboard.press("Escape")
    await expect(anna.page.locator("#keys")).to_be_hidden()


async def a_call_without_a_note_is_one_click_away(day: Day) -> None:
    call_id = await day.call()
    anna = await day.anna()
    await anna.page.click(f"#side a[href='/agent?call={call_id}']")
    await expect(anna.page.locator("#note-form")).to_be_visible()
    await expect(anna.page.locator(".countdown")).to_have_text(re.compile(r"^\d:\d\d$"))
    await anna.is_accessible("s04-note")


async def what_the_note_lacks_is_marked(day: Day) -> None:
    anna = await day.anna(f"/agent?call={await day.call()}")
    await anna.page.keyboard.press("F2")
    await anna.page.keyboard.press("Control+Enter")
    await expect(anna.page.locator("#note-form [aria-invalid=true]")).not_to_have_count(0)
    await expect(anna.page.locator("#note-faults")).to_be_visible()
    await anna.is_accessible("s05-incomplete")


async def a_draft_outlives_the_page(day: Day) -> None:
    call_id = await day.call()
    anna = await day.anna(f"/agent?call={call_id}")
    await anna.page.fill("[name=result]", "ждёт ответа")
    await anna.page.reload()
    await expect(anna.page.locator("#note-form")).to_be_visible()
    kept = await anna.page.evaluate(f"sessionStorage.getItem('note:{call_id}')")
    assert "ждёт ответа" in kept


async def fill(anna: Screen, **more: str) -> None:
    for name, text in {**NOTE, **more}.items():
        await anna.page.fill(f"#note-form [name={name}]", text)


async def a_whole_note_is_saved_and_the_next_call_may_come(day: Day) -> None:
    anna = await day.anna(f"/agent?call={await day.call()}")
    await fill(anna, decides=day.word("директор", "the director"))
    await anna.page.check("[name=read_back]")
    await anna.page.keyboard.press("Control+Enter")
    await expect(anna.page.locator("#note-form[data-stored='1']")).to_be_visible()
    await anna.is_accessible("s07-saved")
    await anna.page.click("[data-next]")
    await expect(anna.page.locator(".idle")).to_be_visible()


async def a_note_is_mended_as_a_new_version(day: Day) -> None:
    call_id = await day.call()
    anna = await day.anna(f"/agent?call={call_id}")
    for version, result in (("1", "в среду"), ("2", "в четверг")):
        await fill(anna, result=result)
        await anna.page.click("#note-form button.main")
        await expect(anna.page.locator(f"#note-form[data-stored='{version}']")).to_be_visible()
    await anna.open(f"/calls/{call_id}")
    await expect(anna.page.locator("section[aria-labelledby=notes] article")).to_have_count(2)
    await anna.is_accessible("s08-versions")


async def promised(day: Day, when: datetime, **more: str) -> str:
    call_id = await day.call()
    anna = await day.anna(f"/agent?call={call_id}")
    await fill(anna, **more)
    await anna.page.select_option("[name=outcome]", "promise")
    await anna.page.fill("[name=promise_at]", when.astimezone(MOSCOW).strftime("%Y-%m-%dT%H:%M"))
    await anna.page.fill("[name=promise_place]", day.word("Тверская, 1", "Tverskaya 1"))
    await anna.page.check("[name=promise_confirm]")
    await anna.page.click("#note-form button.main")
    await expect(anna.page.locator("#note-form[data-stored]")).to_be_visible()
    return call_id


async def a_promise_shows_its_fields_only_when_there_is_one(day: Day) -> None:
    anna = await day.anna(f"/agent?call={await day.call()}")
    await expect(anna.page.locator("[name=promise_at]")).to_be_hidden()
    await anna.page.select_option("[name=outcome]", "promise")
    await expect(anna.page.locator("[name=promise_at]")).to_be_visible()
    await anna.is_accessible("s09-promise")


async def a_promise_is_in_the_plan_and_asked_for_the_day_before(day: Day) -> None:
    call_id = await promised(day, NOW + timedelta(days=4), subject="замер")
    kept = await day.store.agreement(call_id)
    assert kept is not None
    assert kept.confirm, "a callback is scheduled"
    anna = await day.anna("/agent/day")
    await expect(anna.page.locator("[aria-labelledby=plan-coming]")).to_contain_text("замер")
    await expect(anna.page.locator(f"a[href='/callbacks/{kept.confirm}']")).to_be_visible()
    await anna.is_accessible("s10-plan")


async def a_promise_that_was_kept_counts(day: Day) -> None:
    call_id = await promised(day, datetime.now(UTC) + timedelta(minutes=1), subject="перезвон")
    anna = await day.anna("/agent/day")
    await anna.page.click(f"form[action='/agent/agreements/{call_id}'] button.main")
    await expect(anna.page.locator("[aria-labelledby=plan-done]")).to_contain_text("перезвон")
    await expect(anna.page.locator("[aria-labelledby=streaks] dd").first).not_to_have_text("0")
    await anna.is_accessible("s11-done")


async def a_promise_can_be_called_off(day: Day) -> None:
    call_id = await promised(day, NOW + timedelta(days=5))
    anna = await day.anna("/agent/day")
    await anna.page.click(f"form[action='/agent/agreements/{call_id}'] button[value=called_off]")
    await expect(anna.page.locator(f"form[action='/agent/agreements/{call_id}']")).to_have_count(0)
    assert (await day.store.agreement(call_id)).state == "called_off"  # type: ignore[union-attr]


async def the_own_card_is_seen_first_and_disputed(day: Day) -> None:
    call_id = await day.call()
    leader = await day.as_("leader")
    answer = await leader.page.goto(f"{leader.base}/calls/{call_id}/etiquette")
    assert answer is not None
    assert answer.status == 409
    anna = await day.anna(f"/calls/{call_id}")
    await anna.page.click(f"a[href='/calls/{call_id}/etiquette']")
    await expect(anna.page.locator("table.etiquette tbody tr")).to_have_count(27)
    await expect(anna.page.locator("#S12 .v-fail")).to_be_visible()
    await expect(anna.page.locator("#S12")).to_contain_text("HangupRequest of PJSIP/101")
    await anna.is_accessible("s13-card")
    await anna.page.click("#S12 summary")
    await anna.page.fill("#S12 textarea", day.word("оборвалась связь", "the line broke"))
    await anna.page.click("#S12 form button")
    await expect(anna.page.locator("#S12 .warn")).to_be_visible()


async def the_supervisor_settles_it(day: Day) -> None:
    leader = await day.as_("leader")
    await leader.open("/etiquette")
    await leader.is_accessible("s14-disputes")
    await leader.page.click("section[aria-labelledby=disputes] li:last-child a")
    await leader.page.select_option("#S12 select", "pass")
    await leader.page.fill("#S12 textarea", day.word("верно", "right"))
    await leader.page.click("#S12 form button.main")
    await expect(leader.page.locator("#S12 .v-pass")).to_be_visible()
    await leader.is_accessible("s14-settled")
    leader.is_clean()


async def the_card_stands_in_the_list_of_own_ones(day: Day) -> None:
    anna = await day.anna("/agent/day")
    await expect(anna.page.locator("[aria-labelledby=own-cards] li")).not_to_have_count(0)
    await anna.page.click("[aria-labelledby=own-cards] li:first-child a")
    await expect(anna.page.locator("h1")).to_have_text(day.word("Карточка этикета", "Etiquette card"))


async def cue_cards_are_found_by_a_word(day: Day) -> None:
    """The card of a talk as it is fetched, on the stage."""
    anna = await day.anna(f"/agent?call={await day.call()}")
    await anna.page.evaluate("document.querySelector('.card').dataset.phase = 'talking'")
    await anna.page.keyboard.press("F4")
    await anna.page.keyboard.type(day.word("дорого", "expensive"))
    await expect(anna.page.locator("#cue-cards details[open]")).to_be_visible()
    await expect(anna.page.locator("#cue-cards details[open] summary")).to_have_text(
        day.word("Это дорого", "It is too expensive")
    )
    await anna.is_accessible("s16-cues")
    await anna.page.fill("[data-cue-search]", "zzz")
    await expect(anna.page.locator("[data-if=cue-nothing]")).to_be_visible()


async def a_name_is_spelt(day: Day) -> None:
    anna = await day.anna(f"/agent?call={await day.call()}")
    await anna.page.fill("[name=last_name]", day.word("Щука", "Wu"))
    await anna.page.click(".spelling summary")
    wanted = day.word("Щука · Ульяна · Константин · Анна", "Whiskey · Uniform")
    await expect(anna.page.locator("[data-spelt]")).to_have_text(wanted)
    await anna.is_accessible("s17-spelt")


async def phases_are_ticked_into_the_note(day: Day) -> None:
    call_id = await day.call()
    anna = await day.anna(f"/agent?call={call_id}")
    await anna.page.evaluate("document.querySelector('.card').dataset.phase = 'talking'")
    for phase in ("contact", "subject", "conclusion"):
        await anna.page.check(f"[name=phase_{phase}]")
    await fill(anna)
    await anna.is_accessible("s18-phases")
    await anna.page.click("#note-form button.main")
    await expect(anna.page.locator("#note-form[data-stored]")).to_be_visible()
    (note,) = await day.store.notes(call_id)
    assert [note.fields.get(f"phase_{phase}") for phase in ("contact", "subject", "arguments")] == [
        "yes",
        "yes",
        None,
    ]


async def the_card_stands_there_while_it_rings(day: Day) -> None:
    anna = await day.anna()
    await anna.until("desk.linked")
    number = ring(day.link, 1 if day.language == "ru" else 2)
    await expect(anna.page.locator(".card[data-phase=ringing] #note-form")).to_be_visible(timeout=WAIT_MS)
    await expect(anna.page.locator(".card .cue")).to_be_visible()
    assert "".join(re.findall(r"\d", await anna.page.inner_text(".card h1"))) == number
    await anna.is_accessible("s19-rings")
    await anna.page.fill("#note-form [name=subject]", "смета")
    (call,) = await anna.page.evaluate("[...desk.calls.keys()]")
    await expect_marks(day, call)
    day.link.emit(
        "Hangup", Channel="PJSIP/carrier-1", Uniqueid="c1" if day.language == "ru" else "c2", Cause="16"
    )
    phone = "pc1" if day.language == "ru" else "pc2"
    day.link.emit("Hangup", Channel="PJSIP/101-1", Uniqueid=phone, Linkedid=phone[1:], Cause="16")
    await expect(anna.page.locator(".idle")).to_be_visible(timeout=WAIT_MS)


async def expect_marks(day: Day, call_id: str) -> None:
    """That the dossier was shown and the note begun is kept as evidence."""
    async with asyncio.timeout(10):
        while [mark.kind for mark in await day.store.marks([call_id])] != ["card", "typing"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def a_callback_is_taken_in_hand_and_stands_in_the_plan(day: Day) -> None:
    consent = Consent("1", "permission-ru-1", NOW, "+79165550902")
    made = await day.store.create_callback(
        f"story-{day.language}",
        "sales",
        event=CallbackEvent.CAPTURED,
        number="+79165550902",
        subject_text=day.word("вернуть товар", "a return"),
        due_at=NOW + timedelta(days=1),
        consent=consent,
    )
    anna = await day.anna(f"/callbacks/{made.id}")
    await anna.page.click(
        "form[action$='/take'] button, button[formaction$='/take'], [hx-post$='/take'] button"
    )
    await anna.page.wait_for_selector("form[action$='/give-back'], [hx-post$='/give-back']", timeout=WAIT_MS)
    await anna.open("/agent/day")
    await expect(anna.page.locator("[aria-labelledby=plan-callbacks]")).to_contain_text(
        day.word("вернуть товар", "a return")
    )
    await day.store.update_callback(made.id, event=CallbackEvent.CANCELLED)


async def hostile_names_are_text(day: Day) -> None:
    said = "<script>alert(1)</script>\"'>😀\u202egnp.exe"
    call_id = await day.call(caller={"number": NUMBER, "name": said}, hung_up_evidence=[said])
    await day.store.add_note(
        call_id, "x", {**NOTE, "last_name": said, "subject": said, "text": said * 100}, key=call_id
    )
    await day.store.add_mark(
        CallMark(f"h{call_id}", call_id, "dispute", said, NOW, {"rule": "S2", "comment": said})
    )
    for path in (f"/agent?call={call_id}", f"/calls/{call_id}", f"/calls/{call_id}/etiquette", "/agent/day"):
        anna = await day.anna(path)
        assert await anna.page.locator("main script").count() == 0
        assert "<script>alert(1)</script>" in await anna.page.inner_text("main") or "/agent" in path
    await anna.is_accessible("s21-hostile")


async def on_a_phone_nothing_is_wider_than_the_screen(day: Day) -> None:
    anna = await day.anna(f"/agent?call={await day.call()}")
    await anna.page.set_viewport_size({"width": 390, "height": 844})
    try:
        for path in (anna.page.url.removeprefix(anna.base), "/agent/day"):
            await anna.open(path)
            assert await anna.page.evaluate("document.documentElement.scrollWidth") <= 390, path
            await anna.is_accessible(f"s22-phone-{len(path)}")
    finally:
        await anna.page.set_viewport_size({"width": 1280, "height": 860})


async def in_the_dark_it_reads_as_well(day: Day) -> None:
    anna = await day.anna("/agent/day")
    await anna.page.click("#theme")
    await anna.is_accessible("s23-dark")
    await anna.page.click("#theme")


async def nothing_was_asked_of_strangers_all_day(day: Day) -> None:
    for screen in day.told.values():
        assert screen.strangers == []
        assert screen.faults == []


STORIES: tuple[Callable[[Day], Awaitable[None]], ...] = (
    begins_at_the_desk_that_waits,
    the_first_page_is_small_and_asks_nobody_else,
    the_keys_are_told,
    a_call_without_a_note_is_one_click_away,
    what_the_note_lacks_is_marked,
    a_draft_outlives_the_page,
    a_whole_note_is_saved_and_the_next_call_may_come,
    a_note_is_mended_as_a_new_version,
    a_promise_shows_its_fields_only_when_there_is_one,
    a_promise_is_in_the_plan_and_asked_for_the_day_before,
    a_promise_that_was_kept_counts,
    a_promise_can_be_called_off,
    the_own_card_is_seen_first_and_disputed,
    the_supervisor_settles_it,
    the_card_stands_in_the_list_of_own_ones,
    cue_cards_are_found_by_a_word,
    a_name_is_spelt,
    phases_are_ticked_into_the_note,
    the_card_stands_there_while_it_rings,
    a_callback_is_taken_in_hand_and_stands_in_the_plan,
    hostile_names_are_text,
    on_a_phone_nothing_is_wider_than_the_screen,
    in_the_dark_it_reads_as_well,
    nothing_was_asked_of_strangers_all_day,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_the_day_of_an_agent(day: Day, story: Callable[[Day], Awaitable[None]]) -> None:
    await story(day)
