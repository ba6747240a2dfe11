"""Logging in by OpenID Connect, against a provider that runs here: who gets in, as what, and who does not."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from ami_bridge.adapters.store import Store
from ami_bridge.desk.oidc_pages import OIDC
from ami_bridge.desk_settings import OidcSettings
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

from .conftest import add_user, browser_at, log_in

CLIENT, SECRET = "fourthring", "what~the.provider_chose-0"


@dataclass
class Provider:
    """A small OpenID provider: discovery, authorization with PKCE, token, keys. ``spoil`` makes it misbehave."""

    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}))
    claims: dict[str, Any] = field(default_factory=dict)
    spoil: dict[str, Any] = field(default_factory=dict)
    issuer: str = ""
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._metadata)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._keys)
        return app

    async def _metadata(self, _request: web.Request) -> web.Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        known = {name: f"{self.issuer}/{path}" for name, path in names.items()}
        return web.json_response({"issuer": self.issuer, **known, **self.spoil.get("metadata", {})})

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = f"code{len(self.codes)}"
        self.codes[code] = query
        raise web.HTTPFound(f"{query['redirect_uri']}?code={code}&state={query['state']}")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        scheme, _, told = request.headers["Authorization"].partition(" ")
        login, _, password = base64.b64decode(told).decode().partition(":")
        known = (scheme, unquote_plus(login), unquote_plus(password)) == ("Basic", CLIENT, SECRET)
        asked = self.codes.pop(str(form["code"]), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        good = asked is not None and challenge.decode().rstrip("=") == asked["code_challenge"]
        if not known or not good or asked is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "s1", "aud": CLIENT, "iat": now, "exp": now + 60}
        claims |= {"nonce": asked["nonce"], **self.claims, **self.spoil.get("claims", {})}
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.spoil.get("key", self.key)
        header = {"alg": self.spoil.get("algorithm", self.algorithm), "kid": self.key.kid}
        token = jwt.encode(header, claims, key, algorithms=[header["alg"]])
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": token})

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider(claims={"preferred_username": "Anna", "groups": ["staff", "phones"], "ext": "101"})
    server = TestServer(made.app())
    await server.start_server()
    made.issuer = str(server.make_url("")).rstrip("/")
    yield made
    await server.close()


def with_oidc(settings: Settings, provider: Provider, **more: Any) -> Settings:
    (settings.secrets_folder).mkdir(parents=True, exist_ok=True)
    (settings.secrets_folder / "oidc-client").write_text(SECRET)
    oidc = OidcSettings.model_validate(
        {
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "public_url": "http://127.0.0.1:1",
            "label": "Вход компании",
            "roles": {"agent": ["phones"], "supervisor": ["leads"], "admin": ["it"]},
            "extension_claim": "ext",
            **more,
        }
    )
    return settings.model_copy(update={"desk": settings.desk.model_copy(update={"oidc": oidc})})


@pytest.fixture
async def browser(store: Store, settings: Settings, provider: Provider) -> AsyncIterator[TestClient]:
    async with browser_at(store, with_oidc(settings, provider)) as client:
        yield client


async def through(client: TestClient, provider: Provider, path: str = "/login/oidc", **altered: str) -> Any:
    """What a browser does: to the provider, and back to the desk; ``altered`` parts of the way back."""
    gone = await client.get(path, allow_redirects=False)
    assert gone.status == 303, await gone.text()
    query = {name: values[0] for name, values in parse_qs(urlsplit(gone.headers["Location"]).query).items()}
    assert query["redirect_uri"] == "http://127.0.0.1:1/login/oidc/back"
    at = await client.session.get(gone.headers["Location"], allow_redirects=False)
    came = {name: values[0] for name, values in parse_qs(urlsplit(at.headers["Location"]).query).items()}
    return await client.get("/login/oidc/back", params={**came, **altered}, allow_redirects=False)


async def test_it_is_off_by_default(stranger: TestClient) -> None:
    assert (await stranger.get("/login/oidc")).status == 404
    assert "/login/oidc" not in await (await stranger.get("/login")).text()


async def test_a_new_user_comes_in_with_the_role_of_the_claim(
    browser: TestClient, store: Store, provider: Provider
) -> None:
    page = await (await browser.get("/login?next=%2Fcalls")).text()
    assert 'href="/login/oidc?next=/calls"' in page
    assert "Вход компании" in page
    answer = await through(browser, provider, "/login/oidc?next=%2Fcalls")
    assert answer.status == 200
    assert 'content="0; url=/calls"' in await answer.text()
    assert "SameSite=Strict" in str(answer.headers.getall("Set-Cookie"))
    user = await store.user("anna")
    assert user is not None
    assert (user.role, user.extension, user.password_hash) == ("agent", "101", "")
    assert (await browser.get("/agent", allow_redirects=False)).status == 200
    (entry,) = await store.audits(subject="anna")
    assert (entry.action, entry.detail["by_provider"]) == ("login", provider.issuer)
    await browser.post("/login", data={"name": "anna", "password": ""})
    assert (await log_in(browser, "anna", "")).status == 401, "no password is no password"


async def test_the_role_follows_the_claims_at_each_login(
    browser: TestClient, store: Store, provider: Provider
) -> None:
    for groups, role in ((["phones"], "agent"), (["phones", "leads"], "supervisor"), ("it", "admin")):
        provider.claims["groups"] = groups
        assert (await through(browser, provider)).status == 200
        user = await store.user("anna")
        assert user is not None
        assert user.role == role
    provider.claims["groups"] = ["visitors"]
    assert (await through(browser, provider)).status == 401


async def test_who_has_a_password_here_or_was_disabled_is_not_let_in(
    browser: TestClient, store: Store, provider: Provider
) -> None:
    await add_user(store, "anna", "admin")
    assert (await through(browser, provider)).status == 401
    assert (await store.user("anna")).role == "admin"  # type: ignore[union-attr]
    provider.claims["preferred_username"] = "olga"
    assert (await through(browser, provider)).status == 200
    await store.amend_user("olga", active=False)
    assert (await through(browser, provider)).status == 401


SPOILT: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "x"}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "others"}},
    "of several, for another": {"claims": {"aud": [CLIENT, "others"], "azp": "others"}},
    "of several, for nobody": {"claims": {"aud": [CLIENT, "others"]}},
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "too old": {"claims": {"exp": 1}},
    "no end": {"claims": {"exp": None}},
    "from the future": {"claims": {"iat": int(time.time()) + 3600}},
    "nobody": {"claims": {"sub": None}},
    "another key": {"key": RSAKey.generate_key(2048, {"kid": "k1"})},
    "our secret as the key": {"key": OctKey.import_key(SECRET), "algorithm": "HS256"},
    "a hostile name": {"claims": {"preferred_username": "<script>"}},
    "no name": {"claims": {"preferred_username": ""}},
    "another provider's metadata": {"metadata": {"issuer": "https://evil.example"}},
    "metadata without keys": {"metadata": {"jwks_uri": ""}},
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_an_answer_that_is_not_good_lets_nobody_in(
    browser: TestClient, store: Store, provider: Provider, spoil: dict[str, Any]
) -> None:
    provider.spoil = spoil
    if "metadata" in spoil:
        answer = await browser.get("/login/oidc", allow_redirects=False)
        assert answer.status == 503
    else:
        answer = await through(browser, provider)
        assert answer.status == 401
    assert 'role="alert"' in await answer.text()
    assert await store.users() == []
    assert (await browser.get("/", allow_redirects=False)).headers["Location"] == "/login"


async def test_an_answer_is_good_once_and_in_the_browser_that_asked(
    browser: TestClient, store: Store, settings: Settings, provider: Provider
) -> None:
    assert (await through(browser, provider, state="x" * 32)).status == 401
    assert (await through(browser, provider, code="guessed")).status == 401
    assert (await through(browser, provider, error="access_denied")).status == 401
    assert (await through(browser, provider, iss="https://evil.example")).status == 401
    gone = await browser.get("/login/oidc", allow_redirects=False)
    at = await browser.session.get(gone.headers["Location"], allow_redirects=False)
    back = urlsplit(at.headers["Location"]).query
    async with browser_at(store, with_oidc(settings, provider)) as victim:
        assert (await victim.get(f"/login/oidc/back?{back}")).status == 401, "login CSRF"
    assert await store.users() == []
    assert (await browser.get(f"/login/oidc/back?{back}")).status == 200
    assert (await browser.get(f"/login/oidc/back?{back}")).status == 401


async def test_nobody_is_led_to_another_site(browser: TestClient, provider: Provider) -> None:
    answer = await through(browser, provider, "/login/oidc?next=//evil.example")
    assert 'url=/"' in await answer.text()


async def test_new_keys_of_the_provider_are_fetched(browser: TestClient, provider: Provider) -> None:
    assert (await through(browser, provider)).status == 200
    provider.key, provider.algorithm = ECKey.generate_key("P-256", {"kid": "k2", "use": "sig"}), "ES256"
    assert (await through(browser, provider)).status == 200


async def test_a_provider_that_is_away_is_told_and_passwords_still_work(
    browser: TestClient, store: Store, provider: Provider
) -> None:
    browser.app[OIDC].settings = browser.app[OIDC].settings.model_copy(  # type: ignore[index]
        update={"issuer": "http://127.0.0.1:1"}
    )
    assert (await browser.get("/login/oidc")).status == 503
    await add_user(store, "boss", "supervisor")
    assert (await log_in(browser, "boss")).status == 303


@pytest.mark.parametrize("address", ["http://sso.example.org", "https://sso.example.org?x", "sso"])
def test_only_a_safe_transport_is_taken(address: str) -> None:
    given = {
        "issuer": address,
        "client_id": "x",
        "public_url": "https://desk.example.org",
        "roles": {"agent": ["a"]},
    }
    with pytest.raises(ValueError, match="https://"):
        OidcSettings.model_validate(given)


async def test_without_the_clients_secret_the_desk_does_not_start(
    store: Store, settings: Settings, provider: Provider, tmp_path: Path
) -> None:
    wanted = with_oidc(settings, provider)
    (wanted.secrets_folder / "oidc-client").unlink()
    with pytest.raises(ConfigError, match="oidc-client"):
        async with browser_at(store, wanted):
            pass
