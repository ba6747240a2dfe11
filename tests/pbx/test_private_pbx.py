"""The private PBX itself: a real Asterisk is built, started, asked, hurt and stopped."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import tomllib
import traceback
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ami_bridge import resources
from ami_bridge.pbx import private_pbx, tree
from ami_bridge.pbx.asterisk import Asterisk, find_asterisk
from ami_bridge.pbx.ports import PortTaken
from ami_bridge.pbx.private_pbx import PbxFailed, PbxNotRunning, PrivatePbx
from ami_bridge.pbx.tree import BuildFailed, build, ensure_asterisk
from ami_bridge.render import render_asterisk
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

pytestmark = pytest.mark.pbx
NOBODY = 65534


@pytest.fixture(scope="module", autouse=True)
def asterisk() -> Asterisk:
    return ensure_asterisk(print)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state folder with a short path (a unix socket lies in it) that another user may be given."""
    made = Path(tempfile.mkdtemp(prefix="fr-pbx-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def pbx(folder: Path) -> Iterator[PrivatePbx]:
    settings = _settings(folder)
    made = PrivatePbx.of(settings)
    render_asterisk(settings, made.paths)
    _hum(made.paths.etc)
    yield made
    made.stop()


def _settings(folder: Path) -> Settings:
    document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
    document["node"]["state_folder"] = str(folder)
    sip, ami = _free(socket.SOCK_DGRAM), _free(socket.SOCK_STREAM)
    document["network"] |= {"sip_port": sip, "ami_port": ami, "rtp_ports": [24000, 24099]}
    return parse_settings(document)


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _hum(etc: Path) -> None:
    """Music for those who wait, which is otherwise made with the prompts."""
    lines = (etc / "musiconhold.conf").read_text().splitlines()
    music = Path(next(line.partition("=")[2].strip() for line in lines if line.startswith("directory")))
    music.mkdir(parents=True, exist_ok=True)
    with wave.open(str(music / "hum.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_starts_without_a_complaint_answers_and_stops(pbx: PrivatePbx, asterisk: Asterisk) -> None:
    status = pbx.start()
    assert status.running
    assert status.version == asterisk.version
    assert pbx.complaints() == []
    assert asterisk.version in pbx.cli("core show version")
    assert "0 active calls" in pbx.cli("core show channels")
    assert "74950000001" in pbx.cli("dialplan show from-carrier")
    for command in ("System", "ExternalIVR", "Originate", "TryExec"):
        assert "not registered" in pbx.cli(f"core show application {command}")
    for language in ("en", "ru"):
        assert (pbx.paths.data / "sounds" / language / "digits/1.wav").exists()
    assert pbx.stop() is True
    assert pbx.stop() is False
    assert not pbx.status().running
    assert status.pid is not None
    assert not _alive(status.pid)
    with pytest.raises(PbxNotRunning, match="fourthring pbx start"):
        pbx.cli("core show version")


def test_a_second_start_changes_nothing_and_another_process_may_stop_it(pbx: PrivatePbx) -> None:
    first = pbx.start()
    other = PrivatePbx(pbx.paths, pbx.ports)
    assert other.start() == first
    assert other.status() == first
    assert other.stop() is True
    assert pbx.status().running is False
    assert pbx.start().running


def test_two_who_start_at_once_get_the_same_asterisk(pbx: PrivatePbx) -> None:
    seen = []
    starters = [PrivatePbx(pbx.paths, pbx.ports) for _ in range(3)]
    threads = [threading.Thread(target=lambda each=each: seen.append(each.start().pid)) for each in starters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_a_taken_port_is_named_with_its_holder_and_nothing_is_started(pbx: PrivatePbx) -> None:
    sip = pbx.ports[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((sip.address, sip.number))
        with pytest.raises(
            PortTaken, match=rf"udp 127\.0\.0\.1:{sip.number} is taken by \S+ \(pid {os.getpid()}\)"
        ):
            pbx.start()
    assert not pbx.status().running
    assert not pbx.paths.pid_file.exists()


def test_a_second_pbx_on_the_same_ports_names_the_first(pbx: PrivatePbx, folder: Path) -> None:
    first = pbx.start()
    settings = _settings(folder / "b")
    second = PrivatePbx(PrivatePbx.of(settings).paths, pbx.ports)
    render_asterisk(settings, second.paths)
    with pytest.raises(PortTaken, match=rf"asterisk \(pid {first.pid}\)"):
        second.start()


def test_a_stale_pid_file_with_a_strangers_number_harms_nobody(pbx: PrivatePbx) -> None:
    pbx.paths.make_folders()
    pbx.paths.pid_file.write_text(f"{os.getpid()}\n")
    assert pbx.stop() is False
    assert not pbx.status().running
    assert pbx.start().pid != os.getpid()


def test_after_a_violent_end_it_is_known_to_be_down_and_starts_again(pbx: PrivatePbx) -> None:
    first = pbx.start().pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    _until(lambda: not pbx.status().running)
    assert pbx.paths.pid_file.exists(), "nobody had the time to remove it"
    assert pbx.start().pid != first


def test_a_frozen_asterisk_is_stopped_all_the_same(pbx: PrivatePbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_pbx, "STOP_LIMIT_SECONDS", 0.5)
    pid = pbx.start().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert pbx.stop() is True
    assert not _alive(pid)


@pytest.mark.parametrize(
    ("file", "good", "bad", "sentence"),
    [
        ("modules.conf", "app_queue.so", "app_queueue.so", r"did not start: .*app_queueue\.so"),
        ("pjsip.conf", "protocol = udp", "protocol = carrier-pigeon", r"does not listen on udp .*transport"),
        ("manager.conf", "enabled = yes", "enabled = no", r"does not listen on tcp 127\.0\.0\.1:\d+"),
        ("asterisk.conf", "[directories]", "[somewhere]", r"did not start: .*[Dd]atabase"),
    ],
)
def test_a_broken_configuration_is_one_clear_sentence_and_leaves_nothing(
    pbx: PrivatePbx, file: str, good: str, bad: str, sentence: str
) -> None:
    broken = pbx.paths.etc / file
    text = broken.read_text(encoding="utf-8")
    assert good in text
    broken.write_text(text.replace(good, bad), encoding="utf-8")
    with pytest.raises(PbxFailed, match=sentence) as failed:
        pbx.start()
    assert "\n" not in str(failed.value)
    assert str(pbx.paths.console_log) in str(failed.value)
    assert not pbx.status().running
    broken.write_text(text, encoding="utf-8")
    assert pbx.start().running


def test_no_configuration_is_told(folder: Path) -> None:
    with pytest.raises(PbxFailed, match="run: fourthring render"):
        PrivatePbx.of(_settings(folder)).start()


def test_asterisk_learns_none_of_our_secrets(pbx: PrivatePbx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURTHRING_SECRET_AGI_TOKEN", "not-for-asterisk")
    pid = pbx.start().pid
    assert b"not-for-asterisk" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_new_dialplan_is_read_without_a_restart(pbx: PrivatePbx) -> None:
    pid = pbx.start().pid
    extensions = pbx.paths.etc / "extensions.conf"
    with extensions.open("a", encoding="utf-8") as file:
        file.write("\n[fresh]\nexten => 1,1,NoOp()\n")
    pbx.reload()
    _until(lambda: "1 extension" in pbx.cli("dialplan show fresh"))
    assert pbx.status().pid == pid


# Building ------------------------------------------------------------------------------


def test_a_built_tree_is_not_built_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = _link_to_a_tree(folder)
    monkeypatch.setattr(tree, "_run_builder", _must_not_run)
    assert build(print, folder=cached).command[0].startswith(str(cached))


def test_a_second_builder_waits_for_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_run_builder", _must_not_run)
    told: list[str] = []
    lock = os.open(folder / ".tree.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waiting = threading.Thread(target=build, args=(told.append,), kwargs={"folder": folder / "tree"})
    waiting.start()
    _until(lambda: "another build is under way; waiting for it" in told)
    _link_to_a_tree(folder)
    os.close(lock)
    waiting.join(20)
    assert not waiting.is_alive()


def test_a_mirror_without_debian_is_told_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(BuildFailed, match=r"could not be built: .*Whole log: .*tree\.log"):
        build(print, mirror=f"file://{folder}/nothing", folder=folder / "tree")
    assert sorted(left.name for left in folder.iterdir()) == [".tree.lock", "tree.log"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_ordinary_user_builds_and_runs_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing, over what an interrupted build left; in the way of a user without any rights."""
    # A copy of what is shipped: root's own checkout may lie where an ordinary user cannot read.
    for name in ("config", "dialplans", "docker"):
        shutil.copytree(resources.shipped_folder(name), folder / "lent" / name)
    monkeypatch.setattr(resources, "_PACKAGE", folder / "lent/ami_bridge")
    settings = _settings(folder / "state")
    leftovers = folder / "cache/.tree.building/usr"
    leftovers.mkdir(parents=True)

    def as_user() -> None:
        built = build(print, folder=folder / "cache/tree")
        made = PrivatePbx(PrivatePbx.of(settings).paths, PrivatePbx.of(settings).ports, built)
        render_asterisk(settings, made.paths)
        _hum(made.paths.etc)
        status = made.start()
        try:
            assert made.complaints() == []
            assert Path(f"/proc/{status.pid}").stat().st_uid == os.getuid()
        finally:
            made.stop()
        assert not leftovers.exists()

    _run_as_ordinary_user(as_user, folder)


def _run_as_ordinary_user(task: Callable[[], None], folder: Path) -> None:
    """Run ``task`` in a child that has given up root for good (as whoever we are, when we are not root)."""
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.environ["HOME"] = str(folder)
            os.chdir(folder)
            task()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _link_to_a_tree(folder: Path) -> Path:
    """``folder/tree``: the tree that this machine has, under another name."""
    found = find_asterisk(machine_root=Path("/nowhere")) or build(print)
    program = Path(found.command[-1])
    (folder / "tree").symlink_to(program.parents[2])
    return folder / "tree"


def _must_not_run(*_: object) -> None:
    raise AssertionError("the builder was started though the tree is there")


def _until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
