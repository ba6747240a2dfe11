"""Finds an Asterisk that can be run: the machine's own, else the tree that we built."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ami_bridge.pbx.paths import PbxPaths, tree_folder

OLDEST_MAJOR = 20
NEEDED_SOUNDS = ("en", "ru")
_VERSION = re.compile(r"Asterisk (?:certified[/-])?((\d+)\.\S+)")
_MACHINE_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Asterisk:
    """One runnable Asterisk.

    Attributes:
        version: as it names itself, such as ``22.10.1``.
        command: the program and the arguments that must come first (a tree's own loader and libraries).
        modules: folder of its ``*.so`` modules.
        sounds_parent: the folder that holds ``sounds`` and ``documentation``.
    """

    version: str
    command: tuple[str, ...]
    modules: Path
    sounds_parent: Path

    @property
    def major(self) -> int:
        """The release line: 20, 22 …"""
        return int(self.version.split(".")[0])

    def speaks(self, language: str) -> bool:
        """True when the digits of ``language`` are there to be said."""
        return any(_voices(self.sounds_parent / "sounds", language))

    def link_into(self, paths: PbxPaths) -> None:
        """Point ``paths.modules`` and ``paths.data`` at this Asterisk, each language under its two letters.

        Debian leaves ``sounds/ru`` out; Asterisk then speaks English without a word about it.
        """
        _link(paths.modules, self.modules)
        for entry in self.sounds_parent.iterdir():
            if entry.name != "sounds":
                _link(paths.data / entry.name, entry)
        sounds = self.sounds_parent / "sounds"
        languages = {entry.name[:2] for entry in sounds.iterdir() if re.match(r"[a-z]{2}(_|$)", entry.name)}
        for language in languages:
            for voice in _voices(sounds, language):
                _link(paths.data / "sounds" / language, voice)


def find_asterisk(
    languages: Iterable[str] = NEEDED_SOUNDS, machine_root: Path = _MACHINE_ROOT
) -> Asterisk | None:
    """The machine's own Asterisk when it is 20 or later and complete, else the built tree, else None.

    Complete means: it has chan_pjsip, and sounds in each of ``languages``.
    """
    return _machines_own(tuple(languages), machine_root) or asterisk_in_tree(tree_folder())


def asterisk_in_tree(tree: Path) -> Asterisk | None:
    """The Asterisk of a built tree, run by the tree's own loader; None when it is missing or damaged."""
    # /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2, /usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1
    loader = next(iter(sorted(tree.glob("usr/lib/*-linux-gnu*/ld-linux-*.so.*"))), None)
    program = tree / "usr/sbin/asterisk"
    if loader is None or not program.is_file():
        return None
    libraries = loader.parent
    # Without the machine's library cache, so that no library of another release is taken for the tree's.
    command = (str(loader), "--inhibit-cache", "--library-path", str(libraries), str(program))
    return _runnable(command, libraries / "asterisk/modules", tree / "usr/share/asterisk")


def _machines_own(languages: tuple[str, ...], root: Path) -> Asterisk | None:
    folders = [str(root / folder) for folder in ("usr/sbin", "usr/local/sbin", "usr/bin", "usr/local/bin")]
    program = shutil.which("asterisk", path=":".join(folders))
    modules = _first_with("chan_pjsip.so", root, "usr/lib/*/asterisk/modules", "usr/lib*/asterisk/modules")
    modules = modules or _first_with("chan_pjsip.so", root, "usr/local/lib*/asterisk/modules")
    sounds = _first_with("sounds", root, "usr/share/asterisk", "var/lib/asterisk", "usr/local/share/asterisk")
    if program is None or modules is None or sounds is None:
        return None
    found = _runnable((program,), modules, sounds)
    if (
        found is None
        or found.major < OLDEST_MAJOR
        or not all(found.speaks(language) for language in languages)
    ):
        return None
    return found


def _first_with(name: str, root: Path, *patterns: str) -> Path | None:
    folders = (folder for pattern in patterns for folder in sorted(root.glob(pattern)))
    return next((folder for folder in folders if (folder / name).exists()), None)


def _runnable(command: tuple[str, ...], modules: Path, sounds_parent: Path) -> Asterisk | None:
    try:
        asked = subprocess.run([*command, "-V"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(asked.stdout)
    if version is None or not (sounds_parent / "sounds").is_dir():
        return None
    return Asterisk(version[1].split("+")[0].split("~")[0], command, modules, sounds_parent)


def _voices(sounds: Path, language: str) -> list[Path]:
    """The folder ``language`` itself, else the first that begins with it (``ru_RU_f_IvrvoiceRU``)."""
    candidates = [sounds / language, *sorted(sounds.glob(f"{language}_*"))]
    return [folder for folder in candidates if any(folder.glob("digits/1.*"))][:1]


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
