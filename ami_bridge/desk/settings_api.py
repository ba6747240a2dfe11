"""The configuration over HTTP, for admins: looked at, changed with a diff and a check first, taken back."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from aiohttp import web
from pydantic import Field

from ami_bridge import configuring
from ami_bridge.adapters.store import NotStored
from ami_bridge.configuring import Applied, Change, Configuration, Proposal
from ami_bridge.configuring.document import changed, document_of, id_of
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.faults import Invalid
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import FieldFault, In, Out
from ami_bridge.desk.trail import trace

CONFIGURATION: web.AppKey[Configuration] = web.AppKey("configuration", Configuration)
#: One change after another: two at once would both be made from the same text.
APPLYING: web.AppKey[asyncio.Lock] = web.AppKey("applying", asyncio.Lock)

_Key = Annotated[str, Field(min_length=1, max_length=100)]


class ConfigurationOut(Out):
    """The values as they stand in the file. ``obstacle``: why it cannot be changed from here; empty when it can."""

    version: str
    obstacle: str
    document: dict[str, Any]


class ChangeIn(In):
    """One value of the file by its keys, such as ``["ring", "answer_by_ring"]``; null takes it out."""

    path: list[_Key] = Field(min_length=1, max_length=8)
    value: Any = None


class ChangesIn(In):
    """Changes to the version ``base``; to the present one when it is left out."""

    base: str | None = Field(default=None, max_length=64)
    changes: list[ChangeIn] = Field(min_length=1, max_length=500)
    what: str = Field(default="", max_length=200, description="In a few words, for the history.")


class RestoreIn(In):
    """The present version, so that nobody's newer change is lost."""

    base: str | None = Field(default=None, max_length=64)


class LineOut(Out):
    """One line of a diff."""

    sign: Literal["+", "-", " ", "@"]
    text: str


class FindingOut(Out):
    """One thing that ``fourthring check`` looked at."""

    subject: str
    ok: bool
    message: str


class ProposalOut(Out):
    """What a change would do. It may be applied when ``well``."""

    base: str
    well: bool
    diff: list[LineOut]
    problems: list[str]
    findings: list[FindingOut]


class AppliedOut(Out):
    """``pbx``: the PBX of this machine took it over; ``new_secrets``: phones for which a password was made."""

    version: str
    pbx: bool
    unspoken: int
    new_secrets: list[str]


class VersionOut(Out):
    """The file as it was applied once; ``by`` is empty for what was there before."""

    id: str
    at: datetime
    by: str
    what: str
    present: bool


class Versions(Out):
    """Newest first."""

    versions: list[VersionOut]


def configuration_of(request: web.Request) -> Configuration:
    """The file that this desk may change. Raises HTTPConflict: it was started without one."""
    found = request.app.get(CONFIGURATION)
    if found is None:
        raise fault(409, "This desk does not know its configuration file; start it with --config.")
    return found


async def show_configuration(ask: Ask) -> ConfigurationOut:
    """All of it: no secret stands in the file."""
    configuration = configuration_of(ask.request)
    text = await asyncio.to_thread(configuration.text)
    document = _plain(document_of(text))
    return ConfigurationOut(version=id_of(text), obstacle=configuration.obstacle(), document=document)


async def check_configuration(ask: Ask) -> ProposalOut:
    """Nothing is changed."""
    return proposal_out(await proposed(ask, changes_of(cast(ChangesIn, ask.body))))


async def apply_configuration(ask: Ask) -> AppliedOut:
    """Refused with every fault at once, or done: file, prompts, PBX, services."""
    body = cast(ChangesIn, ask.body)
    changes = changes_of(body)
    proposal = await proposed(ask, changes)
    _same_base(body.base, proposal)
    keys = [".".join(change.path) for change in changes]
    done = await applied(ask, proposal, body.what or ", ".join(keys)[:200], keys=keys[:50])
    return _applied_out(done)


async def list_versions(ask: Ask) -> Versions:
    """Every version that was applied from the desk, and the one before the first."""
    configuration = configuration_of(ask.request)
    now = id_of(configuration.text())
    return Versions(
        versions=[
            VersionOut(id=each.id, at=each.at, by=each.by, what=each.what, present=each.id == now)
            for each in configuration.versions()
        ]
    )


