"""The private PBX's folders: all in the state folder, private, and short enough for a unix socket."""

from __future__ import annotations

import pwd
import stat
from pathlib import Path

import pytest

from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.paths import SOCKET_PATH_LIMIT, PathTooLong, PbxPaths, cache_folder
from ami_bridge.settings import load_settings


def test_every_folder_of_asterisk_lies_in_the_state_folder(tmp_path: Path) -> None:
    directories = PbxPaths.in_state(tmp_path).directories()
    assert {key for key in directories if key.startswith("ast")} == set(directories)
    assert all(tmp_path in folder.parents for folder in directories.values())


def test_folders_are_for_their_owner_alone_even_when_made_before(tmp_path: Path) -> None:
    paths = PbxPaths.in_state(tmp_path)
    paths.etc.mkdir(parents=True, mode=0o755)
    paths.make_folders()
    assert stat.S_IMODE(paths.etc.parent.stat().st_mode) == 0o700
    for folder in (paths.spool, paths.run, paths.log):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_state_folder_too_long_for_the_control_socket_is_refused() -> None:
    socket_part = "/asterisk/run/asterisk.ctl"
    longest = Path("/" + "x" * (SOCKET_PATH_LIMIT - len(socket_part) - 1))
    PbxPaths.in_state(longest)
    with pytest.raises(
        PathTooLong, match=r"108 bytes and 107 are allowed; choose a shorter node\.state_folder"
    ):
        PbxPaths.in_state(longest.with_name(longest.name + "x"))


def test_a_long_name_is_measured_in_bytes_not_letters() -> None:
    with pytest.raises(PathTooLong):
        PbxPaths.in_state(Path("/" + "ж" * 45))


def test_the_cache_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "fourthring"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/path")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home/.cache/fourthring"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    # As in a container that is run under a number the password database does not know.
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FourthRingError, match="has none; set HOME"):
        cache_folder()
    with pytest.raises(FourthRingError, match="has none; set HOME"):
        _ = load_settings().state_folder
