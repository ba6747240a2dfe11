"""The two doors of a login by an OpenID Connect provider: out to it, and back with a user and a session.

Users come into being at their first login, with the role that their claims carry, and get it anew at each. A user who
has a password of the desk's own is never taken over by a name that a provider tells.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from ami_bridge.adapters.store import Store, UserEntry
from ami_bridge.desk.auth import address_of, is_secure, open_session
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.login import local_path
from ami_bridge.desk.oidc import ATTEMPT_SECONDS, BACK_PATH, Oidc, OidcRefused
from ami_bridge.desk.pages import page_of
from ami_bridge.desk.rights import Account, Role, public
from ami_bridge.desk.trail import trace
from ami_bridge.desk_settings import OidcSettings
from ami_bridge.secrets import OIDC_CLIENT, read_foreign_secret

log = logging.getLogger(__name__)

OIDC: web.AppKey[Oidc] = web.AppKey("oidc", Oidc)
_COOKIE = "fourthring-oidc"
_NAME = re.compile(r"^[a-z0-9][a-z0-9._@-]{0,63}$", re.ASCII)


@public
async def go(request: web.Request) -> web.StreamResponse:
    """Send the browser to the provider; the cookie ties the answer to this browser."""
    oidc = request.app[OIDC]
    try:
        state, address = await oidc.begin(local_path(request.query.get("next", "")))
    except OidcRefused as error:
        return _refused(request, "oidc_away", str(error), 503)
    answer = web.HTTPSeeOther(address)
    # Lax, not Strict: the browser comes back from another site.
    answer.set_cookie(
        _COOKIE,
        state,
        max_age=int(ATTEMPT_SECONDS),
        httponly=True,
        secure=is_secure(request),
        samesite="Lax",
        path=BACK_PATH,
    )
    raise answer


@public
async def back(request: web.Request) -> web.StreamResponse:
    """Take the code, look who it is, open a session."""
    state = request.query.get("state", "")
    if not state or not hmac.compare_digest(state.encode(), request.cookies.get(_COOKIE, "").encode()):
        return _refused(request, "oidc_wrong", "the answer belongs to another browser", 401)
    oidc, store = request.app[OIDC], request.app[STORE]
    try:
        claims, wanted = await oidc.finish(state, request.query)
        user = await _user(store, oidc.settings, claims, request.app[SETTINGS].agents)
    except OidcRefused as error:
        return _refused(request, "oidc_wrong", str(error), 401)
    # A page and not a redirect: the session's cookie is Strict, and a chain that another site began does not carry it.
    answer = page_of(request).draw("oidc_done.html", wanted=wanted)
    answer.del_cookie(_COOKIE, path=BACK_PATH)
    session = await open_session(request, user, answer)
    account = Account(user.name, Role(user.role), by="session", key=session.id)
    await trace(
        store, account, "login", user.name, address=address_of(request), by_provider=oidc.settings.issuer
    )
    return answer


async def _user(
    store: Store, settings: OidcSettings, claims: Mapping[str, Any], agents: Mapping[str, Any]
) -> UserEntry:
    name = str(claims.get(settings.name_claim) or "").strip().lower()
    if not _NAME.match(name):
        raise OidcRefused(f"the claim '{settings.name_claim}' holds no name for the desk")
    role = _role(settings, claims)
    if role is None:
        raise OidcRefused(f"the claim '{settings.role_claim}' of {name} holds no role of the desk")
    told = str(claims.get(settings.extension_claim) or "") if settings.extension_claim else ""
    extension = told if told in agents else ""
    known = await store.user(name)
    if known is None:
        await store.add_user(UserEntry(name, role, datetime.now(UTC), extension))
        known = await store.user(name)
    if known is None or known.password_hash:
        raise OidcRefused(f"{name} has a password of the desk's own and logs in with it")
    if not known.active:
        raise OidcRefused(f"{name} was disabled")
    kept = extension if settings.extension_claim else known.extension
    return await store.amend_user(name, role=role.value, extension=kept)


def _role(settings: OidcSettings, claims: Mapping[str, Any]) -> Role | None:
    """The highest role that one of the claim's values stands for."""
    held = claims.get(settings.role_claim)
    values = {held} if isinstance(held, str) else set(map(str, held)) if isinstance(held, list) else set()
    fitting = [role for role in Role if values & set(settings.roles.get(role.value, ()))]
    return fitting[-1] if fitting else None


def _refused(request: web.Request, fault: str, why: str, status: int) -> web.Response:
    log.warning("login by the provider refused from %s: %s", address_of(request), why)
    return page_of(request).draw("login.html", status, fault=fault, name="", next="")


def add_oidc(app: web.Application) -> None:
    """Register the doors, where a provider is configured.

    Raises:
        ConfigError: the client's secret is missing.
    """
    settings = app[SETTINGS]
    if settings.desk.oidc is None:
        return
    app[OIDC] = Oidc(settings.desk.oidc, read_foreign_secret(settings, OIDC_CLIENT))
    app.router.add_get("/login/oidc", go)
    app.router.add_get(BACK_PATH, back)
