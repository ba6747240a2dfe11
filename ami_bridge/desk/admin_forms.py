"""The forms of the admin's pages: which values of the configuration each shows, and what a form sent back changes.

A form knows no rule: what is typed becomes a change, and the settings models say what is wrong with it, in the same
words as for a change by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ami_bridge.callback_settings import CallbackMode
from ami_bridge.configuring import Change
from ami_bridge.core.cadence import CADENCES
from ami_bridge.settings import CallbackSettings, QueueSettings, Settings

Kind = Literal["text", "int", "float", "choice", "flag", "lines", "members"]
Path = tuple[str, ...]
STRATEGIES = ("ringall", "rrmemory", "leastrecent", "fewestcalls", "random", "linear")


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the file. ``words``: its label's key and what is put behind it; ``else_``: what holds without it."""

    path: Path
    kind: Kind
    word: str
    about: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    else_: str = ""
    hint: str = ""

    @property
    def name(self) -> str:
        """In the form."""
        return "|".join(self.path)


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that stand together under a heading (a word's key)."""

    word: str
    fields: tuple[Field, ...]


# Which ------------------------------------------------------------------------------------


def sections(settings: Settings) -> dict[str, tuple[Group, ...]]:
    """Every form by its place under ``/admin/form/``."""
    return {
        "company": _company(settings),
        "ring": (Group("form_ring", _ring(("ring",), settings)),),
        "hours": (Group("form_hours", _hours(("hours",))),),
        "queue": (Group("form_queue", _queue()),),
        "callback": _callback(),
        **{f"department/{key}": department_form(settings, key) for key in settings.departments},
        **{f"agent/{extension}": agent_form(settings, extension) for extension in settings.agents},
    }


def _company(settings: Settings) -> tuple[Group, ...]:
    named = tuple(
        Field(("company", "names", language), "text", "f_name", language) for language in languages(settings)
    )
    rest = (
        Field(("company", "language"), "choice", "f_language", choices=_choices(languages(settings))),
        Field(("company", "country"), "text", "f_country"),
        Field(("company", "time_zone"), "text", "f_time_zone"),
    )
    return (Group("form_company", (*named, *rest)),)


def _ring(path: Path, settings: Settings, *, own: bool = False) -> tuple[Field, ...]:
    usual = settings.ring
    zones = _choices(sorted(CADENCES))
    return (
        Field(
            (*path, "zone"),
            "choice",
            "f_zone",
            choices=(("", "–"), *zones) if own else zones,
            else_=usual.zone,
        ),
        Field((*path, "answer_by_ring"), "int", "f_answer_by_ring", else_=str(usual.answer_by_ring)),
    )


def _hours(path: Path) -> tuple[Field, ...]:
    return (
        Field((*path, "open"), "lines", "f_open", hint="f_open_hint", else_="mon-sun 00:00-24:00"),
        Field((*path, "closed_on_holidays"), "flag", "f_closed_on_holidays"),
    )


def _queue() -> tuple[Field, ...]:
    usual = QueueSettings()
    numbers = ("ring_seconds", "retry_seconds", "max_wait_seconds", "repeat_offer_seconds")
    strategy = Field(
        ("queue", "strategy"), "choice", "f_strategy", choices=_choices(STRATEGIES), else_=usual.strategy
    )
    return (
        strategy,
        *(Field(("queue", each), "int", f"f_{each}", else_=str(getattr(usual, each))) for each in numbers),
    )


def _callback() -> tuple[Group, ...]:
    numbers = ("ring_agent_seconds", "ring_customer_seconds", "max_attempts", "requests_per_day")
    modes, usual = _choices(get_args(CallbackMode)), CallbackSettings.model_fields["mode"].default
    return (
        Group(
            "form_callback",
            (
                Field(("callback", "mode"), "choice", "f_callback_mode", choices=modes, else_=usual),
                *(Field(("callback", each), "int", f"f_{each}") for each in numbers),
                Field(("callback", "ask_outcome"), "flag", "f_ask_outcome"),
                Field(("callback", "detect_machines"), "flag", "f_detect_machines"),
                Field(("callback", "max_minutes"), "float", "f_max_minutes", hint="f_max_minutes_hint"),
                Field(("callback", "allowed_regions"), "lines", "f_allowed_regions"),
                Field(("callback", "denied_prefixes"), "lines", "f_denied_prefixes"),
            ),
        ),
        Group("form_customer_hours", _hours(("callback", "customer_hours"))),
        Group(
            "form_promises",
            (
                Field(("promises", "minutes"), "float", "f_promise_minutes", else_="60"),
                Field(("promises", "escalate_minutes"), "float", "f_escalate_minutes", else_="15"),
            ),
        ),
    )


def department_form(settings: Settings, key: str) -> tuple[Group, ...]:
    """Of one that is there, or is to be."""
    at = ("departments", key)
    people = tuple((extension, f"{extension} {_name(settings, extension)}") for extension in settings.agents)
    spoken = _choices(languages(settings))
    return (
        Group(
            "form_department",
            (
                *(Field((*at, "names", each), "text", "f_name", each) for each in languages(settings)),
                Field((*at, "dids"), "lines", "f_dids", hint="f_dids_hint"),
                Field((*at, "language"), "choice", "f_language", choices=(("", "–"), *spoken)),
                Field((*at, "more_languages"), "members", "f_more_languages", choices=spoken),
                Field((*at, "time_zone"), "text", "f_time_zone", else_=settings.company.time_zone),
            ),
        ),
        Group(
            "form_phones",
            (
                Field((*at, "direct"), "members", "f_direct", choices=people, hint="f_direct_hint"),
                Field((*at, "queue"), "members", "f_queue", choices=people, hint="f_queue_hint"),
            ),
        ),
        Group("form_own_ring", _ring((*at, "ring"), settings, own=True)),
        Group("form_own_hours", _hours((*at, "hours"))),
    )


def agent_form(settings: Settings, extension: str) -> tuple[Group, ...]:
    """Of one who is there, or is to be."""
    at = ("agents", extension)
    fields: list[Field] = []
    for language in languages(settings):
        fields.append(Field((*at, "names", language), "text", "f_person", language))
        fields.append(Field((*at, "positions", language), "text", "f_position", language))
    return (Group("form_agent", tuple(fields)),)


def languages(settings: Settings) -> list[str]:
    """Those that are spoken, and those of the desk."""
    return sorted({"ru", "en", *settings.languages, *settings.company.names})


def _name(settings: Settings, extension: str) -> str:
    names = settings.agents[extension].names
    return names.get(settings.company.language) or next(iter(names.values()))


def _choices(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((value, value) for value in values)


# What stands in them, and what comes back -----------------------------------------------------


def shown(document: Mapping[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """By field's name: text, or a list for lines and members, or a flag."""
    values: dict[str, Any] = {}
    for field in _fields(groups):
        value = value_at(document, field.path)
        if field.kind in {"lines", "members"}:
            values[field.name] = [str(each) for each in value or ()]
        elif field.kind == "flag":
            values[field.name] = bool(value)
        else:
            values[field.name] = "" if value is None else str(value)
    return values


def typed(form: Mapping[str, str], groups: Sequence[Group]) -> dict[str, Any]:
    """The same of a form that was sent: what was typed is shown again."""
    values: dict[str, Any] = {}
    for field in _fields(groups):
        if field.kind == "members":
            values[field.name] = [key for key, _ in field.choices if form.get(f"{field.name}:{key}")]
        elif field.kind == "lines":
            values[field.name] = [
                line.strip() for line in form.get(field.name, "").splitlines() if line.strip()
            ]
        elif field.kind == "flag":
            values[field.name] = bool(form.get(field.name))
        else:
            values[field.name] = form.get(field.name, "").strip()[:500]
    return values


def changes_of(
    document: Mapping[str, Any], groups: Sequence[Group], values: Mapping[str, Any]
) -> list[Change]:
    """What is different from what the file says. An empty field takes its value out."""
    before, changes = shown(document, groups), []
    for field in _fields(groups):
        value = values[field.name]
        if value == before[field.name]:
            continue
        if field.kind == "members":
            value = _in_order(before[field.name], value)
            if value == before[field.name]:
                continue
        changes.append(Change(field.path, _meant(field, value, value_at(document, field.path))))
    return changes


def _meant(field: Field, value: Any, before: Any) -> Any:
    if field.kind == "flag":
        return value if value or before is not None else None
    if value in ("", []) and not (field.kind == "members" and before is not None):
        return None
    if field.kind in {"int", "float"}:
        return _number(value, field.kind)
    return value


def _number(text: str, kind: str) -> int | float | str:
    """A number; what is none is left for the settings to refuse."""
    try:
        return int(text) if kind == "int" or text.lstrip("-").isdigit() else float(text.replace(",", "."))
    except ValueError:
        return text


def _in_order(before: Sequence[str], chosen: Sequence[str]) -> list[str]:
    """Who was there keeps the place (a linear queue rings in this order); the new ones come last."""
    return [each for each in before if each in chosen] + [each for each in chosen if each not in before]


def value_at(document: Mapping[str, Any], path: Path) -> Any:
    """What stands there; None when nothing does."""
    value: Any = document
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _fields(groups: Sequence[Group]) -> Iterator[Field]:
    for group in groups:
        yield from group.fields
