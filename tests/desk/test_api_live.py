"""The live feed, and the document that describes everything."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from ami_bridge.adapters.store import MemoryStore, Store
from ami_bridge.desk import create_app, live
from ami_bridge.desk.live import FEED
from ami_bridge.settings import Settings

from .conftest import TOKEN, add_user, log_in


async def next_events(
    response: ClientResponse, number: int, *, pictures: bool = False
) -> list[dict[str, str]]:
    """The next ``number`` events that carry something; ``pictures`` of the calls that go on only when wanted."""
    events: list[dict[str, str]] = []
    block: dict[str, str] = {}
    async with asyncio.timeout(10):
        while len(events) < number:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
                continue
            if "data" in block and (pictures or block["event"] != "picture"):
                events.append(block)
            block = {}
    return events


async def test_changes_arrive_as_they_happen(desk: TestClient, store: Store) -> None:
    await store.save_call({"call_id": "before"})
    async with desk.get("/api/v1/live") as response:
        assert response.content_type == "text/event-stream"
        await store.save_call({"call_id": "c1"})
        await store.create_callback("k", "sales")
        first, second = await next_events(response, 2)
    assert (first["event"], json.loads(first["data"])["subject"]) == ("call", "c1")
    assert second["event"] == "callback"
    assert json.loads(second["data"])["seq"] == json.loads(first["data"])["seq"] + 1
    run, number = first["id"].split(".")[1:]
    assert second["id"].split(".")[1:] == [run, str(int(number) + 1)]


async def test_a_client_that_comes_back_misses_nothing(desk: TestClient, store: Store) -> None:
    for number in range(3):
        await store.save_call({"call_id": f"c{number}"})
    async with desk.get("/api/v1/live", headers={"Last-Event-ID": "1"}) as response:
        events = await next_events(response, 2)
    assert [json.loads(event["data"])["subject"] for event in events] == ["c1", "c2"]


async def test_a_client_from_another_store_is_told_to_start_again(desk: TestClient, store: Store) -> None:
    await store.save_call({"call_id": "c1"})
    async with desk.get("/api/v1/live", headers={"Last-Event-ID": "500"}) as response:
        (reset,) = await next_events(response, 1)
        assert (reset["event"], reset["id"].split(".")[0]) == ("reset", "1")
        await store.save_call({"call_id": "c2"})
        (event,) = await next_events(response, 1)
    assert event["id"].split(".")[0] == "2"


async def test_a_client_that_was_away_too_long_is_told_to_start_again(settings: Settings) -> None:
    store = MemoryStore()
    for number in range(5):
        await store.save_call({"call_id": f"c{number}"})
    del store._changes[:3]  # as pruning does
    headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": "1"}
    async with (
        TestClient(TestServer(create_app(store, settings, TOKEN))) as client,
        client.get("/api/v1/live", headers=headers) as response,
    ):
        (reset,) = await next_events(response, 1)
    assert (reset["event"], reset["id"].split(".")[0]) == ("reset", "5")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "٣", "9" * 30, "1.ab.x", "1.a b.2", "1..2"])
async def test_a_last_event_id_that_is_not_ours_is_refused(desk: TestClient, last: str) -> None:
    answer = await desk.get("/api/v1/live", headers={"Last-Event-ID": last})
    assert answer.status == 400


async def test_a_client_that_leaves_is_forgotten_and_the_desk_stops_with_clients(
    store: Store, settings: Settings
) -> None:
    app = create_app(store, settings, TOKEN)
    client = TestClient(TestServer(app), headers={"Authorization": f"Bearer {TOKEN}"})
    await client.start_server()
    response = await client.get("/api/v1/live")
    await response.content.readline()
    assert app[FEED].clients == 1
    response.close()
    await store.save_call({"call_id": "c1"})
    async with asyncio.timeout(10):
        while app[FEED].clients:  # noqa: ASYNC110 - there is no event to wait for, the client just leaves
            await asyncio.sleep(0.05)
    await client.get("/api/v1/live")
    async with asyncio.timeout(10):
        await client.close()


async def test_calls_that_go_on_are_shown_at_once_and_resumed_without_a_hole(
    settings: Settings, store: Store
) -> None:
    """The feed between a bridge's wire and a browser: whole picture, changes, and the rest after a lost line."""
    app = create_app(store, settings, TOKEN)
    board = app[FEED].board
    call = {"call_id": "c1", "phase": "ringing", "department": "sales"}
    lists: dict[str, list[str]] = {"ringing": ["101"], "agents": [], "absorbed": []}
    client = TestClient(TestServer(app), headers={"Authorization": f"Bearer {TOKEN}"})
    await client.start_server()
    board.told({"hello": "x", "seq": 0, "linked": True, "calls": 1})
    board.told({"call": {**call, **lists}})
    async with client.get("/api/v1/live") as response:
        (picture,) = await next_events(response, 1, pictures=True)
        shown = json.loads(picture["data"])
        assert [each["call_id"] for each in shown["calls"]] == ["c1"]
        board.told({"seq": 1, "call": {**call, **lists, "phase": "talking"}})
        app[FEED]._wake()
        (event,) = await next_events(response, 1)
        assert (event["event"], json.loads(event["data"])["phase"]) == ("live", "talking")
    for seq, phase in enumerate(("greeting", "talking", "ended"), 2):
        board.told({"seq": seq, "call": {**call, **lists, "phase": phase}})
    async with client.get("/api/v1/live", headers={"Last-Event-ID": event["id"]}) as response:
        missed = await next_events(response, 3, pictures=True)
    assert [json.loads(each["data"])["phase"] for each in missed] == ["greeting", "talking", "ended"]
    numbers = [int(each["id"].rpartition(".")[2]) for each in (event, *missed)]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    other_run = event["id"].split(".")
    other_run[1] = "0"
    async with client.get("/api/v1/live", headers={"Last-Event-ID": ".".join(other_run)}) as response:
        (picture,) = await next_events(response, 1, pictures=True)
    assert json.loads(picture["data"])["calls"] == []
    await client.close()


