"""Secrets come from the environment or from files, and are never defaulted.

The demo alone (``secrets.create_missing = true``) makes those that are missing, readable by
their owner only, and keeps them in its state folder.
"""

from __future__ import annotations

import os
import re
import secrets as _random
from pathlib import Path

from ami_bridge.errors import ConfigError
from ami_bridge.settings import Settings

AMI_BRIDGE = "ami-bridge"
AMI_DIALER = "ami-dialer"
AMI_SUPERVISOR = "ami-supervisor"
AGI_TOKEN = "agi-token"  # noqa: S105 - the name of a secret, not a secret
DESK_TOKEN = "desk-token"  # noqa: S105
OIDC_CLIENT = "oidc-client"

# What may stand unquoted in manager.conf, pjsip.conf and an application's argument list.
_SAFE = re.compile(r"^[A-Za-z0-9_-]{12,64}$")


def sip_secret(extension: str) -> str:
    """The name of the secret with which the phone of ``extension`` registers."""
    return f"sip-{extension}"


def read_foreign_secret(settings: Settings, name: str) -> str:
    """A secret that somebody else chose (an OpenID provider): never made here, and any printable text will do.

    Raises:
        ConfigError: it is nowhere, unreadable or empty.
    """
    variable = f"FOURTHRING_SECRET_{name.upper().replace('-', '_')}"
    path = settings.secrets_folder / name
    value = os.environ.get(variable) or _from_file(path) or ""
    if not value or not value.isprintable():
        raise ConfigError(
            [
                f"The secret '{name}' is missing; set the environment variable {variable} or write it to {path}."
            ]
        )
    return value


def web_secret(extension: str) -> str:
    """The name of the secret with which the browser phone of ``extension`` registers."""
    return f"web-{extension}"


def read_secret(settings: Settings, name: str) -> str:
    """Return the secret ``name``, from the environment first, else from its file.

    Raises:
        ConfigError: it is nowhere (and may not be made), unreadable, or too weak or unsafe to
            stand in a configuration file of Asterisk.
    """
    variable = f"FOURTHRING_SECRET_{name.upper().replace('-', '_')}"
    path = settings.secrets_folder / name
    value = os.environ.get(variable) or _from_file(path)
    if value is None:
        if not settings.secrets.create_missing:
            raise ConfigError(
                [
                    f"The secret '{name}' is missing; set the environment variable {variable} or write it to {path}."
                ]
            )
        try:
            value = _create(path)
        except OSError as error:
            raise ConfigError(
                [f"Cannot make the secret file {path}: {error.strerror}; make node.state_folder writable."]
            ) from None
    if not _SAFE.match(value):
        raise ConfigError(
            [
                f"The secret '{name}' must be 12 to 64 letters, digits, '-' or '_'; change {variable} or {path}."
            ]
        )
    return value


def make_missing(settings: Settings, name: str) -> bool:
    """Make the secret ``name`` when it is nowhere; whether that was needed. For an agent whom an admin adds.

    Raises:
        ConfigError: the folder of the secrets cannot be written.
    """
    variable = f"FOURTHRING_SECRET_{name.upper().replace('-', '_')}"
    path = settings.secrets_folder / name
    if os.environ.get(variable) or _from_file(path) is not None:
        return False
    try:
        _create(path)
    except OSError as error:
        raise ConfigError(
            [f"Cannot make the secret file {path}: {error.strerror}; write it by hand."]
        ) from None
    return True


def _from_file(path: Path) -> str | None:
    try:
        # What is no text fails the check of what may stand in Asterisk's files, like any unfit secret.
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([f"Cannot read the secret file {path}: {reason}; let this user read it."]) from None


def _create(path: Path) -> str:
    """Make a secret file that only its owner reads; keep the one another process made meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    value = _random.token_urlsafe(24)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.touch(mode=0o600)
    staged.write_text(value + "\n", encoding="utf-8")
    try:
        os.link(staged, path)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    finally:
        staged.unlink(missing_ok=True)
    return value
