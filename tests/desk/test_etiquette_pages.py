"""Etiquette cards, agreements and the day plan at the desk: who sees what, disputes, confirmation calls, hand-over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestClient

from ami_bridge.adapters.live_wire import WireLost
from ami_bridge.adapters.store import CallMark, Store
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.desk.live import FEED

from .conftest import TOKEN, add_user, csrf, log_in, token_of
from .test_pages import HOSTILE, Markup, put_on_board, save_call, text_of

NOW = datetime.now(UTC)
MOSCOW = ZoneInfo("Europe/Moscow")
GOOD = {
    "last_name": "Иванов",
    "first_name": "Иван",
    "number": "+79161234567",
    "subject": "смета",
    "result": "прислать",
}
ANSWERED = {
    "disposition": "ANSWERED",
    "direction": "inbound",
    "answered_by": {"extension": "101"},
    "hung_up_by": "agent",
    "hung_up_confidence": "high",
    "hung_up_evidence": ["HangupRequest of PJSIP/101-1"],
}


async def people(store: Store) -> None:
    await add_user(store, "anna", "agent", "101")
    await add_user(store, "pyotr", "agent", "102")
    await add_user(store, "boss", "supervisor")
    await add_user(store, "chief", "supervisor", "101")


async def asked(client: TestClient, store: Store, who: str, method: str, path: str, **body: Any) -> Any:
    headers = await token_of(store, who)
    answer = await client.request(method, f"/api/v1{path}", headers=headers, json=body or None)
    return answer.status, await answer.json()


async def test_the_agent_sees_the_card_first_and_disputes_and_a_supervisor_settles(
    stranger: TestClient, store: Store
) -> None:
    await people(store)
    await save_call(store, "c1", **ANSWERED)
    card = "/calls/c1/etiquette"
    assert (await asked(stranger, store, "boss", "GET", card))[0] == 409, "the agent first"
    assert (await asked(stranger, store, "pyotr", "GET", card))[0] == 404, "not a colleague's"
    _, shown = await asked(stranger, store, "anna", "GET", card)
    told = {line["rule"]: line for line in shown["lines"]}
    assert len(told) == 27
    assert told["S12"]["verdict"] == "fail"
    assert {"what": "ev_event", "value": "HangupRequest of PJSIP/101-1"} in told["S12"]["evidence"]
    assert (await asked(stranger, store, "boss", "GET", card))[0] == 200
    settle = {"verdict": "pass", "comment": "она перезвонила"}
    assert (await asked(stranger, store, "boss", "POST", f"{card}/S12/settle", **settle))[0] == 409
    assert (await asked(stranger, store, "boss", "POST", f"{card}/S12/dispute", comment="x"))[0] == 409
    assert (await asked(stranger, store, "anna", "POST", f"{card}/S99/dispute", comment="x"))[0] == 404
    assert (await asked(stranger, store, "anna", "POST", f"{card}/S12/dispute", comment=" "))[0] == 400
    status, line = await asked(stranger, store, "anna", "POST", f"{card}/S12/dispute", comment="обрыв связи")
    assert (status, line["verdict"], line["dispute"]["by"]) == (200, "unmeasured", "anna")
    assert (await asked(stranger, store, "anna", "POST", f"{card}/S12/settle", **settle))[0] == 403
    assert (await asked(stranger, store, "chief", "POST", f"{card}/S12/settle", **settle))[0] == 409, (
        "not the own"
    )
    status, line = await asked(stranger, store, "boss", "POST", f"{card}/S12/settle", **settle)
    assert (status, line["verdict"], line["measured"]) == (200, "pass", "fail")
    traced = [(entry.action, entry.actor) for entry in await store.audits(subject="c1")]
    assert ("etiquette.dispute", "anna") in traced
    assert ("etiquette.settlement", "boss") in traced


async def test_a_card_nobody_looked_at_is_open_to_the_supervisor_a_day_later(
    stranger: TestClient, store: Store
) -> None:
    await people(store)
    old = (NOW - timedelta(hours=25)).isoformat()
    await save_call(store, "old", **ANSWERED, started_at=old, ended_at=old)
    assert (await asked(stranger, store, "boss", "GET", "/calls/old/etiquette"))[0] == 200


async def test_team_figures_score_nobody_on_thin_data(stranger: TestClient, store: Store) -> None:
    await people(store)
    for number in range(20):
        await save_call(store, f"a{number}", **ANSWERED)
    await save_call(store, "b", **{**ANSWERED, "answered_by": {"extension": "102"}})
    _, told = await asked(stranger, store, "boss", "GET", "/etiquette/team")
    rates = {each["agent"]: (each["calls"], each["rate"]) for each in told["agents"]}
    assert rates["101"][0] == 20
    assert rates["101"][1] is not None
    assert rates["102"] == (1, None)
    assert (await asked(stranger, store, "anna", "GET", "/etiquette/team"))[0] == 403
    await log_in(stranger, "boss")
    assert "слишком мало" in await text_of(stranger, "/etiquette")


async def test_the_pages_of_the_card(stranger: TestClient, store: Store) -> None:
    await people(store)
    await save_call(store, "c1", **ANSWERED)
    await log_in(stranger, "anna")
    page = await text_of(stranger, "/calls/c1/etiquette")
    assert "Первым положил трубку звонивший" in page
    assert "/calls/c1/etiquette" in await text_of(stranger, "/calls/c1")
    form = {"_csrf": await csrf(stranger), "comment": "связь оборвалась"}
    kept = await stranger.post("/calls/c1/etiquette/S12/dispute", data=form, allow_redirects=False)
    assert kept.headers["Location"] == "/calls/c1/etiquette#S12"
    empty = await stranger.post("/calls/c1/etiquette/S2/dispute", data={**form, "comment": ""})
    assert empty.status == 400
    refused = await stranger.post("/calls/c1/etiquette/S12/settle", data={**form, "verdict": "pass"})
    assert refused.status == 403
    await log_in(stranger, "boss")
    assert "связь оборвалась" in await text_of(stranger, "/etiquette")
    form = {"_csrf": await csrf(stranger), "comment": "верно", "verdict": "pass"}
    await stranger.post("/calls/c1/etiquette/S12/settle", data=form)
    assert "верно" in await text_of(stranger, "/calls/c1/etiquette")
    assert "связь оборвалась" not in await text_of(stranger, "/etiquette")
    await text_of(stranger, "/agent/day", 303)


async def promise(client: TestClient, when: datetime, **more: str) -> None:
    told = when.astimezone(MOSCOW).strftime("%Y-%m-%dT%H:%M")
    form = {"_csrf": await csrf(client), **GOOD, "outcome": "promise", "promise_at": told, **more}
    kept = await client.post("/agent/note/c1", data=form, headers={"HX-Request": "true"})
    assert kept.status == 200, await kept.text()


async def test_a_promise_is_in_the_day_plan_and_confirmed_the_day_before(
    stranger: TestClient, store: Store
) -> None:
    await people(store)
    await save_call(store, "c1", **ANSWERED)
    await log_in(stranger, "anna")
    due = NOW.replace(second=0, microsecond=0) + timedelta(days=3)
    await promise(stranger, due, promise_place="Тверская, 1", promise_confirm="yes")
    kept = await store.agreement("c1")
    assert kept is not None
    assert (kept.agent, kept.due_at, kept.place, kept.name) == ("101", due, "Тверская, 1", "Иванов Иван")
    asks = await store.callback(kept.confirm)
    assert asks is not None
    assert (asks.state, asks.due_at, asks.number) == (
        CallbackState.QUEUED,
        due - timedelta(days=1),
        "+79161234567",
    )
    (consent,) = await store.consents(asks.id)
    assert (consent.key, consent.purpose, consent.prompt_version) == ("desk", "confirm", "note:c1")
    assert "Тверская, 1" in await text_of(stranger, "/agent/day")
    await promise(stranger, due + timedelta(days=1), promise_place="Тверская, 1", promise_confirm="yes")
    moved = await store.agreement("c1")
    assert moved is not None
    assert moved.confirm not in {"", kept.confirm}
    assert (await store.callback(kept.confirm)).state is CallbackState.CANCELLED  # type: ignore[union-attr]
    await promise(stranger, due, outcome="solved")
    assert (await store.agreement("c1")).state == "called_off"  # type: ignore[union-attr]
    assert (await store.callback(moved.confirm)).state is CallbackState.CANCELLED  # type: ignore[union-attr]


async def test_a_promise_for_tomorrow_morning_comes_too_late_for_a_confirmation(
    stranger: TestClient, store: Store
) -> None:
    await people(store)
    await save_call(store, "c1", **ANSWERED)
    await log_in(stranger, "anna")
    await promise(stranger, NOW + timedelta(hours=5), promise_place="здесь", promise_confirm="yes")
    assert (await store.agreement("c1")).confirm == ""  # type: ignore[union-attr]
    assert await store.callbacks() == []


async def test_a_kept_promise_counts_for_the_day_and_the_streak(stranger: TestClient, store: Store) -> None:
    await people(store)
    await save_call(store, "c1", **ANSWERED)
    await log_in(stranger, "anna")
    await promise(stranger, NOW + timedelta(minutes=1), promise_place="здесь")
    form = {"_csrf": await csrf(stranger), "state": "done"}
    done = await stranger.post("/agent/agreements/c1", data=form, allow_redirects=False)
    assert done.status == 303
    page = await text_of(stranger, "/agent/day")
    assert "<b>1 / 1</b>" in page
    assert "<dd>1</dd>" in page
    assert (await stranger.post("/agent/agreements/c1", data={**form, "state": "x"})).status == 400
    await log_in(stranger, "pyotr")
    form["_csrf"] = await csrf(stranger)
    assert (await stranger.post("/agent/agreements/c1", data=form)).status == 404, "somebody else's"
    status, told = await asked(stranger, store, "pyotr", "GET", "/agreements")
    assert (status, told["agreements"]) == (200, [])
    assert len((await asked(stranger, store, "anna", "GET", "/agreements?state=done"))[1]["agreements"]) == 1
    assert len((await asked(stranger, store, "boss", "GET", "/agreements?agent=101"))[1]["agreements"]) == 1


class Wire:
    """The bridge's answers, as they come over the wire."""

    def __init__(self, **done: Any) -> None:
        self.done, self.asked = done, []

    async def ask(self, what: Any) -> Any:
        self.asked.append(dict(what))
        if not self.done:
            raise WireLost
        return self.done


