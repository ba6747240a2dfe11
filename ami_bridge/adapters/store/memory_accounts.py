"""Users of the desk, their sessions and tokens in dictionaries."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Unpack

from ami_bridge.adapters.store.entries import NotStored, SessionEntry, TokenEntry, UserEntry, UserFields


class MemoryAccounts:
    """See :class:`ami_bridge.adapters.store.port.AccountStore`."""

    def __init__(self) -> None:
        super().__init__()
        self._users: dict[str, UserEntry] = {}
        self._tokens: dict[str, TokenEntry] = {}
        self._sessions: dict[str, SessionEntry] = {}

    async def add_user(self, user: UserEntry) -> bool:
        """Insert unless the name is taken."""
        return self._users.setdefault(user.name, user) is user

    async def amend_user(self, name: str, **fields: Unpack[UserFields]) -> UserEntry:
        """Only these fields."""
        if name not in self._users:
            raise NotStored("user", name)
        self._users[name] = replace(self._users[name], **fields)
        return self._users[name]

    async def user(self, name: str) -> UserEntry | None:
        """One user."""
        return self._users.get(name)

    async def users(self) -> list[UserEntry]:
        """By name."""
        return [self._users[name] for name in sorted(self._users)]

    async def take_totp_step(self, name: str, step: int) -> bool:
        """Never twice."""
        user = self._users.get(name)
        if user is None or user.totp_step >= step:
            return False
        self._users[name] = replace(user, totp_step=step)
        return True

    async def save_token(self, token: TokenEntry) -> None:
        """Insert or replace."""
        self._tokens[token.id] = token

    async def tokens(self, user: str | None = None) -> list[TokenEntry]:
        """Newest first."""
        found = sorted(self._tokens.values(), key=lambda token: token.id)
        found.sort(key=lambda token: token.created_at, reverse=True)
        return [token for token in found if user in (None, token.user)]

    async def user_of_token(self, token_hash: str, now: datetime) -> tuple[UserEntry, TokenEntry] | None:
        """Active users and tokens only."""
        for token in self._tokens.values():
            lives = token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
            if token.token_hash == token_hash and lives:
                user = self._users[token.user]
                return (user, token) if user.active else None
        return None

    async def open_session(self, session: SessionEntry) -> None:
        """And forget those that are over."""
        kept = {key: old for key, old in self._sessions.items() if old.expires_at > session.created_at}
        self._sessions = kept | {session.cookie_hash: session}

    async def user_of_session(self, cookie_hash: str, now: datetime) -> tuple[UserEntry, SessionEntry] | None:
        """Active users only."""
        session = self._sessions.get(cookie_hash)
        if session is None or session.expires_at <= now:
            return None
        user = self._users[session.user]
        return (user, session) if user.active else None

    async def sessions(self, user: str, now: datetime) -> list[SessionEntry]:
        """Newest first."""
        found = [entry for entry in self._sessions.values() if entry.user == user and entry.expires_at > now]
        found.sort(key=lambda entry: entry.id)
        return sorted(found, key=lambda entry: entry.created_at, reverse=True)

    async def end_sessions(self, user: str, *, only: str | None = None, but: str | None = None) -> int:
        """One, or all but one."""
        ended = [
            key
            for key, entry in self._sessions.items()
            if entry.user == user and only in (None, entry.id) and entry.id != but
        ]
        for key in ended:
            del self._sessions[key]
        return len(ended)
