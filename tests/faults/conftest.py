"""A running system to be hurt: ports, state folder and departments of its own.

``quick``, ``quick3`` and ``quick4`` move a caller to the queue after one British ring (1.0 s) of 101, 103 or
104. The departments of ``AGI_FAULTS`` go straight to the queue; an AGI impostor (impostor.py) answers each of
them with the fault it is named after. 102 is every queue's member; ``back`` has 104 too, and rings back.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.prompts import ExpectedPrompts
from tests.faults.impostor import AGI_FAULTS
from tests.faults.plant import Plant, processes_of
from tests.pbx.conftest import configuration, free_block, write_configuration

# Below the ports of tests/pbx with those of its phones (25060 to 29300), so that the two can run side by side.
FIRST_PORT = 19060
VOICE = "exec espeak-ng -b 1 -v en-us -s 145 --stdin --stdout"
# What a run may leave in the checkout: none of these are products of a running system.
_SOURCE_ENDINGS = {".py", ".pyc", ".md", ".toml", ".j2"}


def faulty_configuration(state: Path) -> dict[str, Any]:
    """The departments described above, beside those of the demo."""
    document = configuration(state, free_block(FIRST_PORT))
    departments = document["departments"]
    for unused in ("america", "support", "bilingual", "shut", "toned"):
        del departments[unused]
    document["agents"]["104"] = {"names": {"ru": "Иван Сидоров", "en": "Ivan Sidorov"}}
    quick = departments["quick"]
    for number, extension in enumerate(("103", "104"), start=6):
        departments[f"quick{extension[-1]}"] = {
            **quick,
            "dids": [f"7495000000{number}"],
            "direct": [extension],
        }
    for number, fault in enumerate(AGI_FAULTS, start=10):
        departments[fault] = {"names": quick["names"], "dids": [f"749500000{number}"], "queue": ["102"]}
    departments["sales"]["queue"] = ["102"]
    # A voice that can be broken: see test_broken_voice.py.
    departments["hoarse"] = {
        **quick,
        "dids": ["74950000031"],
        "direct": ["104"],
        "queue": ["104"],
        "language": "en",
    }
    document["voices"] = {"en": {"renderer": "command", "command": ["sh", str(state.parent / "voice.sh")]}}
    departments["back"] = {"names": quick["names"], "dids": ["74950000030"], "queue": ["102", "104"]}
    return document


def mend_voice(folder: Path, script: str = VOICE) -> None:
    """The English voice of this system."""
    (folder / "voice.sh").write_text(f"{script}\n", encoding="utf-8")


@pytest.fixture(scope="session")
def state_folder() -> Iterator[Path]:
    """A short path: Asterisk's control socket lies in it. Afterwards nothing of ours may run or lie about."""
    before = _untracked()
    with TemporaryDirectory(prefix="ff-") as folder:
        yield Path(folder)
        assert processes_of(Path(folder)) == {}, "processes of ours are left"
    left = {path for path in _untracked() - before if Path(path).suffix not in _SOURCE_ENDINGS}
    assert left == set(), "the run left files in the checkout"


def _untracked() -> set[str]:
    """Files in the checkout that git does not track, ignored ones too; none when this is no checkout."""
    git, here = shutil.which("git"), Path(__file__).parents[2]
    if git is None or not (here / ".git").exists():
        return set()
    listed = subprocess.run(
        [git, "ls-files", "--others", "-z"], cwd=here, capture_output=True, text=True, check=True
    )
    # Screenshots are kept in artefacts/ on purpose.
    caches = (".venv/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", "artefacts/")
    return {path for path in listed.stdout.split("\0") if path and not path.startswith(caches)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plant(state_folder: Path) -> AsyncIterator[Plant]:
    """The running system."""
    mend_voice(state_folder)
    config = write_configuration(state_folder, faulty_configuration(state_folder / "s"))
    async with Plant(config) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def phones(plant: Plant) -> AsyncIterator[Plant]:
    """The system, to take phones from; they hang up and end with the test, and every service is well again."""
    await plant.start_services()
    yield plant
    await plant.stop_phones()
    await plant.dialer.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def store(plant: Plant) -> AsyncIterator[SqlStore]:
    """The store that the services write to."""
    opened = SqlStore(plant.settings.store_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def expected(plant: Plant) -> ExpectedPrompts:
    """Which prompts a caller must hear."""
    return ExpectedPrompts(plant.settings, plant.voice)