def talks(client: TestClient, **more: Any) -> None:
    put_on_board(client, phase="talking", ringing=[], agents=["101"], transfers=0, **more)


async def test_finish_and_transfer_are_for_who_talks_and_say_what_went_wrong(
    stranger: TestClient, store: Store
) -> None:
    await people(store)
    talks(stranger)
    feed = stranger.app[FEED]  # type: ignore[index]
    feed.wire = Wire(ok=True, why="")
    for who in ("pyotr", "boss"):
        assert (await asked(stranger, store, who, "POST", "/calls/live1/finish"))[0] == 404
    assert feed.wire.asked == []
    assert (await asked(stranger, store, "anna", "POST", "/calls/live1/finish"))[0] == 200
    assert feed.wire.asked == [{"finish": "101", "call": "live1"}]
    for to in ("101", "999", "102,103"):
        assert (await asked(stranger, store, "anna", "POST", "/calls/live1/transfer", to=to))[0] == 400, to
    for done, status in (
        ({"ok": False, "why": "no_talk"}, 409),
        ({"ok": False, "why": "link"}, 503),
        ({}, 503),
    ):
        feed.wire = Wire(**done)
        assert (await asked(stranger, store, "anna", "POST", "/calls/live1/finish"))[0] == status
    assert {entry.action for entry in await store.audits()} == {"call.finish"}


