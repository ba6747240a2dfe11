"""The supervisor: brings back who died, gives up on who refuses, and leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ami_bridge import supervisor
from ami_bridge.supervisor import ServiceRefused, Supervisor

SLEEPS = "exec sleep 60"


def scripted(folder: Path, **scripts: str) -> Supervisor:
    """A supervisor of shell scripts instead of our services; each notes its start and its process id."""

    def command_of(name: str) -> list[str]:
        return ["sh", "-c", f"echo $$ >> {folder}/{name}.starts; {scripts[name]}"]

    return Supervisor(folder / "none.toml", tuple(scripts), folder / "log", command_of)


def starts(folder: Path, name: str) -> list[int]:
    path = folder / f"{name}.starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def until(condition: object, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110 - other processes set no Event
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_who_dies_is_started_again_after_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    running = scripted(tmp_path, frail="exit 1", steady=SLEEPS)

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(running, "_pause", note)
    task = asyncio.create_task(running.run())
    await until(lambda: len(starts(tmp_path, "frail")) >= 9)
    assert pauses[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert set(pauses[7:]) <= {30.0}
    assert len(starts(tmp_path, "steady")) == 1, "one that dies takes nothing else with it"
    running.stop()
    await asyncio.wait_for(task, 5)
    assert not lives(starts(tmp_path, "steady")[0])


async def test_who_was_well_for_long_starts_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_WELL_AFTER", -1.0)
    pauses: list[float] = []
    running = scripted(tmp_path, frail="exit 1")

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(running, "_pause", note)
    task = asyncio.create_task(running.run())
    await until(lambda: len(pauses) >= 4)
    assert set(pauses) == {0.5}
    running.stop()
    await asyncio.wait_for(task, 5)


async def test_a_killed_service_is_back_and_known_by_its_new_process(tmp_path: Path) -> None:
    running = scripted(tmp_path, one=SLEEPS)
    task = asyncio.create_task(running.run())
    await until(lambda: starts(tmp_path, "one") and running.process_id("one") is not None)
    first = running.process_id("one")
    assert first == starts(tmp_path, "one")[0]
    os.kill(first, signal.SIGKILL)
    # The child writes this down before its parent has been told of it.
    await until(lambda: len(starts(tmp_path, "one")) == 2 and running.process_id("one") is not None)
    assert running.process_id("one") == starts(tmp_path, "one")[1]
    running.stop()
    await asyncio.wait_for(task, 5)
    assert running.process_id("one") is None


@pytest.mark.parametrize("code", [2, 4])
async def test_a_refusal_ends_all_with_its_sentence(tmp_path: Path, code: int) -> None:
    refuses = f"until [ -s {tmp_path}/steady.starts ]; do sleep 0.01; done; echo noise >&2; "
    running = scripted(
        tmp_path, proud=f"{refuses} echo 'The port is taken; choose another.' >&2; exit {code}", steady=SLEEPS
    )
    with pytest.raises(ServiceRefused) as refused:
        await asyncio.wait_for(running.run(), 10)
    assert (
        str(refused.value)
        == "The service 'proud' cannot run as configured: The port is taken; choose another."
    )
    assert not lives(starts(tmp_path, "steady")[0])
    assert len(starts(tmp_path, "proud")) == 1


async def test_stopping_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_STOP_LIMIT", 0.2)
    running = scripted(tmp_path, deaf="trap '' TERM; while true; do sleep 0.05; done")
    task = asyncio.create_task(running.run())
    await until(lambda: starts(tmp_path, "deaf"))
    await asyncio.sleep(0.1)  # until the trap is set
    running.stop()
    await asyncio.wait_for(task, 5)
    assert not lives(starts(tmp_path, "deaf")[0])


async def test_stopping_during_a_pause_does_not_wait_for_its_end(tmp_path: Path) -> None:
    running = scripted(tmp_path, frail="exit 1")
    running._services["frail"].pause = 60.0
    task = asyncio.create_task(running.run())
    await until(lambda: starts(tmp_path, "frail"))
    await asyncio.sleep(0.1)
    running.stop()
    await asyncio.wait_for(task, 5)
    assert len(starts(tmp_path, "frail")) == 1


PARENT = """
import asyncio, sys
from pathlib import Path
from ami_bridge.supervisor import Supervisor, until_signalled
folder = Path(sys.argv[1])
def command_of(name):
    return ["sh", "-c", f"echo $$ >> {folder}/{name}.starts; exec sleep 60"]
asyncio.run(until_signalled(Supervisor(folder / "none.toml", ("one", "two"), folder, command_of)))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_services_end_with_their_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 10
        while not (starts(tmp_path, "one") and starts(tmp_path, "two")) and time.monotonic() < limit:
            time.sleep(0.02)
        children = starts(tmp_path, "one") + starts(tmp_path, "two")
        assert len(children) == 2
        parent.send_signal(number)
        code = parent.wait(10)
        while any(lives(pid) for pid in children) and time.monotonic() < limit:
            time.sleep(0.02)
        assert not any(lives(pid) for pid in children)
        assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    finally:
        parent.kill()
        parent.wait()


async def test_a_changed_configuration_starts_every_service_anew_the_desk_last(tmp_path: Path) -> None:
    order = tmp_path / "order"
    scripts = {
        name: f"trap 'echo {name} >> {order}; exit 0' TERM; sleep 60 & wait" for name in ("agi", "desk")
    }
    running = scripted(tmp_path, **scripts)
    running.marker = tmp_path / "applied"
    task = asyncio.create_task(running.run())
    await until(lambda: all(starts(tmp_path, name) for name in scripts))
    await asyncio.sleep(0.3)
    assert not order.exists()
    running.marker.write_text("one")
    await until(lambda: all(len(starts(tmp_path, name)) == 2 for name in scripts))
    assert order.read_text().split() == ["agi", "desk"]
    assert all(service.restarts == 0 for service in running._services.values()), "nobody fell"
    running.stop()
    await task
