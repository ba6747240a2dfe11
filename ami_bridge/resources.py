"""Finds the files that travel with the code: ``config``, ``dialplans`` and ``docker``.

In a checkout they lie at the top level, as the project's owner set it; in an installed wheel
they lie in ``ami_bridge/_shipped``. Callers ask here and never build such a path themselves.
"""

from __future__ import annotations

from pathlib import Path

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
