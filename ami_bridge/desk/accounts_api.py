"""Who one is, one's own tokens and sessions; for admins the users and the audit trail."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from aiohttp import web
from pydantic import AwareDatetime, Field, StringConstraints

from ami_bridge.adapters.store import NotStored, Place, TokenEntry, UserEntry
from ami_bridge.desk import users
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.paging import page, place_of
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import Cursor, In, Limit, Next, Out

_Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]


class Me(Out):
    """Who sends the request, and what it may do. ``departments`` null: all of them."""

    name: str
    role: Role
    extension: str
    departments: list[str] | None
    scopes: list[Scope]
    by: str


class TokenIn(In):
    """A token for programs that act as oneself."""

    label: _Label = ""
    scopes: list[Scope] = Field(min_length=1)
    days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        default=None, description="It ends after so long."
    )


class TokenOut(Out):
    """A token; its secret is shown once, when it is made."""

    id: str
    user: str
    label: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    secret: str | None = None


class Tokens(Out):
    """Newest first, the ended ones too."""

    tokens: list[TokenOut]


class SessionOut(Out):
    """A browser in which one is logged in."""

    id: str
    created_at: datetime
    expires_at: datetime
    address: str
    browser: str
    this: bool


class Sessions(Out):
    """Newest first."""

    sessions: list[SessionOut]


class UserIn(In):
    """A user to be added."""

    name: Annotated[str, Field(max_length=64)]
    role: Role
    extension: Annotated[str, Field(max_length=10)] = ""
    departments: tuple[str, ...] = ()


class UserOut(Out):
    """A user of the desk. ``one_time_password`` is shown once, when it is made."""

    name: str
    role: Role
    extension: str
    departments: list[str]
    created_at: datetime
    active: bool
    one_time: bool = Field(description="The password has yet to be replaced by an own one.")
    second_factor: bool
    one_time_password: str | None = None


class Users(Out):
    """By name."""

    users: list[UserOut]


class AuditQuery(In):
    """Which entries."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    actor: str | None = None
    subject: str | None = None
    cursor: Cursor = None
    limit: Limit = 100


class AuditOut(Out):
    """Who did what to what, and when."""

    key: str
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class Audits(Out):
    """Newest first."""

    entries: list[AuditOut]
    next: Next = None


async def show_me(ask: Ask) -> Me:
    """For programs that want to know what their token is good for."""
    account = ask.account
    return Me(
        name=account.name,
        role=account.role,
        extension=account.extension,
        departments=None if account.departments is None else sorted(account.departments),
        scopes=sorted(account.scopes),
        by=account.by,
    )


async def list_tokens(ask: Ask) -> Tokens:
    """One's own."""
    return Tokens(tokens=[_token_out(token) for token in await ask.store.tokens(ask.who)])


async def make_token(ask: Ask) -> TokenOut:
    """Never more than the maker may: a token that makes tokens hands on its own scopes at most."""
    wanted = cast(TokenIn, ask.body)
    beyond = sorted(set(wanted.scopes) - ask.account.scopes)
    if beyond:
        raise fault(403, f"You cannot give what you do not have: {', '.join(beyond)}.")
    token, secret = await users.new_token(
        ask.store, ask.who, wanted.label, wanted.scopes, days=wanted.days, by=ask.who
    )
    return _token_out(token, secret)


async def revoke_token(ask: Ask) -> web.StreamResponse:
    """End it now."""
    for token in await ask.store.tokens(ask.who):
        if token.id == ask.named("id"):
            await users.revoke_token(ask.store, token, ask.who)
            return web.Response(status=204)
    raise NotStored("token", ask.named("id"))


def _token_out(token: TokenEntry, secret: str | None = None) -> TokenOut:
    known = [scope for scope in Scope if scope in token.scopes]
    return TokenOut.model_validate({**asdict(token), "scopes": known, "secret": secret})


async def list_sessions(ask: Ask) -> Sessions:
    """One's own."""
    found = await ask.store.sessions(ask.who, datetime.now(UTC))
    return Sessions(
        sessions=[
            SessionOut.model_validate({**asdict(entry), "this": entry.id == ask.account.key})
            for entry in found
        ]
    )


async def end_session(ask: Ask) -> web.StreamResponse:
    """Log out another browser, or this one."""
    if not await ask.store.end_sessions(ask.who, only=ask.named("id")):
        raise NotStored("session", ask.named("id"))
    return web.Response(status=204)