async def test_who_is_logged_out_hears_no_more(
    stranger: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(live, "KEEP_ALIVE_SECONDS", 0.05)
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    async with stranger.get("/api/v1/live") as response:
        await next_events(response, 1, pictures=True)
        await store.end_sessions("anna")
        async with asyncio.timeout(10):
            while await response.content.readline():
                pass


async def test_an_agent_hears_of_own_departments_and_of_the_own_phone_only(
    stranger: TestClient, store: Store
) -> None:
    """Anna's phone rings in sales; a call of support concerns her only while it rings at her phone."""
    await add_user(store, "anna", "agent", "101")
    await log_in(stranger, "anna")
    board = stranger.app[FEED].board  # type: ignore[index]
    plain = {"agents": [], "absorbed": [], "phase": "ringing"}
    calls = [
        {"call_id": "own", "department": "sales", "ringing": [], **plain},
        {"call_id": "foreign", "department": "support", "ringing": ["103"], **plain},
    ]
    board.told({"hello": "x", "seq": 0, "linked": True, "calls": len(calls)})
    for call in calls:
        board.told({"call": call})
    async with stranger.get("/api/v1/live") as response:
        (picture,) = await next_events(response, 1, pictures=True)
        assert [call["call_id"] for call in json.loads(picture["data"])["calls"]] == ["own"]
        for seq, ringing in enumerate((["103"], ["101"], []), 1):
            board.told({"seq": seq, "call": {**calls[1], "ringing": ringing}})
        board.told({"seq": 4, "call": {**calls[1], "ringing": ["103"]}})
        board.told({"seq": 5, "call": calls[0]})
        stranger.app[FEED]._wake()  # type: ignore[index]
        told = [json.loads(event["data"]) for event in await next_events(response, 3)]
    assert [(call["call_id"], call["ringing"]) for call in told] == [
        ("foreign", ["101"]),
        ("foreign", []),  # it rings no more at hers: the card goes away
        ("own", []),
    ]


# OpenAPI ----------------------------------------------------------------------------------


async def test_the_document_names_exactly_the_routes_that_exist(stranger: TestClient) -> None:
    document = await (await stranger.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    programs = ("/api/", "/healthz", "/readyz", "/metrics")
    routes = {
        (route.method, re.sub(r":[^}]*", "", route.resource.canonical))
        for route in stranger.app.router.routes()  # type: ignore[union-attr]
        if route.resource is not None and route.method != "HEAD"
    }
    assert described == {(method, path) for method, path in routes if path.startswith(programs)}


async def test_every_reference_in_the_document_leads_somewhere(stranger: TestClient) -> None:
    text = await (await stranger.get("/api/v1/openapi.json")).text()
    schemas = json.loads(text)["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= schemas.keys()
    assert "/$defs/" not in text


async def test_what_the_document_promises_is_what_comes(desk: TestClient, store: Store) -> None:
    await store.save_call({"call_id": "c1"})
    made = await store.create_callback("k", "sales")
    document = await (await desk.get("/api/v1/openapi.json")).json()
    for path, real in (
        ("/api/v1/calls", "/api/v1/calls"),
        ("/api/v1/calls/{id}", "/api/v1/calls/c1"),
        ("/api/v1/callbacks", "/api/v1/callbacks"),
        ("/api/v1/callbacks/{id}", f"/api/v1/callbacks/{made.id}"),
        ("/api/v1/agents", "/api/v1/agents"),
        ("/healthz", "/healthz"),
        ("/readyz", "/readyz"),
    ):
        promised = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = document["components"]["schemas"][promised["$ref"].rpartition("/")[2]]
        answer = await (await desk.get(real)).json()
        assert answer.keys() == schema["properties"].keys(), path
