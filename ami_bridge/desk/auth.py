"""Who is asking: a bearer token (programs), or the signed session cookie of the login form (browsers).

The cookie is good for reading only. It is SameSite=Strict, HttpOnly and Secure (browsers treat a loopback
address as secure; anywhere else the desk stands behind a proxy that speaks TLS), and it holds no token: its
signature is made with a key that is derived from the desk's token, so a new token ends all sessions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass

from aiohttp import web

from ami_bridge.adapters.store import Store

TOKEN: web.AppKey[str] = web.AppKey("desk token", str)
COOKIE = "fourthring"
SESSION_SECONDS = 12 * 3600
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who may come in."""

    name: str


async def visitor(request: web.Request, store: Store) -> Guest:
    """Who sent ``request``.

    Raises:
        HTTPUnauthorized: nobody whom we know.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        guest = await guest_of_token(request.app[TOKEN], token.strip(), store)
    elif request.method in _READING:
        guest = guest_of_cookie(request.app[TOKEN], request.cookies.get(COOKIE, ""), time.time())
    else:
        guest = None
    if guest is None:
        raise web.HTTPUnauthorized(
            text="Send the desk's token as 'Authorization: Bearer <token>'.",
            headers={"WWW-Authenticate": 'Bearer realm="fourthring"'},
        )
    return guest


async def guest_of_token(desk_token: str, token: str, store: Store) -> Guest | None:
    """Who holds ``token``: the desk itself, or a user."""
    given = token.encode("utf-8", "replace")
    if hmac.compare_digest(given, desk_token.encode()):
        return Guest("desk")
    if not token:
        return None
    # Looked up by hash: what an attacker could time is the comparison of hashes that he cannot steer.
    user = await store.user_of_token(hashlib.sha256(given).hexdigest())
    return Guest(user.name) if user else None


def make_cookie(desk_token: str, name: str, now: float) -> str:
    """A session for ``name`` that ends after :data:`SESSION_SECONDS`."""
    claim = f"{int(now) + SESSION_SECONDS}.{base64.urlsafe_b64encode(name.encode()).decode().rstrip('=')}"
    return f"{claim}.{_signature(desk_token, claim)}"


def guest_of_cookie(desk_token: str, cookie: str, now: float) -> Guest | None:
    """Whose session ``cookie`` is, unless it is forged or over."""
    claim, _, signature = cookie.rpartition(".")
    genuine = hmac.compare_digest(
        signature.encode("utf-8", "replace"), _signature(desk_token, claim).encode()
    )
    if not genuine:
        return None
    expires, _, name = claim.partition(".")
    if int(expires) <= now:
        return None
    return Guest(base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode())


def _signature(desk_token: str, claim: str) -> str:
    key = hashlib.sha256(b"fourthring session\0" + desk_token.encode()).digest()
    return hmac.new(key, claim.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
