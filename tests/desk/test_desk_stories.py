"""A supervisor's and an admin's day in a real browser, in both languages; no telephone is needed for it.

The desk is whole (store, pages, live feed); what the bridge would tell comes over its own wire from a pen. Calls with
real phones are in tests/pbx. Every page is looked at by axe-core and kept as a screenshot.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from ami_bridge.core.callbacks import CallbackEvent, Consent
from ami_bridge.desk import words
from ami_bridge.settings import load_settings
from tests.desk.story_desk import LANGUAGES, WAIT_MS, Place, everything, iso, place, presses, sees
from tests.pbx.browser import Screen

__all__ = ["everything", "place"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.now(UTC)


async def callback(place: Place, key: str, number: str, department: str = "sales", **more: Any) -> str:
    consent = Consent("1", "permission-ru-1", NOW, number)
    made = await place.store.create_callback(
        key,
        department,
        event=CallbackEvent.CAPTURED,
        at=datetime.now(UTC),
        consent=consent,
        number=number,
        **more,
    )
    return made.id


async def at_wallboard(place: Place, language: str, user: str = "boss", **look: Any) -> Screen:
    """Who has a phone begins at the own desk, so the wallboard is opened."""
    screen = await place.screens.log_in(user, language=language, **look)
    await screen.open("/wallboard")
    await screen.until("desk.linked")
    return screen


async def asked(place: Place, *wishes: Mapping[str, Any]) -> None:
    """The bridge was asked for these, in this order."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while len(place.pen.asked) < len(wishes):  # noqa: ASYNC110 - the pen has no event
            await asyncio.sleep(0.05)
    told = [
        {key: wish[key] for key in expected} for wish, expected in zip(place.pen.asked, wishes, strict=True)
    ]
    assert told == list(wishes)


async def opens_menu_of(screen: Screen, number: str) -> None:
    """By keyboard alone."""
    opener = screen.page.locator(f"button[data-opens=hand][aria-label*='{number}']").first
    await opener.wait_for(timeout=WAIT_MS)
    await opener.focus()
    await screen.page.keyboard.press("Enter")
    await screen.page.wait_for_selector("dialog#hand[open] #hand-title .number", timeout=WAIT_MS)


# The supervisor -----------------------------------------------------------------------------


@LANGUAGES
async def test_listens_and_the_agent_is_told(place: Place, language: str) -> None:
    t = words.of(language)
    boss = await at_wallboard(place, language)
    anna = await place.screens.log_in("anna", language=language)
    await anna.until("desk.linked")
    place.pen.tell("c1", agents=["101"])
    await opens_menu_of(boss, "+7 916 555-09-01")
    await boss.is_accessible("s1-menu")
    await presses(boss, t["hand_listen"])
    await sees(boss, t["hand_done"])
    await sees(anna, f"boss {t['watched_listen']}")
    await presses(boss, t["hand_whisper"])
    await boss.page.wait_for_selector("#hand-body button[aria-pressed=true]", timeout=WAIT_MS)
    await sees(anna, f"boss {t['watched_whisper']}")
    await anna.is_accessible("s1-watched")
    await boss.page.keyboard.press("Escape")
    await sees(boss, f"boss {t['mode_whisper']}")
    assert [asked["mode"] for asked in place.pen.asked] == ["listen", "whisper"]
    trail = [entry.action for entry in await place.store.audits(subject="c1", limit=2)]
    assert trail == ["call.whisper", "call.listen"]
    for screen in (boss, anna):
        screen.is_clean()


@LANGUAGES
async def test_takes_over_and_the_agent_is_thanked(place: Place, language: str) -> None:
    t = words.of(language)
    boss = await at_wallboard(place, language, dark=True)
    anna = await place.screens.log_in("anna", language=language)
    await anna.until("desk.linked")
    place.pen.tell("c2", agents=["101"], number="79165550902")
    await opens_menu_of(boss, "+7 916 555-09-02")
    await presses(boss, t["hand_take"])
    await sees(anna, f"boss {t['watched_take']}")
    place.pen.tell("c2", agents=["103"], number="79165550902")
    await sees(anna, f"boss {t['watched_taken']}")
    await anna.keep("s2-taken")
    boss.is_clean()


@LANGUAGES
async def test_without_a_phone_there_is_a_sentence_instead_of_buttons(place: Place, language: str) -> None:
    t = words.of(language)
    boss = await at_wallboard(place, language, "nophone")
    place.pen.tell("c3", agents=["101"], number="79165550903")
    await opens_menu_of(boss, "+7 916 555-09-03")
    await sees(boss, t["hand_no_phone"])
    await boss.is_accessible("s3-no-phone")


@LANGUAGES
async def test_moves_a_waiting_caller(place: Place, language: str) -> None:
    t = words.of(language)
    boss = await at_wallboard(place, language)
    wait = {"queue": "sales", "joined_at": iso(), "position": 2}
    place.pen.tell("c4", phase="waiting", wait=wait, number="79165550904")
    await opens_menu_of(boss, "+7 916 555-09-04")
    await boss.is_accessible("s4-waiting")
    await presses(boss, t["hand_front"])
    await sees(boss, t["hand_done"])
    await boss.page.select_option("#hand-body select[name=department]", "support")
    await presses(boss, t["hand_move"])
    await sees(boss, t["hand_done"])
    await asked(place, {"move": "c4", "to": ""}, {"move": "c4", "to": "support"})


