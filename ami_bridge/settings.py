"""The validated settings: one TOML file, every fault reported at once with its key and remedy."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ami_bridge.core.cadence import CADENCES, Cadence
from ami_bridge.core.ringing import RingRule
from ami_bridge.errors import ConfigError
from ami_bridge.resources import in_home, shipped_folder

Extension = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,6}$")]
Did = Annotated[str, StringConstraints(pattern=r"^[0-9]{3,15}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,29}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
# Spoken and shown names: any letters, but nothing that could end a line or a string in an Asterisk file.
SpokenName = Annotated[
    str, StringConstraints(min_length=1, max_length=70, pattern=r'^[^\x00-\x1f"\\;\[\]$%{}|&]+$')
]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


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

    @model_validator(mode="after")
    def _named_in_own_language(self) -> Self:
        if self.language not in self.names:
            raise ValueError(f"the default language '{self.language}' has no company name; add it to 'names'")
        return self


class Node(_Section):
    """One machine: its name (Asterisk's systemname) and where it keeps its state."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,16}$")] = "fr1"
    state_folder: Path


class Network(_Section):
    """Addresses and ports of this node. All services listen on ``address`` alone."""

    address: IPvAnyAddress
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
            raise ValueError("ami_port, agi_port and desk_port must differ")
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

    address: IPvAnyAddress
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

    @model_validator(mode="after")
    def _cross_references(self) -> Self:
        problems = [*self._unknown_agents(), *self._shared_dids(), *self._missing_names()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unknown_agents(self) -> list[str]:
        return [
            f"departments.{key}.{field} names agent '{extension}', who is not in [agents]; add [agents.{extension}]"
            for key, department in self.departments.items()
            for field, members in (("direct", department.direct), ("queue", department.queue))
            for extension in members
            if extension not in self.agents
        ]

    def _shared_dids(self) -> list[str]:
        owner: dict[str, str] = {}
        problems = []
        for key, department in self.departments.items():
            for did in department.dids:
                if did in owner:
                    problems.append(
                        f"DID {did} belongs to both '{owner[did]}' and '{key}'; keep it in one of them"
                    )
                owner.setdefault(did, key)
        return problems

    def _missing_names(self) -> list[str]:
        problems = []
        for key, department in self.departments.items():
            language = self.language_of(key)
            if language not in self.company.names:
                problems.append(
                    f"departments.{key} speaks '{language}', but company.names has no '{language}'"
                )
            if language not in department.names:
                problems.append(
                    f"departments.{key}.names has no '{language}', the language it speaks; add it"
                )
            for extension in {*department.direct, *department.queue}:
                agent = self.agents.get(extension)
                if agent is not None and language not in agent.names:
                    problems.append(
                        f"agents.{extension}.names has no '{language}', spoken by '{key}'; add it"
                    )
        return problems

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
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise ConfigError([_sentence(origin, fault) for fault in error.errors()]) from None


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
    key = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "(whole file)"
    remedy = _REMEDIES.get(fault["type"])
    if remedy:
        return f"{origin}: {key} {remedy}."
    message = str(fault["msg"]).removeprefix("Value error, ")
    value = fault["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float) else ""
    return f"{origin}: {key}{shown}: {message}."
