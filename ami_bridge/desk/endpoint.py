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
from ami_bridge.desk.keys import ACCOUNT, BODY_SECONDS, SETTINGS, STORE
from ami_bridge.desk.rights import PUBLIC, Account, Needs, Role, Scope
from ami_bridge.settings import Settings


class Nothing(BaseModel):
    """No query, no body."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request, as handlers see it."""

    request: web.Request
    store: Store
    settings: Settings
    account: Account
    query: Any
    body: Any

    @property
    def who(self) -> str:
        """The name of who asks."""
        return self.account.name

    def named(self, part: str) -> str:
        """The value of ``{part}`` in the path."""
        return self.request.match_info[part]


#: Who asks what is open to everybody.
_NOBODY = Account("", Role.AGENT, departments=frozenset(), scopes=frozenset())

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
    role: Role | None = Role.AGENT
    scope: Scope | None = None
    status: int = 200
    faults: tuple[int, ...] = ()
    headers_in: tuple[tuple[str, str], ...] = field(default=())
    while_one_time: bool = False

    @property
    def needs(self) -> Needs:
        """What :func:`~ami_bridge.desk.rights.needs_of` finds: who may call this."""
        return PUBLIC if self.role is None else Needs(self.role, self.scope, self.while_one_time)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Check what is asked, then hand over; who asks was checked at the door."""
        query = _checked(self.query, dict(request.query), "query")
        body = await _read_body(request, self.body) if self.body else None
        account = request[ACCOUNT] or _NOBODY
        ask = Ask(request, request.app[STORE], request.app[SETTINGS], account, query, body)
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


__all__ = ["SETTINGS", "STORE", "Answer", "Ask", "Endpoint", "Nothing", "fault"]
