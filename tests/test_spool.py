"""The spool: what the dialplan recorded alone becomes a callback, once."""

from __future__ import annotations

import os
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.store import MemoryStore, StoreUnavailable
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import parse_settings
from ami_bridge.spool import QUIET_SECONDS, SpoolFiler, parse_name

EPOCH = 1_795_424_400
NAME = f"sales-{EPOCH}-fr1-{EPOCH}.7-79161234567"
SPOKEN, COUGH = 44 + 3 * 16_000, 44 + 8_000


class Spool:
    """A spool folder, the store it is filed into, and the filer."""

    def __init__(self, folder: Path) -> None:
        document = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))
        self.folder, self.recordings = folder / "spool", folder / "recordings"
        self.folder.mkdir()
        self.store = MemoryStore()
        self.filer = SpoolFiler(parse_settings(document), self.store, self.folder, self.recordings)

    def leave(self, stem: str = NAME, size: int = SPOKEN, age: float = QUIET_SECONDS + 1) -> Path:
        path = self.folder / f"{stem}.wav"
        path.write_bytes(b"R" * size)
        os.utime(path, (time.time() - age,) * 2)
        return path

    async def callbacks(self) -> list[Any]:
        return await self.store.callbacks()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


async def test_a_message_becomes_a_callback(spool: Spool) -> None:
    path = spool.leave()
    assert await spool.filer.file_all() == 1
    (callback,) = await spool.callbacks()
    assert (callback.state, callback.department, callback.number) == (
        CallbackState.QUEUED,
        "sales",
        "+79161234567",
    )
    assert callback.created_at == callback.place_at == datetime.fromtimestamp(EPOCH, UTC)
    assert callback.channel_uniqueid == f"fr1-{EPOCH}.7"
    assert callback.consent.key == "recorded"
    assert callback.consent.prompt_version == "fixed.leave-message"
    assert Path(callback.subject_recording).stat().st_size == SPOKEN
    assert not path.exists()
    assert await spool.filer.file_all() == 0


@pytest.mark.parametrize(
    ("stem", "size"),
    [
        (NAME, COUGH),  # an empty recording is no consent
        (f"sales-{EPOCH}-fr1-{EPOCH}.7-", SPOKEN),  # nobody to ring
        (f"sales-{EPOCH}-fr1-{EPOCH}.7-112", SPOKEN),  # nobody whom we ring
        (f"sales-{EPOCH}-fr1-{EPOCH}.7-74950000001", SPOKEN),  # ourselves
    ],
)
async def test_nobody_is_rung_without_consent_or_number(spool: Spool, stem: str, size: int) -> None:
    spool.leave(stem, size)
    await spool.filer.file_all()
    (callback,) = await spool.callbacks()
    assert callback.state is CallbackState.PARTIAL
    assert callback.consent is None
    assert Path(callback.subject_recording).exists(), "a person can still listen to it"
    assert await spool.store.claim_due(datetime.now(UTC), "w", 60) == []


async def test_a_recording_that_goes_on_is_left_alone(spool: Spool) -> None:
    path = spool.leave(age=QUIET_SECONDS - 1)
    assert await spool.filer.file_all() == 0
    assert path.exists()


@pytest.mark.parametrize(
    "stem",
    [
        "hello",
        f"unheard-{EPOCH}-fr1-1.7-1",
        f"sales-{EPOCH}-../../x-1",
        f"sales-{EPOCH}-fr1-7916-+7",
        "sales-1-x-1",
    ],
)
async def test_what_the_dialplan_did_not_write_stays(
    spool: Spool, stem: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = spool.folder / f"{stem.replace('/', '_')}.wav"
    path.write_bytes(b"x" * SPOKEN)
    os.utime(path, (0, 0))
    assert await spool.filer.file_all() == await spool.filer.file_all() == 0
    assert path.exists()
    assert await spool.callbacks() == []
    assert caplog.text.count("did not write") == 1, "told once, not every two seconds"


async def test_while_the_store_is_away_messages_stay(spool: Spool) -> None:
    path = spool.leave()
    real, spool.store.create_callback = spool.store.create_callback, _away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await spool.filer.file_all()
    assert path.exists()
    spool.store.create_callback = real  # type: ignore[method-assign]
    assert await spool.filer.file_all() == 1


async def _away(*arguments: Any, **named: Any) -> Any:
    raise StoreUnavailable("The store is away.")


async def test_a_crash_between_storing_and_moving_makes_no_second_callback(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = spool.leave()
    with monkeypatch.context() as crashed:
        crashed.setattr(Path, "replace", _crash)
        assert await spool.filer.file_all() == 0
    assert path.exists()
    assert await spool.filer.file_all() == 1
    (callback,) = await spool.callbacks()
    assert Path(callback.subject_recording).exists()


def _crash(*_arguments: object) -> None:
    raise OSError("No space left on device")


async def test_one_message_that_cannot_be_filed_stops_no_other(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    real = spool.store.create_callback

    async def choosy(key: str, *arguments: Any, **named: Any) -> Any:
        if "fr1-bad" in key:
            raise ValueError("no store can take this")
        return await real(key, *arguments, **named)

    spool.store.create_callback = choosy  # type: ignore[method-assign]
    bad = spool.leave(f"sales-{EPOCH}-fr1-bad-79161234500")
    spool.leave()
    assert await spool.filer.file_all() == 1
    assert await spool.filer.file_all() == 0
    assert bad.exists()
    assert caplog.text.count("could not be filed") == 1


def test_names_are_read_as_the_dialplan_writes_them() -> None:
    template = (shipped_folder("dialplans") / "extensions.conf.j2").read_text()
    written = "{{ key }}-${EPOCH}-${UNIQUEID}-${FILTER(0-9,${FR_CALLER})}"
    assert f"Set(FR_SPOOL={{{{ spool }}}}/{written})" in template
    message = parse_name(NAME)
    assert message is not None
    assert (message.department, message.digits) == ("sales", "79161234567")
    two_words = parse_name(f"big_sales-{EPOCH}-{EPOCH}.12-")
    assert two_words is not None
    assert (two_words.department, two_words.uniqueid, two_words.digits) == ("big_sales", f"{EPOCH}.12", "")
