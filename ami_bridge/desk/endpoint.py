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
from ami_bridge.desk.faults import Invalid
from ami_bridge.desk.keys import ACCOUNT, BODY_SECONDS, SETTINGS, STORE
from ami_bridge.desk.once import HEADER, answered_once
from ami_bridge.desk.rights import PUBLIC, Account, Needs, Role, Scope
from ami_bridge.desk.shapes import FieldFault
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
    raw: bytes = b""  # what was uploaded, see Endpoint.upload

    @property
    def who(self) -> str:
        """The name of who asks."""
        return self.account.name

    def named(self, part: str) -> str:
        """The value of ``{part}`` in the path."""
        return self.request.match_info[part]


_READING = frozenset({"GET", "HEAD"})
_ONCE = (HEADER, "The same key again does nothing and returns what was answered first, for a day.")
#: Who asks what is open to everybody.
_NOBODY = Account("", Role.AGENT, departments=frozenset(), scopes=frozenset())

Answer = BaseModel | web.StreamResponse


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What an endpoint takes and gives. ``faults`` are the statuses beyond 400, 401, 403, 503 and the body's."""

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
    #: Bytes of the largest file that may come in place of a JSON body; 0: none may.
    upload: int = 0
    #: Fields of the answer that are told once: an answer that is given again has null there.
    secrets: tuple[str, ...] = ()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The request headers that mean something here, with what they mean."""
        return self.headers_in if self.method in _READING else (*self.headers_in, _ONCE)

    @property
    def needs(self) -> Needs:
        """What :func:`~ami_bridge.desk.rights.needs_of` finds: who may call this."""
        return PUBLIC if self.role is None else Needs(self.role, self.scope, self.while_one_time)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Check what is asked, then hand over; who asks was checked at the door."""
        account = request[ACCOUNT] or _NOBODY
        query = _checked(self.query, dict(request.query), "query")
        raw = await _read(request) if self.body else await _uploaded(request, self.upload)
        body = _parsed(raw, self.body) if self.body else None
        ask = Ask(
            request,
            request.app[STORE],
            request.app[SETTINGS],
            account,
            query,
            body,
            raw if self.upload else b"",
        )

        async def work() -> web.StreamResponse:
            answer = await self.handler(ask)
            if isinstance(answer, web.StreamResponse):
                return answer
            text = "" if self.status == 204 else answer.model_dump_json()
            return web.Response(text=text, content_type="application/json", status=self.status)

        if self.method in _READING:
            return await work()
        return await answered_once(ask, raw, work, self.secrets)


def fault(status: int, sentence: str) -> web.HTTPException:
    """An HTTP error whose body is one sentence."""
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        403: web.HTTPForbidden,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
        415: web.HTTPUnsupportedMediaType,
        503: web.HTTPServiceUnavailable,
    }
    return kinds[status](reason=HTTPStatus(status).phrase, text=sentence)


async def _read(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise fault(415, "Send the body as application/json.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None


async def _uploaded(request: web.Request, most: int) -> bytes:
    """The file in the body, which may be larger than anything else that the desk takes."""
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while most and (chunk := await request.content.readany()):
                content += chunk
                if len(content) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(content))
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    return bytes(content)


def _parsed(raw: bytes, model: type[BaseModel]) -> BaseModel:
    try:
        document = json.loads(raw or b"null")
    except (ValueError, RecursionError):
        raise fault(400, "The body is not valid JSON.") from None
    return _checked(model, document, "body")


def _checked(model: type[BaseModel], value: Any, where: str) -> BaseModel:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid(
            where,
            [
                FieldFault(field=".".join(map(str, problem["loc"])) or where, detail=_said(problem))
                for problem in error.errors()
            ],
        ) from None


def _said(problem: Any) -> str:
    return str(problem["msg"]).removeprefix("Value error, ").rstrip(".")


__all__ = ["SETTINGS", "STORE", "Answer", "Ask", "Endpoint", "Nothing", "fault"]
