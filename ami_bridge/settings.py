"""The validated settings: one TOML file, every fault reported at once with its key and remedy."""

from __future__ import annotations

import os
import tomllib
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ami_bridge.callback_settings import CallbackMode, Delays, PromiseSettings, RetrySettings
from ami_bridge.core.cadence import CADENCES, Cadence
from ami_bridge.core.hours import Schedule
from ami_bridge.core.ringing import RingRule
from ami_bridge.cross_checks import cross_faults
from ami_bridge.desk_settings import DeskSettings
from ami_bridge.errors import ConfigError
from ami_bridge.holiday_calendar import public_holidays
from ami_bridge.hours_settings import Calendar, Hours
from ami_bridge.resources import in_home, shipped_folder
from ami_bridge.setting_types import (
    FORMS,
    Did,
    Extension,
    Language,
    NodeName,
    Port,
    Prefix,
    Region,
    Section,
    Slug,
    SpokenName,
    TimeZone,
    fit_for_dialplan,
)
from ami_bridge.voice_settings import Greeting, LanguageChoice, OwnVoices, Voice
from ami_bridge.webrtc_settings import WebRtc


class Company(Section):
    """Who is calling and being called: spoken names per language, country and time zone."""

    names: dict[Language, SpokenName] = Field(min_length=1)
    language: Language
    country: Region
    time_zone: TimeZone


class Node(Section):
    """One machine: its name (Asterisk's systemname) and where it keeps its state."""

    name: NodeName = "fr1"
    state_folder: Annotated[Path, AfterValidator(fit_for_dialplan)]


class Network(Section):
    """Addresses and ports of this node. All services listen on ``address`` alone (IPv4, as in Asterisk's files)."""

    address: IPv4Address
    sip_port: Port = 5060
    rtp_ports: tuple[Port, Port] = (12000, 12999)
    ami_port: Port = 5038
    agi_port: Port = 4573
    desk_port: Port = 8080
    websocket_port: Port = 8088

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        low, high = self.rtp_ports
        if low >= high:
            raise ValueError(f"rtp_ports [{low}, {high}] is no range; write the lower port first")
        tcp = [self.ami_port, self.agi_port, self.desk_port]
        if len(set(tcp)) < len(tcp):
            raise ValueError(
                f"ami_port, agi_port and desk_port must differ, not be {tcp}; change one of them"
            )
        if low <= self.sip_port <= high:
            raise ValueError(
                f"sip_port {self.sip_port} lies in rtp_ports [{low}, {high}]; choose one outside"
            )
        return self


class Secrets(Section):
    """Where secrets come from; see :mod:`ami_bridge.secrets`."""

    folder: Path = Path("secrets")
    create_missing: bool = False


class StoreSettings(Section):
    """The database. ``{state}`` in the URL stands for the state folder."""

    url: str = "sqlite+aiosqlite:///{state}/fourthring.db"


class Ring(Section):
    """The ring clock; see :mod:`ami_bridge.core.ring_policy`."""

    zone: str = "ru"
    answer_by_ring: int = Field(default=4, ge=1, le=20)
    safety_margin_seconds: float = Field(default=0.7, ge=0.2, le=2.0)

    @model_validator(mode="after")
    def _zone_known(self) -> Self:
        if self.zone not in CADENCES:
            raise ValueError(
                f"zone '{self.zone}' has no ringback cadence; write one of {', '.join(sorted(CADENCES))}"
            )
        return self

    @property
    def cadence(self) -> Cadence:
        """The ringback cadence of the zone."""
        return CADENCES[self.zone]

    @property
    def rule(self) -> RingRule:
        """The ring clock's figures, as the core wants them."""
        return RingRule(self.cadence, self.answer_by_ring)


class ChannelEventSettings(Section):
    """How much is kept of the PBX's own channel event log; see :mod:`ami_bridge.cel_keeper`."""

    rotate_megabytes: int = Field(default=16, ge=1, le=1024)
    keep_megabytes: int = Field(default=512, ge=1, le=1_000_000)
    keep_days: float = Field(default=30, ge=1, le=3660)


class Retention(Section):
    """How long ``fourthring purge`` keeps what has ended; None: it asks."""

    days: float | None = Field(default=None, ge=1, le=36600)


class QueueSettings(Section):
    """How callers wait."""

    strategy: Literal["ringall", "rrmemory", "leastrecent", "fewestcalls", "random", "linear"] = "ringall"
    ring_seconds: int = Field(default=20, ge=5, le=120)
    retry_seconds: int = Field(default=1, ge=1, le=60)
    max_wait_seconds: int = Field(default=300, ge=5, le=7200)
    repeat_offer_seconds: int = Field(default=20, ge=5, le=600)
    offer_over_minutes: int = Field(default=5, ge=1, le=60)
    position_seconds: int = Field(default=45, ge=0, le=600)


