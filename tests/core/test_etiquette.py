"""The etiquette card: each rule passes, fails and cannot be measured, with what proves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bridge.core.day_plan import streak
from ami_bridge.core.etiquette import Case, Line, MarkSeen, NoteSeen, PromiseSeen, Verdict, median, score
from ami_bridge.core.etiquette_rules import RULES, etiquette_card, second_offers

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PASS, FAIL, NONE = Verdict.PASS, Verdict.FAIL, Verdict.UNMEASURED


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def instant(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


WHOLE = {"status": "SUCCESS", "started_at": at(11), "ended_at": at(15)}
RECORD: dict[str, Any] = {
    "call_id": "c1",
    "kind": "call",
    "direction": "inbound",
    "disposition": "ANSWERED",
    "complete": True,
    "ring_started_at": at(0),
    "ring_verdict": "ideal",
    "answered_on_ring": 3,
    "answered_at": at(11),
    "talk_started_at": at(15),
    "talk_seconds": 100.0,
    "ended_at": at(120),
    "greetings": [{"kind": "direct", **WHOLE}],
    "legs": [
        {"extension": "101", "rung": True, "rang_at": at(0), "answered_at": at(11), "outcome": "ANSWER"}
    ],
    "transfers": [],
    "hung_up_by": "caller",
    "hung_up_confidence": "high",
    "hung_up_evidence": ["HangupRequest of PJSIP/carrier-1"],
    "talk": {
        "agent_seconds": 20.0,
        "caller_seconds": 70.0,
        "agent_share": 0.22,
        "overtalk_seconds": 2.0,
        "agent_longest_seconds": 9.0,
        "caller_first_turn_seconds": 3.0,
    },
    "notes": [
        {"name": "farewell", "fields": {"Phase": "started"}},
        {"name": "farewell", "fields": {"Status": "SUCCESS"}},
    ],
    "gaps": [],
}
NOTE = {
    "last_name": "Иванов",
    "first_name": "Иван",
    "number": "+79161234567",
    "subject": "доставка",
    "result": "во вторник",
    "read_back": "yes",
    "decides": "сам",
    "phase_contact": "yes",
    "phase_subject": "yes",
    "phase_conclusion": "yes",
}
MARKS = (
    MarkSeen("card", "anna", instant(1), {"agent": "101"}),
    MarkSeen("typing", "anna", instant(30), {"agent": "101"}),
)


def case(record: dict[str, Any] | None = None, note: dict[str, Any] | None = None, **more: Any) -> Case:
    """A call in which every rule was kept, but for what is given."""
    known: dict[str, Any] = {
        "agent": "101",
        "seen_at": instant(4000),
        "notes": [NoteSeen(instant(200), "anna", {**NOTE, **(note or {})})],
        "marks": MARKS,
        "offers": 0,
        "median_talk": 90.0,
    }
    return Case({**RECORD, **(record or {})}, **{**known, **more})


def line(rule: str, given: Case) -> Line:
    return next(each for each in etiquette_card(given) if each.rule == rule)


def test_every_rule_has_its_line_and_a_good_call_breaks_none() -> None:
    lines = etiquette_card(case())
    assert [each.rule for each in lines] == [f"S{number}" for number in range(1, 28)]
    assert [each.rule for each in lines if each.verdict is FAIL] == []
    kept = {each.rule for each in lines if each.verdict is PASS}
    assert {"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S10", "S11", "S12", "S13", "S14", "S15"} <= kept
    assert {"S16", "S20", "S21", "S23", "S26", "S27"} <= kept
    assert all(each.evidence for each in lines if each.verdict is PASS)


TALK = RECORD["talk"]
LEG = RECORD["legs"][0]
MACHINE = {"kind": "machine", **WHOLE}
PROMISED = {"outcome": "promise", "promise_at": "2026-11-03T10:00", "promise_place": "Москва"}
DUE = PromiseSeen("open", instant(86_400), "Москва", None)
NO_NOTE: dict[str, Any] = {"notes": []}
NO_MARKS: dict[str, Any] = {"marks": ()}
UNANSWERED = {"disposition": "NO_ANSWER", "hung_up_by": "system"}

TABLE: list[tuple[str, Verdict, Case]] = [
    ("S1", FAIL, case({"ring_verdict": "early", "answered_on_ring": 1})),
    ("S1", FAIL, case({"ring_verdict": None, "failover_reason": "ring_deadline"})),
    ("S1", NONE, case({"ring_verdict": None})),
    ("S2", FAIL, case({"greetings": [{"kind": "direct", "status": "FAILED"}]})),
    ("S2", FAIL, case({"greetings": []})),
    ("S2", NONE, case({"greetings": [], "direction": "internal"})),
    ("S3", FAIL, case({"greetings": [{"kind": "queue-answer", "status": ""}]})),
    ("S3", NONE, case({"greetings": [{"kind": "queue-join", **WHOLE}]})),
    ("S4", FAIL, case(offers=1)),
    ("S4", NONE, case(offers=None)),
    ("S5", FAIL, case({"legs": [{**LEG, "outcome": "NOANSWER", "answered_at": None}]})),
    ("S5", FAIL, case({"legs": [{**LEG, "ring_verdict": "missed", "outcome": "CANCEL"}]})),
    ("S5", NONE, case({"legs": [{**LEG, "answered_at": None, "outcome": "CANCEL"}]})),
    ("S5", NONE, case({"legs": [{**LEG, "extension": "102"}]})),
    ("S6", FAIL, case(marks=(MarkSeen("typing", "anna", instant(130), {}),))),
    ("S6", NONE, case(**NO_MARKS)),
    ("S7", PASS, case({"transfers": [{"kind": "blind", "extension": "102"}]})),
    ("S7", FAIL, case({"transfers": [{"kind": "blind"}, {"kind": "attended"}]})),
    ("S7", NONE, case({"transfers": [{}, {}], "gaps": [{"lost_at": at(1)}]})),
    ("S8", PASS, case({**UNANSWERED, "queues": [{"name": "sales"}]})),
    ("S8", PASS, case({**UNANSWERED, "notes": [{"name": "spooled", "fields": {}}]})),
    ("S8", FAIL, case({**UNANSWERED, "greetings": [{"kind": "closed"}]})),
    ("S8", NONE, case({**UNANSWERED, "hung_up_by": "caller"})),
    ("S8", NONE, case()),
    ("S9", PASS, case(consent=True)),
    ("S9", FAIL, case(consent=False)),
    ("S9", NONE, case()),
    ("S10", NONE, case(**NO_NOTE)),
    ("S11", FAIL, case(notes=[NoteSeen(instant(301), "anna", NOTE)])),
    ("S11", FAIL, case(**NO_NOTE)),
    ("S11", FAIL, case(note={"result": ""})),
    ("S11", NONE, case(**NO_NOTE, seen_at=instant(200))),
    ("S12", FAIL, case({"hung_up_by": "agent"})),
    ("S12", PASS, case({"hung_up_by": "agent", "kind": "callback"})),
    ("S12", FAIL, case({"hung_up_by": "system"})),
    ("S12", NONE, case({"hung_up_by": "network"})),
    ("S12", NONE, case({"hung_up_by": "caller", "hung_up_confidence": "none"})),
    (
        "S13",
        FAIL,
        case({"notes": [{"name": "farewell", "fields": {"Phase": "started"}}], "hung_up_by": "system"}),
    ),
    ("S13", NONE, case({"notes": [{"name": "farewell", "fields": {"Phase": "started"}}]})),
    ("S13", NONE, case({"notes": []})),
    ("S14", FAIL, case({"talk": {**TALK, "agent_share": 0.7}})),
    ("S14", FAIL, case({"talk": {**TALK, "caller_first_turn_seconds": 46.0}})),
    ("S14", PASS, case({"talk": {**TALK, "agent_seconds": 1.0, "caller_seconds": 1.0, "agent_share": 0.5}})),
    ("S14", NONE, case({"talk": None})),
    ("S15", FAIL, case(marks=(MarkSeen("card", "anna", instant(12), {"agent": "101"}),))),
    ("S15", NONE, case(marks=(MarkSeen("card", "boss", instant(1), {"agent": "102"}),))),
    ("S16", FAIL, case(note={"phase_conclusion": ""})),
    ("S16", NONE, case(note={"phase_contact": "", "phase_subject": "", "phase_conclusion": ""})),
    ("S17", NONE, case()),
    (
        "S18",
        PASS,
        case(note=PROMISED, promise=PromiseSeen("done", instant(86_400), "Москва", instant(80_000))),
    ),
    ("S18", FAIL, case(note=PROMISED, promise=DUE, seen_at=instant(3 * 86_400))),
    ("S18", FAIL, case(note={**PROMISED, "promise_place": ""}, promise=DUE)),
    ("S18", FAIL, case(note=PROMISED, promise=PromiseSeen("done", instant(0), "М", instant(2 * 86_400)))),
    ("S18", NONE, case(note=PROMISED, promise=DUE)),
    ("S18", NONE, case()),
    ("S19", PASS, case({"greetings": [MACHINE]})),
    ("S19", FAIL, case({"greetings": [{**MACHINE, "status": ""}]})),
    ("S19", NONE, case()),
    ("S20", FAIL, case(note={"read_back": ""})),
    ("S20", NONE, case(**NO_NOTE)),
    ("S22", NONE, case()),
    ("S23", FAIL, case({"talk": {**TALK, "overtalk_seconds": 30.0}})),
    ("S23", FAIL, case({"talk": {**TALK, "agent_longest_seconds": 61.0}})),
    ("S23", NONE, case({"talk": {**TALK, "caller_seconds": None}})),
    ("S24", NONE, case()),
    ("S25", NONE, case()),
    ("S26", FAIL, case({"talk_seconds": 181.0})),
    ("S26", NONE, case(median_talk=None)),
    ("S27", FAIL, case(note={"decides": " "})),
    ("S27", NONE, case(**NO_NOTE)),
]


@pytest.mark.parametrize(
    ("rule", "verdict", "given"), TABLE, ids=[f"{n}-{r}-{v}" for n, (r, v, _) in enumerate(TABLE)]
)
def test_a_rule(rule: str, verdict: Verdict, given: Case) -> None:
    assert line(rule, given).verdict is verdict


def test_a_gap_leaves_nothing_to_events() -> None:
    lines = etiquette_card(case({"gaps": [{"lost_at": at(5), "found_at": at(6)}]}))
    measured = {each.rule for each in lines if each.verdict is not NONE}
    assert measured <= {"S6", "S10", "S11", "S16", "S20", "S21", "S27"}, "what the desk itself knows"


@pytest.mark.parametrize("record", [{}, {"legs": ["x", None], "talk": "x", "greetings": [None], "notes": 0}])
def test_a_record_of_another_age_is_not_measurable_rather_than_wrong(record: dict[str, Any]) -> None:
    lines = etiquette_card(Case(record, "101", START))
    assert len(lines) == 27
    assert not [each for each in lines if each.verdict is FAIL]


def test_a_disputed_line_counts_for_nothing_until_it_is_settled() -> None:
    def mark(kind: str, seconds: int, **detail: str) -> MarkSeen:
        return MarkSeen(kind, "somebody", instant(seconds), {"rule": "S12", "comment": "x", **detail})

    broken = {"hung_up_by": "agent"}
    disputed = line("S12", case(broken, marks=(*MARKS, mark("dispute", 500))))
    assert (disputed.verdict, disputed.measured, disputed.disputed) == (NONE, FAIL, True)
    settled = line("S12", case(broken, marks=(mark("dispute", 500), mark("settlement", 600, verdict="pass"))))
    assert (settled.verdict, settled.measured, settled.disputed) == (PASS, FAIL, False)
    assert settled.settlement["by"] == "somebody"
    again = (mark("dispute", 500), mark("settlement", 600, verdict="fail"), mark("dispute", 700))
    assert line("S12", case(broken, marks=again)).disputed
    alone = line("S12", case(broken, marks=(mark("settlement", 600, verdict="pass"),)))
    assert (alone.verdict, alone.settlement) == (FAIL, {}), "nobody had disputed it"


def test_thin_data_score_nobody() -> None:
    good = etiquette_card(case())
    assert score([good] * 19).rate is None
    told = score([good] * 19 + [etiquette_card(case({"hung_up_by": "agent"}))])
    assert told.calls == 20
    assert told.rules["S12"] == (19, 1)
    assert told.rate is not None
    assert 0.99 < told.rate < 1
    assert median([1.0] * 19) is None
    assert median([*map(float, range(20))]) == 9.5


def test_a_second_offer_is_a_call_that_rang_during_the_talk() -> None:
    def other(call_id: str, seconds: float, extension: str = "101") -> dict[str, Any]:
        return {"call_id": call_id, "legs": [{"extension": extension, "dialled_at": at(seconds)}]}

    others = [other("a", 50), other("b", 14), other("c", 116), other("d", 60, "102"), other("c1", 50)]
    assert second_offers("101", RECORD, others) == 1
    assert second_offers("101", {**RECORD, "talk_seconds": None}, others) is None


def test_a_streak_passes_over_closed_days_and_today_breaks_nothing() -> None:
    monday = START.date()
    days = [monday - timedelta(days=number) for number in (3, 4)]  # Friday and Thursday

    def works(day: Any) -> bool:
        return day.weekday() < 5

    assert streak(days, works, monday) == 2
    assert streak([*days, monday], works, monday) == 3
    assert streak(days, works, monday + timedelta(days=1)) == 0
    assert streak([], works, monday) == 0
    assert streak([], lambda _day: False, monday) == 0


def test_the_rules_are_all_there() -> None:
    assert len(RULES) == 27
