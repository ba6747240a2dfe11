"""Which Debian mirror this machine uses, read from its own apt sources: this project names no host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ami_bridge.errors import FourthRingError

MIRROR_VARIABLE = "FOURTHRING_DEBIAN_MIRROR"
_APT = Path("/etc/apt")
# The distribution's own files come first: third parties put theirs beside them.
_OWN_FILES = ("sources.list", "sources.list.d/debian.sources")


class NoMirror(FourthRingError):
    """The machine's apt sources name no Debian mirror."""


def debian_mirror(apt_folder: Path = _APT) -> str:
    """The machine's Debian mirror: ``$FOURTHRING_DEBIAN_MIRROR``, else the first in its apt sources.

    Raises:
        NoMirror: neither names one.
    """
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return named
    own = [apt_folder / name for name in _OWN_FILES]
    others = sorted([*apt_folder.glob("sources.list.d/*.sources"), *apt_folder.glob("sources.list.d/*.list")])
    for path in (*own, *(other for other in others if other not in own)):
        for uri, suites, components in _entries(path):
            if _is_debian(uri, suites, components, trusted=path in own):
                return uri
    raise NoMirror(
        f"The apt sources in {apt_folder} name no Debian mirror, which the private PBX is built from; "
        f"set {MIRROR_VARIABLE} to the address of one, or install Asterisk 20 or later."
    )


def _is_debian(uri: str, suites: list[str], components: list[str], *, trusted: bool) -> bool:
    if not uri.startswith(("http://", "https://", "ftp://", "file:/")) or "main" not in components:
        return False
    if any(re.search(r"security|ubuntu", word) for word in (uri, *suites)):
        return False
    return trusted or uri.rstrip("/").endswith("/debian")


def _entries(path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(URI, suites, components) of each binary source in ``path``; sources.list(5)."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from _stanzas(text) if path.suffix == ".sources" else _lines(text)


def _lines(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.split("#", 1)[0]).split()
        if len(words) > 3 and words[0] == "deb":
            yield words[1], [words[2]], words[3:]


def _stanzas(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for stanza in re.split(r"\n\s*\n", text):
        kept = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
        fields = {
            key.lower(): value.split()
            for key, value in re.findall(r"(?m)^([\w-]+):((?:.*)(?:\n[ \t].*)*)", kept)
        }
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"])[0] != "no":
            for uri in fields.get("uris", []):
                yield uri, fields.get("suites", []), fields.get("components", [])