@LANGUAGES
async def test_moves_a_callback_to_another_department_and_to_the_front(place: Place, language: str) -> None:
    t = words.of(language)
    first = await callback(place, f"m1{language}", "+79165550905")
    second = await callback(place, f"m2{language}", "+79165550906")
    boss = await at_wallboard(place, language)
    await opens_menu_of(boss, "+7 916 555-09-06")
    await presses(boss, t["hand_front"])
    await sees(boss, t["hand_done"])
    await boss.is_accessible("s5-callback")
    moved, other = await place.store.callback(second), await place.store.callback(first)
    assert moved is not None
    assert other is not None
    assert moved.place_at is not None
    assert moved.place_at < other.created_at
    await boss.page.select_option("#hand-body select[name=department]", "support")
    await presses(boss, t["hand_move"])
    await boss.page.wait_for_selector("#hand-body option[value=sales]", state="attached", timeout=WAIT_MS)
    assert (await place.store.callback(second)).department == "support"  # type: ignore[union-attr]


@LANGUAGES
async def test_a_carrier_that_is_down_is_an_alarm(place: Place, language: str) -> None:
    t = words.of(language)
    boss = await at_wallboard(place, language)
    place.pen.wire.trunks({"carrier": "down"})
    await sees(boss, f"{t['alarm_trunk']} carrier")
    await boss.is_accessible("s8-alarm")
    place.pen.wire.trunks({"carrier": "up"})
    await boss.until(f"!document.body.textContent.includes({t['alarm_trunk']!r})")


@LANGUAGES
async def test_the_big_screen(place: Place, language: str) -> None:
    t = words.of(language)
    boss = await place.screens.log_in("boss", language=language, width=1920, height=1080)
    ring = {"started_at": iso(), "tone_seconds": 1.0, "period_seconds": 5.0, "answer_by_ring": 4}
    place.pen.tell("c6", phase="ringing", ringing=["101"], ring=ring, number="79165550907")
    await boss.open("/wallboard?big")
    await boss.page.wait_for_selector("[data-ring-number]", timeout=WAIT_MS)
    await sees(boss, t["service_level_formula"])
    assert not await boss.page.locator(".top nav").is_visible()
    await boss.is_accessible("s6-big")


@LANGUAGES
async def test_hears_a_callback_sees_its_wave_and_merges_it(place: Place, language: str) -> None:
    t = words.of(language)
    folder = place.settings.state_folder / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / "subject.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        loud = np.sin(np.arange(16000) / 3) * np.linspace(0, 20000, 16000)
        sound.writeframes(loud.astype("<i2").tobytes())
    first = await callback(place, f"w1{language}", "+79165550908", subject_recording="recordings/subject")
    second = await callback(place, f"w2{language}", "+79165550909", name_text="Иванов")
    boss = await at_wallboard(place, language)
    await boss.open("/callbacks")
    await boss.page.click(f"a[href='/callbacks/{first}']")
    await boss.until("document.querySelector('img.wave')?.naturalWidth > 0")
    await boss.is_accessible("s7-wave")
    await boss.page.evaluate("document.querySelector('audio').play()")
    await boss.until("document.querySelector('audio').currentTime > 0")
    await boss.page.evaluate("document.querySelector('audio').pause()")
    await boss.page.select_option("select[name=into]", second)
    await presses(boss, t["merge"])
    await boss.page.wait_for_selector(f"a[href='/callbacks/{second}']", timeout=WAIT_MS)
    assert (await place.store.callback(first)).merged_into == second  # type: ignore[union-attr]
    heard = [entry.action for entry in await place.store.audits(subject=first, limit=5)]
    assert "recording.heard" in heard
    boss.is_clean()


# The admin ----------------------------------------------------------------------------------


@LANGUAGES
async def test_the_settings_at_a_glance_on_a_phone_too(place: Place, language: str) -> None:
    root = await place.screens.log_in("root", language=language, width=390, height=844)
    for path in ("", "/form/ring", "/form/department/sales", "/calendar", "/users", "/history", "/audit"):
        await root.open(f"/admin{path}")
        assert await root.page.evaluate("document.documentElement.scrollWidth") <= 390, path
    await root.open("/admin")
    await root.is_accessible("a1-narrow")