class CallbackSettings(Section):
    """How callbacks are taken and dialled.

    ``mode`` may be another in a department. ``minutes_per_day`` (talked, of the company's day), ``calls_per_hour``
    and ``rings_per_number_per_day`` hold back what would be too much.
    """

    max_recording_seconds: int = Field(default=30, ge=5, le=300)
    ring_agent_seconds: int = Field(default=20, ge=5, le=120)
    ring_customer_seconds: int = Field(default=40, ge=5, le=120)
    max_attempts: int = Field(default=3, ge=1, le=10)
    retry_minutes: Delays = Field(default=[5, 30, 120])
    retry: RetrySettings = RetrySettings()
    ask_outcome: bool = False
    mode: CallbackMode = "agent_first"
    detect_machines: bool = False
    max_minutes: Annotated[float, Field(gt=0, le=1440)] | None = None
    minutes_per_day: int = Field(default=600, ge=1, le=100_000)
    calls_per_hour: int = Field(default=120, ge=1, le=100_000)
    rings_per_number_per_day: int = Field(default=6, ge=1, le=100)
    spell_names: bool = False
    customer_hours: Hours = Hours(open=["mon-sun 09:00-21:00"])
    unclear_zone: Literal["department", "strict"] = "department"
    allowed_regions: list[Region] = Field(min_length=1)
    denied_prefixes: list[Prefix] = Field(default=[])
    requests_per_day: int = Field(default=3, ge=1, le=100)
    requests_per_caller: int = Field(default=5, ge=1, le=1000)
    requests_per_did: int = Field(default=60, ge=1, le=400)
    again_after_minutes: int = Field(default=30, ge=0, le=1440)
    reached_seconds: int = Field(default=20, ge=1, le=600)


class TalkSettings(Section):
    """Talk detection: who speaks when, for the talk measures. ``silence_ms`` 0 switches it off.

    ``silence_ms``: a shorter pause belongs to the turn. ``threshold``: the level above which a sample is
    speech, see ``silencethreshold`` in Asterisk's dsp.conf.
    """

    silence_ms: int = Field(default=400, ge=0, le=2500)
    threshold: int = Field(default=256, ge=50, le=2000)


class Trunk(Section):
    """A carrier that is known by its address. ``qualify_seconds``: how often it is asked whether it is there; 0: never.

    One that does not answer is not dialled until it does, and the wallboard says so.
    """

    address: IPv4Address
    port: Port = 5060
    qualify_seconds: int = Field(default=0, ge=0, le=3600)
    ringback: Literal["inband", "carrier"] = "inband"


class Department(Section):
    """A department: its DIDs, the phones that ring first, and its queue."""

    names: dict[Language, SpokenName] = Field(min_length=1)
    dids: list[Did] = Field(min_length=1)
    direct: list[Extension] = Field(default=[])
    queue: list[Extension] = Field(min_length=1)
    language: Language | None = None
    more_languages: list[Language] = Field(default=[])
    did_languages: dict[Did, Language] = Field(default={})
    time_zone: TimeZone | None = None
    ring: Ring | None = None
    hours: Hours | None = None
    greeting: Greeting | None = None
    callback_mode: CallbackMode | None = None
    callback_detect_machines: bool | None = None
    callback_max_minutes: Annotated[float, Field(gt=0, le=1440)] | None = None
    phrases: dict[Language, dict[str, str]] = Field(default={})


class Agent(Section):
    """A person with a phone. The key in ``[agents.KEY]`` is the extension."""

    names: dict[Language, SpokenName] = Field(min_length=1)
    positions: dict[Language, SpokenName] = Field(default={})
    phrases: dict[Language, dict[str, str]] = Field(default={})
    webrtc: bool = False