async def list_users(ask: Ask) -> Users:
    """The disabled ones too."""
    return Users(users=[_user_out(user) for user in await ask.store.users()])


async def add_user(ask: Ask) -> UserOut:
    """With a one-time password."""
    wanted = cast(UserIn, ask.body)
    new = users.NewUser(wanted.name, wanted.role, wanted.extension, wanted.departments)
    password = await users.add_user(ask.store, ask.settings, new, ask.who)
    return _user_out(await _known(ask, wanted.name), password)


async def reset_password(ask: Ask) -> UserOut:
    """A new one-time password; every session of the user ends."""
    user = await _known(ask, ask.named("name"))
    password = await users.set_password(ask.store, user.name, ask.who)
    return _user_out(await _known(ask, user.name), password)


async def disable_user(ask: Ask) -> UserOut:
    """Keep out. Nobody locks themselves out by it: somebody must be left who can undo it."""
    if ask.named("name") == ask.who:
        raise fault(409, "You cannot disable yourself; ask another admin.")
    return _user_out(await users.set_active(ask.store, ask.named("name"), False, ask.who))


async def enable_user(ask: Ask) -> UserOut:
    """Let in again."""
    return _user_out(await users.set_active(ask.store, ask.named("name"), True, ask.who))


async def _known(ask: Ask, name: str) -> UserEntry:
    user = await ask.store.user(name)
    if user is None:
        raise NotStored("user", name)
    return user


def _user_out(user: UserEntry, password: str | None = None) -> UserOut:
    return UserOut(
        name=user.name,
        role=Role(user.role),
        extension=user.extension,
        departments=list(user.departments),
        created_at=user.created_at,
        active=user.active,
        one_time=user.one_time,
        second_factor=bool(user.totp_secret),
        one_time_password=password,
    )


async def list_audit(ask: Ask) -> Audits:
    """The trail."""
    query = cast(AuditQuery, ask.query)
    found = await ask.store.audits(
        since=query.since,
        until=query.until,
        actor=query.actor,
        subject=query.subject,
        before=place_of(query.cursor),
        limit=query.limit + 1,
    )
    shown, following = page(found, query.limit, [Place(entry.at, entry.key) for entry in found])
    return Audits(entries=[AuditOut.model_validate(asdict(entry)) for entry in shown], next=following)


def _own(method: str, path: str, handler: Any, summary: str, answer: Any = None, **more: Any) -> Endpoint:
    return Endpoint(method, f"/api/v1/me{path}", handler, summary, answer, scope=Scope.ACCOUNT, **more)


def _users(method: str, path: str, handler: Any, summary: str, answer: Any, **more: Any) -> Endpoint:
    more = {"role": Role.ADMIN, "scope": Scope.USERS_WRITE, **more}
    return Endpoint(method, f"/api/v1/users{path}", handler, summary, answer, **more)


_PASSWORD = ("one_time_password",)
ENDPOINTS = (
    Endpoint("GET", "/api/v1/me", show_me, "Say who sends this and what it may do", Me, while_one_time=True),
    _own("GET", "/tokens", list_tokens, "List one's own tokens", Tokens),
    _own(
        "POST", "/tokens", make_token, "Make a token", TokenOut, body=TokenIn, status=201, secrets=("secret",)
    ),
    _own("DELETE", "/tokens/{id}", revoke_token, "End a token", status=204, faults=(404,)),
    _own("GET", "/sessions", list_sessions, "List one's own sessions", Sessions),
    _own("DELETE", "/sessions/{id}", end_session, "End a session", status=204, faults=(404,)),
    _users("GET", "", list_users, "List users", Users),
    _users("POST", "", add_user, "Add a user", UserOut, body=UserIn, status=201, secrets=_PASSWORD),
    _users(
        "POST",
        "/{name}/password",
        reset_password,
        "Make a one-time password",
        UserOut,
        faults=(404,),
        secrets=_PASSWORD,
    ),
    _users("POST", "/{name}/disable", disable_user, "Keep a user out", UserOut, faults=(404, 409)),
    _users("POST", "/{name}/enable", enable_user, "Let a user in again", UserOut, faults=(404,)),
    Endpoint(
        "GET",
        "/api/v1/audit",
        list_audit,
        "Read the audit trail, newest first",
        Audits,
        query=AuditQuery,
        role=Role.ADMIN,
        scope=Scope.AUDIT_READ,
    ),
)
