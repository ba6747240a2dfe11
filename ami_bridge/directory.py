"""Departments and agents as the store and the command line show them."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

from agi.voice.cache import greeting_text
from ami_bridge import secrets
from ami_bridge.adapters.store import AgentEntry, DepartmentEntry, SqlStore, Store, StoredCall
from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.private_pbx import PbxNotRunning, PrivatePbx
from ami_bridge.settings import Agent, Settings
from ami_bridge.webrtc_settings import WEB_SUFFIX


async def save_directory(settings: Settings, store: Store) -> None:
    """Make the stored directory equal to the configuration."""
    departments = [
        DepartmentEntry(
            key,
            department.names,
            settings.language_of(key),
            str(settings.zone_info_of(key)),
            tuple(department.dids),
        )
        for key, department in settings.departments.items()
    ]
    agents = [
        AgentEntry(extension, agent.names, agent.positions, departments_of(settings, extension))
        for extension, agent in settings.agents.items()
    ]
    await store.save_directory(departments, agents)


def departments_of(settings: Settings, extension: str) -> tuple[str, ...]:
    """The departments in which ``extension`` is rung, directly or from the queue."""
    return tuple(
        key
        for key, department in settings.departments.items()
        if extension in department.direct or extension in department.queue
    )


def agent_rows(
    settings: Settings, *, with_secrets: bool, since: datetime | None, until: datetime | None
) -> list[dict[str, Any]]:
    """One row an agent: who, where, whether the phone is registered, and how many calls were answered and missed."""
    calls = asyncio.run(_calls(settings, since, until))
    answered = Counter(call.answered_by for call in calls)
    missed = Counter(
        str(leg.get("endpoint") or leg.get("agent") or "")
        for call in calls
        for leg in call.record.get("legs", ())
        if leg.get("ring_verdict") == "missed"
    )
    registered = registered_phones(settings)
    rows = []
    for extension, agent in settings.agents.items():
        row: dict[str, Any] = {
            "extension": extension,
            "name": _own(agent, "names", settings),
            "names": dict(agent.names),
            "position": _own(agent, "positions", settings),
            "positions": dict(agent.positions),
            "departments": list(departments_of(settings, extension)),
            "phone": "unknown"
            if registered is None
            else "registered"
            if extension in registered
            else "absent",
            "answered": answered[extension],
            "missed": missed[extension],
        }
        if with_secrets:
            row["secret"] = secrets.read_secret(settings, secrets.sip_secret(extension))
        rows.append(row)
    return rows


def spoken_text(  # noqa: PLR0917 - one per option of the command
    settings: Settings,
    text: str | None,
    greeting: bool,
    department: str | None,
    agent: str | None,
    language: str | None,
) -> tuple[str, str]:
    """What ``fourthring say`` is to say, and in which language.

    Raises:
        FourthRingError: neither or both of text and greeting were asked for, or a name is unknown.
    """
    if bool(text) == greeting:
        raise FourthRingError("Say what is to be said: either a TEXT or --greeting.")
    key = known_department(settings, department, agent)
    if text:
        return text, language or settings.company.language
    kind = "direct" if agent else "queue-join"
    at = datetime.now(settings.zone_info_of(key))
    return greeting_text(settings, kind, key, agent or "", at), settings.language_of(key)


def known_department(settings: Settings, department: str | None, agent: str | None) -> str:
    """The department that a command was asked about (default: the first), once it and ``agent`` are known to exist.

    Raises:
        FourthRingError: one of them does not.
    """
    key = department or next(iter(settings.departments))
    if key not in settings.departments:
        known = ", ".join(settings.departments)
        raise FourthRingError(f"--department '{key}' is not in the configuration; write one of {known}.")
    if agent and agent not in settings.agents:
        raise FourthRingError(
            f"--agent '{agent}' is not in [agents]; write one of {', '.join(settings.agents)}."
        )
    return key


def _own(agent: Agent, field: str, settings: Settings) -> str:
    names: dict[str, str] = getattr(agent, field)
    return names.get(settings.company.language) or next(iter(names.values()), "")


async def _calls(settings: Settings, since: datetime | None, until: datetime | None) -> list[StoredCall]:
    store = SqlStore(settings.store_url)
    await store.open()
    try:
        return await store.calls(since=since, until=until, limit=100_000)
    finally:
        await store.close()


def registered_phones(settings: Settings) -> set[str] | None:
    """Extensions whose phone is registered at the private PBX; None when that does not run."""
    try:
        listing = PrivatePbx.of(settings).cli("pjsip show contacts")
    except (PbxNotRunning, FourthRingError):
        return None
    words = (line.split() for line in listing.splitlines() if line.strip().startswith("Contact:"))
    return {parts[1].split("/", 1)[0].removesuffix(WEB_SUFFIX) for parts in words if len(parts) > 1}
