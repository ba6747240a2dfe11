"""The desk in a real browser while real phones ring: what agent and supervisor see, and that it is true."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from tests.pbx.browser import ARTEFACTS, CHROMIUM_OPTIONS, Screen, Screens, add_user, chromium
from tests.pbx.calls import now, record_of, spoken

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

#: A ring is 3 s in Britain; a counter that is off by a ring is off by more than this, however loaded the machine.
TOLERANCE = 1.0
WAIT_MS = 20_000

# In the page: when each number first stood on the card, on the server's clock.
WATCH_COUNTER = """() => {
  window.counted = {};
  const look = () => {
    const card = document.querySelector('.card[data-phase=ringing]');
    const shown = card && card.live && card.live.ring && card.querySelector('[data-live=count]').textContent;
    if (shown && !(shown in window.counted)) window.counted[shown] = desk.now() - Date.parse(card.live.ring.started_at);
    requestAnimationFrame(look);
  };
  look();
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def screens(stage: Stage, store: SqlStore) -> AsyncIterator[Screens]:
    """Chromium, and three people who may log in."""
    for name, role, extension in (
        ("anna", "agent", "101"),
        ("olga", "agent", "103"),
        ("boss", "supervisor", ""),
    ):
        await add_user(store, name, role, extension)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
        shown = Screens(browser, stage.settings)
        yield shown
        await shown.close()
        await browser.close()


async def phase(screen: Screen, name: str) -> None:
    """Wait until the card is in phase ``name``."""
    await screen.page.wait_for_selector(f".card[data-phase={name}]", timeout=WAIT_MS)


async def test_a_call_from_the_first_ring_to_the_stored_note(
    phones: Stage, store: SqlStore, screens: Screens
) -> None:
    """It rings: card and counter; answered on ring 3: talk bar; hung up: note form; the record shows the note."""
    since, number = now(), "79165550301"
    olga = await screens.log_in("olga")
    boss = await screens.log_in("boss", language="en", dark=True)
    await olga.is_accessible("1-idle")
    await olga.until("desk.linked")
    await olga.page.evaluate(WATCH_COUNTER)
    agent = await phones.agent("103")
    caller = await phones.caller(number)
    await caller.dial("74950000004")
    rung = (await agent.wait_for(PhoneState.INCOMING, 5)).monotonic
    await phase(olga, "ringing")
    assert time.monotonic() - rung < 3.0, "the card came when the first ring was over"
    await olga.page.wait_for_selector("#note-form", timeout=WAIT_MS)
    assert await olga.page.text_content(".card h1") == "+7 916 555-03-01"
    assert "Olga Kuznetsova" in (await olga.page.text_content(".card .line q") or "")
    await olga.page.wait_for_selector(".card[data-ring=ideal]", timeout=WAIT_MS)
    await olga.page.fill("#note-form [name=subject]", "доставка")  # the form is open before the answer (S6)
    await boss.page.wait_for_selector("[data-ring-number]", timeout=WAIT_MS)
    await boss.keep("2-ringing")
    await olga.is_accessible("2-ringing")
    await olga.until("'3' in window.counted")
    counted: dict[str, float] = await olga.page.evaluate("window.counted")
    await agent.answer()
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    (ARTEFACTS / "counter.json").write_text(json.dumps(counted))
    for ring in ("2", "3"):  # 1 stood there from when the card came
        assert 0 <= counted[ring] / 1000 - 3.0 * (int(ring) - 1) < TOLERANCE, f"ring {ring}"
    await phase(olga, "talking")
    await caller.speak(await spoken(phones, "Здравствуйте, хочу узнать, когда привезут мой заказ"))
    await olga.page.wait_for_selector("[data-side=caller][data-speaks]", timeout=WAIT_MS)
    await agent.speak(await spoken(phones, "Одну минуту, посмотрю"))
    await olga.until("parseFloat(document.querySelector('.bar .agent').style.width) > 0")
    await olga.is_accessible("3-talking")
    await caller.hangup()
    await phase(olga, "ended")
    assert await olga.page.input_value("#note-form [name=subject]") == "доставка"
    await olga.page.keyboard.press("F2")
    await olga.page.keyboard.type("Иванов")
    await olga.page.keyboard.press("Control+Enter")
    await olga.page.wait_for_selector("#note-form [aria-invalid=true]", timeout=WAIT_MS)
    await olga.is_accessible("4-note-incomplete")
    await olga.page.fill("[name=first_name]", "Иван")
    await olga.page.fill("[name=result]", "ждёт во вторник")
    await olga.page.click("#note-form button.main")
    await olga.page.wait_for_selector("#note-form[data-stored]", timeout=WAIT_MS)
    record = await record_of(store, number, since)
    (note,) = await store.notes(record["call_id"])
    assert (note.author, note.fields["subject"], note.fields["number"]) == ("olga", "доставка", number)
    assert (record["answered_on_ring"], record["ring_verdict"]) == (3, "ideal")
    await shows_the_record(boss, record)
    for screen in (olga, boss):
        screen.is_clean()


async def shows_the_record(boss: Screen, record: dict[str, Any]) -> None:
    """Found by a word of its note; drawn with its three rings."""
    await boss.open("/calls")
    await boss.page.fill("[name=text]", "во вторник")
    await boss.page.keyboard.press("Enter")
    await boss.page.wait_for_selector(f"a[href='/calls/{record['call_id']}']", timeout=WAIT_MS)
    await boss.is_accessible("5-calls")
    await boss.page.click(f"a[href='/calls/{record['call_id']}']")
    await boss.page.wait_for_selector("svg.timeline", timeout=WAIT_MS)
    assert await boss.page.locator("svg.timeline .t-ring").count() == 3
    assert await boss.page.locator("svg.timeline .t-talk").count() == 1
    assert "ждёт во вторник" in await boss.page.inner_text("main")
    await boss.is_accessible("6-call")


async def test_a_name_of_a_stranger_is_text_and_the_card_leaves_when_he_gives_up(
    phones: Stage, screens: Screens
) -> None:
    """``<script>`` as the caller's name; he hangs up while it rings; a phone's width."""
    anna = await screens.log_in("anna", width=390, height=844)
    await anna.until("desk.linked")
    agent = await phones.agent("101")
    caller = await phones.caller("79165550302")
    await caller.dial("74950000001", display="<script>alert(1)</script>")
    await agent.wait_for(PhoneState.INCOMING, 5)
    await anna.page.wait_for_selector("#note-form", timeout=WAIT_MS)
    name = await anna.page.text_content(".card h1") or ""
    assert "script" in name
    assert "alert" in name
    assert await anna.page.locator("main script").count() == 0
    await anna.is_accessible("1-ringing")
    wide = await anna.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "the page is wider than the phone"
    await caller.hangup()
    await anna.page.wait_for_selector(".idle", timeout=WAIT_MS)
    anna.is_clean()


async def test_who_waits_is_on_the_wallboard_in_both_languages(phones: Stage, screens: Screens) -> None:
    """A caller in the queue stands on the wallboard, which says so in the reader's language."""
    boss = await screens.log_in("boss")
    await phones.agent("102")
    caller = await phones.caller("79165550303")
    await caller.dial("74950000005")
    await caller.wait_for(PhoneState.ESTABLISHED, 10)
    waits = boss.page.locator("section[aria-labelledby=w-wait]")
    await waits.get_by_text("+7 916 555-03-03").wait_for(timeout=WAIT_MS)
    assert "на линии" in await waits.inner_text()
    await boss.is_accessible("1-waiting")
    await boss.page.click("a[href='/language/en']")
    await boss.page.get_by_text("Service level", exact=True).wait_for(timeout=WAIT_MS)
    await boss.is_accessible("2-english")
    await boss.page.click("#theme")
    await boss.is_accessible("3-other-theme")
    await caller.hangup()
    await boss.until("!document.querySelector('section[aria-labelledby=w-calls] tbody')")
    await boss.open("/callbacks?state=all")
    await boss.is_accessible("4-callbacks")
    boss.is_clean()


async def test_what_happens_while_the_line_is_cut_is_not_missed(phones: Stage, screens: Screens) -> None:
    """The browser loses the desk while a call begins: the page says so, and shows the call when it is back."""
    anna = await screens.log_in("anna")
    await anna.until("desk.linked")
    await anna.page.context.set_offline(True)
    agent = await phones.agent("101")
    caller = await phones.caller("79165550304")
    await caller.dial("74950000001")
    await agent.wait_for(PhoneState.INCOMING, 5)
    await anna.page.context.set_offline(False)
    await phase(anna, "ringing")
    await caller.hangup()
    await anna.page.wait_for_selector(".idle", timeout=WAIT_MS)


async def test_a_paused_agent_is_left_alone_until_she_is_back(
    phones: Stage, store: SqlStore, screens: Screens
) -> None:
    """F8 pauses in the PBX itself: the direct phone does not ring, and the caller is answered by the queue at once."""
    since, number = now(), "79165550305"
    anna = await screens.log_in("anna", language="en")
    agent = await phones.agent("101")
    side = anna.page.locator("#availability")
    await side.get_by_text("Available", exact=True).wait_for(timeout=WAIT_MS)
    await anna.page.select_option("#availability [name=reason]", "lunch")
    await anna.page.keyboard.press("F8")
    await side.get_by_text("Lunch").wait_for(timeout=WAIT_MS)
    await anna.is_accessible("1-paused")
    try:
        caller = await phones.caller(number)
        await caller.dial("74950000001")
        await caller.wait_for(PhoneState.ESTABLISHED, 8)
        await caller.hangup()
        record = await record_of(store, number, since)
        assert record["failover_reason"] == "no_leg"
        assert agent.calls == 0
    finally:
        await anna.page.keyboard.press("F8")
        await side.get_by_text("Available", exact=True).wait_for(timeout=WAIT_MS)
    anna.is_clean()
