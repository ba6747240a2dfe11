"""Calls, notes, callbacks and agents over HTTP, on a real store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

from ami_bridge.adapters.store import AgentEntry, Store
from ami_bridge.core.callbacks import Callback, CallbackEvent, Consent
from ami_bridge.settings import Settings

from .conftest import add_user, token_of

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NOTE = {
    "last_name": "Иванов",
    "first_name": "Иван",
    "patronymic": "Петрович",
    "number": "+7 (916) 123-45-67",
    "subject": "доставка",
    "result": "договорились на вторник",
}


async def save_call(store: Store, call_id: str = "c1", **more: object) -> None:
    await store.save_call(
        {
            "call_id": call_id,
            "started_at": START.isoformat(),
            "caller": {"number": "+79161234567"},
            "department": "sales",
            "answered_on_ring": 3,
            "ring_verdict": "ideal",
            **more,
        }
    )


async def make_callback(store: Store, **more: object) -> Callback:
    return await store.create_callback(
        "k",
        "sales",
        event=CallbackEvent.CAPTURED,
        at=START,
        number="+79161234567",
        consent=Consent("1", "permission-ru-1", START, "+79161234567"),
        **more,  # type: ignore[arg-type]
    )


async def get(client: TestClient, path: str, **query: str) -> dict[str, object]:
    answer = await client.get(path, params=query)
    assert answer.status == 200, await answer.text()
    return dict(await answer.json())


async def test_calls_are_listed_and_shown_whole(desk: TestClient, store: Store) -> None:
    await save_call(store)
    await save_call(store, "c2", department="support", started_at=(START + timedelta(hours=1)).isoformat())
    listed = await get(desk, "/api/v1/calls")
    assert [call["id"] for call in listed["calls"]] == ["c2", "c1"]  # type: ignore[attr-defined]
    only = await get(desk, "/api/v1/calls", department="sales", until="2026-03-02T12:30:00+03:00", limit="1")
    assert [call["id"] for call in only["calls"]] == ["c1"]  # type: ignore[attr-defined]
    shown = await get(desk, "/api/v1/calls/c1")
    assert (shown["answered_on_ring"], shown["ring_verdict"], shown["notes"]) == (3, "ideal", [])
    assert shown["record"]["caller"] == {"number": "+79161234567"}  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"since": "2026-03-02T09:00:00"}, "since"),
        ({"until": "yesterday"}, "until"),
        ({"sinse": "2026-03-02T09:00:00Z"}, "sinse"),
    ],
)
async def test_a_wrong_query_is_named_in_one_sentence(
    desk: TestClient, query: dict[str, str], named: str
) -> None:
    answer = await desk.get("/api/v1/calls", params=query)
    assert answer.status == 400
    sentence = (await answer.json())["detail"]
    assert sentence.startswith(f"The query is not as it should be: {named}: ")
    assert "\n" not in sentence


async def test_what_is_not_there_is_said_so(desk: TestClient) -> None:
    for path in ("/api/v1/calls/none", "/api/v1/callbacks/none", "/api/v1/callbacks/none/recordings/name"):
        answer = await desk.get(path)
        assert answer.status == 404
        assert "'none'" in (await answer.json())["detail"]
    answer = await desk.get("/api/v1/nonsense")
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert await answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found.",
        "errors": [],
    }
    answer = await desk.delete("/api/v1/calls")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_a_note_is_added_in_versions_and_once_per_key(desk: TestClient, store: Store) -> None:
    await save_call(store)
    first = await desk.post("/api/v1/calls/c1/notes", json=NOTE, headers={"Idempotency-Key": "n1"})
    assert first.status == 201
    again = await desk.post("/api/v1/calls/c1/notes", json=NOTE, headers={"Idempotency-Key": "n1"})
    assert await again.json() == await first.json()
    await desk.post("/api/v1/calls/c1/notes", json={**NOTE, "result": "перенесли"})
    notes = (await get(desk, "/api/v1/calls/c1"))["notes"]
    assert [(note["version"], note["fields"]["result"]) for note in notes] == [  # type: ignore[attr-defined]
        (1, NOTE["result"]),
        (2, "перенесли"),
    ]
    assert notes[0]["fields"]["number"] == "+79161234567"  # type: ignore[index]
    assert notes[0]["author"] == "desk"  # type: ignore[index]


async def test_a_note_bears_the_name_of_who_wrote_it(stranger: TestClient, store: Store) -> None:
    await save_call(store)
    await add_user(store, "anna", extension="101")
    headers = await token_of(store, "anna", "notes:write")
    answer = await stranger.post("/api/v1/calls/c1/notes", json=NOTE, headers=headers)
    assert (await answer.json())["author"] == "anna"


@pytest.mark.parametrize("missing", ["last_name", "first_name", "number", "subject", "result"])
async def test_a_note_says_who_about_what_and_with_what_result(
    desk: TestClient, store: Store, missing: str
) -> None:
    await save_call(store)
    for wrong in ({k: v for k, v in NOTE.items() if k != missing}, {**NOTE, missing: "  "}):
        answer = await desk.post("/api/v1/calls/c1/notes", json=wrong)
        assert answer.status == 400
        assert missing in (await answer.json())["detail"]
    assert await store.notes("c1") == []


async def test_a_note_on_no_call_and_a_body_that_is_none(desk: TestClient, store: Store) -> None:
    assert (await desk.post("/api/v1/calls/none/notes", json=NOTE)).status == 404
    await save_call(store)
    path = "/api/v1/calls/c1/notes"
    assert (await desk.post(path, data=b"{", headers={"Content-Type": "application/json"})).status == 400
    deep = b"[" * 30_000
    assert (await desk.post(path, data=deep, headers={"Content-Type": "application/json"})).status == 400
    assert (await desk.post(path, data={"last_name": "x"})).status == 415
    huge = await desk.post(path, json={**NOTE, "text": "x" * 100_000})
    assert huge.status == 413
    assert "detail" in await huge.json()


async def test_callbacks_show_evidence_and_hide_what_is_inside(desk: TestClient, store: Store) -> None:
    made = await make_callback(store)
    listed = await get(desk, "/api/v1/callbacks", state="queued")
    assert [callback["id"] for callback in listed["callbacks"]] == [made.id]  # type: ignore[attr-defined]
    assert (await get(desk, "/api/v1/callbacks", state="done"))["callbacks"] == []
    shown = await get(desk, f"/api/v1/callbacks/{made.id}")
    assert shown["consents"][0]["prompt_version"] == "permission-ru-1"  # type: ignore[index]
    assert shown["tries"] == []
    assert not {"fence", "worker", "lease_until", "name_recording", "key"} & shown.keys()


async def test_cancelling_is_kept_with_who_and_why_and_refused_while_it_rings(
    desk: TestClient, store: Store
) -> None:
    made = await make_callback(store)
    answer = await desk.post(f"/api/v1/callbacks/{made.id}/cancel", json={"reason": "rang us himself"})
    cancelled = await answer.json()
    assert (cancelled["state"], cancelled["closed_by"], cancelled["closed_reason"]) == (
        "cancelled",
        "desk",
        "rang us himself",
    )
    (entry,) = await store.audits()
    assert (entry.actor, entry.action, entry.subject) == ("desk", "callback.cancel", made.id)
    again = await desk.post(f"/api/v1/callbacks/{made.id}/cancel", json={})
    assert again.status == 409
    assert "'cancelled'" in (await again.json())["detail"]
    assert len(await store.audits()) == 1


async def test_recordings_are_heard_whole_and_in_part(
    desk: TestClient, store: Store, settings: Settings
) -> None:
    folder = settings.state_folder / "recordings"
    folder.mkdir(parents=True)
    sound = b"RIFF" + bytes(range(200))
    (folder / "n.wav").write_bytes(sound)
    made = await make_callback(
        store, name_recording=str(folder / "n"), subject_recording="recordings/gone.wav"
    )
    path = f"/api/v1/callbacks/{made.id}/recordings"
    shown = await get(desk, f"/api/v1/callbacks/{made.id}")
    assert shown["recordings"]["name"] == f"{path}/name"  # type: ignore[index]
    whole = await desk.get(f"{path}/name")
    assert (whole.status, whole.content_type, await whole.read()) == (200, "audio/wav", sound)
    part = await desk.get(f"{path}/name", headers={"Range": "bytes=4-7"})
    assert (part.status, await part.read()) == (206, sound[4:8])
    assert (await desk.get(f"{path}/subject")).status == 404
    assert (await desk.get(f"{path}/other")).status == 404


async def test_no_stored_path_leads_out_of_the_recordings(
    desk: TestClient, store: Store, settings: Settings, tmp_path: Path
) -> None:
    state = settings.state_folder
    (state / "recordings").mkdir(parents=True)
    (state / "recordings" / "folder.wav").mkdir()
    (state / "secret.wav").write_bytes(b"x")
    (tmp_path / "outside.wav").write_bytes(b"x")
    (state / "recordings" / "link.wav").symlink_to(tmp_path / "outside.wav")
    (state / "recordings" / "shape.wav").symlink_to(state / "fourthring.db")
    made = await make_callback(store)
    for stored in (
        "secret.wav",
        "recordings/../secret.wav",
        str(tmp_path / "outside.wav"),
        "recordings/link.wav",
        "recordings/shape.wav",
        "recordings/folder.wav",
        "fourthring.db",
        "/etc/passwd",
        "recordings/\x00.wav",
        "..",
        "x" * 5000,
    ):
        await store.update_callback(made.id, name_recording=stored)
        answer = await desk.get(f"/api/v1/callbacks/{made.id}/recordings/name")
        assert answer.status == 404, stored


async def test_agents_are_listed(desk: TestClient, store: Store) -> None:
    await store.save_directory([], [AgentEntry("101", {"ru": "Анна"}, {}, ("sales",))])
    (agent,) = (await get(desk, "/api/v1/agents"))["agents"]  # type: ignore[misc]
    assert (agent["extension"], agent["names"], agent["active"]) == ("101", {"ru": "Анна"}, True)
