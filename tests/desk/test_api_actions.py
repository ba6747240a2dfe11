"""What people do over the API: callbacks in hand, tokens, users, the trail; and each request done once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp.test_utils import TestClient

from ami_bridge.adapters.store import Store
from ami_bridge.core.callbacks import Callback, CallbackEvent, CallbackState, Consent

from .conftest import add_user, log_in, token_of

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NUMBER = "+79161234567"


async def make_callback(store: Store, key: str = "k", department: str = "sales", **more: Any) -> Callback:
    number = more.pop("number", NUMBER)
    consent = Consent("1", "permission-ru-1", START, number)
    return await store.create_callback(
        key, department, event=CallbackEvent.CAPTURED, at=START, number=number, consent=consent, **more
    )


async def act(
    client: TestClient, callback_id: str, action: str, status: int = 200, **how: Any
) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/callbacks/{callback_id}/{action}", **how)
    assert answer.status == status, await answer.text()
    return dict(await answer.json())


async def test_a_callback_is_taken_in_hand_and_nobody_else_gets_it(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "anna", extension="101")
    await add_user(store, "pyotr", extension="102")
    await add_user(store, "boss", "supervisor")
    anna, pyotr, boss = [await token_of(store, name) for name in ("anna", "pyotr", "boss")]
    made = await make_callback(store)
    taken = await act(stranger, made.id, "take", json={"minutes": 20}, headers=anna)
    assert (taken["state"], taken["taken_by"]) == ("claimed", "anna")
    until = datetime.fromisoformat(taken["taken_until"])
    assert timedelta(minutes=19) < until - datetime.now(UTC) <= timedelta(minutes=20)
    assert await store.claim_due(datetime.now(UTC), "dialer", 60, 9) == []
    refused = await act(stranger, made.id, "take", 403, json={}, headers=pyotr)
    assert "'anna'" in refused["detail"]
    await act(stranger, made.id, "cancel", 403, json={}, headers=pyotr)
    longer = await act(stranger, made.id, "take", json={"minutes": 60}, headers=anna)
    assert datetime.fromisoformat(longer["taken_until"]) > until
    back = await act(stranger, made.id, "give-back", headers=boss)  # a supervisor may
    assert (back["state"], back["taken_by"], back["taken_until"]) == ("queued", "", None)
    assert "nobody has it" in (await act(stranger, made.id, "give-back", 409, headers=anna))["detail"]
    (claimed,) = await store.claim_due(datetime.now(UTC), "dialer", 60, 9)
    shown = await (await stranger.get(f"/api/v1/callbacks/{claimed.id}", headers=anna)).json()
    assert (shown["state"], shown["taken_by"]) == ("claimed", "")
    trail = [(entry.actor, entry.action) for entry in reversed(await store.audits())]
    assert trail == [("anna", "callback.take"), ("anna", "callback.take"), ("boss", "callback.give_back")]


async def test_a_callback_is_kept_for_one_agent(stranger: TestClient, store: Store) -> None:
    """An agent who has it in hand and says "now" is rung for it; a supervisor gives it to another, or to all."""
    await add_user(store, "anna", extension="101")
    await add_user(store, "pyotr", extension="102")
    await add_user(store, "boss", "supervisor")
    anna, pyotr, boss = [await token_of(store, name) for name in ("anna", "pyotr", "boss")]
    made = await make_callback(store)
    await act(stranger, made.id, "take", json={}, headers=anna)
    called = await act(stranger, made.id, "call-now", headers=anna)
    assert (called["state"], called["assigned_to"]) == ("queued", "101")
    await act(stranger, made.id, "assign", 403, json={"agent": "102"}, headers=pyotr)
    assert (await act(stranger, made.id, "assign", json={"agent": "102"}, headers=boss))[
        "assigned_to"
    ] == "102"
    await act(stranger, made.id, "assign", 400, json={"agent": "103"}, headers=boss)
    assert (await act(stranger, made.id, "assign", json={}, headers=pyotr))["assigned_to"] == ""


async def test_a_supervisor_puts_a_callback_into_other_hands(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    await add_user(store, "pyotr", extension="102")
    await add_user(store, "boss", "supervisor")
    anna, pyotr, boss = [await token_of(store, name) for name in ("anna", "pyotr", "boss")]
    made = await make_callback(store)
    await act(stranger, made.id, "take", json={}, headers=anna)
    await act(stranger, made.id, "reassign", 403, json={"to": "pyotr"}, headers=anna)
    moved = await act(stranger, made.id, "reassign", json={"to": "pyotr", "minutes": 5}, headers=boss)
    assert (moved["state"], moved["taken_by"]) == ("claimed", "pyotr")
    await act(stranger, made.id, "give-back", headers=pyotr)
    fresh = await act(stranger, made.id, "reassign", json={"to": "anna"}, headers=boss)
    assert fresh["taken_by"] == "anna"
    assert (
        "no user" in (await act(stranger, made.id, "reassign", 400, json={"to": "x"}, headers=boss))["detail"]
    )


async def test_two_requests_of_one_number_are_not_in_two_hands(desk: TestClient, store: Store) -> None:
    first, second = await make_callback(store, "k1"), await make_callback(store, "k2")
    await act(desk, first.id, "take", json={})
    assert "other hands" in (await act(desk, second.id, "take", 409, json={}))["detail"]


async def test_a_callback_is_called_now_or_put_off(desk: TestClient, store: Store) -> None:
    made = await make_callback(store)
    later = datetime.now(UTC) + timedelta(days=2)
    times = {"due_at": later.isoformat(), "promised_at": later.isoformat()}
    put_off = await act(desk, made.id, "reschedule", json=times)
    assert (
        datetime.fromisoformat(put_off["due_at"]) == datetime.fromisoformat(put_off["promised_at"]) == later
    )
    assert await store.claim_due(datetime.now(UTC), "dialer", 60, 9) == []
    await act(desk, made.id, "take", json={})
    now = await act(desk, made.id, "call-now")  # out of one's own hands too
    assert now["state"] == "queued"
    (claimed,) = await store.claim_due(datetime.now(UTC), "dialer", 60, 9)
    assert claimed.id == made.id
    assert "'claimed'" in (await act(desk, made.id, "call-now", 409))["detail"]
    for wrong in (datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(days=400)):
        answer = await act(desk, made.id, "reschedule", 400, json={"due_at": wrong.isoformat()})
        assert "due_at" in answer["detail"]


async def test_what_cannot_be_rung_is_completed_first(desk: TestClient, store: Store) -> None:
    made = await store.create_callback("k", "sales", event=CallbackEvent.BROKEN_OFF, at=START)
    assert "number or consent is missing" in (await act(desk, made.id, "call-now", 409))["detail"]
    path = f"/api/v1/callbacks/{made.id}"
    answer = await desk.patch(path, json={"number": "8 (916) 123-45-67", "name_text": " Иванов "})
    assert answer.status == 200, await answer.text()
    shown = await answer.json()
    assert (shown["number"], shown["number_confirmed"], shown["name_text"]) == (NUMBER, True, "Иванов")
    for wrong, why in (
        ("112", "emergency"),
        ("+79", "service number"),
        ("+1 212 555 0123", "allowed_regions"),
        ("+7 495 000-00-01", "our own"),
        ("пять", "digits"),
        ("+7 809 505 05 05", "premium"),
        ("+7 000 000 00 00", "no such number"),
    ):
        answer = await desk.patch(path, json={"number": wrong})
        assert answer.status == 400, wrong
        problem = await answer.json()
        assert problem["errors"][0]["field"] == "number"
        assert why in problem["errors"][0]["detail"]


async def test_an_agent_sees_the_own_departments_and_the_own_calls(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "anna", extension="101")
    headers = await token_of(store, "anna")
    ours, theirs = await make_callback(store), await make_callback(store, "k2", "support")
    listed = await (await stranger.get("/api/v1/callbacks", headers=headers)).json()
    assert [entry["id"] for entry in listed["callbacks"]] == [ours.id]
    missing = await stranger.get(f"/api/v1/callbacks/{theirs.id}", headers=headers)
    never = await stranger.get("/api/v1/callbacks/never", headers=headers)
    assert missing.status == never.status == 404
    assert (await missing.json())["detail"].replace(theirs.id, "") == (await never.json())["detail"].replace(
        "never", ""
    )
    await act(stranger, theirs.id, "take", 404, json={}, headers=headers)
    assert (await store.callback(theirs.id)) == theirs
    leg = {"uniqueid": "u1", "extension": "101"}
    await store.save_call({"call_id": "rung", "department": "support", "legs": [leg]})
    await store.save_call(
        {"call_id": "strange", "department": "support", "answered_by": {"extension": "103"}}
    )
    await store.save_call({"call_id": "sales", "department": "sales", "answered_by": {"extension": "102"}})
    listed = await (await stranger.get("/api/v1/calls", headers=headers)).json()
    assert {entry["id"] for entry in listed["calls"]} == {"rung", "sales"}
    assert (await stranger.get("/api/v1/calls/strange", headers=headers)).status == 404
    note = {"last_name": "И", "first_name": "И", "number": NUMBER, "subject": "s", "result": "r"}
    for call_id, status in (("rung", 201), ("sales", 403), ("strange", 404)):
        path = f"/api/v1/calls/{call_id}/notes"
        assert (await stranger.post(path, json=note, headers=headers)).status == status, call_id
    queues = await (await stranger.get("/api/v1/queues", headers=headers)).json()
    assert [(queue["department"], queue["callbacks_open"]) for queue in queues["queues"]] == [("sales", 1)]
    assert queues["queues"][0]["members"] == ["101", "102"]
    assert queues["queues"][0]["live"] is False


async def test_a_supervisor_of_one_department_sees_only_that(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor", departments=("support",))
    headers = await token_of(store, "boss")
    await make_callback(store)
    theirs = await make_callback(store, "k2", "support")
    listed = await (await stranger.get("/api/v1/callbacks", headers=headers)).json()
    assert [entry["id"] for entry in listed["callbacks"]] == [theirs.id]


async def test_pages_of_a_list_neither_skip_nor_repeat(desk: TestClient, store: Store) -> None:
    for number in range(7):
        await store.save_call({"call_id": f"c{number}", "started_at": START.isoformat()})
    seen: list[str] = []
    query = {"limit": "3"}
    while True:
        shown = await (await desk.get("/api/v1/calls", params=query)).json()
        seen += [call["id"] for call in shown["calls"]]
        later = (START + timedelta(minutes=len(seen))).isoformat()
        await store.save_call({"call_id": f"new{len(seen)}", "started_at": later})
        if shown["next"] is None:
            break
        query["cursor"] = shown["next"]
    assert seen == [f"c{number}" for number in reversed(range(7))]
    for wrong in ("x", "", "eA", "é", "MjAyNi0wMy0wMnxh"):
        answer = await desk.get("/api/v1/calls", params={"cursor": wrong})
        assert answer.status == 400
        assert (await answer.json())["errors"][0]["field"] == "cursor"


async def test_the_same_key_is_done_once_and_another_request_is_refused(
    desk: TestClient, store: Store
) -> None:
    made = await make_callback(store)
    headers = {"Idempotency-Key": "k1"}
    first = await act(desk, made.id, "cancel", json={"reason": "a"}, headers=headers)
    again = await desk.post(f"/api/v1/callbacks/{made.id}/cancel", json={"reason": "a"}, headers=headers)
    assert (again.status, await again.json()) == (200, first)
    assert again.headers["Idempotency-Replayed"] == "true"
    await act(desk, made.id, "cancel", 422, json={"reason": "b"}, headers=headers)
    await act(desk, made.id, "cancel", 409, json={"reason": "a"})
    assert len(await store.audits()) == 1
    for _ in range(2):  # a refusal is not kept
        await act(desk, "never", "cancel", 404, json={}, headers={"Idempotency-Key": "k2"})
    await act(desk, made.id, "cancel", 400, json={}, headers={"Idempotency-Key": "x" * 101})


async def test_the_same_key_at_the_same_time_is_done_once(desk: TestClient, store: Store) -> None:
    made = await make_callback(store)
    path, headers = f"/api/v1/callbacks/{made.id}/cancel", {"Idempotency-Key": "k"}
    answers = await asyncio.gather(*(desk.post(path, json={}, headers=headers) for _ in range(8)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(await store.audits()) == 1


async def test_a_key_belongs_to_who_sent_it(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    await add_user(store, "boss", "supervisor")
    key = {"Idempotency-Key": "same"}
    body = {"scopes": ["calls:read"]}
    tokens = []
    for name in ("anna", "boss"):
        headers = {**await token_of(store, name), **key}
        tokens.append(await (await stranger.post("/api/v1/me/tokens", json=body, headers=headers)).json())
        again = await (await stranger.post("/api/v1/me/tokens", json=body, headers=headers)).json()
        assert again == {**tokens[-1], "secret": None}  # told once, and not kept
    assert [token["user"] for token in tokens] == ["anna", "boss"]


async def test_a_token_makes_none_that_may_more(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    headers = await token_of(store, "anna", "account", "calls:read")
    more = await stranger.post("/api/v1/me/tokens", json={"scopes": ["notes:write"]}, headers=headers)
    assert more.status == 403
    made = await stranger.post("/api/v1/me/tokens", json={"scopes": ["calls:read"]}, headers=headers)
    secret = {"Authorization": f"Bearer {(await made.json())['secret']}"}
    me = await (await stranger.get("/api/v1/calls", headers=secret)).json()
    assert me == {"calls": [], "next": None}
    token_id = (await made.json())["id"]
    listed = await (await stranger.get("/api/v1/me/tokens", headers=headers)).json()
    assert token_id in {token["id"] for token in listed["tokens"]}
    assert (await stranger.delete(f"/api/v1/me/tokens/{token_id}", headers=headers)).status == 204
    assert (await stranger.get("/api/v1/calls", headers=secret)).status == 401
    await add_user(store, "boss", "supervisor")
    foreign = await token_of(store, "boss")
    assert (await stranger.delete(f"/api/v1/me/tokens/{token_id}", headers=foreign)).status == 404


async def test_one_sees_and_ends_the_own_sessions(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    await log_in(stranger, "anna")
    headers = await token_of(store, "anna")
    (session,) = (await (await stranger.get("/api/v1/me/sessions", headers=headers)).json())["sessions"]
    assert (session["address"], session["this"]) == ("127.0.0.1", False)
    path = f"/api/v1/me/sessions/{session['id']}"
    assert (await stranger.delete(path, headers=headers)).status == 204
    assert (await stranger.get("/api/v1/calls")).status == 401


async def test_an_admin_adds_resets_and_disables(stranger: TestClient, store: Store) -> None:
    await add_user(store, "root", "admin")
    headers = await token_of(store, "root")
    wanted = {"name": "anna", "role": "agent", "extension": "101"}
    added = await stranger.post("/api/v1/users", json=wanted, headers=headers)
    assert added.status == 201
    password = (await added.json())["one_time_password"]
    assert (await stranger.post("/api/v1/users", json=wanted, headers=headers)).status == 409
    wrong = await stranger.post("/api/v1/users", json={**wanted, "name": "b!"}, headers=headers)
    assert wrong.status == 400
    assert (await log_in(stranger, "anna", password)).status == 303
    assert (await stranger.get("/api/v1/me")).status == 200
    reset = await (await stranger.post("/api/v1/users/anna/password", headers=headers)).json()
    assert reset["one_time_password"] != password
    assert (await stranger.get("/api/v1/me")).status == 401
    assert (await log_in(stranger, "anna", reset["one_time_password"])).status == 303
    for _ in range(2):
        disabled = await stranger.post("/api/v1/users/anna/disable", headers=headers)
        assert (await disabled.json())["active"] is False
    assert (await log_in(stranger, "anna", reset["one_time_password"])).status == 401
    assert (await stranger.post("/api/v1/users/root/disable", headers=headers)).status == 409
    assert (await stranger.post("/api/v1/users/nobody/enable", headers=headers)).status == 404
    listed = (await (await stranger.get("/api/v1/users", headers=headers)).json())["users"]
    assert [(user["name"], user["active"], user["one_time_password"]) for user in listed] == [
        ("anna", False, None),
        ("root", True, None),
    ]
    query = {"subject": "anna", "limit": "2"}
    trail = await (await stranger.get("/api/v1/audit", params=query, headers=headers)).json()
    assert [entry["action"] for entry in trail["entries"]] == ["user.disable", "user.disable"]
    assert password not in str(await store.audits())
    rest = {**query, "cursor": trail["next"]}
    trail = await (await stranger.get("/api/v1/audit", params=rest, headers=headers)).json()
    assert [entry["action"] for entry in trail["entries"]] == ["login", "user.passwd"]


async def test_states_of_a_callback_are_those_of_the_core(desk: TestClient, store: Store) -> None:
    await make_callback(store)
    for state in CallbackState:
        assert (await desk.get("/api/v1/callbacks", params={"state": state.value})).status == 200
    assert (await desk.get("/api/v1/callbacks", params={"state": "nonsense"})).status == 400


async def test_two_requests_of_one_person_become_one(desk: TestClient, store: Store) -> None:
    kept = await make_callback(store)
    further = await store.create_callback(
        "k2", "sales", event=CallbackEvent.BROKEN_OFF, name_text="Иван", at=START
    )
    goes_on = await act(desk, further.id, "merge", json={"into": kept.id})
    assert (goes_on["id"], goes_on["state"], goes_on["name_text"]) == (kept.id, "queued", "Иван")
    closed = await (await desk.get(f"/api/v1/callbacks/{further.id}")).json()
    assert (closed["state"], closed["merged_into"]) == ("merged", kept.id)
    (entry,) = await store.callback_history(kept.id)
    assert (entry.kind, entry.detail["by"]) == ("merged", "desk")
    await act(desk, further.id, "merge", 409, json={"into": kept.id})  # once
    await act(desk, kept.id, "merge", 409, json={"into": kept.id})
    await act(desk, kept.id, "merge", 404, json={"into": "never"})
    foreign = await make_callback(store, "k3", "support", number="+79161234568")
    await act(desk, kept.id, "merge", 409, json={"into": further.id})
    assert await store.callback(foreign.id) == foreign


async def test_an_agent_merges_into_nothing_foreign(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    headers = await token_of(store, "anna")
    ours = await make_callback(store)
    theirs = await make_callback(store, "k2", "support", number="+79161234568")
    await act(stranger, ours.id, "merge", 404, json={"into": theirs.id}, headers=headers)
    assert await store.callback(ours.id) == ours


async def test_whom_somebody_reached_otherwise_is_not_rung(desk: TestClient, store: Store) -> None:
    made = await make_callback(store)
    done = await act(desk, made.id, "reached", json={"reason": "came to the office"})
    assert (done["state"], done["closed_by"], done["closed_reason"]) == ("done", "desk", "came to the office")
    assert await store.claim_due(datetime.now(UTC), "dialer", 60, 9) == []
    await act(desk, made.id, "reached", 409, json={})
