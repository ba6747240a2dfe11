"""The pages without a browser: who sees what, what a note needs, and that nothing a stranger sends becomes markup."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from ami_bridge.adapters.store import Store
from ami_bridge.core.cadence import CADENCES
from ami_bridge.core.callbacks import CallbackEvent, CallbackState, Consent
from ami_bridge.core.promises import Promise, PromiseState
from ami_bridge.desk import words
from ami_bridge.desk.board import Board
from ami_bridge.desk.board_pages import day_of
from ami_bridge.desk.live import FEED
from ami_bridge.desk.timeline import timeline_of
from ami_bridge.desk.view import number_shown

from .conftest import add_user, csrf, log_in

NOW = datetime.now(UTC)
HOSTILE = ("<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "\u202egnp.exe😀", "x" * 10_000)


async def save_call(store: Store, call_id: str, department: str = "sales", **more: Any) -> None:
    plain = {"call_id": call_id, "started_at": NOW.isoformat(), "ended_at": NOW.isoformat()}
    await store.save_call(
        {**plain, "department": department, "caller": {"number": "79161234567", "name": ""}, **more}
    )


async def make_callback(store: Store, key: str, department: str = "sales", **more: Any) -> str:
    consent = Consent("1", "permission-ru-1", NOW, "+79161234567")
    more = {"number": "+79161234567", **more}
    made = await store.create_callback(
        key, department, event=CallbackEvent.CAPTURED, at=NOW, consent=consent, **more
    )
    return made.id


def put_on_board(client: TestClient, **call: Any) -> None:
    """A call that goes on, as the bridge's wire tells it."""
    board: Board = client.app[FEED].board  # type: ignore[index]
    plain = {
        "call_id": "live1",
        "kind": "call",
        "phase": "ringing",
        "number": "79161234567",
        "name": "",
        "did": "74950000001",
        "department": "sales",
        "started_at": NOW.isoformat(),
        "ringing": ["101"],
        "agents": [],
        "ring": None,
        "wait": None,
        "answered_at": None,
        "callback_id": "",
        "absorbed": [],
    }
    board.told({"hello": "x", "seq": 0, "linked": True, "calls": 1})
    board.told({"call": {**plain, **call}})


async def text_of(client: TestClient, path: str, status: int = 200, language: str = "ru") -> str:
    answer = await client.get(path, headers={"Accept-Language": language}, allow_redirects=False)
    assert answer.status == status, path
    return await answer.text()


def test_both_languages_have_the_same_words() -> None:
    read = {
        language: [tomllib.loads(path.read_text("utf-8"))["words"] for path in words.files_of(language)]
        for language in ("en", "ru")
    }
    assert [part.keys() for part in read["en"]] == [part.keys() for part in read["ru"]]
    assert words.of("en").keys() == words.of("ru").keys()
    assert all(word for part in read["ru"] for word in part.values())
    known = [key for part in read["en"] for key in part]
    assert len(known) == len(set(known)), "a word stands in two files"


@pytest.mark.parametrize("state", list(CallbackState))
def test_every_state_of_a_callback_has_a_word(state: CallbackState) -> None:
    assert state.value in words.of("en")
    assert state.value in words.of("ru")


async def test_everybody_begins_where_their_work_is(stranger: TestClient, store: Store) -> None:
    for name, role, extension, place in (
        ("anna", "agent", "101", "/agent"),
        ("boss", "supervisor", "", "/wallboard"),
        ("temp", "agent", "", "/calls"),
    ):
        await add_user(store, name, role, extension)
        await log_in(stranger, name)
        answer = await stranger.get("/", allow_redirects=False)
        assert answer.headers["Location"] == place