async def test_a_second_transfer_warns_and_the_supervisor_hears_of_it(
    stranger: TestClient, store: Store
) -> None:
    await people(store)
    talks(stranger)
    feed = stranger.app[FEED]  # type: ignore[index]
    feed.wire = Wire(ok=True, why="")
    body = {"to": "102", "subject": "смета", "last_name": "Иванов", "text": "ждёт"}
    status, told = await asked(stranger, store, "anna", "POST", "/calls/live1/transfer", **body)
    assert (status, told["transfers"], told["over_budget"]) == (200, 1, False)
    put_on_board(stranger, phase="ringing", ringing=["102"], agents=[], transfers=1)
    await log_in(stranger, "pyotr")
    card = await text_of(stranger, "/agent/card/live1")
    for seen in ("Передал звонок: Анна Смирнова", "смета", 'value="Иванов"', "ждёт"):
        assert seen in card, seen
    put_on_board(stranger, phase="talking", ringing=[], agents=["102"], transfers=1)
    assert "уже переводили" in await text_of(stranger, "/agent/transfer/live1")
    refused = await stranger.post("/agent/transfer/live1", data={"_csrf": await csrf(stranger), "to": "103"})
    assert refused.status == 409
    assert "Pass him on all the same" in await refused.text()
    form = {"_csrf": await csrf(stranger), "to": "103", "over_budget": "yes"}
    assert (
        await stranger.post("/agent/transfer/live1", data=form, headers={"HX-Request": "true"})
    ).status == 200
    (entry, *_) = [each for each in await store.audits() if each.actor == "pyotr"]
    assert (entry.action, entry.detail["over_budget"]) == ("call.transfer", True)
    put_on_board(stranger, transfers=2)
    await log_in(stranger, "boss")
    assert "Передают по кругу" in await text_of(stranger, "/wallboard/parts")


