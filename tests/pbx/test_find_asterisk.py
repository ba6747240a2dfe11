"""Which Asterisk is used: the machine's own when it is new and complete, else the built tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bridge.pbx.asterisk import asterisk_in_tree, find_asterisk
from ami_bridge.pbx.paths import TREE_NAME, PbxPaths, multiarch


def _machine(
    root: Path, version: str, voices: tuple[str, ...] = ("en_US_f_Allison", "ru_RU_f_IvrvoiceRU")
) -> Path:
    """A file system with an Asterisk as a distribution installs it; the program only tells its version."""
    program = root / "usr/sbin/asterisk"
    modules = root / "usr/lib" / multiarch() / "asterisk/modules"
    for folder in (program.parent, modules):
        folder.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'Asterisk {version}'\n")
    program.chmod(0o755)
    (modules / "chan_pjsip.so").touch()
    for voice in voices:
        digits = root / "usr/share/asterisk/sounds" / voice / "digits"
        digits.mkdir(parents=True)
        (digits / "1.wav").touch()
    (root / "usr/share/asterisk/documentation").mkdir()
    return root


@pytest.fixture(autouse=True)
def _no_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "version", ["20.9.3~dfsg+~cs6.14", "22.10.1+dfsg+~cs6.17", "certified/20.7-cert2", "23.0.0"]
)
def test_the_machines_own_is_used_from_20_on(tmp_path: Path, version: str) -> None:
    found = find_asterisk(machine_root=_machine(tmp_path / "root", version))
    assert found is not None
    assert found.version == version.removeprefix("certified/").split("+")[0].split("~")[0]
    assert found.command == (str(tmp_path / "root/usr/sbin/asterisk"),)


@pytest.mark.parametrize("version", ["18.26.1", "16.28.0~dfsg-0+deb11u4", "GIT-master-abc"])
def test_an_older_or_unknown_one_is_passed_over(tmp_path: Path, version: str) -> None:
    assert find_asterisk(machine_root=_machine(tmp_path / "root", version)) is None


def test_one_that_cannot_say_a_needed_language_is_passed_over(tmp_path: Path) -> None:
    root = _machine(tmp_path / "root", "22.10.1", voices=("en_US_f_Allison",))
    assert find_asterisk(machine_root=root) is None
    assert find_asterisk(("en",), machine_root=root) is not None


def test_one_without_pjsip_is_passed_over(tmp_path: Path) -> None:
    root = _machine(tmp_path / "root", "22.10.1")
    next(root.glob("usr/lib/*/asterisk/modules/chan_pjsip.so")).unlink()
    assert find_asterisk(machine_root=root) is None


def test_a_damaged_tree_is_no_tree(tmp_path: Path) -> None:
    tree = tmp_path / "cache/fourthring" / TREE_NAME
    _machine(tree, "22.10.1")
    assert asterisk_in_tree(tree) is None, "it has no loader"
    assert find_asterisk(machine_root=tmp_path / "nothing") is None


def test_each_language_gets_its_two_letters_and_a_change_of_asterisk_moves_the_links(tmp_path: Path) -> None:
    paths = PbxPaths.in_state(tmp_path / "state")
    first = find_asterisk(machine_root=_machine(tmp_path / "first", "20.9.3"))
    second = find_asterisk(
        machine_root=_machine(tmp_path / "second", "22.10.1", voices=("en", "ru_RU_m_Other"))
    )
    assert first is not None
    assert second is not None
    first.link_into(paths)
    assert (paths.data / "sounds/ru/digits/1.wav").exists()
    assert (paths.data / "sounds/en/digits/1.wav").exists()
    second.link_into(paths)
    assert (paths.data / "sounds/ru").resolve().name == "ru_RU_m_Other"
    assert paths.modules.resolve() == second.modules
