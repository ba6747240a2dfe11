"""Finds the files that travel with the code: ``config``, ``dialplans`` and ``docker``.

In a checkout they lie at the top level, as the project's owner set it; in an installed wheel
they lie in ``ami_bridge/_shipped``. Callers ask here and never build such a path themselves.
"""

from __future__ import annotations

from pathlib import Path

from ami_bridge.errors import FourthRingError

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Return the folder ``name`` ("config", "dialplans" or "docker") of this installation.

    Raises:
        FileNotFoundError: the installation is damaged, neither place has the folder.
    """
    for candidate in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"The folder '{name}' is missing from this installation; install fourthring again."
    )


def in_home(path: Path) -> Path:
    """Return ``path`` with a leading ``~`` replaced by the user's home folder.

    Raises:
        FourthRingError: it begins with ``~`` and this user has no home: ``$HOME`` is not set and the password
            database does not know the user, as in a container that is run under any number.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise FourthRingError(
            f"The folder '{path}' lies in a home folder and this user has none; set HOME to one of yours."
        ) from None
