"""The etiquette card: who may see it, disputing a line, settling the dispute, figures of a team."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Literal, cast

from pydantic import AwareDatetime, StringConstraints

from ami_bridge.adapters.store import CallMark, NotStored, Store
from ami_bridge.core.etiquette import Line, Verdict, score
from ami_bridge.core.etiquette_rules import RULES
from ami_bridge.desk.calls_api import call_of
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.etiquette import Card, card_of, cards_of, is_own, may_open
from ami_bridge.desk.rights import Account, Role, Scope
from ami_bridge.desk.shapes import In, Out
from ami_bridge.desk.trail import trace
from ami_bridge.desk.view import now_utc
from ami_bridge.settings import Settings

_MOST_CALLS = 1000
_Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class EvidenceOut(Out):
    """One thing that was seen."""

    what: str
    value: str


class SaidOut(Out):
    """What somebody said about a line."""

    by: str
    at: datetime
    comment: str
    verdict: str = ""


class CardLineOut(Out):
    """One rule. ``measured`` is what the events say, ``verdict`` what counts."""

    rule: str
    verdict: Verdict
    measured: Verdict
    evidence: list[EvidenceOut]
    dispute: SaidOut | None
    settlement: SaidOut | None


class CardOut(Out):
    """All rules of one call."""

    call_id: str
    agent: str
    lines: list[CardLineOut]


class DisputeIn(In):
    """Why the line is not right."""

    comment: _Comment


class SettleLineIn(In):
    """What counts from now on, and why."""

    verdict: Verdict
    comment: _Comment


class TeamQuery(In):
    """Calls that started in this stretch; the last 30 days without one."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class RuleFigures(Out):
    """How often a rule was kept."""

    rule: str
    kept: int
    broken: int


class AgentFigures(Out):
    """One agent. ``rate`` is null on fewer than 20 measured calls: no score on thin data."""

    agent: str
    calls: int
    rate: float | None
    rules: list[RuleFigures]


class TeamOut(Out):
    """By extension, never ranked."""

    agents: list[AgentFigures]


def _said(said: object) -> SaidOut | None:
    return SaidOut.model_validate(said) if said else None


def line_out(line: Line) -> CardLineOut:
    """For the API."""
    return CardLineOut(
        rule=line.rule,
        verdict=line.verdict,
        measured=line.measured,
        evidence=[EvidenceOut(what=each.what, value=each.value) for each in line.evidence],
        dispute=_said(line.dispute),
        settlement=_said(line.settlement),
    )


async def card_for(ask: Ask) -> Card:
    """The card that the path names. What the agent sees first is marked as seen.

    Raises:
        NotStored: no such call, or none of this account's; HTTPConflict: the agent has not seen it yet.
    """
    call, now = await call_of(ask), now_utc()
    card = await card_of(ask.store, ask.settings, call, now)
    if is_own(ask.account, card):
        if not card.seen:
            await ask.store.add_mark(CallMark(f"seen:{call.id}", call.id, "seen", ask.who, now))
        return card
    if not ask.account.is_at_least(Role.SUPERVISOR):
        raise NotStored("card", call.id)
    if not may_open(ask.account, card, ask.settings, now):
        raise fault(
            409, "The agent sees the card first: it is open to you when that has happened, or a day later."
        )
    return card


async def show_card(ask: Ask) -> CardOut:
    """Every rule with pass, fail or not measurable, and what proves it."""
    card = await card_for(ask)
    return CardOut(call_id=card.call.id, agent=card.agent, lines=[line_out(line) for line in card.lines])


async def dispute_line(ask: Ask) -> CardLineOut:
    """The agent says why a line of the own card is not right; it counts for nothing until it is settled."""
    card, rule = await card_for(ask), _rule(ask)
    if not is_own(ask.account, card):
        raise fault(409, "Only the agent whose card it is disputes a line.")
    comment = cast(DisputeIn, ask.body).comment
    return await _marked(ask, card, "dispute", rule, {"rule": rule, "comment": comment})


