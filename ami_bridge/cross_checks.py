"""Faults between the parts of a configuration, found in the document as it was written.

They are looked for in the raw document, not in the validated one, so that they are told together with
the faults of single values: an admin mends everything in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any


def cross_faults(document: Mapping[str, Any]) -> list[str]:
    """One ``key: fault; remedy`` a fault. What is no table or list is passed over: the models tell of it."""
    return [
        *_unknown_agents(document),
        *_shared_dids(document),
        *_missing_names(document),
        *_unspoken_languages(document),
        *_browser_phones(document),
    ]


def _unknown_agents(document: Mapping[str, Any]) -> Iterator[str]:
    agents = _table(document, "agents")
    for key, department in _departments(document):
        for field in ("direct", "queue"):
            for extension in _texts(department, field):
                if extension not in agents:
                    yield f"departments.{key}.{field} names an unknown agent '{extension}'; add [agents.{extension}]"


def _shared_dids(document: Mapping[str, Any]) -> Iterator[str]:
    owner: dict[str, str] = {}
    for key, department in _departments(document):
        for did in _texts(department, "dids"):
            if did in owner:
                yield f"departments.{key}.dids: DID {did} belongs to '{owner[did]}' already; keep it in one of them"
            owner.setdefault(did, key)


def _missing_names(document: Mapping[str, Any]) -> Iterator[str]:
    company = _table(document, "company")
    agents = _table(document, "agents")
    told = set()
    for key, department in _departments(document):
        first = department.get("language") or company.get("language")
        languages = [first] if isinstance(first, str) else []
        named = [("company", company), (f"departments.{key}", department)]
        members = dict.fromkeys([*_texts(department, "direct"), *_texts(department, "queue")])
        named += [(f"agents.{extension}", _table(agents, extension)) for extension in members]
        for language, (owner, section) in product([*languages, *_texts(department, "more_languages")], named):
            names = section.get("names")
            if isinstance(names, dict) and language not in names and (owner, language) not in told:
                told.add((owner, language))
                yield f"{owner}.names has no '{language}', which '{key}' speaks; add it"


def _unspoken_languages(document: Mapping[str, Any]) -> Iterator[str]:
    company = _table(document, "company")
    for key, department in _departments(document):
        spoken = [
            department.get("language") or company.get("language"),
            *_texts(department, "more_languages"),
        ]
        for did, language in _table(department, "did_languages").items():
            if did not in _texts(department, "dids"):
                yield f"departments.{key}.did_languages: {did} is no DID of '{key}'; add it to dids or remove it"
            if language not in spoken:
                yield (
                    f"departments.{key}.did_languages.{did}: '{key}' does not speak '{language}'; "
                    f"add it to departments.{key}.more_languages"
                )


def _browser_phones(document: Mapping[str, Any]) -> Iterator[str]:
    if _table(document, "webrtc").get("enabled") is not True:
        return
    network, agents = _table(document, "network"), _table(document, "agents")
    port = network.get("websocket_port", 8088)
    for key, usual in (("ami_port", 5038), ("agi_port", 4573), ("desk_port", 8080)):
        if network.get(key, usual) == port:
            yield f"network.websocket_port {port} is {key} already; change one of them"
    for name in _table(document, "trunks"):
        # The PBX knows a carrier by its address, and the desk hands the browsers' calls on from this one.
        if _table(_table(document, "trunks"), name).get("address") == network.get("address", ""):
            yield (
                f"trunks.{name}.address is network.address: browser phones would be taken for that carrier; "
                "give one of them another address"
            )
    if not any(_table(agents, extension).get("webrtc") is True for extension in agents):
        yield "webrtc.enabled is true, but no agent has a browser phone; write webrtc = true in [agents.X] of those"


def _departments(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    departments = _table(document, "departments")
    for key in departments:
        yield key, _table(departments, key)


def _table(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = parent.get(key)
    return found if isinstance(found, dict) else {}


def _texts(parent: Mapping[str, Any], key: str) -> list[str]:
    found = parent.get(key)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
