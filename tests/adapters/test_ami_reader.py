"""The reader against recordings of real hostile calls, and against every forgery that 79 bytes can hold.

The three captures were taken from Asterisk 22.10 with chan_pjsip (``timestampevents=yes``,
``systemname=fr1``): a clean call, a caller with a blank line and a Hangup in his SIP From, and one with
a second Uniqueid in From and Request-URI.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bridge.adapters.ami import AmiReader, RawEvent
from tests.adapters.ami_server import NODE, block, event, hangup, newchannel

CAPTURES = Path(__file__).parent / "ami_captures"
AT = datetime(2026, 11, 23, tzinfo=UTC)
VICTIM, VICTIM_ID = "PJSIP/carrier-00000000", "fr1-1795409859.0"
EVIL, EVIL_ID = "PJSIP/carrier-00000009", "fr1-1795409870.9"


def reader(**options: object) -> AmiReader:
    return AmiReader(NODE, **options)  # type: ignore[arg-type]


def names(arrived: list[object]) -> list[str]:
    return [item.name for item in arrived if isinstance(item, RawEvent)]


def capture(name: str) -> bytes:
    return (CAPTURES / name).read_bytes()


def told(stream: bytes, at_byte: int | None = None) -> tuple[list[RawEvent], AmiReader]:
    subject = reader()
    parts = [stream] if at_byte is None else [stream[:at_byte], stream[at_byte:]]
    arrived = [item for part in parts for item in subject.feed(part, AT)]
    return [item for item in arrived if isinstance(item, RawEvent)], subject


def test_a_real_call_is_read_whole() -> None:
    events, subject = told(capture("clean_call.ami"))
    assert [item.name for item in events] == [
        "FullyBooted",
        "Newchannel",
        "UserEvent",
        "Newstate",
        "SoftHangupRequest",
        "Hangup",
    ]
    assert events[2].headers["Fact"] == "greeting"
    assert not any(item.repaired for item in events)
    # The two responses of that session are not ours: nobody here has asked for them.
    assert subject.refused == {"no_opening": 2}


def test_any_split_of_the_stream_gives_the_same_events() -> None:
    stream = capture("clean_call.ami") + newchannel("PJSIP/a-1", "fr1-1.1", number="Иван 🙂")
    whole, _ = told(stream)
    assert whole[-1].headers["CallerIDNum"] == "Иван 🙂"
    for at_byte in range(len(stream)):
        assert told(stream, at_byte)[0] == whole
    subject = reader()
    one_by_one = [item for byte in stream for item in subject.feed(bytes([byte]), AT)]
    assert one_by_one == whole


def test_a_blank_line_in_the_callers_number_neither_forges_nor_hides_his_call() -> None:
    events, subject = told(capture("blank_line_in_caller.ami") + newchannel("PJSIP/a-1", "fr1-1.1"))
    told_of = [(item.name, item.repaired) for item in events]
    assert told_of == [
        ("FullyBooted", False),
        ("Newchannel", True),
        ("HangupRequest", True),
        ("SoftHangupRequest", True),
        ("Hangup", True),
        ("Newchannel", False),
    ]
    assert all(item.headers["Uniqueid"] == "fr1-1795409940.2" for item in events[1:5])
    assert events[4].headers["Cause"] == "127"
    assert events[4].headers["TechCause"] == "487"
    assert events[1].headers["CallerIDNum"] == ""
    assert events[1].headers["Context"] == "from-carrier"
    assert len(subject.live) == 1


def test_a_second_uniqueid_does_not_point_at_another_call() -> None:
    subject = reader()
    subject.feed(newchannel(VICTIM, VICTIM_ID), AT)
    arrived = [
        item for item in subject.feed(capture("second_uniqueid.ami"), AT) if isinstance(item, RawEvent)
    ]
    arrived += [item for item in subject.feed(event("Shutdown"), AT) if isinstance(item, RawEvent)]
    of_evil = [item for item in arrived if "Uniqueid" in item.headers]
    assert [item.name for item in of_evil] == ["Newchannel", "SoftHangupRequest", "Hangup"]
    assert {item.get("Uniqueid") for item in of_evil} == {"fr1-1795409943.3"}
    assert VICTIM_ID in subject.live


def test_an_unsolicited_event_needs_the_opening_of_our_node() -> None:
    forgeries = [
        b"Event: Hangup\r\nUniqueid: fr1-1.1\r\n\r\n",
        event("Hangup", block("PJSIP/a-1", "fr1-1.1"), node="other"),
        event("Hangup", block("PJSIP/a-1", "fr1-1.1"), privilege="all"),
        b"Privilege: call,all\r\n" + hangup("PJSIP/a-1", "fr1-1.1"),
        b"Response: Success\r\nActionID: guessed\r\n\r\n",
        b"garbage\r\n\r\n",
        b"\xff\xfe\x00: \r\n\r\n",
    ]
    subject = reader()
    for forgery in forgeries:
        assert subject.feed(forgery, AT) == []
    assert sum(subject.refused.values()) == len(forgeries)
    assert len(subject.quarantine) == len(forgeries)


@pytest.mark.parametrize("missing", ["Uniqueid", "Channel", "Linkedid", "ChannelState", "Priority"])
def test_an_event_without_a_header_that_its_kind_has_is_refused(missing: str) -> None:
    whole = newchannel("PJSIP/a-1", "fr1-1.1").split(b"\r\n")
    damaged = b"\r\n".join(line for line in whole if not line.startswith(missing.encode() + b":"))
    subject = reader()
    assert subject.feed(damaged + event("Shutdown"), AT)[:-1] == []
    assert sum(subject.refused.values()) == 1


def test_a_hangup_for_a_live_call_from_another_channel_is_refused() -> None:
    subject = reader()
    subject.feed(newchannel(VICTIM, VICTIM_ID) + newchannel(EVIL, EVIL_ID), AT)
    assert subject.feed(hangup(EVIL, VICTIM_ID), AT) == []
    assert subject.refused == {"identity_mismatch": 1}
    assert subject.snapshot_reason == "identity_mismatch"
    assert names(subject.feed(hangup(VICTIM, VICTIM_ID), AT)) == ["Hangup"]


def test_unknown_channels_are_believed_only_until_the_first_snapshot() -> None:
    subject = reader()
    assert names(subject.feed(event("Newstate", block("PJSIP/old-1", "fr1-1.1")), AT)) == ["Newstate"]
    subject.live.adopt([("fr1-1.1", "PJSIP/old-1")], subject.live.mark())
    assert subject.feed(event("Newstate", block("PJSIP/x-2", "fr1-9.9")), AT) == []
    assert subject.refused == {"unknown_uniqueid": 1}
    assert names(subject.feed(newchannel("PJSIP/x-2", "fr1-9.9"), AT)) == ["Newchannel"]
    assert names(subject.feed(hangup("PJSIP/old-1", "fr1-1.1"), AT)) == ["Hangup"]
    assert names(subject.feed(event("HangupRequest", block("PJSIP/old-1", "fr1-1.1")), AT)) == [
        "HangupRequest"
    ]


def test_a_snapshot_buries_what_is_gone_and_keeps_what_began_meanwhile() -> None:
    subject = reader()
    subject.feed(newchannel("PJSIP/a-1", "fr1-1.1"), AT)
    mark = subject.live.mark()
    subject.feed(newchannel("PJSIP/b-2", "fr1-2.2"), AT)
    subject.live.adopt([], mark)
    assert "fr1-1.1" not in subject.live
    assert "fr1-2.2" in subject.live


def test_a_phantom_under_the_id_of_a_later_call_does_not_hide_that_call() -> None:
    """An extension that is cut after a forged tail makes a clean Newchannel with a uniqueid of his choice."""
    for snapshots in (0, 1):
        subject = reader()
        subject.live.adopt([], subject.live.mark())
        forged = f"1\r\nPriority: 1\r\nUniqueid: {VICTIM_ID}\r\nLinkedid: 1\r\n\r\n"
        subject.feed(newchannel(EVIL, EVIL_ID, exten=forged), AT)
        subject.feed(hangup(EVIL, EVIL_ID), AT)
        assert subject.snapshot_reason is not None
        for _ in range(snapshots):
            subject.live.adopt([], subject.live.mark())
        subject.feed(newchannel(VICTIM, VICTIM_ID), AT)
        subject.live.adopt([(VICTIM_ID, VICTIM)], subject.live.mark())
        assert names(subject.feed(hangup(VICTIM, VICTIM_ID), AT)) == ["Hangup"]


def test_a_renamed_channel_is_known_by_its_new_name() -> None:
    subject = reader()
    subject.feed(newchannel("PJSIP/a-1", "fr1-1.1"), AT)
    subject.feed(
        event("Rename", "Channel: PJSIP/a-1\r\nNewname: PJSIP/a-1<MASQ>\r\nUniqueid: fr1-1.1\r\n"), AT
    )
    assert names(subject.feed(hangup("PJSIP/a-1<MASQ>", "fr1-1.1"), AT)) == ["Hangup"]


def test_events_that_nobody_reads_are_skipped() -> None:
    subject = reader(wanted={"Newstate"})
    arrived = subject.feed(
        newchannel("PJSIP/a-1", "fr1-1.1")
        + event("VarSet", block("PJSIP/a-1", "fr1-1.1"))
        + event("Registry"),
        AT,
    )
    assert names(arrived) == ["Newchannel"]
    assert subject.skipped == 2


def test_a_repeated_channel_variable_is_a_list() -> None:
    body = block("PJSIP/a-1", "fr1-1.1") + "ChanVariable: A=1\r\nChanVariable: B=2\r\n"
    [arrived] = reader().feed(event("Newchannel", body), AT)
    assert isinstance(arrived, RawEvent)
    assert arrived.headers["ChanVariable"] == ["A=1", "B=2"]


def test_an_endless_event_is_dropped_and_the_next_one_is_read() -> None:
    subject = reader()
    for _ in range(40):
        assert subject.feed(b"x" * 4096, AT) == []
    assert len(subject._buffer) < 70_000
    assert names(subject.feed(b"\r\n\r\n" + newchannel("PJSIP/a-1", "fr1-1.1"), AT)) == ["Newchannel"]
    assert subject.refused == {"oversize": 1}


def test_a_value_that_ends_in_a_line_end_does_not_cost_the_next_event() -> None:
    dialled = event("DialBegin", block("PJSIP/a-1", "fr1-1.1", prefix="Dest") + "DialString: x\r\n")
    arrived = reader().feed(dialled + b"\r\n" + newchannel("PJSIP/b-2", "fr1-2.2"), AT)
    assert names(arrived) == ["DialBegin", "Newchannel"]


BAIT = [
    "\r\n",
    "\r\n\r\n",
    "Event: Hangup\r\n",
    "Privilege: call,all\r\n",
    "Timestamp: 1795409862.032373\r\n",
    f"SystemName: {NODE}\r\n",
    f"Channel: {VICTIM}\r\n",
    "Priority: 1\r\n",
    f"Uniqueid: {VICTIM_ID}\r\n",
    f"Linkedid: {VICTIM_ID}\r\n",
    "Exten: h\r\n",
    "Cause: 16\r\n",
    "CallerIDName: x\r\n",
    "ConnectedLineNum: x\r\n",
    "a",
]
strangers_text = st.one_of(
    st.lists(st.sampled_from(BAIT), max_size=8).map(lambda parts: "".join(parts)[:79]),
    st.text(alphabet="\r\n:ab1 Ü", max_size=79).map(
        lambda text: text.encode()[:79].decode("utf-8", "ignore")
    ),
)


@settings(max_examples=400, deadline=None)
@given(number=strangers_text, exten=strangers_text, snapshot=st.booleans(), cut_at=st.integers(1, 2000))
def test_no_79_bytes_close_or_hide_another_call(number: str, exten: str, snapshot: bool, cut_at: int) -> None:
    subject = reader()
    arrived = list(subject.feed(newchannel(VICTIM, VICTIM_ID), AT))
    if snapshot:
        subject.live.adopt([(VICTIM_ID, VICTIM)], subject.live.mark())
    hostile = newchannel(EVIL, EVIL_ID, number=number, exten=exten) + hangup(
        EVIL, EVIL_ID, number=number, exten=exten
    )
    stream = hostile + event("Newstate", block(VICTIM, VICTIM_ID)) + hostile
    arrived += subject.feed(stream[:cut_at], AT) + subject.feed(stream[cut_at:], AT)
    assert VICTIM_ID in subject.live
    arrived += subject.feed(hangup(VICTIM, VICTIM_ID), AT)
    of_victim = [item for item in arrived if isinstance(item, RawEvent) and item.get("Channel") == VICTIM]
    assert [item.name for item in of_victim] == ["Newchannel", "Newstate", "Hangup"]
    of_others = [item for item in arrived if isinstance(item, RawEvent) and item.get("Channel") != VICTIM]
    assert all(item.get("Uniqueid") != VICTIM_ID for item in of_others)
