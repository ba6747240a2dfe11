"""Passwords of the desk's users: argon2id (RFC 9106), their rules, and the second factor (RFC 6238)."""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
import unicodedata
from weakref import WeakKeyDictionary

import argon2
import pyotp

from ami_bridge.errors import FourthRingError

SHORTEST, LONGEST = 12, 200
#: Hashing takes 64 MiB and a tenth of a second on purpose; so many at a time, or logins would starve calls.
_AT_ONCE = 2
_DIGITS, _STEP_SECONDS = 6, 30
# Without 0/O, 1/l/I: people copy these from a terminal or a slip of paper.
_CLEAR = "abcdefghjkmnpqrstuvwxyz23456789"

_hasher = argon2.PasswordHasher()  # argon2id, RFC 9106's second recommended option: t=3, 64 MiB, p=4
_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class WeakPassword(FourthRingError):
    """The password is too easy to guess; the message says what is missing."""


def one_time_password() -> str:
    """A random password (99 bits) in five groups of four, to be replaced at the first login."""
    return "-".join("".join(secrets.choice(_CLEAR) for _ in range(4)) for _ in range(5))


def check_password(password: str, name: str) -> None:
    """Refuse what is guessed first. Length decides, not a forced digit or sign (NIST SP 800-63B, 5.1.1.2).

    Raises:
        WeakPassword: with what to do instead.
    """
    plain = _normal(password)
    if len(plain) < SHORTEST:
        raise WeakPassword(
            f"The password has {len(plain)} characters; take at least {SHORTEST}, several words are fine."
        )
    if len(plain) > LONGEST:
        raise WeakPassword(f"The password has more than {LONGEST} characters; take a shorter one.")
    folded = plain.casefold()
    if len(set(folded)) < 6 or folded.replace(name.casefold(), "") != folded:
        raise WeakPassword("The password repeats few characters or holds the user's name; take other words.")


async def hash_password(password: str) -> str:
    """The argon2id hash of ``password``, salt and figures included."""
    async with _gate():
        return await asyncio.to_thread(_hasher.hash, _bytes(password))


async def password_fits(password_hash: str, password: str) -> bool:
    """Whether ``password`` is the one. Takes as long for an empty hash: nobody learns which names exist."""
    async with _gate():
        return await asyncio.to_thread(_fits, password_hash or _nobodys_hash(), password[: LONGEST * 4])


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with weaker figures than today's."""
    return _hasher.check_needs_rehash(password_hash)


def new_totp_secret() -> str:
    """A secret for an authenticator application."""
    return pyotp.random_base32()


def totp_uri(secret: str, name: str, issuer: str) -> str:
    """What an authenticator application reads (otpauth://)."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def totp_step(secret: str, code: str, now: float | None = None) -> int | None:
    """The time step to which ``code`` belongs, one before and after the present included; None: wrong.

    The caller keeps the step and takes none twice (RFC 6238, 5.2: a code is good for one login).
    """
    digits = "".join(code.split())
    if not (digits.isascii() and digits.isdigit() and len(digits) == _DIGITS):
        return None
    present = int((time.time() if now is None else now) // _STEP_SECONDS)
    totp = pyotp.TOTP(secret)
    for step in (present, present - 1, present + 1):
        if secrets.compare_digest(totp.generate_otp(step), digits):
            return step
    return None


def _normal(password: str) -> str:
    """One spelling of what looks the same, whatever keyboard it was typed on (RFC 8265)."""
    return unicodedata.normalize("NFC", password)


def _bytes(password: str) -> bytes:
    # What arrives as JSON may hold half a surrogate pair, which has no UTF-8.
    return _normal(password).encode("utf-8", "replace")


def _fits(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, _bytes(password))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@functools.cache
def _nobodys_hash() -> str:
    """The hash of a password that nobody knows, made when it is first needed."""
    return _hasher.hash(secrets.token_urlsafe(24))


def _gate() -> asyncio.Semaphore:
    """One gate per event loop."""
    return _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
