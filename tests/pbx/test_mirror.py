"""The Debian mirror is taken from the machine's own apt sources, never from a third party's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bridge.pbx.mirror import MIRROR_VARIABLE, NoMirror, debian_mirror

DEB822 = """\
# written by the installer
Types: deb
# URIs: http://old.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)


def _write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_deb822_sources_of_bookworm(tmp_path: Path) -> None:
    _write(tmp_path, "sources.list.d/debian.sources", DEB822)
    assert debian_mirror(tmp_path) == "http://mirror.example/debian"


def test_one_line_sources_with_options(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "sources.list",
        "# deb http://no.example/debian bookworm main\n"
        "deb-src http://src.example/debian bookworm main\n"
        "deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n"
        "deb http://security.example/debian-security bookworm-security main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://mirror.example/pool bookworm main  # ours\n",
    )
    assert debian_mirror(tmp_path) == "https://mirror.example/pool"


def test_third_parties_are_not_taken_for_debian(tmp_path: Path) -> None:
    _write(tmp_path, "sources.list.d/a.list", "deb https://a.example/linux/debian bookworm stable\n")
    _write(tmp_path, "sources.list.d/b.list", "deb https://b.example/debian/12/prod bookworm main\n")
    _write(tmp_path, "sources.list.d/c.list", "deb https://c.example/ubuntu noble main\n")
    with pytest.raises(NoMirror, match=f"name no Debian mirror.*set {MIRROR_VARIABLE}"):
        debian_mirror(tmp_path)
    _write(tmp_path, "sources.list.d/debian.sources", DEB822)
    assert debian_mirror(tmp_path) == "http://mirror.example/debian"


def test_a_disabled_source_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, "sources.list.d/debian.sources", "Enabled: no\n" + DEB822.split("\n", 1)[1])
    _write(tmp_path, "sources.list.d/other.list", "deb http://other.example/debian/ trixie main\n")
    assert debian_mirror(tmp_path) == "http://other.example/debian/"


def test_the_environment_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "sources.list.d/debian.sources", DEB822)
    monkeypatch.setenv(MIRROR_VARIABLE, "file:///srv/debian")
    assert debian_mirror(tmp_path) == "file:///srv/debian"
