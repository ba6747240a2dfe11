"""Writes Asterisk's configuration files from the one TOML file.

Templates are the ``*.j2`` files of ``dialplans/``, in Asterisk's own language. Every value that
reaches them was validated by :mod:`ami_bridge.settings` to hold nothing that could end a line, a
string or an argument there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2

from agi.turns import KEY_SECONDS
from agi.variables import ANSWERS
from agi.voice.prompts import music_folder, prompts_folder
from ami_bridge import secrets
from ami_bridge.core.errands import ERRAND
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.core.hours import ALWAYS, Span
from ami_bridge.numbers import country_code
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings
from ami_bridge.supervising import RING_SECONDS
from ami_bridge.webrtc_settings import web_endpoint

# One AGI request plans one turn; more than this and the dialplan goes on alone. Whole seconds, at most
# three: the time that a caller may wait because of us.
AGI_LIMIT_SECONDS = 2
_MONDAY = date(2024, 1, 1)
_DAY_MINUTES = 24 * 60
# Holidays are written into the dialplan for this year and the next two: no service of ours is asked.
_YEARS_AHEAD = 3
# How long a caller may stay on the line after the farewell before the line is closed for him.
FAREWELL_WAIT_SECONDS = 30
# So long the line must be quiet before a machine is taken to listen: longer than its pauses between words, and than
# the one before its tone; shorter than what makes it hang up.
MACHINE_SILENCE_MS = 2000
# Codes of the dialplan, dialled with a star before them; docs/dialplan.md tells the agents.
PARKING_SLOTS = range(71, 80)
CONFERENCE_ROOMS = range(91, 100)
# Frequent events that no part of ours reads; left out by Asterisk before they are sent. READ_EVENTS is the
# list of those that are read, and a test proves that the two do not overlap.
UNREAD_EVENTS = (
    "VarSet",
    "Newexten",
    "TestEvent",
    "RTCPSent",
    "RTCPReceived",
    "DTMFBegin",
    "DTMFEnd",
    "MusicOnHoldStart",
    "MusicOnHoldStop",
    "QueueMemberStatus",
    "DeviceStateChange",
    "SuccessfulAuth",
    "ChallengeSent",
    "AGIExecStart",
    "AGIExecEnd",
)


def render_asterisk(settings: Settings, paths: PbxPaths) -> Path:
    """Write every configuration file of the private PBX into ``paths.etc`` and return that folder.

    Files are readable by this user alone (they hold passwords) and replaced one by one, so that a
    running PBX never reads half a file.

    Raises:
        ConfigError: a secret is missing or unfit.
    """
    for name, text in rendered_files(settings, paths).items():
        _replace(paths.etc / name, text)
    return paths.etc


def rendered_files(settings: Settings, paths: PbxPaths) -> dict[str, str]:
    """File name → text of all configuration files, without writing any."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped_folder("dialplans")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Asterisk's files are not HTML; values are validated instead
    )
    context = _context(settings, paths)
    return {
        name.removesuffix(".j2"): environment.get_template(name).render(context)
        for name in environment.list_templates(extensions=["j2"])
    }


def render_to(settings: Settings, out: Path | None) -> Path:
    """Write the files for a person: into ``out``, else into the private PBX's own folder.

    Raises:
        ConfigError: a secret is missing or unfit.
    """
    paths = PbxPaths.in_state(settings.state_folder)
    if out is not None:
        paths = replace(paths, etc=out.expanduser().absolute())
    return render_asterisk(settings, paths)


def cel_file(settings: Settings) -> Path:
    """The PBX's own channel event log (dialplans/cel_custom.conf.j2)."""
    return PbxPaths.in_state(settings.state_folder).channel_event_log


def spool_folder(settings: Settings) -> Path:
    """Where the dialplan leaves recordings that it took without the AGI."""
    return settings.state_folder / "spool"


def _context(settings: Settings, paths: PbxPaths) -> dict[str, Any]:
    token = secrets.read_secret(settings, secrets.AGI_TOKEN)
    return {
        "node": settings.node,
        "company": settings.company,
        "network": settings.network,
        "ring": settings.ring,
        "queue": settings.queue,
        "callback": settings.callback,
        "talk": settings.talk,
        "parking_slots": PARKING_SLOTS,
        "conference_rooms": CONFERENCE_ROOMS,
        "trunks": settings.trunks,
        "trunk_out": settings.trunk_out(),
        "departments": {key: _department(settings, key) for key in settings.departments},
        "several_languages": any(len(settings.languages_of(key)) > 1 for key in settings.departments),
        "own_voices": settings.own_voices,
        "supervise_ring_seconds": RING_SECONDS,
        "language_key": settings.languages_by.key,
        "default_department": next(iter(settings.departments)),
        "webrtc": settings.webrtc,
        "agents": {extension: _agent(settings, extension) for extension in settings.agents},
        "secrets": {
            "ami_bridge": secrets.read_secret(settings, secrets.AMI_BRIDGE),
            "ami_dialer": secrets.read_secret(settings, secrets.AMI_DIALER),
            "ami_supervisor": secrets.read_secret(settings, secrets.AMI_SUPERVISOR),
        },
        "agi_url": f"agi://{settings.network.address}:{settings.network.agi_port}",
        "agi_token": token,
        "agi_limit_seconds": AGI_LIMIT_SECONDS,
        "answers": [str(name) for name in ANSWERS],
        "errand": ERRAND,
        "confirm_seconds": KEY_SECONDS,
        "machine_silence_ms": MACHINE_SILENCE_MS,
        "farewell_wait_seconds": FAREWELL_WAIT_SECONDS,
        "prompts": prompts_folder(settings),
        "music": music_folder(settings),
        "spool": spool_folder(settings),
        "directories": paths.directories(),
        "unread_events": [name for name in UNREAD_EVENTS if name not in READ_EVENTS],
    }


