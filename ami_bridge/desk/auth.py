"""Who is asking, and may they: the one door through which every request goes.

Programs send a bearer token: the desk's own (the secret ``desk-token``, an admin that works without the store's
users) or one of a user's, with scopes. Browsers send the cookie of a session. The cookie holds a random secret
of 256 bits of which the store keeps the hash, so a stolen database opens no session, and logging out, a new
password or a disabled user end sessions at once. The way not taken: a signed cookie without a row in the store
needs no look-up, but cannot be taken back.

Requests that change something and come with a cookie need the session's CSRF token (:func:`csrf_token`) in the
header ``X-CSRF-Token`` or the form field ``_csrf``, and must not come from another site.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from ami_bridge.adapters.store import SessionEntry, TokenEntry, UserEntry
from ami_bridge.desk.keys import ACCOUNT, BODY_SECONDS, SETTINGS, STORE, TOKEN
from ami_bridge.desk.rights import ALL_SCOPES, Account, Needs, Role, Scope, needs_of
from ami_bridge.directory import departments_of
from ami_bridge.settings import Settings

#: Over TLS the name's prefix binds the cookie to this host and to TLS (RFC 6265bis, 4.1.3.2).
COOKIE, SECURE_COOKIE = "fourthring", "__Host-fourthring"
SESSION_SECONDS = 12 * 3600
CSRF_HEADER, CSRF_FIELD = "X-CSRF-Token", "_csrf"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Set ``request[ACCOUNT]``, or refuse: 401 or the login page, 403, and 403 for a missing CSRF token."""
    request[ACCOUNT] = None
    if request.match_info.http_exception is not None:
        return await handler(request)  # no such route; the router answers 404 or 405
    wanted = needs_of(request.match_info.handler)
    if wanted.role is None:
        refuse_other_sites(request)
        return await handler(request)
    account = await account_of(request)
    if account is None:
        raise _who_are_you(request)
    _check_rights(request, account, wanted)
    if account.by == "session" and request.method not in _READING:
        refuse_other_sites(request)
        await _check_csrf(request)
    request[ACCOUNT] = account
    return await handler(request)


def account_here(request: web.Request) -> Account:
    """Who sent ``request``, in a handler that bears :func:`~ami_bridge.desk.rights.needs`."""
    account = request[ACCOUNT]
    if account is None:
        raise LookupError(f"{request.path} is open to everybody; its handler cannot ask for an account.")
    return account


async def account_of(request: web.Request) -> Account | None:
    """Who sent ``request``, by token or else by cookie. Raises StoreUnavailable."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await _of_token(request, token.strip())
    cookie = session_secret(request)
    if not cookie:
        return None
    found = await request.app[STORE].user_of_session(hashed(cookie), datetime.now(UTC))
    return _of_session(found, request.app[SETTINGS]) if found else None


async def _of_token(request: web.Request, token: str) -> Account | None:
    given = token.encode("utf-8", "replace")
    if hmac.compare_digest(given, request.app[TOKEN].encode()):
        return Account("desk", Role.ADMIN)
    if not token:
        return None
    found = await request.app[STORE].user_of_token(hashed(token), datetime.now(UTC))
    return _of_user_token(found, request.app[SETTINGS]) if found else None


def _of_session(found: tuple[UserEntry, SessionEntry], settings: Settings) -> Account:
    user, session = found
    return Account(
        user.name,
        Role(user.role),
        user.extension,
        departments_seen_by(user, settings),
        by="session",
        key=session.id,
        one_time=user.one_time,
    )


def _of_user_token(found: tuple[UserEntry, TokenEntry], settings: Settings) -> Account:
    user, token = found
    scopes = frozenset(scope for scope in ALL_SCOPES if scope in token.scopes)
    departments = departments_seen_by(user, settings)
    return Account(user.name, Role(user.role), user.extension, departments, scopes, by="token", key=token.id)


def departments_seen_by(user: UserEntry, settings: Settings) -> frozenset[str] | None:
    """The departments whose records ``user`` may see; None for all.

    An agent's are those in which the agent's phone rings, so a change of the configuration is a change of
    rights at once. A supervisor's are those written down for the user, or all when there are none.
    """
    role = Role(user.role)
    if role is Role.ADMIN:
        return None
    if role is Role.SUPERVISOR:
        return frozenset(user.departments) or None
    return frozenset((*departments_of(settings, user.extension), *user.departments))


def _check_rights(request: web.Request, account: Account, wanted: Needs) -> None:
    if account.one_time and not wanted.while_one_time:
        if _is_api(request):
            raise web.HTTPForbidden(text="Choose a password of your own first, at /password.")
        raise web.HTTPSeeOther("/password")
    if account.may(wanted):
        return
    if wanted.role is not None and not account.is_at_least(wanted.role):
        raise web.HTTPForbidden(text=f"This needs the role {wanted.role}; you are {account.role}.")
    raise web.HTTPForbidden(text=f"This needs a token with the scope '{wanted.scope}'.")


def _who_are_you(request: web.Request) -> web.HTTPException:
    if _is_api(request):
        return web.HTTPUnauthorized(
            text="Log in, or send a token as 'Authorization: Bearer <token>'.",
            headers={"WWW-Authenticate": 'Bearer realm="fourthring"'},
        )
    wanted = request.path_qs if request.method in _READING else "/"
    return web.HTTPSeeOther("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}")


def _is_api(request: web.Request) -> bool:
    return request.path.startswith("/api/")


# Sessions ---------------------------------------------------------------------------------


async def open_session(request: web.Request, user: UserEntry, answer: web.StreamResponse) -> SessionEntry:
    """Log ``user`` in: a new session, whatever the browser had before, and its cookie in ``answer``."""
    secret, now = secrets.token_urlsafe(32), datetime.now(UTC)
    session = SessionEntry(
        hashed(secret),
        secrets.token_hex(8),
        user.name,
        now,
        now + timedelta(seconds=SESSION_SECONDS),
        address_of(request),
        request.headers.get("User-Agent", "")[:200],
    )
    await request.app[STORE].open_session(session)
    secure = is_secure(request)
    answer.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        secret,
        max_age=SESSION_SECONDS,
        httponly=True,
        secure=secure,
        samesite="Strict",
        path="/",
    )
    return session


def forget_cookie(request: web.Request, answer: web.StreamResponse) -> None:
    """Take the session's cookie from the browser."""
    secure = is_secure(request)
    name = SECURE_COOKIE if secure else COOKIE
    answer.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")