async def test_an_agent_sees_own_departments_and_own_calls_only(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", "agent", "101")  # sales
    await log_in(stranger, "anna")
    await save_call(store, "own")
    await save_call(store, "foreign", "support")
    await save_call(store, "helped", "support", answered_by={"extension": "101"})
    own, foreign = await make_callback(store, "k1"), await make_callback(store, "k2", "support")
    listed = await text_of(stranger, "/calls")
    assert "/calls/own" in listed
    assert "/calls/helped" in listed
    assert "/calls/foreign" not in listed
    assert foreign not in await text_of(stranger, "/callbacks")
    await text_of(stranger, f"/callbacks/{own}")
    await text_of(stranger, f"/callbacks/{foreign}", 404)
    await text_of(stranger, "/calls/foreign", 404)
    await text_of(stranger, "/agent/card/foreign", 404)
    await text_of(stranger, "/wallboard", 403)
    form = {"_csrf": await csrf(stranger)}
    for path in (f"/callbacks/{foreign}/now", f"/callbacks/{foreign}/cancel", "/agent/note/foreign"):
        assert (await stranger.post(path, data=form)).status == 404, path
    assert (await store.callback(foreign)).state is CallbackState.QUEUED  # type: ignore[union-attr]
    put_on_board(stranger, department="support", ringing=["103"])
    await text_of(stranger, "/agent/card/live1", 404)


async def test_the_card_tells_who_calls_and_what_was_promised(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    await save_call(store, "before", answered_by={"extension": "101"})
    fields = {
        "last_name": "Иванов",
        "first_name": "Иван",
        "subject": "доставка",
        "result": "ждём вторника",
        "number": "+79161234567",
    }
    await store.add_note("before", "anna", fields, key="n")
    await make_callback(store, "k1", subject_text="где заказ")
    ring = {
        "started_at": NOW.isoformat(),
        "tone_seconds": 1.0,
        "period_seconds": 5.0,
        "answer_by_ring": 4,
    }
    put_on_board(stranger, ring=ring)
    card = await text_of(stranger, "/agent/card/live1")
    for seen in (
        "+7 916 123-45-67",
        "8 · 916 · 123 · 45 · 67",
        'value="Иванов"',
        "ждём вторника",
        "где заказ",
        "Компания «Ромашка»",
        "Анна Смирнова",
    ):
        assert seen in card, seen
    assert 'data-phase="ringing"' in card
    assert "<html" not in card
    await text_of(stranger, "/agent/card/none", 404)


async def test_a_note_is_kept_once_and_says_what_is_missing(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    await save_call(store, "c1", answered_by={"extension": "101"})
    token = await csrf(stranger)
    form = {"_csrf": token, "key": "k1", "last_name": "Иванов", "first_name": "Иван", "number": "12"}
    swapped = {"HX-Request": "true"}
    refused = await stranger.post("/agent/note/c1", data=form, headers=swapped)
    page = await refused.text()
    assert refused.status == 422
    for field in ("number", "subject", "result"):
        assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', page), field
    assert 'value="Иванов"' in page
    assert await store.notes("c1") == []
    whole = {**form, "number": "+7 916 123-45-67", "subject": "доставка", "result": "во вторник"}
    promise = {
        "outcome": "promise",
        "promise_at": "2026-12-01T14:00",
        "promise_place": "Москва",
        "read_back": "yes",
    }
    for _ in range(2):
        kept = await stranger.post("/agent/note/c1", data={**whole, **promise}, headers=swapped)
        assert kept.status == 200
        assert 'data-stored="1"' in await kept.text()
    (note,) = await store.notes("c1")
    assert (note.author, note.fields["number"], note.fields["promise_at"], note.fields["read_back"]) == (
        "anna",
        "+79161234567",
        "2026-12-01T14:00",
        "yes",
    )
    assert (await stranger.post("/agent/note/c1", data={**whole, "_csrf": "0" * 64})).status == 403
    assert len(await store.notes("c1")) == 1
    for seen in ("Иванов", "во вторник", "2026-12-01T14:00"):
        assert seen in await text_of(stranger, "/calls/c1")


async def test_a_callback_is_brought_forward_moved_and_called_off(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    made = await make_callback(store, "k1", due_at=NOW + timedelta(days=1))
    token = {"_csrf": await csrf(stranger)}
    await stranger.post(f"/callbacks/{made}/reschedule", data={**token, "due_at": "2027-05-06T10:00"})
    moved = await store.callback(made)
    assert moved is not None
    assert moved.due_at == datetime(2027, 5, 6, 7, 0, tzinfo=UTC), "10:00 in Moscow"
    assert (
        await stranger.post(f"/callbacks/{made}/reschedule", data={**token, "due_at": "soon"})
    ).status == 409
    await stranger.post(f"/callbacks/{made}/now", data=token)
    due = await store.callback(made)
    assert due is not None
    assert due.due_at is not None
    assert due.due_at <= datetime.now(UTC)
    await stranger.post(f"/callbacks/{made}/cancel", data={**token, "reason": "rang us himself"})
    ended = await store.callback(made)
    assert ended is not None
    assert (ended.state, ended.closed_by) == (CallbackState.CANCELLED, "anna")
    again = await stranger.post(f"/callbacks/{made}/now", data=token)
    assert again.status == 409
    traced = {entry.action for entry in await store.audits()}
    assert {"callback.reschedule", "callback.call_now", "callback.cancel"} <= traced


async def test_who_takes_a_callback_has_it_and_no_colleague_gives_it_back(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "anna", "agent", "101")
    await add_user(store, "pyotr", "agent", "102")
    made = await make_callback(store, "k1")
    await log_in(stranger, "anna")
    await stranger.post(f"/callbacks/{made}/take", data={"_csrf": await csrf(stranger)})
    assert "anna</span>" in await text_of(stranger, f"/callbacks/{made}")
    await log_in(stranger, "pyotr")
    refused = await stranger.post(f"/callbacks/{made}/give-back", data={"_csrf": await csrf(stranger)})
    assert refused.status == 409
    assert "anna" in await refused.text()
    assert (await store.callback(made)).state is CallbackState.CLAIMED  # type: ignore[union-attr]
    await log_in(stranger, "anna")
    await stranger.post(f"/callbacks/{made}/give-back", data={"_csrf": await csrf(stranger)})
    assert (await store.callback(made)).state is CallbackState.QUEUED  # type: ignore[union-attr]


@pytest.mark.parametrize("said", HOSTILE, ids=["script", "quotes", "bidi", "long"])
@pytest.mark.parametrize("language", ["ru", "en"])
async def test_what_a_stranger_sends_is_text_everywhere(
    stranger: TestClient, store: Store, said: str, language: str
) -> None:
    await add_user(store, "anna", "agent", "101")
    await add_user(store, "boss", "supervisor")
    caller = {"number": said, "name": said, "endpoint": said}
    legs = [{"endpoint": said, "rang_at": NOW.isoformat(), "dialled_from": f"direct,{said}"}]
    more = {"caller": caller, "legs": legs, "failover_reason": said, "hung_up_evidence": [said]}
    await save_call(store, "c1", answered_by={"extension": "101"}, **more)
    await store.add_note("c1", said[:50], {"subject": said, "last_name": said}, key="n")
    made = await make_callback(store, "k1", name_text=said, subject_text=said, caller_id=said)
    put_on_board(stranger, number=said, name=said, did=said)
    for user, paths in (
        ("anna", ("/agent", "/agent/card/live1", "/agent?call=c1", "/calls", "/calls/c1")),
        (
            "boss",
            ("/wallboard", "/wallboard/parts", "/callbacks", f"/callbacks/{made}", f"/calls?text={said[:9]}"),
        ),
    ):
        await log_in(stranger, user)
        for path in paths:
            page = await text_of(stranger, path, language=language)
            markup = Markup(page)
            assert "img" not in markup.tags, path
            assert not [name for name in markup.attributes if name == "style" or name.startswith("on")], path
            assert markup.inline_scripts == 0, path


class Markup(HTMLParser):
    """What a browser would take for markup in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.inline_scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.inline_scripts += tag == "script" and "src" not in dict(attrs)


async def test_a_record_of_another_age_is_shown_with_what_it_has(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    await log_in(stranger, "boss")
    await store.save_call({"call_id": "bare"})
    await store.save_call(
        {
            "call_id": "odd",
            "legs": ["x", None],
            "queues": [{"joined_at": "x"}],
            "talk": {},
            "holds": [{}],
            "transfers": [{"kind": "blind", "at": "2026-01-01T00:00:00"}],
        }
    )
    for call_id in ("bare", "odd"):
        assert "не измерено" in await text_of(stranger, f"/calls/{call_id}")


async def test_the_first_page_is_small_and_asks_nobody_else(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    page = await text_of(stranger, "/agent")
    wanted = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(wanted) >= 5
    size = len(page.encode())
    for path in set(wanted):
        size += len(await (await stranger.get(path)).read())
    assert size <= 200_000
    assert not re.search(r'(?:src|href|action)="(?!/|#)', page), "only paths of this desk"


async def test_the_language_is_remembered_and_leads_nowhere_else(stranger: TestClient) -> None:
    for referer, place in (
        (f"{stranger.make_url('/login')}", "/login"),
        ("https://evil.example/x", "/"),
        ("", "/"),
    ):
        answer = await stranger.get("/language/ru", headers={"Referer": referer}, allow_redirects=False)
        assert answer.headers["Location"] == place
    assert 'lang="ru"' in await text_of(stranger, "/login", language="en")


def test_numbers_are_shown_in_groups_and_anything_else_as_it_is() -> None:
    assert number_shown("79161234567") == "+7 916 123-45-67"
    assert number_shown("+442079460000") == "+44 20 7946 0000"
    for odd in ("101", "", "<b>", "anonymous", "0" * 40):
        assert number_shown(odd) == odd


def test_a_timeline_counts_the_rings_that_the_caller_heard() -> None:
    def at(seconds: float) -> str:
        return (NOW + timedelta(seconds=seconds)).isoformat()

    record = {
        "started_at": at(0),
        "ended_at": at(60),
        "hung_up_by": "caller",
        "talk_started_at": at(20),
        "talk_seconds": 40,
        "legs": [
            {"endpoint": "101", "dialled_from": "direct,sales", "rang_at": at(1), "answered_at": at(12)}
        ],
    }
    drawn = timeline_of(record, CADENCES["ru"], NOW)
    assert drawn is not None
    rings, talk = drawn.lanes
    assert [part.label for part in rings.stretches if part.kind == "t-ring"] == ["1", "2", "3"]
    assert talk.stretches[0].x + talk.stretches[0].width == pytest.approx(drawn.marks[0][0])
    assert timeline_of({}, None, NOW) is None


async def test_the_service_level_is_told_with_its_count_and_not_on_thin_data(store: Store) -> None:
    answered = {"disposition": "ANSWERED", "ring_verdict": "ideal"}
    for number in range(19):
        await save_call(store, f"a{number}", **answered)
    await save_call(store, "left", disposition="CANCELLED")
    thin = day_of(await store.calls())
    assert (thin.calls, thin.counted, thin.in_time, thin.level) == (20, 19, 19, None)
    late = {"disposition": "ANSWERED", "ring_verdict": "missed"}
    await save_call(store, "slow", queue={"wait_seconds": 21.0}, **late)
    await save_call(store, "quick", queue={"wait_seconds": 19.0}, **late)
    await save_call(store, "gave-up", disposition="ABANDONED")
    day = day_of(await store.calls())
    assert (day.counted, day.in_time, day.level) == (22, 20, 91)


async def test_a_promise_that_is_about_to_break_is_an_alarm_and_the_kept_ones_are_counted(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "boss", "supervisor")
    await log_in(stranger, "boss")
    soon, kept = await make_callback(store, "k1"), await make_callback(store, "k2", number="+79161234568")
    now = datetime.now(UTC)
    await store.write_promise(Promise(soon, "sales", "voice", now, now + timedelta(minutes=5)))
    done = Promise(kept, "sales", "voice", now, now - timedelta(seconds=1), PromiseState.KEPT)
    await store.write_promise(done)
    page = await text_of(stranger, "/wallboard", language="en")
    assert "Promise about to break: +7 916 123-45-67" in page
    assert re.search(r"<dt>promises kept</dt><dd>1</dd>", page)