def _agent(settings: Settings, extension: str) -> dict[str, Any]:
    names = settings.agents[extension].names
    web = settings.has_browser_phone(extension)
    return {
        "name": names.get(settings.company.language) or next(iter(names.values())),
        "secret": secrets.read_secret(settings, secrets.sip_secret(extension)),
        "web": web_endpoint(extension) if web else "",
        "web_secret": secrets.read_secret(settings, secrets.web_secret(extension)) if web else "",
    }


def _department(settings: Settings, key: str) -> dict[str, Any]:
    department = settings.departments[key]
    ring = settings.ring_of(key)
    return {
        "dids": department.dids,
        "direct": department.direct,
        "queue": department.queue,
        "detect_machines": settings.detects_machines(key),
        "talk_limit": _talk_limit(settings.longest_callback(key)),
        "entry": "direct" if department.direct else "queue",
        "language": settings.language_of(key),
        "zone": ring.zone,
        "dial_seconds": round(
            ring.cadence.deadline_seconds(ring.answer_by_ring) + ring.safety_margin_seconds, 1
        ),
        "inband": any(trunk.ringback == "inband" for trunk in settings.trunks.values()),
        "fixed": prompts_folder(settings) / "fixed" / key,
        "hours": _hours(settings, key),
        **_languages(settings, key),
    }


def _talk_limit(minutes: float | None) -> str:
    """Option of Bridge() that ends the talk, and warns a minute before (half-way through a shorter one)."""
    if minutes is None:
        return ""
    longest = round(minutes * 60_000)
    return f"L({longest}:{min(60_000, longest // 2)})"


def _languages(settings: Settings, key: str) -> dict[str, Any]:
    """How the language of a caller is chosen: by DID, else by the country of the number, else the first."""
    department, spoken = settings.departments[key], settings.languages_of(key)
    by_country = {
        country_code(region): language
        for region, language in settings.languages_by.country.items()
        if language in spoken
    }
    return {
        "by_did": list(department.did_languages.items()),
        "by_country": list(by_country.items()),
        "others": list(pairwise([*spoken, spoken[0]])) if len(spoken) > 1 else [],
    }


def _hours(settings: Settings, key: str) -> dict[str, Any] | None:
    """The department's hours as the dialplan looks them up; None when it is always open."""
    schedule = settings.schedule_of(key)
    usual_week = replace(schedule, days={}, holidays=frozenset())
    usual = [usual_week.spans_within(_MONDAY + timedelta(days=number)) for number in range(7)]
    first = date(datetime.now(schedule.zone).year, 1, 1)
    last = date(first.year + _YEARS_AHEAD, 1, 1)
    days = {
        day: schedule.spans_within(day) for day in (first + timedelta(n) for n in range((last - first).days))
    }
    special = {day: spans for day, spans in days.items() if spans != usual[day.weekday()]}
    if not special and usual == list(ALWAYS):
        return None
    named = {f"w{number}": spans for number, spans in enumerate(usual, start=1)}
    named |= {f"d{day:%Y%m%d}": spans for day, spans in special.items()}
    following = {f"w{number}": usual[number % 7] for number in range(1, 8)}
    following |= {f"d{day:%Y%m%d}": schedule.spans_within(day + timedelta(days=1)) for day in special}
    listed = [
        (name, [(_digits(span.begins), _digits(span.ends), _closes(span, following[name])) for span in spans])
        for name, spans in named.items()
    ]
    return {"zone": schedule.zone, "days": listed}


def _closes(span: Span, following: Sequence[Span]) -> str:
    """The minute of the day at which the department closes; "" when it stays open over midnight."""
    over_midnight = span.ends == _DAY_MINUTES and any(after.begins == 0 for after in following)
    return "" if over_midnight else str(span.ends)


def _digits(minute: int) -> str:
    """A minute of the day as the dialplan compares it: "1" and HHMM, so that no zero leads."""
    return f"1{minute // 60:02}{minute % 60:02}"


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.touch(mode=0o600)
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
