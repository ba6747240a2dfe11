"""Builds the private Asterisk tree once and keeps it in the user's cache folder."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.asterisk import Asterisk, asterisk_in_tree, find_asterisk
from ami_bridge.pbx.mirror import debian_mirror
from ami_bridge.pbx.paths import tree_folder
from ami_bridge.resources import shipped_folder

SUITE = "forky"
Progress = Callable[[str], None]
# The builder's own lines that a person waits for, in our words.
_STEPS = {
    "I: running apt-get update...": "reading the list of packages",
    "I: downloading packages with apt...": "downloading",
    "I: extracting archives...": "unpacking",
}


class BuildFailed(FourthRingError):
    """The private PBX could not be built; the message holds the builder's own last word."""


def ensure_asterisk(progress: Progress) -> Asterisk:
    """The Asterisk to use: the machine's own or the built tree, which is built now when it is missing."""
    return find_asterisk() or build(progress)


def build(progress: Progress, *, mirror: str | None = None, folder: Path | None = None) -> Asterisk:
    """Build the tree at ``folder`` (default: the user's cache) unless it is there; return its Asterisk.

    The tree appears under its name only when it is whole; a second builder waits for the first, and what an
    interrupted one left behind is removed. ``progress`` gets one short line per step.

    Raises:
        BuildFailed: mmdebstrap is missing, or it or the mirror failed.
        NoMirror: the machine's apt sources name no Debian mirror.
    """
    folder = folder or tree_folder()
    _make_cache(folder.parent)
    staged = folder.with_name(f".{folder.name}.building")
    log = folder.with_name(f"{folder.name}.log")
    with _only_builder(folder, progress) as lock:
        ready = asterisk_in_tree(folder)
        if ready is not None:
            return ready
        for remains in (staged, folder):
            _remove(remains)
        try:
            _run_builder(staged, mirror or debian_mirror(), log, lock, progress)
            if asterisk_in_tree(staged) is None:
                raise BuildFailed(f"The private PBX was built but does not run on this machine; see {log}.")
            staged.rename(folder)
        finally:
            _remove(staged)
        built = asterisk_in_tree(folder)
    if built is None:
        raise BuildFailed(f"The private PBX vanished from {folder} while it was built; build it again.")
    progress(f"Asterisk {built.version} is ready in {folder}")
    return built


def _run_builder(staged: Path, mirror: str, log: Path, lock: int, progress: Progress) -> None:
    if shutil.which("mmdebstrap") is None:
        raise BuildFailed(
            "The private PBX is built with mmdebstrap, which is missing; run: apt-get install mmdebstrap"
        )
    script = shipped_folder("docker") / "private-pbx" / "build-tree.sh"
    progress("building the private PBX from this machine's Debian mirror (about 120 MB, once)")
    # The builder holds the lock too: should we be killed, nobody builds into the same folder beside it.
    builder = subprocess.Popen(
        ["sh", str(script), SUITE, str(staged), mirror],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(lock,),
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    try:
        with log.open("w", encoding="utf-8") as kept:
            _follow(builder, kept.write, progress)
        code = builder.wait()
    except BaseException:
        _end_session(builder)
        raise
    if code != 0:
        reason = _last_error(log)
        raise BuildFailed(
            f"The private PBX could not be built: {reason} Whole log: {log}. Mend that and build again."
        )


def _follow(builder: subprocess.Popen[str], keep: Callable[[str], object], progress: Progress) -> None:
    """Log every line of the builder; report its steps, and each tenth part of the download."""
    packages, told = 0, 0
    for line in builder.stdout or ():
        keep(line)
        if step := _STEPS.get(line.strip()):
            progress(step)
        elif count := re.search(r"(\d+) newly installed", line):
            packages = int(count[1])
        elif (fetched := re.match(r"Get:(\d+) ", line)) and packages:
            tenth = int(fetched[1]) * 10 // packages
            if tenth > told:
                told = tenth
                progress(f"downloaded {fetched[1]} of {packages} packages")


def _end_session(builder: subprocess.Popen[str]) -> None:
    """Stop the builder and all it started; they are a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(builder.pid, number)
        except ProcessLookupError:
            break
        try:
            builder.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(E:|Err:|W: .*[Ff]ailed|\S*: .*error)", line)]
    return " ".join((errors or lines)[-2:]) or "the builder said nothing."


def _make_cache(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildFailed(
            f"Cannot make the cache folder {folder}: {error.strerror}; point XDG_CACHE_HOME at one of yours."
        ) from None


@contextmanager
def _only_builder(folder: Path, progress: Progress) -> Iterator[int]:
    """Hold the build lock beside ``folder``; the kernel frees it however we end."""
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another build is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    if folder.exists():
        # Some packages bring folders without write permission; their owner may still remove them.
        subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False, capture_output=True)
        shutil.rmtree(folder)
