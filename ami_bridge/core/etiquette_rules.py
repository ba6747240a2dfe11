"""Each rule of telephone etiquette as a measure of one call: verdict and evidence. Pure.

The rules are in the project's etiquette; what each looks at is said with it. A rule that has no measure (S17, S22 for
one call, S24, S25) says so. Where the link to the PBX was lost during the call, no event counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ami_bridge.core.etiquette import Case, Evidence, Finding, Line, MarkSeen, Verdict, with_disputes
from ami_bridge.core.notes import REQUIRED, is_complete, phases_ticked

Rule = Callable[[Case], Finding]
_PASS, _FAIL = Verdict.PASS, Verdict.FAIL
#: Greetings that a person's answer is followed by: they end with the open question (S3).
_ASKING = frozenset({"direct", "queue-answer", "callback"})
_MUST_BE_TICKED = ("contact", "subject", "conclusion")


def etiquette_card(case: Case) -> tuple[Line, ...]:
    """All 27 lines, as they count."""
    lines = []
    for name, rule in RULES.items():
        found = rule(case)
        lines.append(Line(name, found.verdict, found.evidence, found.verdict))
    return with_disputes(lines, case.marks)


# What the rules look at -------------------------------------------------------------------


def _unmeasured(what: str = "", value: Any = "") -> Finding:
    return Finding(Verdict.UNMEASURED, (_seen(what, value),) if what else ())


def _seen(what: str, value: Any = "") -> Evidence:
    return Evidence(f"ev_{what}", value if isinstance(value, str) else str(value))


def _judged(good: bool, *evidence: Evidence) -> Finding:
    return Finding(_PASS if good else _FAIL, evidence)


def _at(value: Any) -> datetime | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _parts(case: Case, name: str) -> list[Mapping[str, Any]]:
    return [part for part in case.record.get(name) or () if isinstance(part, Mapping)]


def _noted(case: Case, name: str) -> list[Mapping[str, Any]]:
    return [part.get("fields") or {} for part in _parts(case, "notes") if part.get("name") == name]


def _answered(case: Case) -> bool:
    return case.record.get("disposition") == "ANSWERED"


def _marks(case: Case, kind: str) -> list[MarkSeen]:
    return [mark for mark in case.marks if mark.kind == kind]


def _watched(rule: Rule) -> Rule:
    """Only where somebody listened to the whole call."""

    def measured(case: Case) -> Finding:
        return _unmeasured("gap") if case.record.get("gaps") else rule(case)

    return measured


def _served(rule: Rule) -> Rule:
    """Only for calls in which somebody talked with the caller."""

    def measured(case: Case) -> Finding:
        return rule(case) if _answered(case) else _unmeasured("not_answered")

    return measured


def _noted_call(rule: Rule) -> Rule:
    """Only for calls with a complete note."""

    def measured(case: Case) -> Finding:
        return rule(case) if is_complete(case.fields) else _unmeasured("no_note")

    return _served(measured)


# The rules --------------------------------------------------------------------------------


def _s1(case: Case) -> Finding:
    """Picked up between the 2nd and the 4th ring."""
    verdict, ring = case.record.get("ring_verdict"), case.record.get("answered_on_ring")
    if case.record.get("failover_reason") == "ring_deadline":
        return _judged(False, _seen("ring_deadline"))
    if verdict not in {"early", "ideal", "late", "missed"}:
        return _unmeasured("no_ring_clock")
    evidence = [_seen("ring", ring)] if ring is not None else []
    started = case.record.get("ring_started_at")
    return _judged(verdict == "ideal", *evidence, *([_seen("rang_at", started)] if started else []))


def _s2(case: Case) -> Finding:
    """A greeting was played, and whole."""
    played = _parts(case, "greetings")
    if not played:
        inbound = case.record.get("direction") == "inbound" and case.record.get("complete")
        return _judged(False, _seen("no_greeting")) if inbound and _answered(case) else _unmeasured()
    evidence = tuple(
        _seen("greeting", f"{each.get('kind')} {each.get('started_at') or ''} {each.get('status') or '…'}")
        for each in played
    )
    return _judged(played[-1].get("status") == "SUCCESS", *evidence)


def _s3(case: Case) -> Finding:
    """The greeting that ends with the open question was heard whole."""
    asking = [each for each in _parts(case, "greetings") if each.get("kind") in _ASKING]
    if not asking:
        return _unmeasured()
    return _judged(asking[-1].get("status") == "SUCCESS", _seen("greeting", asking[-1].get("kind") or ""))


def _s4(case: Case) -> Finding:
    """No other call was offered during the talk."""
    if case.offers is None:
        return _unmeasured()
    return _judged(case.offers == 0, _seen("offers", case.offers))


def _s5(case: Case) -> Finding:
    """The agent's own phone did not ring out."""
    legs = [leg for leg in _parts(case, "legs") if leg.get("extension") == case.agent and leg.get("rung")]
    if not legs:
        return _unmeasured()
    missed = [leg for leg in legs if leg.get("outcome") == "NOANSWER" or leg.get("ring_verdict") == "missed"]
    if not missed and not any(leg.get("answered_at") for leg in legs):
        return _unmeasured()
    shown = [_seen("rang_out", leg.get("rang_at") or "") for leg in missed]
    return _judged(not missed, *(shown or [_seen("picked_up", legs[-1].get("answered_at") or "")]))


