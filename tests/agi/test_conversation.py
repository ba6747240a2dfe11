"""The capture conversation as tables: every branch, wrong keys, silence, and what is kept at each point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi.conversation import Outcome, advance, begin
from agi.turns import (
    MAX_TURNS,
    NOTHING,
    Answer,
    CaptureFacts,
    CaptureState,
    Do,
    Kind,
    Number,
    Phrase,
    Recording,
    Stage,
)
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.core.hours import Schedule, week_of
from ami_bridge.core.suiting import common_windows
from ami_bridge.numbers import CheckedNumber, Refusal, check_number

_checked = check_number("+79161234567", "RU", ["RU"])
assert isinstance(_checked, CheckedNumber)
MOSCOW = ZoneInfo("Europe/Moscow")
NOW = datetime(2026, 3, 11, 12, 0, tzinfo=MOSCOW)  # a Wednesday
WORK, DECENT = week_of(["mon-fri 10:00-19:00"]), week_of(["mon-sun 09:00-21:00"])
WINDOWS = common_windows([Schedule(MOSCOW, WORK), Schedule(MOSCOW, DECENT)], NOW, NOW + timedelta(days=8))
KNOWN = CaptureFacts(_checked, NOW, "RU", ("RU",), ("74950000001",), zone=MOSCOW, windows=WINDOWS)
WITHHELD = replace(KNOWN, caller=None)
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
    way = played(KNOWN, key("1"), key("1"), SAID, SAID, key("1"), key("1"))
    assert [each.state.stage for each in way] == [
        Stage.PERMISSION,
        Stage.NUMBER_CONFIRM,
        Stage.NAME,
        Stage.SUBJECT,
        Stage.SUITS,
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
    assert way[6].keep.event is CallbackEvent.CAPTURED
    assert way[6].turn.do is Do.WAIT
    assert phrases(way[6]) == ["capture.accepted"]


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


def test_the_own_number_typed_by_hand_is_no_strangers() -> None:
    way = played(KNOWN, key("1"), key("2"), key("89161234567"))
    assert (way[3].keep.fields["number"], way[3].keep.fields["number_source"]) == (
        "+79161234567",
        "caller_id",
    )


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
    ("pressed", "sorry"), [("9", "capture.wrong_key"), ("0", "capture.wrong_key"), ("", "capture.silence")]
)
@pytest.mark.parametrize(
    ("before", "stage", "way_out"),
    [
        ((), Stage.PERMISSION, Stage.MESSAGE),
        ((key("1"),), Stage.NUMBER_CONFIRM, Stage.MESSAGE),
        ((key("1"), key("1"), SAID, SAID), Stage.SUITS, Stage.SUMMARY),
        ((key("1"), key("1"), SAID, SAID, key("1")), Stage.SUMMARY, Stage.FAREWELL),
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
    way = played(KNOWN, key("1"), key("1"), SAID, SAID, key("1"), key(""), key(""), key(""))
    assert way[-1].keep.event is CallbackEvent.CAPTURED


def summary(*answers: Answer, facts: CaptureFacts = KNOWN) -> list[Outcome]:
    """The conversation up to the summary, and on from there."""
    return played(facts, key("1"), key("1"), SAID, SAID, key("1"), *answers)


@pytest.mark.parametrize(
    ("pressed", "stage", "answer"),
    [
        ("2", Stage.NUMBER_CONFIRM, key("1")),
        ("3", Stage.NAME, SAID),
        ("4", Stage.SUBJECT, SAID),
        ("5", Stage.SUITS, key("1")),
    ],
)
def test_the_summary_has_one_thing_changed_and_is_said_again(
    pressed: str, stage: Stage, answer: Answer
) -> None:
    way = summary(key(pressed), answer, key("1"))
    assert [each.state.stage for each in way[6:]] == [stage, Stage.SUMMARY, Stage.FAREWELL]
    assert Recording(Kind.NAME) in way[7].turn.says
    assert way[8].keep.event is CallbackEvent.CAPTURED


def test_a_recording_that_was_replaced_by_silence_is_gone_from_the_summary() -> None:
    way = summary(key("3"), EMPTY, EMPTY)
    assert way[8].keep.fields == {"name_recording": None}
    assert Recording(Kind.NAME) not in way[8].turn.says
    assert Recording(Kind.SUBJECT) in way[8].turn.says


def test_a_star_is_a_wish_to_hear_it_again_not_a_mistake() -> None:
    way = summary(*[key("*")] * 5)
    assert {each.state.stage for each in way[5:]} == {Stage.SUMMARY}
    assert {each.state.misses for each in way[5:]} == {0}
    assert phrases(way[-1])[0] == "capture.summary_number"


def test_empty_recordings_are_asked_for_once_more_and_then_dropped() -> None:
    way = played(KNOWN, key("1"), key("1"), EMPTY, EMPTY, EMPTY, EMPTY)
    assert [each.state.stage for each in way[3:]] == [Stage.NAME, Stage.SUBJECT, Stage.SUBJECT, Stage.SUITS]
    assert phrases(way[3])[0] == "capture.not_heard"
    assert way[4].keep.fields == {"name_recording": None}
    assert way[6].keep.fields == {"subject_recording": None}
    spoken = phrases(advance(way[6].state, key("1"), KNOWN))
    assert spoken == [
        "capture.summary_number",
        "capture.summary_soon",
        "capture.summary_confirm",
        "capture.summary_change",
    ]


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
    way = summary(key("1"), key("2"), key("1"))
    assert [each.state.stage for each in way[-2:]] == [Stage.FAREWELL, Stage.FAREWELL]
    assert way[-1].keep == NOTHING


def agreed(*answers: Answer, facts: CaptureFacts = KNOWN) -> list[Outcome]:
    """The conversation up to the question when it suits, and on from there."""
    return played(facts, key("1"), key("1"), SAID, SAID, *answers)


def test_as_soon_as_possible_stores_no_time() -> None:
    assert agreed(key("1"))[-1].keep.fields == {
        "suits_text": "",
        "due_at": None,
        "suits_until": None,
        "time_zone": "",
    }


def test_the_rest_of_today_is_offered_by_its_parts() -> None:
    way = agreed(key("2"), key("1"), key("3"))
    assert phrases(way[5]) == ["capture.suits_which_part", "capture.part_afternoon", "capture.part_evening"]
    assert phrases(way[6])[0] == "capture.wrong_key", "the morning is over"
    kept = way[7].keep.fields
    assert (kept["due_at"], kept["suits_until"]) == (
        datetime(2026, 3, 11, 15, 0, tzinfo=UTC),
        datetime(2026, 3, 11, 16, 0, tzinfo=UTC),  # the department closes at 19:00
    )
    assert kept["suits_text"] == "2026-03-11 18:00–19:00 Europe/Moscow"
    assert phrases(way[7])[3:5] == ["capture.summary_today", "hours.18"]


def test_a_day_and_an_hour() -> None:
    way = agreed(key("3"), key("3"), key("05"), key("14"))
    days = [phrase for phrase in phrases(way[5]) if phrase.startswith("weekdays.")]
    assert days == ["weekdays.4", "weekdays.5", "weekdays.1", "weekdays.2", "weekdays.3"]
    hours = [phrase for phrase in phrases(way[6]) if phrase.startswith("hours.")]
    assert hours == ["hours.10", "hours.18"]
    assert phrases(way[7])[0] == "capture.hour_closed"
    kept = way[8].keep.fields
    assert kept["due_at"] == datetime(2026, 3, 16, 11, 0, tzinfo=UTC)
    assert kept["suits_text"] == "2026-03-16 14:00–15:00 Europe/Moscow"
    assert phrases(way[8])[3:7] == ["capture.summary_day", "weekdays.1", "capture.summary_hour", "hours.14"]


@pytest.mark.parametrize("wrong", ["", "0", "99", "7", "00"])
@pytest.mark.parametrize("before", [("2",), ("3",), ("3", "1")])
def test_who_cannot_choose_is_rung_as_soon_as_possible(before: tuple[str, ...], wrong: str) -> None:
    way = agreed(*map(key, before), key(wrong), key(wrong), key(wrong))
    assert [each.state.stage for each in way[-3:-1]] == [way[-4].state.stage] * 2
    assert way[-1].state.stage is Stage.SUMMARY
    assert way[-1].keep.fields["due_at"] is None


def test_what_cannot_be_kept_is_not_offered() -> None:
    way = agreed(key("2"), key("3"), facts=replace(KNOWN, windows=()))
    assert phrases(way[4]) == ["capture.suits"]
    assert [each.state.stage for each in way[5:]] == [Stage.SUITS, Stage.SUITS]


def test_the_clock_is_said_to_be_the_callers_where_it_is_another() -> None:
    far = replace(KNOWN, zone=ZoneInfo("Asia/Vladivostok"), zone_is_callers=True)
    way = agreed(key("3"), key("1"), key("12"), facts=far)
    assert "capture.clock_yours" in phrases(way[6])
    assert phrases(way[7])[0] == "capture.hour_closed", "five in the morning at ours"
    last = advance(way[6].state, key("18"), far)
    assert last.keep.fields["due_at"] == datetime(2026, 3, 12, 8, 0, tzinfo=UTC)
    assert last.keep.fields["time_zone"] == "Asia/Vladivostok"


def test_the_time_can_be_changed_at_the_summary() -> None:
    way = agreed(key("3"), key("1"), key("14"), key("5"), key("1"), key("1"))
    assert [each.state.stage for each in way[-3:]] == [Stage.SUITS, Stage.SUMMARY, Stage.FAREWELL]
    assert way[-2].keep.fields["due_at"] is None
    assert "capture.summary_soon" in phrases(way[-2])


@pytest.mark.parametrize("refusal", [Refusal.DO_NOT_CALL, Refusal.TOO_MANY])
def test_a_number_that_the_store_refuses_is_logged_and_another_asked_for(refusal: Refusal) -> None:
    facts = replace(WITHHELD, refused={"+74951234567": refusal})
    way = played(facts, key("1"), key("84951234567"))
    assert phrases(way[2])[0] == "capture.number_refused"
    assert (way[2].keep.refusal, way[2].keep.refused) == (refusal, "84951234567")
    assert way[2].state.number == ""


def test_who_is_noted_often_enough_hears_so_and_nothing_is_made() -> None:
    number = "+79161234567"
    facts = replace(WITHHELD, caller_refused=Refusal.TOO_MANY, caller_id=number, noted=(number,))
    way = played(facts, key("1"))
    assert phrases(way[1]) == ["capture.noted"]
    assert (way[1].keep.starts, way[1].keep.consent_key) == (False, "")
    assert way[1].keep.refusal is Refusal.TOO_MANY
    unknown = played(replace(facts, noted=()), key("1"))
    assert unknown[1].state.stage is Stage.NUMBER_TYPE, "nothing of his is open: he may give another number"


_answers = st.builds(
    Answer,
    st.sampled_from(
        [
            "",
            "1",
            "2",
            "3",
            "5",
            "9",
            "*",
            "#",
            "14",
            "1234",
            "84951234567",
            "DTMF",
            "SILENCE",
            "HANGUP",
            "ERROR",
        ]
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


OPEN = replace(KNOWN, open_now=True)


@pytest.mark.parametrize("before", [(), (key("1"),), (key("1"), key("2"))])
def test_three_misses_go_to_a_person_first_and_then_to_the_message(before: tuple[Answer, ...]) -> None:
    """At the permission, at the number, while one is typed: once, and only while the department is open."""
    misses = (key(""), key("*") if not before else key(""), key(""), key(""))[: 4 if not before else 3]
    way = played(OPEN, *before, *misses)
    assert way[-1].turn.do is Do.PERSON
    assert phrases(way[-1]) == ["capture.to_person"]
    assert stages(OPEN, *before, *misses, key("alone"))[-1] is Stage.MESSAGE
    assert stages(KNOWN, *before, *misses)[-1] is Stage.MESSAGE
    # He has waited again, pressed 1, and still gets along with no question.
    again = stages(OPEN, *before, *misses, key(""), key(""), key(""), key(""))
    assert again[-4:] == [Stage.PERMISSION, Stage.PERMISSION, Stage.PERMISSION, Stage.MESSAGE]


def test_in_a_flood_only_messages_are_taken_and_nothing_is_dialled_by_itself() -> None:
    way = played(replace(KNOWN, flooded=True, did="74950000001"), key("1"), SAID)
    assert way[1].state.stage is Stage.MESSAGE
    assert (way[1].keep.refusal, way[1].keep.refused) == (Refusal.FLOOD, "74950000001")
    assert not way[1].keep.starts
    assert way[2].keep.event is CallbackEvent.BROKEN_OFF
    assert way[2].keep.fields == {}


SPELLS = replace(KNOWN, spells="en")


def test_a_name_is_spelled_by_key_where_the_company_wants_it_and_read_back() -> None:
    way = played(SPELLS, key("1"), key("1"), SAID, key("5*666*44*66"), SAID, key("1"))
    assert [each.state.stage for each in way[3:5]] == [Stage.SPELL, Stage.SUBJECT]
    assert way[4].keep.fields == {"name_text": "John"}
    heard = phrases(way[-1])
    assert heard[heard.index("letters.J") :][:4] == ["letters.J", "letters.O", "letters.H", "letters.N"]


def test_spelling_is_a_choice_and_nonsense_is_forgiven() -> None:
    spelling = (key("1"), key("1"), SAID)
    assert stages(SPELLS, *spelling, key(""))[-1] is Stage.SUBJECT
    way = played(SPELLS, *spelling, key("1"), key("*"), key("23"), key("99999"))
    assert [each.state.stage for each in way[-4:]] == [Stage.SPELL, Stage.SPELL, Stage.SPELL, Stage.SUBJECT]
    assert phrases(way[-4])[0] == "capture.wrong_key"
    assert not any(each.keep.fields.get("name_text") for each in way)
    # Said anew from the summary, the old letters do not stand beside the new name.
    again = played(SPELLS, *spelling, key("2"), SAID, key("1"), key("3"), SAID, key(""))[-1]
    assert again.state.stage is Stage.SUMMARY
    assert not again.state.spelled
    assert again.keep.fields == {"name_text": ""}
