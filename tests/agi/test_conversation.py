"""The capture conversation as tables: every branch, wrong keys, silence, and what is kept at each point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi.conversation import Outcome, advance, begin
from agi.turns import MAX_TURNS, NOTHING, Answer, CaptureFacts, CaptureState, Do, Kind, Number, Phrase, Stage
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.numbers import CheckedNumber, check_number

_checked = check_number("+79161234567", "RU", ["RU"])
assert isinstance(_checked, CheckedNumber)
NOW = datetime(2026, 3, 11, 12, 0, tzinfo=ZoneInfo("Europe/Moscow"))
KNOWN = CaptureFacts(_checked, NOW, "RU", ("RU",), ("74950000001",))
WITHHELD = CaptureFacts(None, NOW, "RU", ("RU",), ("74950000001",))
SAID, EMPTY = Answer("DTMF", True), Answer("SILENCE", False)


def key(text: str) -> Answer:
    return Answer(text)


def played(facts: CaptureFacts, *answers: Answer) -> list[Outcome]:
    outcomes = [begin(facts)]
    for answer in answers:
        outcomes.append(advance(outcomes[-1].state, answer, facts))
    return outcomes


def stages(facts: CaptureFacts, *answers: Answer) -> list[Stage]:
    return [outcome.state.stage for outcome in played(facts, *answers)]


def phrases(outcome: Outcome) -> list[str]:
    return [part.key for part in outcome.turn.says if isinstance(part, Phrase)]


def test_the_whole_way() -> None:
    way = played(KNOWN, key("1"), key("1"), SAID, SAID, key("1"))
    assert [each.state.stage for each in way] == [
        Stage.PERMISSION,
        Stage.NUMBER_CONFIRM,
        Stage.NAME,
        Stage.SUBJECT,
        Stage.SUMMARY,
        Stage.FAREWELL,
    ]
    assert way[1].keep.starts
    assert way[1].keep.fields == {"number": "+79161234567", "number_source": "caller_id"}
    assert (way[1].keep.consent_key, way[1].keep.consent_prompt) == ("1", "capture.permission")
    assert Number(("8", "916", "123", "45", "67")) in way[1].turn.says
    assert way[2].keep.consent_prompt == "capture.number_confirm"
    assert way[2].turn.records is Kind.NAME
    assert way[3].turn.records is Kind.SUBJECT
    assert way[5].keep.event is CallbackEvent.CAPTURED
    assert way[5].turn.do is Do.WAIT
    assert phrases(way[5]) == ["capture.accepted"]


def test_nothing_is_kept_without_permission() -> None:
    for way in (played(KNOWN, key("2")), played(KNOWN, key("9"), key("")), [begin(KNOWN)]):
        assert all(each.keep == NOTHING for each in way)


def test_two_goes_back_to_the_queue_and_a_later_visit_begins_anew() -> None:
    way = played(KNOWN, key("2"), key(""))
    assert way[1].turn.do is Do.QUEUE
    assert way[1].turn.says  # Playback without a file would hang up on the caller
    assert way[2].state.stage is Stage.PERMISSION


def test_a_withheld_number_is_asked_for() -> None:
    assert stages(WITHHELD, key("1")) == [Stage.PERMISSION, Stage.NUMBER_TYPE]


def test_another_number_replaces_the_first_and_is_read_back() -> None:
    way = played(KNOWN, key("1"), key("2"), key("84951234567"), key("1"))
    assert way[2].keep.fields == {"number": None, "number_source": "", "number_confirmed": False}
    assert way[2].turn.do is Do.DIGITS
    assert way[3].keep.fields["number"] == "+74951234567"
    assert way[3].keep.fields["number_source"] == "typed"
    assert Number(("8", "495", "123", "45", "67")) in way[3].turn.says
    assert way[4].state.stage is Stage.NAME
    assert way[4].state.confirmed


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("9161234567", "+79161234567"),
        ("84951234567", "+74951234567"),
        ("84959*84951234567", "+74951234567"),
        ("**84951234567", "+74951234567"),
    ],
)
def test_numbers_are_taken_as_people_type_them(typed: str, number: str) -> None:
    assert played(WITHHELD, key("1"), key(typed))[-1].state.number == number


@pytest.mark.parametrize(
    ("typed", "sorry"),
    [
        ("8495123", "capture.number_incomplete"),
        ("112", "capture.number_refused"),
        ("88091234567", "capture.number_refused"),  # premium rate
        ("74950000001", "capture.number_refused"),  # our own
        ("", "capture.silence"),
        ("8495*", "capture.silence"),
    ],
)
def test_a_bad_number_is_asked_for_again_and_then_spoken(typed: str, sorry: str) -> None:
    way = played(WITHHELD, key("1"), key(typed), key(typed), key(typed))
    assert [each.state.stage for each in way[2:]] == [Stage.NUMBER_TYPE, Stage.NUMBER_TYPE, Stage.MESSAGE]
    assert phrases(way[2])[0] == sorry
    assert all(each.state.number == "" for each in way)


@pytest.mark.parametrize(
    ("pressed", "sorry"), [("9", "capture.wrong_key"), ("*", "capture.wrong_key"), ("", "capture.silence")]
)
@pytest.mark.parametrize(
    ("before", "stage", "way_out"),
    [
        ((), Stage.PERMISSION, Stage.MESSAGE),
        ((key("1"),), Stage.NUMBER_CONFIRM, Stage.MESSAGE),
        ((key("1"), key("1"), SAID, SAID), Stage.SUMMARY, Stage.FAREWELL),
    ],
)
def test_three_misses_end_kindly(
    before: tuple[Answer, ...], stage: Stage, way_out: Stage, pressed: str, sorry: str
) -> None:
    way = played(KNOWN, *before, key(pressed), key(pressed), key(pressed))
    assert [each.state.stage for each in way[-3:]] == [stage, stage, way_out]
    assert phrases(way[-2])[0] == sorry


def test_a_right_key_forgives_the_misses_before_it() -> None:
    way = played(KNOWN, key("9"), key("9"), key("1"), key("9"), key("9"))
    assert way[-1].state.stage is Stage.NUMBER_CONFIRM


def test_silence_at_the_summary_accepts_what_was_agreed() -> None:
    way = played(KNOWN, key("1"), key("1"), SAID, SAID, key(""), key(""), key(""))
    assert way[-1].keep.event is CallbackEvent.CAPTURED


def test_two_at_the_summary_begins_again_with_the_number() -> None:
    way = stages(KNOWN, key("1"), key("1"), SAID, SAID, key("2"), key("1"), SAID, SAID, key("1"))
    assert way[5:] == [Stage.NUMBER_CONFIRM, Stage.NAME, Stage.SUBJECT, Stage.SUMMARY, Stage.FAREWELL]


def test_empty_recordings_are_asked_for_once_more_and_then_dropped() -> None:
    way = played(KNOWN, key("1"), key("1"), EMPTY, EMPTY, EMPTY, EMPTY)
    assert [each.state.stage for each in way[3:]] == [Stage.NAME, Stage.SUBJECT, Stage.SUBJECT, Stage.SUMMARY]
    assert phrases(way[3])[0] == "capture.not_heard"
    assert way[4].keep.fields == {"name_recording": None}
    assert way[6].keep.fields == {"subject_recording": None}
    assert phrases(way[6]) == ["capture.summary_number", "capture.summary_confirm"]


@pytest.mark.parametrize(
    ("status", "kept"),
    [("DTMF", True), ("SILENCE", True), ("TIMEOUT", True), ("ERROR", False), ("SKIP", False), ("", False)],
)
def test_where_the_sound_cannot_be_read_the_status_decides(status: str, kept: bool) -> None:
    assert played(KNOWN, key("1"), key("1"), Answer(status, None))[-1].state.has_name is kept


def test_a_spoken_message_is_a_consent_and_is_dialled_when_the_number_is_known() -> None:
    silent = (key(""), key(""), key(""))
    known = played(KNOWN, *silent, SAID)[-1]
    assert (known.keep.consent_key, known.keep.consent_prompt) == ("recorded", "capture.message")
    assert known.keep.event is CallbackEvent.CAPTURED
    assert known.keep.fields == {"number": "+79161234567", "number_source": "caller_id"}
    unknown = played(WITHHELD, *silent, SAID)[-1]
    assert unknown.keep.event is CallbackEvent.BROKEN_OFF
    assert phrases(unknown) == ["capture.message_kept"]


def test_a_silent_message_promises_nothing() -> None:
    silent = (key(""), key(""), key(""))
    last = played(KNOWN, *silent, EMPTY, EMPTY)[-1]
    assert last.keep.event is CallbackEvent.CANCELLED
    assert not last.keep.consent_key
    assert phrases(last) == ["capture.nothing_kept"]


def test_a_silent_message_after_permission_still_holds() -> None:
    last = played(KNOWN, key("1"), key(""), key(""), key(""), EMPTY, EMPTY)[-1]
    assert last.keep.event is CallbackEvent.CAPTURED
    assert phrases(last) == ["capture.accepted"]


def test_the_farewell_stays_the_farewell() -> None:
    way = played(KNOWN, key("1"), key("1"), SAID, SAID, key("1"), key("2"), key("1"))
    assert [each.state.stage for each in way[-2:]] == [Stage.FAREWELL, Stage.FAREWELL]
    assert way[-1].keep == NOTHING


_answers = st.builds(
    Answer,
    st.sampled_from(
        ["", "1", "2", "9", "*", "#", "1234", "84951234567", "DTMF", "SILENCE", "HANGUP", "ERROR"]
    ),
    st.sampled_from([None, True, False]),
)


def _walk(facts: CaptureFacts, answers: list[Answer]) -> Iterator[Outcome]:
    outcome = begin(facts)
    yield outcome
    for answer in answers:
        stored = json.loads(json.dumps(outcome.state.as_json()))
        outcome = advance(CaptureState.from_json(stored), answer, facts)
        yield outcome


@given(st.booleans(), st.lists(_answers, max_size=MAX_TURNS + 10))
def test_whatever_a_caller_does(known: bool, answers: list[Answer]) -> None:
    """Never an exception, always something to hear, nothing promised that is not kept, and an end."""
    consented = False
    for turns, outcome in enumerate(_walk(KNOWN if known else WITHHELD, answers)):
        consented = consented or bool(outcome.keep.consent_key)
        assert outcome.turn.says
        if outcome.keep.event is CallbackEvent.CAPTURED:
            assert consented
            assert outcome.state.number
        if outcome.turn.do is Do.RECORD:
            assert outcome.turn.records is not None
        if turns > MAX_TURNS:
            assert outcome.state.stage is Stage.FAREWELL