async def test_the_desk_keeps_when_card_and_note_were_there(stranger: TestClient, store: Store) -> None:
    await people(store)
    put_on_board(stranger)
    await log_in(stranger, "anna")
    await text_of(stranger, "/agent/card/live1")
    for _ in range(2):
        typed = await stranger.post("/agent/typing/live1", headers={"X-CSRF-Token": await csrf(stranger)})
        assert typed.status == 204
    assert [(mark.kind, mark.by, mark.detail["agent"]) for mark in await store.marks(["live1"])] == [
        ("card", "anna", "101"),
        ("typing", "anna", "101"),
    ]
    await log_in(stranger, "pyotr")
    typed = await stranger.post("/agent/typing/live1", headers={"X-CSRF-Token": await csrf(stranger)})
    assert typed.status == 404


@pytest.mark.parametrize("said", HOSTILE, ids=["script", "quotes", "bidi", "long"])
async def test_what_a_stranger_sends_is_text_on_these_pages_too(
    stranger: TestClient, store: Store, said: str
) -> None:
    await people(store)
    greetings = [{"kind": said, "status": said}]
    more = {"caller": {"number": said, "name": said}, "hung_up_evidence": [said], "greetings": greetings}
    await save_call(store, "c1", **{**ANSWERED, **more})
    await log_in(stranger, "anna")
    short = said[:300]
    await promise(
        stranger, NOW + timedelta(hours=1), promise_place=short, subject=short, last_name=said[:100]
    )
    form = {"_csrf": await csrf(stranger), "comment": said[:1000]}
    await stranger.post("/calls/c1/etiquette/S12/dispute", data=form)
    await store.add_mark(
        CallMark(
            "h", "live1", "handover", said, NOW, {"to": "101", "fields": {"subject": said, "last_name": said}}
        )
    )
    talks(stranger, number=said, name=said)
    pages = [
        ("anna", path)
        for path in ("/agent/day", "/calls/c1/etiquette", "/agent/card/live1", "/agent/transfer/live1")
    ]
    for user, path in [*pages, ("boss", "/etiquette"), ("boss", "/calls/c1/etiquette")]:
        await log_in(stranger, user)
        markup = Markup(await text_of(stranger, path))
        assert "img" not in markup.tags, path
        assert not [name for name in markup.attributes if name == "style" or name.startswith("on")], path
        assert markup.inline_scripts == 0, path


async def test_programs_reach_the_cards_too(desk: TestClient, store: Store) -> None:
    assert TOKEN
    await save_call(store, "c1", **{**ANSWERED, "answered_by": None})
    answer = await desk.get("/api/v1/calls/c1/etiquette")
    assert answer.status == 200