def _s6(case: Case) -> Finding:
    """The note was begun while they still talked."""
    begun, ended = _marks(case, "typing"), _at(case.record.get("ended_at"))
    if not begun or ended is None:
        return _unmeasured()
    return _judged(begun[0].at <= ended, _seen("note_begun", begun[0].at.isoformat()))


def _s7(case: Case) -> Finding:
    """Not handed over more often than the budget allows."""
    made = _parts(case, "transfers")
    evidence = [
        _seen("transfer", f"{each.get('kind')} {each.get('extension')} {each.get('outcome')}")
        for each in made
    ]
    return _judged(len(made) <= case.house.transfer_budget, _seen("transfers", len(made)), *evidence)


def _s8(case: Case) -> Finding:
    """Whom nobody answered was offered the queue, a callback or a message."""
    if _answered(case) or case.record.get("direction") != "inbound":
        return _unmeasured()
    offers = [name for name in ("callback", "spooled", "queue") if _noted(case, name)]
    if offers or _parts(case, "queues"):
        return _judged(True, _seen("offer", ", ".join(offers) or "queue"))
    closed = any(each.get("kind") == "closed" for each in _parts(case, "greetings"))
    if case.record.get("hung_up_by") == "caller" or not closed:
        return _unmeasured("caller_left")
    return _judged(False, _seen("no_offer"))


def _s9(case: Case) -> Finding:
    """Permission to ring back is kept as evidence."""
    return _unmeasured() if case.consent is None else _judged(case.consent, _seen("consent"))


def _s10(case: Case) -> Finding:
    """Name and number are written down."""
    lacking = [name for name in ("last_name", "first_name", "number") if not case.fields.get(name)]
    return _judged(not lacking, *(map(_lacks, lacking) if lacking else [_seen("fields")]))


def _s11(case: Case) -> Finding:
    """The note was complete in time."""
    ended = _at(case.record.get("ended_at"))
    if ended is None:
        return _unmeasured()
    due = ended + timedelta(seconds=case.house.note_seconds)
    whole = next((note for note in case.notes if is_complete(note.fields)), None)
    if whole is None:
        lacking = [name for name in REQUIRED if not case.fields.get(name)]
        return (
            _judged(False, _seen("no_note"), *map(_lacks, lacking)) if case.seen_at > due else _unmeasured()
        )
    return _judged(whole.at <= due, _seen("note_at", whole.at.isoformat()))


def _lacks(name: str) -> Evidence:
    return _seen("lacking", name)


def _s12(case: Case) -> Finding:
    """Whoever called hung up first; in a call that we made, that may be us."""
    by = case.record.get("hung_up_by")
    proof = tuple(_seen("event", str(line)) for line in case.record.get("hung_up_evidence") or ())
    if by not in {"caller", "agent", "system"} or case.record.get("hung_up_confidence") == "none":
        return Finding(Verdict.UNMEASURED, proof)
    ours = case.record.get("kind") == "callback"
    return _judged(by == "caller" or (ours and by == "agent"), _seen("hung_up_by", by), *proof)


def _s13(case: Case) -> Finding:
    """The farewell was heard whole; who hangs up in it himself has not been cut off by us."""
    said = [each.get("Phase") for each in _noted(case, "farewell")]
    if not said:
        return _unmeasured()
    whole = any(each.get("Status") == "SUCCESS" for each in _noted(case, "farewell"))
    if not whole and case.record.get("hung_up_by") == "caller":
        return _unmeasured("caller_left")
    return _judged(whole, _seen("farewell"))


def _s14(case: Case) -> Finding:
    """The caller spoke most, and had the word early."""
    talk = case.record.get("talk")
    talk = talk if isinstance(talk, Mapping) else {}
    spoken = [_number(talk.get(f"{side}_seconds")) or 0.0 for side in ("agent", "caller")]
    share, first = _number(talk.get("agent_share")), _number(talk.get("caller_first_turn_seconds"))
    judged: list[tuple[bool, Evidence]] = []
    if share is not None and sum(spoken) >= case.house.least_speech_seconds:
        judged.append((share <= case.house.most_agent_share, _seen("share", f"{share:.0%}")))
    if first is not None:
        judged.append((first <= case.house.introduction_seconds, _seen("introduction", f"{first:.1f} s")))
    if not judged:
        return _unmeasured()
    return _judged(all(good for good, _ in judged), *(evidence for _, evidence in judged))


