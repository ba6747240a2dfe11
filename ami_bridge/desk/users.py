"""The users of the desk: adding them, their passwords, second factors and tokens. For the command line and the API."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ami_bridge import passwords
from ami_bridge.adapters.store import AuditEntry, Store, TokenEntry, UserEntry
from ami_bridge.desk.auth import hashed
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.directory import departments_of
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings

_NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}", re.ASCII)
#: The desk's own secret token goes by this name in records and the audit trail.
_TAKEN = frozenset({"desk", "dialer", "system", "time"})


class UserRefused(FourthRingError):
    """The user cannot be as asked for; the message says what to change."""


class UserExists(UserRefused):
    """The name is taken."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """Who is to be added. ``departments`` limits a supervisor, and adds to those of an agent's phone."""

    name: str
    role: Role
    extension: str = ""
    departments: tuple[str, ...] = ()


async def add_user(
    store: Store, settings: Settings, wanted: NewUser, by: str, password: str | None = None
) -> str | None:
    """Add a user. Gives the one-time password that was made, or None when ``password`` was given.

    Raises:
        UserRefused, WeakPassword: nothing was added.
    """
    _check(wanted, settings)
    if password is not None:
        passwords.check_password(password, wanted.name)
    made = passwords.one_time_password() if password is None else None
    user = UserEntry(
        wanted.name,
        wanted.role.value,
        datetime.now(UTC),
        wanted.extension,
        wanted.departments,
        await passwords.hash_password(password or made or ""),
        one_time=made is not None,
    )
    if not await store.add_user(user):
        raise UserExists(f"There is a user '{wanted.name}' already; choose another name.")
    await _trace(store, by, "user.add", user.name, role=user.role, extension=user.extension)
    return made


async def set_password(store: Store, name: str, by: str, password: str | None = None) -> str | None:
    """Give a user a new password and end every session. Gives the one-time password that was made, if any.

    Raises:
        NotStored, WeakPassword: nothing was changed.
    """
    if password is not None:
        passwords.check_password(password, name)
    made = passwords.one_time_password() if password is None else None
    new = await passwords.hash_password(password or made or "")
    await store.amend_user(name, password_hash=new, one_time=made is not None)
    await store.end_sessions(name)
    await _trace(store, by, "user.passwd", name)
    return made


async def set_active(store: Store, name: str, active: bool, by: str) -> UserEntry:
    """Let a user in or keep them out: sessions end at once, tokens open nothing. Raises NotStored."""
    user = await store.amend_user(name, active=active)
    if not active:
        await store.end_sessions(name)
    await _trace(store, by, "user.enable" if active else "user.disable", name)
    return user


async def new_totp(store: Store, settings: Settings, name: str, by: str) -> str:
    """Ask for a second factor from now on. Gives the otpauth:// URI for the user's application. Raises NotStored."""
    secret = passwords.new_totp_secret()
    await store.amend_user(name, totp_secret=secret)
    await _trace(store, by, "user.totp", name)
    company = settings.company
    return passwords.totp_uri(secret, name, f"Fourth Ring {company.names[company.language]}")


async def drop_totp(store: Store, name: str, by: str) -> None:
    """Ask for no second factor any more. Raises NotStored."""
    await store.amend_user(name, totp_secret="")
    await _trace(store, by, "user.totp_off", name)


async def new_token(
    store: Store, name: str, label: str, scopes: Collection[Scope], *, days: int | None, by: str
) -> tuple[TokenEntry, str]:
    """A token with which programs act as ``name``; its secret is given here and never again.

    Raises:
        UserRefused: there is no such active user, or no scope.
    """
    user = await store.user(name)
    if user is None or not user.active:
        raise UserRefused(f"There is no active user '{name}'; see: fourthring user list.")
    if not scopes:
        raise UserRefused(f"A token needs a scope; give one or more of {', '.join(Scope)}.")
    now, secret = datetime.now(UTC), f"fr_{secrets.token_urlsafe(32)}"
    ends = now + timedelta(days=days) if days else None
    chosen = tuple(sorted(scope.value for scope in scopes))
    token = TokenEntry(f"tk{secrets.token_hex(6)}", name, label, hashed(secret), chosen, now, ends)
    await store.save_token(token)
    await _trace(store, by, "token.add", name, token=token.id, scopes=list(chosen), label=label)
    return token, secret


async def revoke_token(store: Store, token: TokenEntry, by: str) -> TokenEntry:
    """End a token; ending it twice changes nothing."""
    if token.revoked_at is not None:
        return token
    ended = replace(token, revoked_at=datetime.now(UTC))
    await store.save_token(ended)
    await _trace(store, by, "token.revoke", token.user, token=token.id)
    return ended


def _check(wanted: NewUser, settings: Settings) -> None:
    if not _NAME.fullmatch(wanted.name) or wanted.name in _TAKEN:
        raise UserRefused(
            f"The user name '{wanted.name}' cannot be used; take 2 to 32 of a-z, 0-9, '.', '_' and '-', a letter first."
        )
    if wanted.extension and wanted.extension not in settings.agents:
        known = ", ".join(settings.agents)
        raise UserRefused(f"No agent has the extension '{wanted.extension}'; write one of {known}.")
    unknown = [slug for slug in wanted.departments if slug not in settings.departments]
    if unknown:
        known = ", ".join(settings.departments)
        raise UserRefused(f"There is no department '{unknown[0]}'; write one of {known}.")
    if wanted.role is Role.AGENT and not (wanted.extension or wanted.departments):
        raise UserRefused(f"The agent '{wanted.name}' needs --extension: whose calls are theirs?")


def departments_shown(user: UserEntry, settings: Settings) -> tuple[str, ...]:
    """The departments of ``user``, for people to read: an agent's by the phone, else those written down."""
    return tuple(dict.fromkeys((*departments_of(settings, user.extension), *user.departments)))


async def _trace(store: Store, by: str, action: str, subject: str, **detail: Any) -> None:
    entry = AuditEntry(secrets.token_hex(16), datetime.now(UTC), by, action, subject, detail)
    await store.audit(entry)