class Settings(Section):
    """Everything an admin configures. Frozen: a change is a new file and a new start."""

    company: Company
    node: Node
    network: Network
    secrets: Secrets = Secrets()
    store: StoreSettings = StoreSettings()
    ring: Ring = Ring()
    queue: QueueSettings = QueueSettings()
    channel_events: ChannelEventSettings = ChannelEventSettings()
    retention: Retention = Retention()
    hours: Hours = Hours()
    calendar: Calendar = Calendar()
    callback: CallbackSettings
    promises: PromiseSettings = PromiseSettings()
    talk: TalkSettings = TalkSettings()
    desk: DeskSettings = DeskSettings()
    trunks: dict[Slug, Trunk] = Field(min_length=1)
    departments: dict[Slug, Department] = Field(min_length=1)
    agents: dict[Extension, Agent] = Field(min_length=1)
    voices: dict[Language, Voice] = Field(default={})
    languages_by: LanguageChoice = LanguageChoice()
    greeting: Greeting = Greeting()
    own_voices: OwnVoices = OwnVoices()
    webrtc: WebRtc = WebRtc()

    @model_validator(mode="after")
    def _holidays_known(self) -> Self:
        closes = any(self.hours_of(key).closed_on_holidays for key in self.departments)
        if closes or self.calendar.subdivision:
            public_holidays(self.company.country, self.calendar.subdivision)
        return self

    # What the rest of the system asks -------------------------------------------------

    @property
    def state_folder(self) -> Path:
        """Absolute folder of everything this node writes."""
        return in_home(self.node.state_folder).absolute()

    @property
    def secrets_folder(self) -> Path:
        """Absolute folder of the secret files."""
        return self.state_folder / in_home(self.secrets.folder)

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL with ``{state}`` filled in."""
        return self.store.url.replace("{state}", str(self.state_folder))

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language that some department speaks, sorted."""
        return tuple(sorted({language for key in self.departments for language in self.languages_of(key)}))

    def languages_of(self, department: str) -> tuple[str, ...]:
        """The languages that ``department`` speaks, its first one first."""
        return tuple(
            dict.fromkeys([self.language_of(department), *self.departments[department].more_languages])
        )

    def language_of(self, department: str) -> str:
        """The language that ``department`` speaks."""
        return self.departments[department].language or self.company.language

    def zone_info_of(self, department: str) -> ZoneInfo:
        """The time zone by which ``department`` says good morning."""
        return ZoneInfo(self.departments[department].time_zone or self.company.time_zone)

    def ring_of(self, department: str) -> Ring:
        """The ring clock's figures for ``department``."""
        return self.departments[department].ring or self.ring

    def greeting_of(self, department: str) -> Greeting:
        """How ``department`` greets."""
        return self.departments[department].greeting or self.greeting

    def hours_of(self, department: str) -> Hours:
        """The opening hours as they are configured for ``department``."""
        return self.departments[department].hours or self.hours

    def schedule_of(self, department: str) -> Schedule:
        """When ``department`` answers: ask it ``is_open(at)``, ``opens_at(after)``, ``closes_at(at)``."""
        hours, zone = self.hours_of(department), self.zone_info_of(department)
        days = {day.date: day.spans for day in self.calendar.days if day.spans is not None}
        if not hours.closed_on_holidays:
            return Schedule(zone, hours.week, days)
        return Schedule(
            zone, hours.week, days, public_holidays(self.company.country, self.calendar.subdivision)
        )

    def callback_mode(self, department: str) -> CallbackMode:
        """Who is rung first for ``department``."""
        return self.departments[department].callback_mode or self.callback.mode

    def detects_machines(self, department: str) -> bool:
        """Whether machine detection listens to who answers the callbacks of ``department``."""
        own = self.departments[department].callback_detect_machines
        return self.callback.detect_machines if own is None else own

    def longest_callback(self, department: str) -> float | None:
        """After how many minutes of talk a callback of ``department`` is ended; None: never."""
        return self.departments[department].callback_max_minutes or self.callback.max_minutes

    def department_of_did(self, did: str) -> str | None:
        """The department that answers ``did`` (digits, no plus), or None."""
        digits = did.removeprefix("+")
        return next((key for key, department in self.departments.items() if digits in department.dids), None)

    def has_browser_phone(self, extension: str) -> bool:
        """Whether the agent ``extension`` may also use the browser as a phone."""
        return self.webrtc.enabled and extension in self.agents and self.agents[extension].webrtc

    def trunk_out(self) -> str:
        """The trunk over which callbacks leave: the first that is configured."""
        return next(iter(self.trunks))


def default_config_path() -> Path:
    """``$FOURTHRING_CONFIG`` when set, else the demo's configuration."""
    named = os.environ.get("FOURTHRING_CONFIG")
    return Path(named) if named else shipped_folder("config") / "demo.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Read and validate the configuration at ``path`` (default: :func:`default_config_path`).

    Raises:
        ConfigError: unreadable, not TOML, or invalid; one sentence per fault, all at once.
    """
    path = path or default_config_path()
    return parse_settings(_read_toml(path), origin=str(path))


def parse_settings(document: dict[str, Any], origin: str = "configuration") -> Settings:
    """Validate a parsed TOML ``document``; ``origin`` opens each error sentence."""
    faults = [f"{origin}: {fault}." for fault in cross_faults(document)]
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise ConfigError([*(_sentence(origin, fault) for fault in error.errors()), *faults]) from None
    if faults:
        raise ConfigError(faults)
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            [f"Cannot read the configuration {path}: {reason}. Give another with --config."]
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8."]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path} is not valid TOML: {error}. Mend that line."]) from None


_REMEDIES = {
    "missing": "is missing; add it",
    "extra_forbidden": "is not a known key; remove it or mend its spelling",
}


def _sentence(origin: str, fault: Any) -> str:
    key = ".".join(_shown_key(part) for part in fault["loc"] if part != "[key]") or "(whole file)"
    remedy = _REMEDIES.get(fault["type"])
    if remedy:
        return f"{origin}: {key} {remedy}."
    message = str(fault["msg"]).removeprefix("Value error, ")
    message = FORMS.get((fault.get("ctx") or {}).get("pattern", ""), message)
    value = fault["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float) else ""
    return f"{origin}: {key}{shown}: {message}."


def _shown_key(part: object) -> str:
    """A key of the file, on one line whatever it holds."""
    text = str(part)
    return text if text.isprintable() else repr(text)
