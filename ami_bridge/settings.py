"""The validated settings: one TOML file, every fault reported at once with its key and remedy."""

from __future__ import annotations

import os
import re
import tomllib
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ami_bridge.core.cadence import CADENCES, Cadence
from ami_bridge.core.ringing import RingRule
from ami_bridge.cross_checks import cross_faults
from ami_bridge.errors import ConfigError
from ami_bridge.resources import in_home, shipped_folder

_FORMS: dict[str, str] = {}
"""Pattern → what is to be written instead."""


def _form(pattern: str, remedy: str, max_length: int | None = None) -> StringConstraints:
    _FORMS[pattern] = remedy
    return StringConstraints(pattern=pattern, max_length=max_length)


def _not_reserved(slug: str) -> str:
    # Sections of pjsip.conf and queues.conf, and an extension of Asterisk's own, that a slug would become.
    if slug in {"general", "global", "fax"}:
        raise ValueError(f"'{slug}' means something to Asterisk; choose another word")
    return slug


Extension = Annotated[str, _form(r"^[0-9]{2,6}$", "an extension has 2 to 6 digits")]
Did = Annotated[str, _form(r"^[0-9]{3,15}$", "write 3 to 15 digits, without a plus")]
# Two characters at least: h, i, s, t … are Asterisk's own extensions, and a slug becomes one.
Slug = Annotated[
    str,
    _form(r"^[a-z][a-z0-9_]{1,29}$", "write 2 to 30 of a-z, 0-9 and _, a letter first"),
    AfterValidator(_not_reserved),
]
Language = Annotated[str, _form(r"^[a-z]{2}$", "write two small letters, such as 'ru'")]
Port = Annotated[int, Field(ge=1, le=65535)]
# Spoken and shown names: any letters, but nothing that could end a line or a string in an Asterisk file.
SpokenName = Annotated[
    str,
    _form(
        r'^[^\x00-\x1f\x7f"\\;\[\]$%{}|&]+$',
        'leave out control characters and " \\ ; [ ] $ % { } | &',
        max_length=70,
    ),
]
Region = Annotated[str, _form(r"^[A-Z]{2}$", "write two capital letters, such as 'RU'")]
NodeName = Annotated[str, _form(r"^[a-z0-9]{1,16}$", "write 1 to 16 of a-z and 0-9")]
# Paths in it become arguments of dialplan applications.
_UNFIT_FOR_DIALPLAN = re.compile(r"""[\x00-\x1f\x7f,;&|$"'\\()\[\]{}^%=<>*?!]""")


def _fit_for_dialplan(folder: Path) -> Path:
    if found := _UNFIT_FOR_DIALPLAN.search(str(folder)):
        raise ValueError(
            f"{str(folder)!r} holds {found[0]!r}, which the dialplan would misread; choose another folder"
        )
    return folder


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(
            f"'{name}' is not a time zone of the IANA database; write one such as 'Europe/Moscow'"
        )
    return name


TimeZone = Annotated[str, AfterValidator(_known_time_zone)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Company(_Section):
    """Who is calling and being called: spoken names per language, country and time zone."""

    names: dict[Language, SpokenName] = Field(min_length=1)
    language: Language
    country: Region
    time_zone: TimeZone


class Node(_Section):
    """One machine: its name (Asterisk's systemname) and where it keeps its state."""

    name: NodeName = "fr1"
    state_folder: Annotated[Path, AfterValidator(_fit_for_dialplan)]


class Network(_Section):
    """Addresses and ports of this node. All services listen on ``address`` alone (IPv4, as in Asterisk's files)."""

    address: IPv4Address
    sip_port: Port = 5060
    rtp_ports: tuple[Port, Port] = (12000, 12999)
    ami_port: Port = 5038
    agi_port: Port = 4573
    desk_port: Port = 8080

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


class Secrets(_Section):
    """Where secrets come from; see :mod:`ami_bridge.secrets`."""

    folder: Path = Path("secrets")
    create_missing: bool = False


class StoreSettings(_Section):
    """The database. ``{state}`` in the URL stands for the state folder."""

    url: str = "sqlite+aiosqlite:///{state}/fourthring.db"


class Ring(_Section):
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


class QueueSettings(_Section):
    """How callers wait."""

    strategy: Literal["ringall", "rrmemory", "leastrecent", "fewestcalls", "random", "linear"] = "ringall"
    ring_seconds: int = Field(default=20, ge=5, le=120)
    retry_seconds: int = Field(default=2, ge=1, le=60)
    max_wait_seconds: int = Field(default=300, ge=5, le=7200)
    repeat_offer_seconds: int = Field(default=20, ge=5, le=600)


class CallbackSettings(_Section):
    """How callbacks are taken and dialled."""

    max_recording_seconds: int = Field(default=30, ge=5, le=300)
    ring_agent_seconds: int = Field(default=20, ge=5, le=120)
    ring_customer_seconds: int = Field(default=40, ge=5, le=120)
    max_attempts: int = Field(default=3, ge=1, le=10)
    retry_minutes: list[Annotated[float, Field(gt=0, le=10080)]] = Field(default=[5, 30, 120], min_length=1)
    allowed_regions: list[Region] = Field(min_length=1)


class Trunk(_Section):
    """A carrier that is known by its address."""

    address: IPv4Address
    port: Port = 5060
    ringback: Literal["inband", "carrier"] = "inband"


class Department(_Section):
    """A department: its DIDs, the phones that ring first, and its queue."""

    names: dict[Language, SpokenName] = Field(min_length=1)
    dids: list[Did] = Field(min_length=1)
    direct: list[Extension] = []
    queue: list[Extension] = Field(min_length=1)
    language: Language | None = None
    time_zone: TimeZone | None = None
    ring: Ring | None = None


class Agent(_Section):
    """A person with a phone. The key in ``[agents.KEY]`` is the extension."""

    names: dict[Language, SpokenName] = Field(min_length=1)
    positions: dict[Language, SpokenName] = {}


class Settings(_Section):
    """Everything an admin configures. Frozen: a change is a new file and a new start."""

    company: Company
    node: Node
    network: Network
    secrets: Secrets = Secrets()
    store: StoreSettings = StoreSettings()
    ring: Ring = Ring()
    queue: QueueSettings = QueueSettings()
    callback: CallbackSettings
    trunks: dict[Slug, Trunk] = Field(min_length=1)
    departments: dict[Slug, Department] = Field(min_length=1)
    agents: dict[Extension, Agent] = Field(min_length=1)

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
        return tuple(sorted({self.language_of(key) for key in self.departments}))

    def language_of(self, department: str) -> str:
        """The language that ``department`` speaks."""
        return self.departments[department].language or self.company.language

    def zone_info_of(self, department: str) -> ZoneInfo:
        """The time zone by which ``department`` says good morning."""
        return ZoneInfo(self.departments[department].time_zone or self.company.time_zone)

    def ring_of(self, department: str) -> Ring:
        """The ring clock's figures for ``department``."""
        return self.departments[department].ring or self.ring

    def department_of_did(self, did: str) -> str | None:
        """The department that answers ``did`` (digits, no plus), or None."""
        digits = did.removeprefix("+")
        return next((key for key, department in self.departments.items() if digits in department.dids), None)

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
    message = _FORMS.get((fault.get("ctx") or {}).get("pattern", ""), message)
    value = fault["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float) else ""
    return f"{origin}: {key}{shown}: {message}."


def _shown_key(part: object) -> str:
    """A key of the file, on one line whatever it holds."""
    text = str(part)
    return text if text.isprintable() else repr(text)
