"""The browser as a phone: Chromium with a microphone that says known words, a caller on a real SIP phone."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from agi.voice.prompts import music_folder
from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.hearing import RATE, SILENCE_LEVEL, Match, Samples, correlate, load_wav
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import AnswerMode, PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.faults.listening import beginning, talk
from tests.pbx.browser import CHROMIUM_OPTIONS, Screen, Screens, add_user, chromium
from tests.pbx.calls import eventually, now, record_of, spoken
from tests.pbx.conftest import FIRST_PORT, configuration, free_block, write_configuration
from tests.pbx.customers import by_hand

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

WAIT_MS = 20_000
#: Chromium leaves loopback out of its candidates unless told otherwise, and would ask the network for *.local names.
LOOPBACK = ["--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns"]
#: Echo cancelling and level control in the browser, its jitter buffer and A-law change the waves of speech: the same
#: words still give this much on the mean of their slices, others 0.2 to 0.3.
SAME_WORDS = 0.6

# In the page, from the test alone: keep every connection, and what is heard as 8,000 samples a second.
WATCH = """() => {
  window.connections = [];
  const Own = window.RTCPeerConnection;
  window.RTCPeerConnection = function (...how) { const made = new Own(...how); connections.push(made); return made; };
  window.RTCPeerConnection.prototype = Own.prototype;
}"""
RECORD = """() => {
  if (window.tapped) tapped.close(); // what another call was heard with
  const context = window.tapped = new AudioContext({ sampleRate: 8000 });
  const tap = context.createScriptProcessor(1024, 1, 1);
  window.heard = [];
  tap.onaudioprocess = (event) => heard.push(...event.inputBuffer.getChannelData(0));
  context.createMediaStreamSource(document.querySelector('[data-phone=voice]').srcObject).connect(tap).connect(context.destination);
}"""
HEARD = """() => {
  const bytes = new Uint8Array(Float32Array.from(heard).buffer);
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}"""
PATH = """async () => {
  const found = [...(await connections.at(-1).getStats()).values()];
  const pair = found.find((each) => each.type === 'candidate-pair' && each.nominated);
  return found.find((each) => each.id === pair.localCandidateId).address;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office() -> AsyncIterator[Stage]:
    """A system of its own: what is off by default stays off in the one that all other tests share."""
    with TemporaryDirectory(prefix="fr-") as folder:
        document = configuration(Path(folder) / "s", free_block(FIRST_PORT))
        document["webrtc"] = {"enabled": True}
        document["agents"]["103"]["webrtc"] = True
        async with Stage(write_configuration(Path(folder), document)) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def records(office: Stage) -> AsyncIterator[SqlStore]:
    """The store of that system, with an agent who may log in."""
    store = SqlStore(office.settings.store_url)
    await store.open()
    await add_user(store, "olga", "agent", "103")
    yield store
    await store.close()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def hung_up(office: Stage) -> AsyncIterator[None]:
    """The phones of each test end with it: the next one's take their places."""
    yield
    await office.stop_phones()


@asynccontextmanager
async def browsers(stage: Stage, *options: str) -> AsyncIterator[Screens]:
    """A Chromium with ``options``."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=chromium(), args=[*CHROMIUM_OPTIONS, *LOOPBACK, *options]
        )
        shown = Screens(browser, stage.settings)
        yield shown
        await shown.close()
        await browser.close()


async def state(screen: Screen, name: str) -> None:
    """Wait until the phone in the page is ``name``."""
    await screen.page.wait_for_selector(f"#phone[data-state={name}]", timeout=WAIT_MS)


async def heard_in(screen: Screen) -> Samples:
    """What the page has played since :data:`RECORD`."""
    return np.frombuffer(base64.b64decode(await screen.page.evaluate(HEARD)), dtype=np.float32)


def likeness(heard: Samples, words: Samples) -> Match:
    """How well ``words`` are in what was heard, wherever."""
    return correlate(heard, words, score=SAME_WORDS)


async def browser_hears(screen: Screen, words: Path) -> None:
    """Wait until what the page played holds ``words``."""
    wanted, _ = load_wav(words)

    async def ask() -> Match | None:
        found = likeness(await heard_in(screen), wanted)
        return found if found.score_mean >= SAME_WORDS else None

    await eventually(ask, f"the browser heard {words.stem}")


async def gone(stage: Stage, endpoint: str) -> bool | None:
    """Whether nothing is registered as ``endpoint`` any more."""
    return f" {endpoint}/" not in await asyncio.to_thread(stage.pbx.cli, "pjsip show contacts") or None


async def hears(phone: Softphone, words: Path, since: float) -> None:
    """Wait until ``phone`` has heard ``words``; a browser's microphone says them again and again."""
    wanted, _ = load_wav(words)

    async def ask() -> Match | None:
        found = likeness(heard_since(phone, since), wanted)
        return found if found.score_mean >= SAME_WORDS else None

    await eventually(ask, f"{phone.name} heard {words.stem}")


def heard_since(phone: Softphone, since: float) -> Samples:
    """What ``phone`` has heard from the monotonic instant ``since`` on."""
    heard = phone.heard_call()
    return heard.samples[max(0, int((since - heard.started) * heard.rate)) :]


async def loudness(phone: Softphone, seconds: float) -> float:
    """How loud ``phone`` hears the next ``seconds``."""
    since = time.monotonic()

    async def ask() -> Samples | None:
        heard = heard_since(phone, since)
        return heard[: int(seconds * RATE)] if len(heard) >= seconds * RATE else None

    heard = await eventually(ask, "sound")
    return float(np.sqrt(np.mean(np.square(heard, dtype=np.float64))))


async def test_a_whole_call_in_the_browser(office: Stage, records: SqlStore) -> None:
    """Both phones ring, the browser answers; talk, mute, hold, a key, put through; and the record is right."""
    since, number = now(), "79165550401"
    microphone = await spoken(
        office, "Good afternoon, this is Olga, I am listening to you very carefully", "en"
    )
    voice = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    async with browsers(office, *voice, f"--use-file-for-fake-audio-capture={microphone}") as screens:
        olga = await screens.log_in("olga")
        await olga.page.evaluate(WATCH)
        await olga.page.click("[data-act=on]")
        await state(olga, "ready")
        await olga.is_accessible("phone-1-ready")
        desk_phone = await office.agent("103")
        colleague = await office.agent("101", answer_mode=AnswerMode.MANUAL)
        caller = await office.caller(number)
        await caller.dial("74950000004")
        await state(olga, "ringing")
        await desk_phone.wait_for(PhoneState.INCOMING, 5)
        await olga.page.wait_for_selector(".card[data-ring=ideal]", timeout=WAIT_MS)
        await olga.is_accessible("phone-2-ringing")
        await olga.page.keyboard.press("F7")
        await state(olga, "talking")
        await olga.page.evaluate(RECORD)
        await desk_phone.wait_for(PhoneState.CLOSED, 5)
        assert await olga.page.evaluate(PATH) == "127.0.0.1"
        await olga.page.wait_for_selector(".card[data-phase=talking]", timeout=WAIT_MS)
        greeting, _ = load_wav(
            ExpectedPrompts(office.settings, office.voice).greeting("direct", "britain", "103")
        )
        assert likeness(caller.heard_call().samples, greeting).score_mean >= SAME_WORDS
        await both_hear(office, olga, caller, microphone)
        await olga.is_accessible("phone-3-talking")
        await muted_and_held(olga, caller, microphone)
        await olga.page.click("#phone summary")
        await olga.page.click("[data-digit='7']")
        await eventually(lambda: digit_of(caller), "the key that was pressed in the browser")
        await olga.page.fill("[data-phone=number]", "101")
        await olga.page.keyboard.press("Enter")
        await colleague.wait_for(PhoneState.INCOMING, 10)
        await colleague.answer()
        await state(olga, "ready")
        words = await spoken(office, "Слушаю вас, чем могу помочь")
        began = time.monotonic()
        await colleague.speak(words)
        await hears(caller, words, began)
        await olga.page.click("[data-act=off]")
        await eventually(lambda: gone(office, "103-web"), "the PBX forgets a phone that was switched off")
        await state(olga, "off")
        await caller.hangup()
        olga.is_clean()
    record = await record_of(records, number, since)
    assert record["answered_by"]["extension"] == "103"
    assert record["ring_verdict"] == "ideal"
    both = record["rung"][:2]
    assert [leg["extension"] for leg in both] == ["103", "103"]
    assert sorted(leg["ring_verdict"] for leg in both) == ["elsewhere", "ideal"]
    assert [hold["by"]["channel"].startswith("PJSIP/103-web-") for hold in record["holds"]] == [True]
    (transfer,) = record["transfers"]
    assert (transfer["kind"], transfer["target"]["extension"]) == ("blind", "101")
    assert (record["disposition"], record["hung_up_by"]) == ("ANSWERED", "caller")


async def digit_of(phone: Softphone) -> str | None:
    """The first key that ``phone`` was sent."""
    return phone.digits_heard[0] if phone.digits_heard else None


async def both_hear(stage: Stage, olga: Screen, caller: Softphone, microphone: Path) -> None:
    """The caller's words arrive in the page, the microphone's at the caller; the meters move."""
    began = time.monotonic()
    words = await spoken(stage, "Здравствуйте, хочу узнать, когда привезут мой заказ")
    await caller.speak(words)
    await olga.until("document.querySelector('[data-phone=level-own]').value > 0.2")
    await olga.until("document.querySelector('[data-phone=level-other]').value > 0.2")
    await browser_hears(olga, words)
    await hears(caller, microphone, began)
    await caller.speak(None)


async def muted_and_held(olga: Screen, caller: Softphone, microphone: Path) -> None:
    """A closed microphone is silence; on hold nothing of it is heard; after both the words come again."""
    page = olga.page
    await page.keyboard.press("Shift+F7")
    await page.wait_for_selector("[data-phone=mute][aria-pressed=true]", timeout=WAIT_MS)
    await asyncio.sleep(0.5)  # what was said before is still on its way
    assert await loudness(caller, 1.0) < SILENCE_LEVEL
    await page.keyboard.press("Shift+F7")
    await page.keyboard.press("F7")
    await page.wait_for_selector("[data-phone=hold][aria-pressed=true]", timeout=WAIT_MS)
    await asyncio.sleep(0.5)
    began = time.monotonic()
    await loudness(caller, 2.0)
    wanted, _ = load_wav(microphone)
    assert likeness(heard_since(caller, began), wanted).score_mean < SAME_WORDS, "heard while on hold"
    await page.keyboard.press("F7")
    await page.wait_for_selector("[data-phone=hold][aria-pressed=false]", timeout=WAIT_MS)
    await hears(caller, microphone, time.monotonic())


@asynccontextmanager
async def in_a_talk(
    stage: Stage, number: str, language: str
) -> AsyncIterator[tuple[Screen, Softphone, Softphone, Path]]:
    """Olga has answered ``number`` in the browser; also a colleague (101), and what Olga's microphone says."""
    microphone = await spoken(
        stage, "Good afternoon, this is Olga, I am listening to you very carefully", "en"
    )
    voice = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    async with browsers(stage, *voice, f"--use-file-for-fake-audio-capture={microphone}") as screens:
        olga = await screens.log_in("olga", language=language)
        await olga.page.click("[data-act=on]")
        await state(olga, "ready")
        colleague = await stage.agent("101", answer_mode=AnswerMode.MANUAL)
        caller = await stage.caller(number)
        await caller.dial("74950000004")
        await state(olga, "ringing")
        await olga.page.keyboard.press("F7")
        await state(olga, "talking")
        await olga.page.wait_for_selector(".card[data-phase=talking]", timeout=WAIT_MS)
        yield olga, caller, colleague, microphone
        olga.is_clean()


async def presses(screen: Screen, act: str) -> None:
    """A button of the phone, by keyboard."""
    button = screen.page.locator(f"#phone [data-act={act}]")
    await button.wait_for(timeout=WAIT_MS)
    await button.focus()
    await screen.page.keyboard.press("Enter")


async def asks(olga: Screen, colleague: Softphone, *, answered: bool = True) -> None:
    """The colleague's phone rings beside the caller's call, and is answered."""
    await olga.page.fill("[data-phone=number]", "101")
    await presses(olga, "ask")
    await colleague.wait_for(PhoneState.INCOMING, 10)
    await olga.page.wait_for_selector("#phone[data-asking=ringing]", timeout=WAIT_MS)
    assert await olga.page.evaluate("document.activeElement.dataset.act") == "back", (
        "the keyboard has a place"
    )
    assert not await olga.page.locator("[data-act=complete]").is_visible()
    if answered:
        await colleague.answer()
        await olga.page.wait_for_selector("#phone[data-asking=talking]", timeout=WAIT_MS)


async def with_the_caller_again(olga: Screen) -> None:
    """Neither a colleague nor hold."""
    await olga.page.wait_for_selector("#phone[data-state=talking]:not([data-asking])", timeout=WAIT_MS)
    await olga.page.wait_for_selector("[data-phone=hold][aria-pressed=false]", timeout=WAIT_MS)


async def music_alone(stage: Stage, caller: Softphone, microphone: Path, since: float) -> None:
    """The caller hears the music of the house, and nothing of what Olga says."""
    wanted, _ = load_wav(beginning(stage, music_folder(stage.settings) / "waiting.wav", 2.0))
    said, _ = load_wav(microphone)

    async def ask() -> bool | None:
        return likeness(heard_since(caller, since), wanted).score_mean >= SAME_WORDS or None

    await eventually(ask, "the caller hears the music")
    assert likeness(heard_since(caller, since), said).score_mean < SAME_WORDS, "the caller heard it"


@by_hand
async def test_a_colleague_is_asked_first(office: Stage, records: SqlStore) -> None:
    """Declined, thanked and left, put through: the caller hears music, then whoever is meant to be heard."""
    since, number = now(), "79165550402"
    async with in_a_talk(office, number, "ru") as (olga, caller, colleague, microphone):
        await asks(olga, colleague, answered=False)
        await colleague.hangup()
        await olga.page.get_by_role("alert").get_by_text("Коллега не ответил").wait_for(timeout=WAIT_MS)
        await with_the_caller_again(olga)
        await hears(caller, microphone, time.monotonic())
        began = time.monotonic()
        await asks(olga, colleague)
        await olga.page.evaluate(RECORD)
        await both_hear(office, olga, colleague, microphone)
        await music_alone(office, caller, microphone, began + 1.0)
        await olga.is_accessible("phone-4-asking")
        await presses(olga, "back")
        await colleague.wait_for(PhoneState.CLOSED, 5)
        await with_the_caller_again(olga)
        await olga.page.evaluate(RECORD)
        await both_hear(office, olga, caller, microphone)
        await asks(olga, colleague)
        calls = colleague.calls
        await presses(olga, "complete")
        await state(olga, "ready")
        await talk(office, caller, colleague, since=time.monotonic())
        assert colleague.calls == calls
        await caller.hangup()
        await colleague.wait_for(PhoneState.CLOSED, 5)
    record = await record_of(records, number, since)
    (transfer,) = record["transfers"]
    assert (transfer["kind"], transfer["target"]["extension"]) == ("attended", "101")
    assert len(record["holds"]) == 3
    assert (record["disposition"], record["hung_up_by"]) == ("ANSWERED", "caller"), record["hung_up_evidence"]


async def test_the_caller_gives_up_while_a_colleague_is_asked(office: Stage, records: SqlStore) -> None:
    """The page says so; the talk with the colleague is a talk like any other then."""
    since, number = now(), "79165550403"
    async with in_a_talk(office, number, "en") as (olga, caller, colleague, microphone):
        await asks(olga, colleague)
        await caller.hangup()
        await olga.page.get_by_role("alert").get_by_text("The caller has hung up").wait_for(timeout=WAIT_MS)
        await with_the_caller_again(olga)
        await hears(colleague, microphone, time.monotonic())
        await presses(olga, "hangup")
        await colleague.wait_for(PhoneState.CLOSED, 5)
        await state(olga, "ready")
    record = await record_of(records, number, since)
    assert (record["transfers"], record["hung_up_by"]) == ([], "caller"), record["hung_up_evidence"]


@pytest.mark.usefixtures("records")
async def test_a_refused_microphone_is_said_in_plain_words(office: Stage) -> None:
    """No microphone for the page: the phone stays off and says what to do, in both languages."""
    async with browsers(office, "--use-fake-device-for-media-stream", "--deny-permission-prompts") as screens:
        for language, told in (("ru", "Браузеру запрещён микрофон"), ("en", "may not use the microphone")):
            olga = await screens.log_in("olga", language=language)
            await olga.page.click("[data-act=on]")
            await olga.page.get_by_role("alert").get_by_text(told).wait_for(timeout=WAIT_MS)
            await state(olga, "off")
            await olga.is_accessible("phone-refused")
            olga.is_clean()