def _s15(case: Case) -> Finding:
    """The dossier stood on the desk before the answer."""
    shown = [mark for mark in _marks(case, "card") if mark.detail.get("agent") == case.agent]
    answered = _at(case.record.get("answered_at"))
    if not shown or answered is None:
        return _unmeasured()
    return _judged(shown[0].at <= answered, _seen("card_at", shown[0].at.isoformat()))


def _s16(case: Case) -> Finding:
    """The phases that every call has were ticked."""
    ticked = phases_ticked(case.fields)
    if not ticked:
        return _unmeasured()
    return _judged(set(_MUST_BE_TICKED) <= set(ticked), *(_seen("phase", phase) for phase in ticked))


def _s18(case: Case) -> Finding:
    """Date, time and place were agreed on, and kept."""
    fields, promise = case.fields, case.promise
    if fields.get("outcome") == "promise" and not (fields.get("promise_at") and fields.get("promise_place")):
        return _judged(False, _seen("no_date_or_place"))
    if promise is None or promise.state == "called_off":
        return _unmeasured()
    evidence = _seen("due", promise.due_at.isoformat())
    if promise.state == "done":
        in_time = promise.settled_at is None or promise.settled_at.date() <= promise.due_at.date()
        return _judged(in_time, evidence, _seen("done", str(promise.settled_at or "")))
    return _judged(False, evidence) if case.seen_at.date() > promise.due_at.date() else _unmeasured()


def _s19(case: Case) -> Finding:
    """A machine was left the message, whole."""
    left = [each for each in _parts(case, "greetings") if each.get("kind") == "machine"]
    return _judged(left[-1].get("status") == "SUCCESS", _seen("machine")) if left else _unmeasured()


def _s20(case: Case) -> Finding:
    """The number was read back."""
    return _judged(case.fields.get("read_back") == "yes", _seen("read_back"))


def _s23(case: Case) -> Finding:
    """He let the caller speak: little overtalk, no long monologue."""
    talk = case.record.get("talk")
    talk = talk if isinstance(talk, Mapping) else {}
    sides = [_number(talk.get(f"{side}_seconds")) for side in ("agent", "caller")]
    over, longest = _number(talk.get("overtalk_seconds")), _number(talk.get("agent_longest_seconds"))
    spoken = sum(side or 0.0 for side in sides)
    if None in sides or over is None or longest is None or spoken < case.house.least_speech_seconds:
        return _unmeasured()
    good = over <= case.house.most_overtalk_share * spoken
    good = good and longest <= case.house.longest_monologue_seconds
    return _judged(good, _seen("overtalk", f"{over:.1f} s"), _seen("monologue", f"{longest:.1f} s"))


def _s26(case: Case) -> Finding:
    """Not much longer than the department's calls are."""
    length = _number(case.record.get("talk_seconds"))
    if length is None or case.median_talk is None:
        return _unmeasured()
    most = case.house.longest_against_median * case.median_talk
    return _judged(
        length <= most, _seen("length", f"{length:.0f} s"), _seen("median", f"{case.median_talk:.0f} s")
    )


def _s27(case: Case) -> Finding:
    """Who decides is known."""
    return _judged(bool(str(case.fields.get("decides") or "").strip()), _seen("decides"))


def _never(_case: Case) -> Finding:
    return _unmeasured("no_measure")


RULES: Mapping[str, Rule] = {
    "S1": _watched(_s1),
    "S2": _watched(_s2),
    "S3": _watched(_s3),
    "S4": _watched(_served(_s4)),
    "S5": _watched(_s5),
    "S6": _served(_s6),
    "S7": _watched(_served(_s7)),
    "S8": _watched(_s8),
    "S9": _s9,
    "S10": _noted_call(_s10),
    "S11": _served(_s11),
    "S12": _watched(_served(_s12)),
    "S13": _watched(_served(_s13)),
    "S14": _watched(_served(_s14)),
    "S15": _watched(_served(_s15)),
    "S16": _noted_call(_s16),
    "S17": _never,
    "S18": _served(_s18),
    "S19": _watched(_s19),
    "S20": _noted_call(_s20),
    "S21": _served(_s6),
    "S22": _never,
    "S23": _watched(_served(_s23)),
    "S24": _never,
    "S25": _never,
    "S26": _watched(_served(_s26)),
    "S27": _noted_call(_s27),
}
"""In the order of the rules."""


def second_offers(agent: str, record: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> int | None:
    """How many of the ``others`` rang the agent's phone while the talk of ``record`` went on (S4)."""
    begin, length = _at(record.get("talk_started_at")), _number(record.get("talk_seconds"))
    if begin is None or length is None:
        return None
    end = begin + timedelta(seconds=length)
    dialled = (
        _at(leg.get("dialled_at"))
        for other in others
        if other.get("call_id") != record.get("call_id")
        for leg in other.get("legs") or ()
        if isinstance(leg, Mapping) and leg.get("extension") == agent
    )
    return sum(at is not None and begin < at < end for at in dialled)
