"""One declaration per endpoint: it registers the route *and* writes its part of the OpenAPI document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from ami_bridge.adapters.store import Store
from ami_bridge.desk.auth import Guest, visitor
from ami_bridge.settings import Settings

#: Seconds in which a request's body has to arrive. aiohttp itself waits for ever.
BODY_SECONDS = 10.0

STORE: web.AppKey[Store] = web.AppKey("store", Store)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)


class Nothing(BaseModel):
    """No query, no body."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request, as handlers see it."""

    request: web.Request
    store: Store
    settings: Settings
    who: str
    query: Any
    body: Any

    def named(self, part: str) -> str:
        """The value of ``{part}`` in the path."""
        return self.request.match_info[part]


Answer = BaseModel | web.StreamResponse


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What an endpoint takes and gives. ``faults`` are the statuses beyond 400, 401 and 503."""

    method: str
    path: str
    handler: Callable[[Ask], Awaitable[Answer]]
    summary: str
    answer: type[BaseModel] | None = None
    media: str = "application/json"
    query: type[BaseModel] = Nothing
    body: type[BaseModel] | None = None
    public: bool = False
    status: int = 200
    faults: tuple[int, ...] = ()
    headers_in: tuple[tuple[str, str], ...] = field(default=())

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Check who asks and what is asked, then hand over."""
        who = "" if self.public else (await visitor(request, request.app[STORE])).name
        query = _checked(self.query, dict(request.query), "query")
        body = await _read_body(request, self.body) if self.body else None
        ask = Ask(request, request.app[STORE], request.app[SETTINGS], who, query, body)
        answer = await self.handler(ask)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(
            text=answer.model_dump_json(), content_type="application/json", status=self.status
        )


def fault(status: int, sentence: str) -> web.HTTPException:
    """An HTTP error whose body is one sentence."""
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
        415: web.HTTPUnsupportedMediaType,
        503: web.HTTPServiceUnavailable,
    }
    return kinds[status](reason=HTTPStatus(status).phrase, text=sentence)


async def _read_body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    if request.content_type != "application/json":
        raise fault(415, "Send the body as application/json.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            document = json.loads(await request.read() or b"null")
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    except (ValueError, RecursionError):
        raise fault(400, "The body is not valid JSON.") from None
    return _checked(model, document, "body")


def _checked(model: type[BaseModel], value: Any, where: str) -> BaseModel:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or where}: {_said(problem)}" for problem in error.errors()
        ]
        raise fault(400, f"The {where} is not as it should be: {'; '.join(problems)}.") from None


def _said(problem: Any) -> str:
    return str(problem["msg"]).removeprefix("Value error, ").rstrip(".")


__all__ = ["Answer", "Ask", "Endpoint", "Guest", "Nothing", "fault"]
