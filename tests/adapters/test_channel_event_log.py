"""The channel event log is believed line by line, and only the stretch that is asked for is read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ami_bridge.adapters.channel_event_log import SLACK, ChannelEventLog, parse_line

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def line(kind: str, seconds: float, uniqueid: str = "fr1-1.0", extra: str = "") -> str:
    stamp = f"{(AT + timedelta(seconds=seconds)).timestamp():.6f}"
    values = (kind, stamp, uniqueid, uniqueid, "PJSIP/carrier-00000000", "", extra)
    return ",".join(f'"{value}"' for value in values)


@pytest.fixture
def log(tmp_path: Path) -> ChannelEventLog:
    return ChannelEventLog(tmp_path / "fourthring.csv")


def test_a_line_of_asterisk() -> None:
    extra = '{""hangupcause"":16,""hangupsource"":""PJSIP/101-00000001""}'
    event = parse_line(line("HANGUP", 1.5, extra=extra).encode())
    assert event is not None
    assert (event.kind, event.at, event.uniqueid) == ("HANGUP", AT + timedelta(seconds=1.5), "fr1-1.0")
    assert event.extra == {"hangupcause": 16, "hangupsource": "PJSIP/101-00000001"}


FORGED = line("ANSWER", 2, "cb-victim")


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"',
        FORGED[:-1],
        f"{FORGED},",
        f"{FORGED}x",
        FORGED.replace('"ANSWER"', "ANSWER"),
        FORGED.replace("ANSWER", "SURRENDER"),
        FORGED.replace("cb-victim", "cb victim"),
        FORGED.replace("PJSIP", "PJ\rSIP"),
        # What CSV_QUOTE makes of a forged line within a value, up to its line break and after it.
        FORGED.replace('"', '""'),
        f'"CHAN_START","1795411727.386437","u","u","PJSIP/x{FORGED.replace(chr(34), chr(34) * 2)}',
        f'{FORGED.replace(chr(34), chr(34) * 2)}","",""',
        f'x""\r{FORGED.replace(chr(34), chr(34) * 2)}',
    ],
)
def test_what_asterisk_did_not_write_whole_is_not_believed(text: str) -> None:
    assert parse_line(text.encode()) is None


def test_a_line_after_a_torn_one_is_saved() -> None:
    """Asterisk died within the first; the next one was appended to it after the restart."""
    event = parse_line(f"{line('HANGUP', 1)[:37]}{line('CHAN_START', 9, 'fr1-2.0')}".encode())
    assert event is not None
    assert (event.kind, event.uniqueid) == ("CHAN_START", "fr1-2.0")


def test_unreadable_lines_are_told_and_an_unfinished_one_waits(log: ChannelEventLog) -> None:
    lines = [line("CHAN_START", 0), '"torn', line("ANSWER", 1), line("CHAN_END", 2)[:-20]]
    log.file.write_text("\n".join(lines))
    told: list[bytes] = []
    events = list(log.events(on_unreadable=lambda _path, text: told.append(text)))
    assert [event.kind for event in events] == ["CHAN_START", "ANSWER"]
    assert told == [b'"torn\n']


@pytest.fixture
def long_log(log: ChannelEventLog) -> ChannelEventLog:
    """Three segments of four hours in all, a line each second."""
    for number, name in enumerate(("fourthring.000001.csv", "fourthring.000002.csv", "fourthring.csv")):
        seconds = range(4800 * number, 4800 * (number + 1))
        text = "".join(f"{line('ANSWER', second, f'fr1-1.{second}')}\n" for second in seconds)
        path = log.file.parent / name
        path.write_text(text)
        os.utime(path, times=2 * ((AT + timedelta(seconds=seconds[-1])).timestamp(),))
    return log


@pytest.mark.parametrize("second", [0, 1, 4799, 4800, 9000, 14399])
def test_only_the_stretch_that_is_asked_for_is_read(long_log: ChannelEventLog, second: int) -> None:
    wanted = AT + timedelta(seconds=second)
    first = max(0, second - int(SLACK.total_seconds()))
    found = [event.uniqueid for event in long_log.events(wanted)]
    assert found == [f"fr1-1.{each}" for each in range(first, 14400)]


def test_a_rotation_while_reading_loses_and_doubles_nothing(long_log: ChannelEventLog) -> None:
    reading = long_log.events()
    first = next(reading)
    long_log.file.rename(long_log.file.with_name("fourthring.000003.csv"))
    long_log.file.touch()
    rest = [event.uniqueid for event in reading]
    assert [first.uniqueid, *rest] == [f"fr1-1.{second}" for second in range(14400)]


def test_what_was_removed_cannot_deny_anything(long_log: ChannelEventLog) -> None:
    assert long_log.begins_at() == AT
    assert long_log.covers(AT - timedelta(days=9)), "nothing was ever removed"
    (long_log.file.parent / "fourthring.000001.csv").unlink()
    assert long_log.begins_at() == AT + timedelta(seconds=4800)
    assert long_log.covers(AT + timedelta(seconds=4800))
    assert not long_log.covers(AT + timedelta(seconds=4799))


def test_no_log_at_all(log: ChannelEventLog) -> None:
    assert (log.exists, log.begins_at(), list(log.events())) == (False, None, [])
    assert not log.covers(AT)
    log.file.touch()
    assert log.exists
    assert log.covers(AT)
