"""Who may do what: roles, scopes, and the marker that every route of the desk bears.

A *role* says what a person is (agent < supervisor < admin); a *scope* says what one token of that person may be
used for. A route is reached only by an account whose role and scopes both suffice; which records it then sees
is the :class:`~ami_bridge.adapters.store.Sight` of the account. A route without a marker does not start: what
somebody forgot to protect must not be open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeVar

from aiohttp import web

from ami_bridge.adapters.store import Sight


class Role(StrEnum):
    """What a user is. Each may do everything that the ones before may."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Higher means more."""
        return list(Role).index(self)


class Scope(StrEnum):
    """What a token may be used for. A browser session has all of them."""

    ACCOUNT = "account"  # one's own password, sessions, tokens, second factor
    AUDIT_READ = "audit:read"
    CALLBACKS_READ = "callbacks:read"
    CALLBACKS_WRITE = "callbacks:write"
    CALLS_READ = "calls:read"
    CALLS_SUPERVISE = "calls:supervise"  # listen in, take over, move callers who wait
    DIRECTORY_READ = "directory:read"  # departments, queues, agents
    LIVE_READ = "live:read"
    NOTES_WRITE = "notes:write"
    REPORTS_READ = "reports:read"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"  # the configuration itself
    USERS_WRITE = "users:write"
    VOICE_WRITE = "voice:write"  # an agent's name and greeting in the own voice
    WEBHOOKS_WRITE = "webhooks:write"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Account:
    """Who sent a request. ``departments`` None: all of them; ``extension`` is the agent's own phone."""

    name: str
    role: Role
    extension: str = ""
    departments: frozenset[str] | None = None
    scopes: frozenset[Scope] = ALL_SCOPES
    by: Literal["session", "token"] = "token"
    #: The session's or token's public id: what the audit trail names, and what ends it. Never the secret.
    key: str = ""
    #: Logged in with a password that somebody else has seen: nothing but choosing an own one is allowed.
    one_time: bool = False

    def may(self, wanted: Needs) -> bool:
        """Whether role and scope suffice for ``wanted``."""
        if wanted.role is None:
            return True
        return self.role.rank >= wanted.role.rank and (wanted.scope is None or wanted.scope in self.scopes)

    @property
    def sight(self) -> Sight | None:
        """The records that may be seen; None: all."""
        return None if self.departments is None else Sight(self.departments, self.extension)

    def sees(self, department: str) -> bool:
        """Whether what belongs to ``department`` may be seen."""
        return self.departments is None or department in self.departments

    def is_at_least(self, role: Role) -> bool:
        """Whether this is a ``role`` or more."""
        return self.role.rank >= role.rank


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route asks of who calls it. ``role`` None: open to everybody, strangers included."""

    role: Role | None
    scope: Scope | None = None
    #: Also while the password is a one-time password: logging out, choosing a password.
    while_one_time: bool = False


PUBLIC = Needs(None)
_MARK = "__needs__"
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def needs(
    role: Role, scope: Scope | None = None, *, while_one_time: bool = False
) -> Callable[[_Handler], _Handler]:
    """Mark a handler: only for ``role`` and above, with ``scope`` when the caller uses a token."""
    return _marked(Needs(role, scope, while_one_time))


def public(handler: _Handler) -> _Handler:
    """Mark a handler: for everybody."""
    return _marked(PUBLIC)(handler)


def _marked(wanted: Needs) -> Callable[[_Handler], _Handler]:
    def mark(handler: _Handler) -> _Handler:
        setattr(handler, _MARK, wanted)
        return handler

    return mark


def needs_of(handler: Any) -> Needs:
    """What ``handler`` asks for.

    Raises:
        LookupError: it bears no marker, so nobody has decided who may call it.
    """
    owner = getattr(handler, "__self__", None)
    if isinstance(owner, web.StaticResource):
        return PUBLIC  # style sheets and scripts, before the login too
    wanted: Needs | None = getattr(owner, "needs", None) or getattr(handler, _MARK, None)
    if wanted is None:
        raise LookupError(f"{handler!r} says neither @needs(role) nor @public.")
    return wanted


def check_routes(app: web.Application) -> None:
    """Refuse an application that has a route without a marker. Raises LookupError."""
    for route in app.router.routes():
        needs_of(route.handler)