async def show_version(ask: Ask) -> ProposalOut:
    """What going back to it would change."""
    return proposal_out(await going_back(ask, ask.named("id")))


async def restore_version(ask: Ask) -> AppliedOut:
    """As any other change: checked, applied, and a version of its own."""
    proposal = await going_back(ask, ask.named("id"))
    _same_base(cast(RestoreIn, ask.body).base, proposal)
    return _applied_out(await applied(ask, proposal, f"back to {ask.named('id')}", back_to=ask.named("id")))


def changes_of(body: ChangesIn) -> list[Change]:
    """As the configuration wants them."""
    return [Change(tuple(change.path), change.value) for change in body.changes]


async def proposed(ask: Ask, changes: list[Change]) -> Proposal:
    """What ``changes`` would make of the file. Raises NotEditable."""
    old = configuration_of(ask.request).text()
    return await asyncio.to_thread(lambda: configuring.propose(old, changed(old, changes)))


async def going_back(ask: Ask, version: str) -> Proposal:
    """What going back to ``version`` would make of it. Raises NotStored: it is not kept."""
    configuration = configuration_of(ask.request)
    text = configuration.version_text(version)
    if text is None:
        raise NotStored("version", version)
    return await asyncio.to_thread(configuring.propose, configuration.text(), text)


async def applied(ask: Ask, proposal: Proposal, what: str, **told: Any) -> Applied:
    """Apply and write it down; every fault at once when it has any.

    Raises:
        Invalid, Outdated, NotEditable, ApplyFailed: nothing was changed.
    """
    if faults := proposal.faults:
        raise Invalid("configuration", [FieldFault(field="changes", detail=each) for each in faults])
    async with ask.request.app[APPLYING]:
        done = await asyncio.to_thread(
            configuring.apply, configuration_of(ask.request), proposal, ask.who, what
        )
    await trace(ask.store, ask.account, "configuration.apply", done.version.id, was=proposal.base, **told)
    return done


def proposal_out(proposal: Proposal) -> ProposalOut:
    """For programs."""
    return ProposalOut(
        base=proposal.base,
        well=proposal.well,
        diff=[LineOut(sign=line.sign, text=line.text) for line in proposal.diff],
        problems=list(proposal.problems),
        findings=[FindingOut.model_validate(each) for each in proposal.findings],
    )


def _applied_out(done: Applied) -> AppliedOut:
    return AppliedOut(
        version=done.version.id, pbx=done.pbx, unspoken=done.unspoken, new_secrets=list(done.new_secrets)
    )


def _same_base(base: str | None, proposal: Proposal) -> None:
    if base not in {None, proposal.base}:
        raise configuring.Outdated("The configuration was changed meanwhile; look at the present one first.")


def _plain(value: Any) -> Any:
    """TOML's dates and times as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def _endpoint(method: str, path: str, handler: Any, summary: str, answer: Any, **more: Any) -> Endpoint:
    scope = Scope.SETTINGS_READ if method == "GET" else Scope.SETTINGS_WRITE
    more = {"role": Role.ADMIN, "scope": scope, "faults": (409,), **more}
    return Endpoint(method, f"/api/v1/configuration{path}", handler, summary, answer, **more)


ENDPOINTS = (
    _endpoint("GET", "", show_configuration, "Show the configuration", ConfigurationOut),
    _endpoint("POST", "/check", check_configuration, "Try changes out", ProposalOut, body=ChangesIn),
    _endpoint("POST", "/apply", apply_configuration, "Make changes", AppliedOut, body=ChangesIn),
    _endpoint("GET", "/versions", list_versions, "List earlier versions", Versions),
    _endpoint(
        "GET", "/versions/{id}", show_version, "Show what going back changes", ProposalOut, faults=(404, 409)
    ),
    _endpoint(
        "POST",
        "/versions/{id}/restore",
        restore_version,
        "Go back to a version",
        AppliedOut,
        body=RestoreIn,
        faults=(404, 409),
    ),
)
