"""The PBX's channel event log stays bounded, and says what it no longer knows."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ami_bridge.adapters.channel_event_log import ChannelEventLog
from ami_bridge.cel_keeper import CelKeeper
from ami_bridge.settings import ChannelEventSettings

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LINE = '"ANSWER","1772442000.000000","fr1-1.0","fr1-1.0","PJSIP/carrier-00000000","",""\n'


@pytest.fixture
def log(tmp_path: Path) -> ChannelEventLog:
    return ChannelEventLog(tmp_path / "fourthring.csv")


def keeper(log: ChannelEventLog, **settings: int) -> CelKeeper:
    return CelKeeper(log, ChannelEventSettings(**settings))


def fill(path: Path, megabytes: float, age_days: float = 0) -> None:
    path.write_text(LINE * (int(megabytes * 1024 * 1024) // len(LINE) + 1))
    written = (NOW - timedelta(days=age_days)).timestamp()
    os.utime(path, (written, written))


def test_a_large_file_is_moved_aside_and_a_small_one_stays(log: ChannelEventLog) -> None:
    keeper(log).tend(NOW)  # nothing is there yet
    fill(log.file, 0.9)
    keeper(log, rotate_megabytes=1).tend(NOW)
    assert log.segments() == []
    fill(log.file, 1)
    keeper(log, rotate_megabytes=1).tend(NOW)
    (segment,) = log.segments()
    assert segment.name == "fourthring.000001.csv"
    assert log.file.read_bytes() == b""
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600


def test_the_numbers_go_on_whatever_was_removed(log: ChannelEventLog) -> None:
    for _ in range(4):
        fill(log.file, 1, age_days=40)
        keeper(log, rotate_megabytes=1, keep_days=30).tend(NOW)
    assert [path.name for path in log.segments()] == ["fourthring.000004.csv"]
    assert not log.covers(NOW - timedelta(days=90)), "what was removed denies nothing"


def test_what_is_too_much_goes_oldest_first(log: ChannelEventLog) -> None:
    for number in range(1, 6):
        fill(log.file.with_name(f"fourthring.{number:06d}.csv"), 1)
    keeper(log, keep_megabytes=3).tend(NOW)
    assert [path.name[11:17] for path in log.segments()] == ["000004", "000005"]


def test_other_files_are_none_of_ours(log: ChannelEventLog) -> None:
    other = log.file.with_name("fourthring.backup.csv")
    fill(other, 1, age_days=400)
    keeper(log, keep_megabytes=1).tend(NOW)
    assert other.exists()