@LANGUAGES
async def test_changes_the_rings_sees_the_diff_applies_and_goes_back(place: Place, language: str) -> None:
    t = words.of(language)
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin/form/ring")
    await root.is_accessible("a2-form")
    await root.page.fill("[name='ring|answer_by_ring']", "3")
    await presses(root, t["review"])
    await root.page.wait_for_selector(".diff .added", timeout=WAIT_MS)
    assert "answer_by_ring = 3" in await root.page.inner_text(".diff .added")
    await root.is_accessible("a2-review")
    await presses(root, t["apply"])
    await sees(root, t["applied"])
    assert load_settings(place.config).ring.answer_by_ring == 3
    await root.is_accessible("a2-history")
    await root.page.click("a[href^='/admin/history/'] >> nth=0")
    await root.is_accessible("a2-version")
    await presses(root, t["go_back"])
    await sees(root, t["applied"])
    assert load_settings(place.config).ring.answer_by_ring == 4
    root.is_clean()


@LANGUAGES
async def test_a_mistake_is_told_above_the_form_that_keeps_it(place: Place, language: str) -> None:
    t = words.of(language)
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin/form/hours")
    await root.page.fill("[name='hours|open']", "mon-fri 9 to 5")
    await presses(root, t["review"])
    await sees(root, t["problems"])
    assert await root.page.input_value("[name='hours|open']") == "mon-fri 9 to 5"
    await root.is_accessible("a3-mistake")


@LANGUAGES
async def test_a_new_department_with_its_own_hours(place: Place, language: str) -> None:
    t = words.of(language)
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin")
    await root.page.fill("form[action='/admin/new/department'] input[name=key]", "service")
    await root.page.keyboard.press("Enter")
    await root.page.fill("[name='departments|service|names|ru']", "сервис")
    await root.page.fill("[name='departments|service|names|en']", "service")
    await root.page.fill("[name='departments|service|dids']", "74950000011")
    await root.page.check("[name='departments|service|queue:103']")
    await root.page.fill("[name='departments|service|hours|open']", "mon-fri 09:00-18:00")
    await root.is_accessible("a4-department")
    await presses(root, t["review"])
    await presses(root, t["apply"])
    await sees(root, t["applied"])
    assert load_settings(place.config).departments["service"].queue == ["103"]


@LANGUAGES
async def test_a_new_agent_gets_a_telephone_password(place: Place, language: str) -> None:
    t = words.of(language)
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin")
    await root.page.fill("form[action='/admin/new/agent'] input[name=key]", "109")
    await root.page.keyboard.press("Enter")
    await root.page.fill("[name='agents|109|names|ru']", "Вера Белова")
    await root.page.fill("[name='agents|109|names|en']", "Vera Belova")
    await presses(root, t["review"])
    await presses(root, t["apply"])
    await sees(root, t["applied"])
    assert load_settings(place.config).agents["109"].names["ru"] == "Вера Белова"
    assert (place.settings.secrets_folder / "sip-109").stat().st_mode & 0o77 == 0


@LANGUAGES
async def test_a_day_of_the_companys_own(place: Place, language: str) -> None:
    t = words.of(language)
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin/calendar")
    await root.is_accessible("a6-calendar")
    await root.page.fill("[name=date]", "12-31")
    await root.page.fill("[name=open]", "10:00-14:00")
    await root.page.fill("[name='greeting|ru']", "С наступающим Новым годом")
    await presses(root, t["review"])
    await presses(root, t["apply"])
    await sees(root, t["applied"])
    assert load_settings(place.config).calendar.days[0].date == "12-31"


@LANGUAGES
async def test_listens_to_what_callers_hear(place: Place, language: str) -> None:
    root = await place.screens.log_in("root", language=language)
    await root.open(
        f"/admin/prompts?department=sales&language={language}" if language == "ru" else "/admin/prompts"
    )
    await root.is_accessible("a7-prompts")
    await root.page.evaluate("document.querySelector('.prompts audio').play()")
    await root.until("document.querySelector('.prompts audio').currentTime > 0", 60)
    await root.page.evaluate("document.querySelector('.prompts audio').pause()")
    root.is_clean()


@LANGUAGES
async def test_a_new_user_and_the_trail_of_it(place: Place, language: str) -> None:
    t = words.of(language)
    root = await place.screens.log_in("root", language=language)
    await root.open("/admin/users")
    await root.page.fill("form[action='/admin/users'] [name=name]", f"vera-{language}")
    await root.page.select_option("[name=role]", "supervisor")
    await presses(root, t["add"])
    await root.page.wait_for_selector("code.password", timeout=WAIT_MS)
    await root.is_accessible("a8-users")
    await presses(root, f"{t['user_do_disable']}: vera-{language}")
    await root.page.get_by_role("button", name=f"{t['user_do_enable']}: vera-{language}").wait_for(
        timeout=WAIT_MS
    )
    assert not (await place.store.user(f"vera-{language}")).active  # type: ignore[union-attr]
    await root.open("/admin/audit?action=user")
    await sees(root, "user.disable")
    await root.is_accessible("a8-audit")


@LANGUAGES
async def test_a_supervisor_finds_no_way_into_the_settings(place: Place, language: str) -> None:
    boss = await place.screens.log_in("boss", language=language)
    await boss.open("/wallboard")
    assert await boss.page.locator("a[href='/admin']").count() == 0
    answer = await boss.page.goto(f"{boss.base}/admin")
    assert answer is not None
    assert answer.status == 403
