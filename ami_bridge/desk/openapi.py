"""The OpenAPI 3.1 document, made from the same declarations that register the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ami_bridge.desk.endpoint import Endpoint
from ami_bridge.desk.faults import PROBLEM
from ami_bridge.desk.shapes import Problem

_SCHEMES = ("bearer", "session")
_FAULTS = frozenset({400, 401, 403, 503})
_PART = re.compile(r"\{(\w+)(?::([^}]*))?\}")


def openapi(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """The whole document."""
    models = [(model, "serialization") for model in _answers(endpoints)]
    models += [(endpoint.body, "validation") for endpoint in endpoints if endpoint.body]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = _PART.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fourth Ring desk", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "fourthring"},
            },
        },
    }


def _answers(endpoints: Iterable[Endpoint]) -> list[type[BaseModel]]:
    return [Problem, *{endpoint.answer: None for endpoint in endpoints if endpoint.answer}]


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.handler.__name__,
        "parameters": [
            *_path_parameters(endpoint),
            *_query_parameters(endpoint),
            *_header_parameters(endpoint),
        ],
        "responses": _responses(endpoint),
        # OpenAPI 3.1 lets any scheme name the scopes that it wants; the role is ours to add.
        "security": [] if endpoint.role is None else [{scheme: _scopes(endpoint)} for scheme in _SCHEMES],
        "x-role": endpoint.role.value if endpoint.role else "everybody",
    }
    if endpoint.body:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.body)}
    if endpoint.upload:
        file = {"schema": {"type": "string", "format": "binary", "maxLength": endpoint.upload}}
        operation["requestBody"] = {"required": True, "content": {"audio/wav": file}}
    return operation


def _scopes(endpoint: Endpoint) -> list[str]:
    return [endpoint.scope.value] if endpoint.scope else []


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **({"enum": choice.split("|")} if choice else {})},
        }
        for name, choice in _PART.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    schema = endpoint.query.model_json_schema(ref_template="#/components/schemas/{model}")
    required = schema.get("required", ())
    definitions = schema.get("$defs", {})
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(field, definitions)}
        for name, field in schema.get("properties", {}).items()
    ]


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """A parameter's schema without references, so that it stands by itself."""
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(item, definitions) for key, item in value.items()}


def _header_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in endpoint.headers
    ]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    content = _content(endpoint.answer, endpoint.media) if endpoint.answer else {endpoint.media: {}}
    done: dict[str, Any] = {"description": "Done."}
    if endpoint.status != 204:
        done["content"] = content
    responses: dict[str, Any] = {str(endpoint.status): done}
    if endpoint.path == "/readyz":
        return responses | {"503": {"description": "Not ready.", "content": content}}
    if endpoint.role is None:
        return responses
    for status in sorted({*_FAULTS, *_faults_of_body(endpoint), *endpoint.faults}):
        problem = _content(Problem, PROBLEM)
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    if endpoint.media == "audio/wav":
        responses["206"] = {"description": "The part that Range asked for.", "content": {endpoint.media: {}}}
        responses["416"] = {"description": "The recording has no such part."}
    return responses


def _faults_of_body(endpoint: Endpoint) -> set[int]:
    once = {409, 422} if endpoint.method != "GET" else set()
    return once | ({408, 413, 415} if endpoint.body else {408, 413} if endpoint.upload else set())


def _content(model: type[BaseModel], media: str = "application/json") -> dict[str, Any]:
    return {media: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