async def settle_line(ask: Ask) -> CardLineOut:
    """A supervisor decides what counts. Nobody settles the own card."""
    card, rule = await card_for(ask), _rule(ask)
    if is_own(ask.account, card):
        raise fault(409, "Nobody settles the own card.")
    line = next(line for line in card.lines if line.rule == rule)
    if not line.disputed:
        raise fault(409, f"Nobody disputes {rule} of this call.")
    wanted = cast(SettleLineIn, ask.body)
    detail = {"rule": rule, "comment": wanted.comment, "verdict": wanted.verdict.value}
    return await _marked(ask, card, "settlement", rule, detail)


def _rule(ask: Ask) -> str:
    rule = ask.named("rule")
    if rule not in RULES:
        raise NotStored("rule", rule)
    return rule


async def _marked(
    ask: Ask, card: Card, kind: Literal["dispute", "settlement"], rule: str, detail: dict[str, str]
) -> CardLineOut:
    mark = CallMark(secrets.token_hex(16), card.call.id, kind, ask.who, now_utc(), detail)
    await ask.store.add_mark(mark)
    await trace(ask.store, ask.account, f"etiquette.{kind}", card.call.id, **detail)
    after = await card_of(ask.store, ask.settings, card.call, now_utc())
    return line_out(next(line for line in after.lines if line.rule == rule))


async def team_figures(
    store: Store, settings: Settings, account: Account, since: datetime, until: datetime | None
) -> list[AgentFigures]:
    """Of every agent who answered a call that this account sees."""
    calls = await store.calls(
        since=since, until=until, disposition="ANSWERED", sight=account.sight, limit=_MOST_CALLS
    )
    cards = await cards_of(store, settings, [call for call in calls if call.answered_by], now_utc())
    figures = []
    for agent in sorted({card.agent for card in cards}):
        told = score([card.lines for card in cards if card.agent == agent])
        rules = [
            RuleFigures(rule=rule, kept=told.rules[rule][0], broken=told.rules[rule][1])
            for rule in RULES
            if rule in told.rules
        ]
        figures.append(AgentFigures(agent=agent, calls=told.calls, rate=told.rate, rules=rules))
    return figures


async def show_team(ask: Ask) -> TeamOut:
    """How the team keeps the rules; who has fewer than 20 measured calls has no score."""
    query = cast(TeamQuery, ask.query)
    since = query.since or now_utc() - timedelta(days=30)
    return TeamOut(agents=await team_figures(ask.store, ask.settings, ask.account, since, query.until))


_CARD = "/api/v1/calls/{id}/etiquette"
ENDPOINTS = (
    Endpoint(
        "GET",
        _CARD,
        show_card,
        "Show a call's etiquette card",
        CardOut,
        scope=Scope.CALLS_READ,
        faults=(404, 409),
    ),
    Endpoint(
        "POST",
        _CARD + "/{rule}/dispute",
        dispute_line,
        "Dispute a line of the own card",
        CardLineOut,
        scope=Scope.NOTES_WRITE,
        body=DisputeIn,
        faults=(404, 409),
    ),
    Endpoint(
        "POST",
        _CARD + "/{rule}/settle",
        settle_line,
        "Settle a disputed line",
        CardLineOut,
        role=Role.SUPERVISOR,
        scope=Scope.NOTES_WRITE,
        body=SettleLineIn,
        faults=(404, 409),
    ),
    Endpoint(
        "GET",
        "/api/v1/etiquette/team",
        show_team,
        "How the team keeps the rules",
        TeamOut,
        role=Role.SUPERVISOR,
        scope=Scope.REPORTS_READ,
        query=TeamQuery,
    ),
)


__all__ = ["ENDPOINTS", "card_for", "dispute_line", "settle_line", "team_figures"]