def session_secret(request: web.Request) -> str:
    """What the session's cookie holds, "" without one."""
    return request.cookies.get(SECURE_COOKIE if is_secure(request) else COOKIE, "")


def hashed(secret: str) -> str:
    """SHA-256 (hex) of a random secret. Not for passwords: these are short and need argon2id."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_secure(request: web.Request) -> bool:
    """Whether cookies are for TLS only: always, except when the browser itself says that it talks to loopback.

    No setting that could be forgotten behind a TLS proxy; and over plain HTTP on a network, where a session
    could be overheard, the browser keeps no Secure cookie, so nobody gets used to it.
    """
    return request.secure or not _is_loopback(request.host)


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def address_of(request: web.Request) -> str:
    """Where the request came from. Behind a proxy on this machine: what the proxy added last."""
    peer = request.remote or ""
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        if ipaddress.ip_address(peer).is_loopback and forwarded:
            return str(ipaddress.ip_address(forwarded))
    except ValueError:
        pass
    return peer


# Other sites ------------------------------------------------------------------------------


def csrf_token(request: web.Request) -> str:
    """The token that forms (field ``_csrf``) and scripts (header ``X-CSRF-Token``) of this session send back.

    Made from the session's secret, which no other site and no script can read; "" without a session.
    """
    secret = session_secret(request)
    return hmac.new(secret.encode("utf-8", "replace"), b"csrf", hashlib.sha256).hexdigest() if secret else ""


def refuse_other_sites(request: web.Request) -> None:
    """Refuse a change that another site's page asks for (Fetch metadata; Origin in older browsers).

    Raises:
        HTTPForbidden: it does not come from a page of ours.
    """
    if request.method in _READING:
        return
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin", "")
    foreign = site not in {"", "same-origin", "none"}
    if not site and origin:
        foreign = urlsplit(origin).netloc.lower() != request.host.lower()
    if foreign:
        raise web.HTTPForbidden(text="This was asked for by another site's page; open the desk itself.")


async def read_form(request: web.Request) -> dict[str, str]:
    """The text fields of a form that arrives in time.

    Raises:
        HTTPRequestTimeout, HTTPBadRequest: it does not, or is no form.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            form = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The form did not arrive within {BODY_SECONDS:.0f} s.") from None
    except ValueError:
        raise web.HTTPBadRequest(text="The form cannot be read.") from None
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def _check_csrf(request: web.Request) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not given and request.content_type in _FORMS:
        given = (await read_form(request)).get(CSRF_FIELD, "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), csrf_token(request).encode()):
        raise web.HTTPForbidden(text="The page is too old to change anything; load it again.")


__all__ = [
    "ACCOUNT",
    "CSRF_FIELD",
    "CSRF_HEADER",
    "Account",
    "Needs",
    "Role",
    "Scope",
    "authenticated",
    "csrf_token",
    "open_session",
]
