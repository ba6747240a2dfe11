"""The same request sent twice is done once (draft-ietf-httpapi-idempotency-key-header).

A program that lost our answer sends its request again with the same ``Idempotency-Key`` and gets the answer that
was lost, for a day. The key belongs to who sends it: nobody reads another's answer by guessing a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Protocol

from aiohttp import web

from ami_bridge.adapters.store import Store

HEADER = "Idempotency-Key"
LONGEST_KEY = 100
#: A request that is still unanswered after this long was lost with its process: it may be tried again.
_GIVEN_UP = timedelta(minutes=1)


class Asked(Protocol):
    """A request, who sends it, and the store."""

    @property
    def request(self) -> web.Request:
        """As it came."""

    @property
    def store(self) -> Store:
        """Where answers are kept."""

    @property
    def who(self) -> str:
        """The name of who asks."""


async def answered_once(
    ask: Asked,
    body: bytes,
    work: Callable[[], Awaitable[web.StreamResponse]],
    secrets: Collection[str] = (),
) -> web.StreamResponse:
    """The answer of ``work``, or the one that it gave when the same key came before, without its ``secrets``.

    Only what was done is kept. A refusal or a fault is forgotten, so that it can be mended and sent again.

    Raises:
        HTTPBadRequest, HTTPConflict, HTTPUnprocessableEntity: the key is too long, is being worked on, or was
            used for another request.
    """
    request, store = ask.request, ask.store
    given = request.headers.get(HEADER, "")
    if not given:
        return await work()
    if len(given) > LONGEST_KEY:
        raise web.HTTPBadRequest(text=f"The {HEADER} is longer than {LONGEST_KEY} characters.")
    key, now = f"{ask.who}:{given}", datetime.now(UTC)
    fingerprint = hashlib.sha256(f"{request.method} {request.path_qs}\n".encode() + body).hexdigest()
    found = await store.begin_request(key, fingerprint, now, given_up=now - _GIVEN_UP)
    if found is not None:
        if found.fingerprint != fingerprint:
            raise web.HTTPUnprocessableEntity(
                text=f"This {HEADER} was used for another request; take a new one."
            )
        if found.status is None:
            raise web.HTTPConflict(text=f"The request with this {HEADER} is being worked on; ask again.")
        return _again(found.status, found.body)
    try:
        answer = await work()
    except BaseException:
        await store.forget_request(key)
        raise
    if isinstance(answer, web.Response) and answer.status < 300:
        await store.answer_request(key, answer.status, _kept(answer.text or "", secrets))
    else:
        await store.forget_request(key)
    return answer


def _kept(text: str, secrets: Collection[str]) -> str:
    """``text`` without what must not lie in the store readable."""
    if not secrets:
        return text
    return json.dumps({**json.loads(text), **dict.fromkeys(secrets)}, ensure_ascii=False)


def _again(status: int, body: str) -> web.Response:
    answer = web.Response(text=body, status=status, content_type="application/json")
    answer.headers["Idempotency-Replayed"] = "true"
    return answer
