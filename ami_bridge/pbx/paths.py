"""Where an Asterisk lies and where the private PBX keeps its own things.

Everything is a path of this machine: dialplan, prompts and recordings mean the same file to Asterisk and to
our services, because the private PBX runs without chroot and without namespaces (docs/decisions).
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, fields
from pathlib import Path

from ami_bridge.errors import FourthRingError
from ami_bridge.resources import in_home

# sun_path of sockaddr_un holds 108 bytes with the closing zero (unix(7)).
SOCKET_PATH_LIMIT = 107
TREE_NAME = "asterisk-22-forky"


class PathTooLong(FourthRingError):
    """The control socket's path does not fit what the kernel allows."""


def cache_folder() -> Path:
    """The user's cache folder of ours: ``$XDG_CACHE_HOME/fourthring``, else ``~/.cache/fourthring``."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    base = Path(named) if named.startswith("/") else in_home(Path("~/.cache"))
    return base / "fourthring"


def tree_folder() -> Path:
    """Where the built Asterisk tree lies, or will lie."""
    return cache_folder() / TREE_NAME


def multiarch() -> str:
    """Debian's name of the library folder here, such as ``x86_64-linux-gnu`` or ``aarch64-linux-gnu``."""
    return f"{platform.machine()}-linux-gnu"


@dataclass(frozen=True, slots=True)
class PbxPaths:
    """Every folder of one private PBX; what ``[directories]`` of asterisk.conf is made from.

    All lie in the state folder, so a rendered configuration does not depend on which Asterisk will run it:
    ``modules`` and ``data`` (the parent of ``sounds``) are links, set at each start to the Asterisk in use.
    """

    etc: Path
    modules: Path
    data: Path
    varlib: Path
    db: Path
    agi_bin: Path
    cache: Path
    spool: Path
    run: Path
    log: Path

    @classmethod
    def in_state(cls, state_folder: Path) -> PbxPaths:
        """The paths of the PBX whose state lies in ``state_folder``.

        Raises:
            PathTooLong: the control socket's path would be longer than the kernel allows.
        """
        base = state_folder.expanduser().absolute() / "asterisk"
        paths = cls(**{field.name: base / field.name.replace("_", "-") for field in fields(cls)})
        length = len(os.fsencode(paths.control_socket))
        if length > SOCKET_PATH_LIMIT:
            raise PathTooLong(
                f"The state folder {state_folder} is too long: Asterisk's control socket in it would have "
                f"{length} bytes and {SOCKET_PATH_LIMIT} are allowed; choose a shorter node.state_folder."
            )
        return paths

    @property
    def control_socket(self) -> Path:
        """The socket over which ``asterisk -rx`` talks to the running PBX."""
        return self.run / "asterisk.ctl"

    @property
    def pid_file(self) -> Path:
        """Where Asterisk writes its process id."""
        return self.run / "asterisk.pid"

    @property
    def console_log(self) -> Path:
        """What Asterisk says on its standard output and error, first of all while it starts."""
        return self.log / "console.log"

    @property
    def messages_log(self) -> Path:
        """Notices, warnings and errors, as logger.conf has them written."""
        return self.log / "messages"

    @property
    def channel_event_log(self) -> Path:
        """The PBX's own story of every channel (cel_custom.conf)."""
        return self.log / "cel-custom" / "fourthring.csv"

    def directories(self) -> dict[str, Path]:
        """The key and value of each line of ``[directories]`` in asterisk.conf."""
        return {
            "astcachedir": self.cache,
            "astetcdir": self.etc,
            "astmoddir": self.modules,
            "astvarlibdir": self.varlib,
            "astdbdir": self.db,
            "astkeydir": self.varlib,
            "astdatadir": self.data,
            "astagidir": self.agi_bin,
            "astspooldir": self.spool,
            "astrundir": self.run,
            "astlogdir": self.log,
        }

    def make_folders(self) -> None:
        """Make what Asterisk needs, readable by this user alone: recordings are nobody else's business."""
        own = (self.etc, self.varlib, self.db, self.agi_bin, self.cache, self.spool, self.run, self.log)
        inner = (*(self.spool / name for name in ("tmp", "monitor", "recording")), self.log / "cel-custom")
        for folder in (self.etc.parent, *own, *inner):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # An empty log says "nothing happened yet"; none at all would say that nobody can tell.
        self.channel_event_log.touch(mode=0o600)
        # Whoever made it first may have left it open to all.
        self.etc.parent.chmod(0o700)
