"""The configuration through the desk: proposed, refused with the same sentences, applied, taken back."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from ami_bridge.adapters.store import Store
from ami_bridge.configuring import applying, restart_marker
from ami_bridge.desk import create_app
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, load_settings

from .conftest import TOKEN, add_user, csrf, log_in

API = "/api/v1/configuration"
SIX = [{"path": ["ring", "answer_by_ring"], "value": 6}]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The demo's file, comments and all, with a state folder of the test's own."""
    text = (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
    path = tmp_path / "fourthring.toml"
    path.write_text(re.sub(r"state_folder = .*", f'state_folder = "{tmp_path}/state"', text), "utf-8")
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load_settings(config)


@pytest.fixture(autouse=True)
def no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering half an hour of speech is tested elsewhere."""
    monkeypatch.setattr(applying, "_prepare", lambda _settings: 0)


@pytest.fixture
async def admin(store: Store, settings: Settings, config: Path) -> AsyncIterator[TestClient]:
    app = create_app(store, settings, TOKEN, config=config)
    client = TestClient(TestServer(app), cookie_jar=CookieJar(unsafe=True))
    await client.start_server()
    await add_user(store, "root", "admin")
    await log_in(client, "root")
    yield client
    await client.close()


async def post(client: TestClient, path: str, status: int = 200, **body: Any) -> Any:
    answer = await client.post(
        f"{API}{path}", json=body, headers={"Authorization": f"Bearer {TOKEN}", "X-CSRF-Token": "-"}
    )
    told = await answer.json()
    assert answer.status == status, told
    return told


async def test_a_change_is_shown_then_made_and_every_comment_stays(
    admin: TestClient, config: Path, store: Store, settings: Settings
) -> None:
    before = config.read_text("utf-8")
    proposed = await post(admin, "/check", changes=SIX)
    assert proposed["well"]
    signs = [line["sign"] + line["text"].split("=")[0] for line in proposed["diff"] if line["sign"] in "+-"]
    assert signs == ["-answer_by_ring ", "+answer_by_ring "]
    assert config.read_text("utf-8") == before, "looking changes nothing"
    made = await post(admin, "/apply", base=proposed["base"], changes=SIX)
    after = config.read_text("utf-8")
    assert re.sub("answer_by_ring = 6", "answer_by_ring = 4", after) == before
    assert restart_marker(settings.state_folder).read_text() == made["version"]
    rendered = (PbxPaths.in_state(settings.state_folder).etc / "extensions.conf").read_text("utf-8")
    assert "Dial(${FR_PHONES},26.7," in rendered, "5 periods of 5 s, a tone and the margin"
    (entry,) = [each for each in await store.audits(limit=20) if each.action == "configuration.apply"]
    assert entry.detail["keys"] == ["ring.answer_by_ring"]


async def test_back_to_the_version_before(admin: TestClient, config: Path) -> None:
    before = config.read_text("utf-8")
    made = await post(admin, "/apply", changes=SIX, what="six rings")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    versions = (await (await admin.get(f"{API}/versions", headers=headers)).json())["versions"]
    assert [(each["what"], each["present"]) for each in versions] == [("six rings", True), ("", False)]
    old = versions[1]["id"]
    shown = await (await admin.get(f"{API}/versions/{old}", headers=headers)).json()
    assert any(line["sign"] == "+" and "answer_by_ring = 4" in line["text"] for line in shown["diff"])
    await post(admin, f"/versions/{old}/restore", base=made["version"])
    assert config.read_text("utf-8") == before
    assert (await admin.get(f"{API}/versions/..%2f..%2fetc", headers=headers)).status == 404


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (["ring", "zone"], "xx", "ring: zone 'xx' has no ringback cadence; write one of"),
        (["departments", "sales", "queue"], ["999"], "departments.sales.queue names an unknown agent '999'"),
        (["departments", "support", "dids"], ["74950000001"], "DID 74950000001 belongs to 'sales' already"),
        (["hours", "open"], ["mon-fri 25:00-26:00"], "25:00"),
        (["agents", "101"], None, "names an unknown agent '101'"),
        (["callback", "surprise"], 1, "callback.surprise is not a known key"),
    ],
)
async def test_the_same_sentences_as_for_a_change_by_hand(
    admin: TestClient, config: Path, path: list[str], value: Any, sentence: str
) -> None:
    before = config.read_text("utf-8")
    changes = [{"path": path, "value": value}]
    proposed = await post(admin, "/check", changes=changes)
    assert not proposed["well"]
    assert any(sentence in problem for problem in proposed["problems"]), proposed["problems"]
    refused = await post(admin, "/apply", 400, changes=changes)
    assert sentence in refused["detail"]
    assert config.read_text("utf-8") == before


@pytest.mark.parametrize(
    "path",
    [
        ["voices", "ru", "command"],
        ["node", "state_folder"],
        ["secrets", "folder"],
        ["trunks", "carrier", "port"],
    ],
)
async def test_what_runs_programs_or_moves_the_state_is_not_changed_from_a_browser(
    admin: TestClient, config: Path, path: list[str]
) -> None:
    before = config.read_text("utf-8")
    for where in ("/check", "/apply"):
        told = await post(admin, where, 409, changes=[{"path": path, "value": "x"}])
        assert "not changed from the desk" in told["detail"]
    assert config.read_text("utf-8") == before


async def test_two_admins_do_not_undo_each_other(admin: TestClient, config: Path) -> None:
    seen = (await post(admin, "/check", changes=SIX))["base"]
    await post(admin, "/apply", changes=[{"path": ["ring", "answer_by_ring"], "value": 5}])
    told = await post(admin, "/apply", 409, base=seen, changes=SIX)
    assert "meanwhile" in told["detail"]
    assert tomllib.loads(config.read_text("utf-8"))["ring"]["answer_by_ring"] == 5


async def test_a_pbx_that_refuses_gets_the_old_files_back(
    admin: TestClient, config: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    before, tried = config.read_text("utf-8"), []

    def reload(tried_settings: Settings) -> bool:
        tried.append(tried_settings.ring.answer_by_ring)
        if tried_settings.ring.answer_by_ring == 6:
            raise FourthRingError("ERROR: it does not like it")
        return True

    monkeypatch.setattr(applying, "_reload", reload)
    told = await post(admin, "/apply", 409, changes=SIX)
    assert "taken back: ERROR: it does not like it" in told["detail"]
    assert tried == [6, 4]
    assert config.read_text("utf-8") == before
    assert not restart_marker(settings.state_folder).exists()


async def test_a_file_that_may_not_be_written_says_so(
    admin: TestClient, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ami_bridge.configuring.document.os.access", lambda *_: False)
    told = await post(admin, "/apply", 409, changes=SIX)
    assert f"may not write {config}" in told["detail"]
    assert f"may not write {config}" in await page(admin, "/admin")


# The pages ----------------------------------------------------------------------------------


async def page(client: TestClient, path: str, status: int = 200, **form: str) -> str:
    token = await csrf(client)
    headers = {"Accept-Language": "en"}
    answer = (
        await client.post(path, data={"_csrf": token, **form}, headers=headers)
        if form
        else await client.get(path, headers=headers)
    )
    text = await answer.text()
    assert answer.status == status, (path, answer.status, text[:2000])
    return text


def filled(text: str) -> dict[str, str]:
    """A form as a browser would send it back."""
    main = text[text.index('class="admin-form"') :]
    form = dict(re.findall(r'<input name="([^"]+)" value="([^"]*)"', main))
    form |= dict(re.findall(r'<textarea name="([^"]+)"[^>]*>([^<]*)</textarea>', main))
    for name, body in re.findall(r'<select name="([^"]+)">(.*?)</select>', main, re.S):
        chosen = re.search(r'value="([^"]*)" selected', body)
        form[name] = chosen[1] if chosen else re.findall(r'value="([^"]*)"', body)[0]
    form |= dict.fromkeys(re.findall(r'type="checkbox" name="([^"]+)" value="1" checked', main), "1")
    return form


async def applied(admin: TestClient, review: str) -> None:
    """Press *Apply* under the change that ``review`` shows."""
    sent = dict(re.findall(r'type="hidden" name="(base|changes|back|what)" value="([^"]*)"', review))
    sent["changes"] = sent["changes"].replace("&#34;", '"')
    assert "Applied." in await page(admin, "/admin/apply", **sent)


@pytest.mark.parametrize(
    "section",
    ["company", "hours", "ring", "queue", "callback", "department/sales", "department/support", "agent/101"],
)
async def test_a_form_that_is_sent_back_as_it_came_changes_nothing(
    admin: TestClient, config: Path, section: str
) -> None:
    before = config.read_text("utf-8")
    told = await page(admin, f"/admin/form/{section}", **filled(await page(admin, f"/admin/form/{section}")))
    assert "Nothing would change." in told
    assert config.read_text("utf-8") == before


async def test_a_department_of_its_own_from_the_form_to_the_file(admin: TestClient, config: Path) -> None:
    form = filled(await page(admin, "/admin/form/department/service"))
    form |= {
        "departments|service|names|ru": "сервис",
        "departments|service|names|en": "service",
        "departments|service|dids": "74950000011\n74950000012",
        "departments|service|queue:103": "1",
        "departments|service|hours|open": "mon-fri 09:00-18:00",
        "departments|service|ring|answer_by_ring": "3",
    }
    review = await page(admin, "/admin/form/department/service", **form)
    assert "+" in review
    assert "[departments.service]" in review
    await applied(admin, review)
    made = load_settings(config).departments["service"]
    assert made.dids == ["74950000011", "74950000012"]
    assert (made.queue, made.ring.answer_by_ring if made.ring else 0) == (["103"], 3)
    assert made.hours is not None
    assert made.hours.open == ["mon-fri 09:00-18:00"]


async def test_a_longest_talk_is_set_and_taken_out_again(admin: TestClient, config: Path) -> None:
    before = config.read_text("utf-8")
    for typed, holds in (("7,5", 7.5), ("", None)):
        form = filled(await page(admin, "/admin/form/callback")) | {"callback|max_minutes": typed}
        await applied(admin, await page(admin, "/admin/form/callback", **form))
        assert load_settings(config).callback.max_minutes == holds
    assert config.read_text("utf-8") == before
    form = filled(await page(admin, "/admin/form/callback")) | {"callback|max_minutes": "0"}
    told = await page(admin, "/admin/form/callback", 422, **form)
    assert "callback.max_minutes" in told


async def test_who_is_rung_first_is_chosen(admin: TestClient, config: Path) -> None:
    form = filled(await page(admin, "/admin/form/callback")) | {"callback|mode": "customer_first"}
    await applied(admin, await page(admin, "/admin/form/callback", **form))
    assert load_settings(config).callback_mode("sales") == "customer_first"


async def test_what_is_wrong_stands_above_the_form_that_keeps_what_was_typed(
    admin: TestClient, config: Path
) -> None:
    form = filled(await page(admin, "/admin/form/ring")) | {"ring|answer_by_ring": "many"}
    told = await page(admin, "/admin/form/ring", 422, **form)
    assert "ring.answer_by_ring = &#39;many&#39;" in told
    assert 'value="many"' in told
    assert "agents.101" not in await page(admin, "/admin/remove/agent/103", 422, x="1")


async def test_a_holiday_of_the_companys_own(admin: TestClient, config: Path) -> None:
    day = {"date": "12-31", "hours": "usual", "open": "10:00-14:00", "greeting|ru": "С наступающим"}
    review = await page(admin, "/admin/calendar", **day)
    sent = dict(re.findall(r'type="hidden" name="(base|changes|back|what)" value="([^"]*)"', review))
    sent["changes"] = sent["changes"].replace("&#34;", '"')
    await page(admin, "/admin/apply", **sent)
    (made,) = load_settings(config).calendar.days
    assert (made.date, made.open, made.greeting) == ("12-31", ["10:00-14:00"], {"ru": "С наступающим"})
    assert "С наступающим" in await page(admin, "/admin/calendar")
    assert "is no day" in await page(admin, "/admin/calendar", 422, date="32-32", hours="closed")


async def test_users_are_added_kept_out_and_let_in(admin: TestClient, store: Store) -> None:
    told = await page(admin, "/admin/users", name="vera", role="supervisor", extension="103")
    password = re.search(r'class="password">([^<]+)<', told)
    assert password is not None
    assert (await store.user("vera")).one_time  # type: ignore[union-attr]
    await page(admin, "/admin/users/vera/disable", x="1")
    assert not (await store.user("vera")).active  # type: ignore[union-attr]
    await page(admin, "/admin/users/vera/enable", x="1")
    assert (await store.user("vera")).active  # type: ignore[union-attr]
    assert "cannot disable yourself" in await page(admin, "/admin/users/root/disable", 409, x="1")
    assert "user.add" in await page(admin, "/admin/audit?action=user")


async def test_a_departments_own_words(admin: TestClient, config: Path) -> None:
    shown = await page(admin, "/admin/prompts?department=support&language=ru")
    assert "Ромашка" in shown
    assert 'href="/voice/103"' in shown, "the way to the recordings of who is heard"
    assert (await admin.get("/voice/103")).status == 200
    form = {"greetings.queue_join": "{salutation}! {company}, {department}. Сейчас ответим."}
    review = await page(admin, "/admin/prompts?department=support&language=ru", **form)
    assert "Сейчас ответим" in review
    wrong = {"greetings.queue_join": "Перезвоните позже."}
    refused = await page(admin, "/admin/prompts?department=support&language=ru", 422, **wrong)
    assert "✗" in refused, "the lint of phrases that send a caller away (S8)"


async def test_nobody_but_an_admin(admin: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    admin.session.cookie_jar.clear()
    await log_in(admin, "boss")
    for path in ("", "/form/ring", "/calendar", "/prompts", "/users", "/history", "/audit"):
        assert (await admin.get(f"/admin{path}")).status == 403, path
    token = await csrf(admin)
    for path in ("/apply", "/form/ring", "/new/agent", "/users", "/calendar"):
        assert (await admin.post(f"/admin{path}", data={"_csrf": token})).status == 403, path
    assert "/admin" not in await (await admin.get("/wallboard")).text()
