"""How long after the AMI event of the ringing phone the card stands on the agent's screen: real PBX, real Chromium.

By hand, on a machine that does nothing else: a bound on a delay says little beside other tests. What it found
lies in ``artefacts/desk/card-delay.json``.
"""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from playwright.async_api import async_playwright

from ami_bridge.adapters.journal import read_journal
from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from tests.pbx.browser import ARTEFACTS, CHROMIUM_OPTIONS, Screens, add_user, chromium
from tests.pbx.calls import now
from tests.pbx.customers import by_hand

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

P95_SECONDS = 0.25
CALLS = 40
# In the page: by call, the wall clock of the first frame after the one in which its card was laid out, with a number
# in the ring counter and the caller's in the title; and the instant that its counter counts from.
WATCH_CARD = """() => {
  window.cards = {};
  const look = () => {
    const card = document.querySelector('.card[data-phase=ringing]');
    const ring = card && card.live && card.live.ring;
    const stands = ring && card.querySelector('[data-live=count]').textContent === '1'
      && card.querySelector('h1').checkVisibility() && card.querySelector('h1').textContent.startsWith('+7');
    if (stands && !(card.dataset.call in window.cards)) {
      const call = card.dataset.call;
      window.cards[call] = null;
      requestAnimationFrame(() => { window.cards[call] = [Date.now() / 1000, Date.parse(ring.started_at) / 1000]; });
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def ringing_events(stage: Stage, since: datetime, extension: str) -> list[float]:
    """When Asterisk made each event that says this phone rings: its own clock, epoch seconds."""
    folder, node = stage.settings.state_folder / "journal", stage.settings.node.name
    return [
        float(entry.headers["Timestamp"])
        for entry in read_journal(folder, since, node=node)
        if entry.name == "Newstate"
        and entry.headers["ChannelStateDesc"] == "Ringing"
        and str(entry.headers["Channel"]).startswith(f"PJSIP/{extension}-")
    ]


@by_hand
async def test_the_card_is_on_the_screen_within_a_quarter_of_a_second(phones: Stage, store: SqlStore) -> None:
    """95 of 100, and its counter counts from the event itself."""
    since = now()
    await add_user(store, "olga", "agent", "103")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
        screens = Screens(browser, phones.settings)
        olga = await screens.log_in("olga")
        await olga.until("desk.linked")
        await olga.page.evaluate(WATCH_CARD)
        agent = await phones.agent("103")
        caller = await phones.caller("79165550310")
        for number in range(1, CALLS + 1):
            await caller.dial("74950000004")
            await agent.wait_for(PhoneState.INCOMING, 5)
            await olga.until(f"Object.values(window.cards).filter(Boolean).length === {number}")
            await caller.hangup()
            await olga.page.wait_for_selector(".idle", timeout=5_000)
            await agent.wait_for(PhoneState.CLOSED, 5)
        shown: list[tuple[float, float]] = await olga.page.evaluate("Object.values(window.cards)")
        olga.is_clean()
        await screens.close()
        await browser.close()
    events = ringing_events(phones, since, "103")
    assert len(events) == len(shown) == CALLS
    delays = sorted(at - event for event, (at, _) in zip(events, shown, strict=True))
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    (ARTEFACTS / "card-delay.json").write_text(json.dumps(delays))
    assert delays[0] > 0, "a card before its event"
    for event, (_, counted_from) in zip(events, shown, strict=True):
        assert abs(counted_from - event) < 0.01, "the counter counts from another instant"
    p95 = delays[int(0.95 * CALLS) - 1]
    print(f"\nhalf within {delays[CALLS // 2] * 1000:.0f} ms, 95 of 100 within {p95 * 1000:.0f} ms")
    assert p95 < P95_SECONDS
