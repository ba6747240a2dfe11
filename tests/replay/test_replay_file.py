"""Every kind of recording file is understood, every bad one told in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.errors import FourthRingError
from ami_bridge.replay import replay_events, replay_file

CALL: list[dict[str, Any]] = [
    {
        "Event": "Newchannel",
        "Timestamp": "1764000000.500000",
        "Uniqueid": "fr1-1.1",
        "Linkedid": "fr1-1.1",
        "Channel": "PJSIP/carrier-00000001",
        "ChannelState": "4",
        "CallerIDNum": "79161234567",
        "Context": "from-carrier",
        "Exten": "74950000001",
        "ChanVariable": ["a=1", "b=2"],
    },
    {"Event": "HangupRequest", "Timestamp": "1764000003.250000", "Uniqueid": "fr1-1.1", "Cause": "127"},
    {
        "Event": "Hangup",
        "Timestamp": "1764000003.500000",
        "Uniqueid": "fr1-1.1",
        "Linkedid": "fr1-1.1",
        "Cause": "127",
    },
]


def as_raw(events: list[dict[str, Any]], newline: str = "\r\n") -> str:
    blocks = ["Asterisk Call Manager/9.0.0", ""]
    for headers in events:
        for name, value in headers.items():
            blocks += [f"{name}: {item}" for item in (value if isinstance(value, list) else [value])]
        blocks.append("")
    return newline.join(blocks)


def as_journal(events: list[dict[str, Any]]) -> str:
    lines = [
        {"seq": 0, "at": "2026-01-01T00:00:00+00:00", "kind": "marker", "name": "link_ready", "headers": {}}
    ]
    for seq, headers in enumerate(events, start=1):
        at = f"2026-01-01T00:00:0{seq}+00:00"
        untimed = {name: value for name, value in headers.items() if name != "Timestamp"}
        lines.append({"seq": seq, "at": at, "kind": "event", "name": headers["Event"], "headers": untimed})
    return "\n".join(json.dumps(line) for line in lines) + "\n"


@pytest.fixture
def expected() -> dict[str, Any]:
    (record,) = replay_events(CALL)
    return record.as_json()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CALL),
        "\ufeff" + json.dumps(CALL, indent=2),
        "\n".join(json.dumps(headers) for headers in CALL),
        "\n".join(json.dumps(headers) for headers in CALL) + '\n{"Event": "Newch',  # torn while being written
        "\n".join(json.dumps({"headers": list(map(list, headers.items()))}) for headers in CALL),
        as_raw(CALL),
        as_raw(CALL, "\n"),
    ],
    ids=["list", "list-bom", "lines", "lines-torn", "pairs", "raw", "raw-lf"],
)
def test_kinds_of_file(tmp_path: Path, text: str, expected: dict[str, Any]) -> None:
    path = tmp_path / "recording"
    path.write_bytes(text.encode())
    (record,) = replay_file(path)
    assert record.as_json() == expected


def test_record_as_json(expected: dict[str, Any]) -> None:
    assert json.loads(json.dumps(expected)) == expected
    assert expected["disposition"] == "CANCELLED"
    assert expected["hung_up_by"] == "caller"
    assert expected["caller"]["number"] == "79161234567"
    assert expected["started_at"] == "2025-11-24T16:00:00.500+00:00"
    assert expected["ended_at"] == "2025-11-24T16:00:03.500+00:00"
    assert expected["uniqueids"] == expected["linkedids"] == ["fr1-1.1"]
    assert expected["answered_by"] is None
    assert expected["rung"] == expected["transfers"] == []


def test_our_own_journal_gives_the_time_of_receipt(tmp_path: Path) -> None:
    path = tmp_path / "fr1-1.jsonl"
    path.write_text(as_journal(CALL), encoding="utf-8")
    (record,) = replay_file(path)
    assert record.as_json()["started_at"] == "2026-01-01T00:00:01.000+00:00"
    assert record.as_json()["ended_at"] == "2026-01-01T00:00:03.000+00:00"


def test_a_call_that_goes_on_is_told_last(tmp_path: Path) -> None:
    path = tmp_path / "open.json"
    path.write_text(json.dumps(CALL[:1]), encoding="utf-8")
    (record,) = replay_file(path)
    assert (record.disposition, record.complete, record.ended_at) == ("UNKNOWN", False, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no AMI events"),
        (b"[]", "holds no AMI events"),
        (b"\x00\xff\x17binary\n\n", "holds no AMI events"),
        (b"[1, 2]", "entry 1 is no object"),
        (b'[{"Event": "Hangup"}', "begins like a JSON list"),
        (b"[" * 100_000, "begins like a JSON list"),
        (b'{"Event": \n{"Event": "Hangup"}\n', "line 1 is no JSON object"),
        (b'{"torn', "line 1 is no JSON object"),
    ],
)
def test_bad_files_are_told_in_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(FourthRingError, match=says) as raised:
        list(replay_file(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(FourthRingError, match="Cannot read"):
            replay_file(path)
