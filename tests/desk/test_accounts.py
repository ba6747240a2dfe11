"""Passwords, sessions, roles, scopes, CSRF and throttling, through the desk's own door."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, make_mocked_request

from ami_bridge import passwords
from ami_bridge.adapters.store import MemoryStore, Store
from ami_bridge.desk import create_app
from ami_bridge.desk.auth import address_of, is_secure
from ami_bridge.desk.login import THROTTLE
from ami_bridge.desk.rights import Role, check_routes, needs, needs_of, public
from ami_bridge.desk.throttle import FORGET_SECONDS, Throttle
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings

from .conftest import PASSWORD, TOKEN, add_user, csrf, log_in, token_of

NOTE = {
    "last_name": "Иванов",
    "first_name": "Иван",
    "number": "+79161234567",
    "subject": "доставка",
    "result": "вторник",
}


async def test_a_browser_logs_in_reads_writes_and_logs_out(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    await store.save_call({"call_id": "c1", "caller": {"number": "<script>"}, "department": "sales"})
    refused = await log_in(stranger, "boss", "a wrong long password")
    assert refused.status == 401
    assert not refused.cookies
    welcome = await log_in(stranger, " Boss ")
    assert (welcome.status, welcome.headers["Location"]) == (303, "/")
    parts = {part.strip() for part in welcome.headers["Set-Cookie"].split(";")}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parts
    assert "&lt;script&gt;" in await (await stranger.get("/calls")).text()
    path = "/api/v1/calls/c1/notes"
    assert (await stranger.post(path, json=NOTE)).status == 403
    assert (await stranger.post(path, json=NOTE, headers={"X-CSRF-Token": "0" * 64})).status == 403
    written = await stranger.post(path, json=NOTE, headers={"X-CSRF-Token": await csrf(stranger)})
    assert (written.status, (await written.json())["author"]) == (201, "boss")
    assert (await stranger.post("/logout")).status == 403
    left = await stranger.post("/logout", data={"_csrf": await csrf(stranger)}, allow_redirects=False)
    assert left.headers["Location"] == "/login"
    kept = {"Cookie": f"fourthring={welcome.cookies['fourthring'].value}"}  # a copy somebody made
    assert (await stranger.get("/api/v1/calls", headers=kept)).status == 401
    assert [entry.action for entry in await store.audits()] == ["logout", "note.add", "login"]


async def test_a_forged_cookie_and_a_session_that_is_over_open_nothing(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "boss", "supervisor")
    cookie = (await log_in(stranger, "boss")).cookies["fourthring"].value
    assert len(cookie) >= 43  # 256 bits
    stranger.session.cookie_jar.clear()
    for place in range(0, len(cookie), 5):
        forged = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        answer = await stranger.get("/api/v1/calls", headers={"Cookie": f"fourthring={forged}"})
        assert answer.status == 401
    headers = {"Cookie": f"fourthring={cookie}"}
    assert (await stranger.get("/api/v1/calls", headers=headers)).status == 200
    later = datetime.now(UTC) + timedelta(hours=13)
    (session,) = await store.sessions("boss", datetime.now(UTC))
    assert await store.user_of_session(session.cookie_hash, later) is None
    await store.amend_user("boss", active=False)
    assert (await stranger.get("/api/v1/calls", headers=headers)).status == 401


async def test_no_other_site_logs_a_browser_in_or_out(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    form = {"name": "boss", "password": PASSWORD}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        assert (await stranger.post("/login", data=form, headers=headers)).status == 403
    own = {"Origin": str(stranger.make_url("/")).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert (await stranger.post("/login", data=form, headers=own, allow_redirects=False)).status == 303
    good = {"_csrf": await csrf(stranger)}
    answer = await stranger.post("/logout", data=good, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/?number=7", "/?number=7"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ],
)
async def test_after_the_login_one_stays_here(
    stranger: TestClient, store: Store, asked: str, sent: str
) -> None:
    await add_user(store, "boss", "supervisor")
    form = {"name": "boss", "password": PASSWORD, "next": asked}
    answer = await stranger.post("/login", data=form, allow_redirects=False)
    assert answer.headers["Location"] == sent


async def test_who_is_not_logged_in_comes_back_to_where_he_wanted(stranger: TestClient) -> None:
    answer = await stranger.get("/?number=7", allow_redirects=False)
    assert answer.headers["Location"] == "/login?next=/?number%3D7"
    assert 'value="/?number=7"' in await (await stranger.get(answer.headers["Location"])).text()


async def test_a_one_time_password_opens_only_the_form_for_an_own_one(
    stranger: TestClient, store: Store
) -> None:
    await add_user(store, "anna", extension="101", one_time=True)
    assert (await log_in(stranger, "anna")).headers["Location"] == "/password"
    assert (await stranger.get("/api/v1/calls")).status == 403
    assert (await stranger.get("/", allow_redirects=False)).headers["Location"] == "/password"
    token = {"_csrf": await csrf(stranger)}
    new = "три весёлых слова"
    for old, first, second, status in (
        ("wrong", new, new, 400),
        (PASSWORD, new, new + "!", 400),
        (PASSWORD, "short", "short", 400),
        (PASSWORD, "anna anna anna", "anna anna anna", 400),
        (PASSWORD, PASSWORD, PASSWORD, 400),
    ):
        form = {**token, "old": old, "new": first, "again": second}
        assert (await stranger.post("/password", data=form)).status == status
    form = {**token, "old": PASSWORD, "new": new, "again": new}
    assert (await stranger.post("/password", data=form, allow_redirects=False)).status == 303
    assert (await stranger.get("/api/v1/calls")).status == 200
    assert (await log_in(stranger, "anna")).status == 401
    assert (await log_in(stranger, "anna", new)).status == 303


async def test_a_new_password_ends_the_other_sessions(stranger: TestClient, store: Store) -> None:
    await add_user(store, "anna", extension="101")
    elsewhere = (await log_in(stranger, "anna")).cookies["fourthring"].value
    await log_in(stranger, "anna")
    form = {"_csrf": await csrf(stranger), "old": PASSWORD, "new": "другие слова", "again": "другие слова"}
    await stranger.post("/password", data=form)
    assert (await stranger.get("/api/v1/calls")).status == 200
    stranger.session.cookie_jar.clear()
    headers = {"Cookie": f"fourthring={elsewhere}"}
    assert (await stranger.get("/api/v1/calls", headers=headers)).status == 401


async def test_the_second_factor_is_wanted_and_good_once(stranger: TestClient, store: Store) -> None:
    secret = passwords.new_totp_secret()
    await add_user(store, "boss", "supervisor", totp_secret=secret)
    assert (await log_in(stranger, "boss")).status == 401
    assert (await log_in(stranger, "boss", code="000000")).status == 401
    code = pyotp.TOTP(secret).now()
    assert (await log_in(stranger, "boss", code=f"{code[:3]} {code[3:]}")).status == 303
    assert (await log_in(stranger, "boss", code=code)).status == 401


def test_a_code_is_good_for_a_minute_and_a_half() -> None:
    secret, now = passwords.new_totp_secret(), 1_699_999_990.0 // 30 * 30 + 15
    code = pyotp.TOTP(secret).at(int(now))
    for away, good in ((-30, True), (0, True), (30, True), (60, False), (-60, False)):
        assert (passwords.totp_step(secret, code, now + away) is not None) is good
    for wrong in ("", "12345", "1234567", "12345x", "１２３４５６", "\ud800"):
        assert passwords.totp_step(secret, wrong, now) is None


async def test_guessing_is_slowed_down_and_others_are_not(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    for _ in range(5):
        assert (await log_in(stranger, "boss", "wrong")).status == 401
    # The first wait is a second, and on a busy machine a hash takes longer; each further one is twice as long.
    refused = [(await log_in(stranger, "boss", "wrong")).status for _ in range(6)]
    assert 429 in refused
    for _ in range(4):
        stranger.app[THROTTLE].begin("boss", "127.0.0.1", time.monotonic())  # type: ignore[union-attr,index]
    waiting = await log_in(stranger, "boss")
    assert waiting.status == 429
    assert int(waiting.headers["Retry-After"]) >= 1
    assert "Too many attempts" in await waiting.text()
    await add_user(store, "anna", extension="101")
    assert (await log_in(stranger, "anna")).status == 303


def test_the_throttle_counts_before_it_knows_and_forgets() -> None:
    throttle = Throttle()
    for second in range(5):
        assert throttle.wait_seconds("a", "1", second) == 0
        throttle.begin("a", "1", second)
    assert throttle.wait_seconds("a", "1", 4) == 1
    throttle.begin("a", "1", 5)
    assert throttle.wait_seconds("a", "1", 5) == 2
    assert throttle.wait_seconds("a", "2", 5) == throttle.wait_seconds("b", "1", 5) == 0
    throttle.passed("a", "1")
    assert throttle.wait_seconds("a", "1", 5) == 0
    for number in range(60):
        throttle.begin("boss", f"address {number}", 100)
    assert throttle.wait_seconds("boss", "a new one", 100) == 60  # slowed, never locked out
    for number in range(40):
        throttle.begin(f"name {number}", "9", 200)
    assert throttle.wait_seconds("a new one", "9", 200) > 60
    assert throttle.wait_seconds("a new one", "9", 200 + FORGET_SECONDS + 1) == 0


def test_the_throttle_does_not_grow_without_end() -> None:
    throttle = Throttle()
    for number in range(30_000):
        throttle.begin(f"name {number}", f"address {number}", 0)
    assert len(throttle._counts) <= 20_000


async def test_what_nobody_has_protected_does_not_start(settings: Settings) -> None:
    app = create_app(MemoryStore(), settings, TOKEN)

    async def forgotten(_request: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/forgotten", forgotten)
    with pytest.raises(LookupError, match="forgotten"):
        check_routes(app)


async def test_the_marker_says_who_may() -> None:
    @public
    async def everybody(_request: web.Request) -> web.Response:
        return web.Response()

    @needs(Role.SUPERVISOR)
    async def some(_request: web.Request) -> web.Response:
        return web.Response()

    assert needs_of(everybody).role is None
    assert needs_of(some).role is Role.SUPERVISOR


async def test_a_token_opens_what_its_scopes_say(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    headers = await token_of(store, "boss", "callbacks:read")
    assert (await stranger.get("/api/v1/callbacks", headers=headers)).status == 200
    refused = await stranger.get("/api/v1/calls", headers=headers)
    assert refused.status == 403
    assert "calls:read" in await refused.text()
    late = await token_of(store, "boss", "live:read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await stranger.get("/api/v1/live", headers=late)).status == 401


@pytest.mark.parametrize(
    ("host", "secure"),
    [
        ("127.0.0.1:8080", False),
        ("localhost:8080", False),
        ("[::1]:8080", False),
        ("desk.example.com", True),
        ("127.0.0.1.evil.example", True),
        ("[", True),
        ("", True),
    ],
)
def test_cookies_are_for_tls_unless_the_browser_talks_to_loopback(host: str, secure: bool) -> None:
    assert is_secure(make_mocked_request("GET", "/", headers={"Host": host})) is secure


async def test_over_tls_the_cookie_belongs_to_this_host(stranger: TestClient, store: Store) -> None:
    await add_user(store, "boss", "supervisor")
    form = {"name": "boss", "password": PASSWORD}
    headers = {"Host": "desk.example.com"}
    answer = await stranger.post("/login", data=form, headers=headers, allow_redirects=False)
    assert answer.headers["Set-Cookie"].startswith("__Host-fourthring=")
    assert "Secure" in answer.headers["Set-Cookie"]


async def test_only_a_proxy_on_this_machine_is_believed(stranger: TestClient) -> None:
    seen = []
    for peer, forwarded in (
        ("127.0.0.1", "6.6.6.6, 203.0.113.7"),
        ("127.0.0.1", "rubbish"),
        ("203.0.113.9", "6.6.6.6"),
    ):
        request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded})
        seen.append(address_of(request.clone(remote=peer)))
    assert seen == ["203.0.113.7", "127.0.0.1", "203.0.113.9"]


async def test_hashes_are_argon2id_and_take_as_long_for_nobody() -> None:
    made = await passwords.hash_password("й" * 20)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.password_fits(made, "и\u0306" * 20)  # the same letters, from another keyboard
    assert not await passwords.password_fits(made, "и" * 20)
    assert not await passwords.password_fits("", "\ud800" * 20)
    started = time.perf_counter()
    await passwords.password_fits("", "x")
    nobody = time.perf_counter() - started
    started = time.perf_counter()
    await passwords.password_fits(made, "x")
    assert nobody > (time.perf_counter() - started) / 10


def test_one_time_passwords_are_strong_and_can_be_copied_from_paper() -> None:
    made = {passwords.one_time_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert re.fullmatch(r"[a-z2-9]{4}(-[a-z2-9]{4}){4}", password)
        assert not set("0o1li") & set(password)
        passwords.check_password(password, "anna")


@pytest.mark.parametrize(
    "weak", ["short", "aaaaaaaaaaaaaaa", "ababababababab", "my-Anna-password", "x" * 300]
)
def test_weak_passwords_are_refused_in_a_sentence(weak: str) -> None:
    with pytest.raises(FourthRingError, match=r"; (take|several)") as refused:
        passwords.check_password(weak, "anna")
    assert "\n" not in str(refused.value)


def test_no_template_has_a_script_or_a_style_of_its_own() -> None:
    templates = Path(passwords.__file__).parent / "desk" / "templates"
    for template in templates.rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), (
            template
        )
