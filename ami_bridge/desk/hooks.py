"""Sends the outbox of the webhooks: signed, and again until it arrives.

Every change of the store's feed is filed once for each webhook (in the store, see ``file_deliveries``), so a
desk that dies loses nothing, and several desks share the work. The signature follows the Standard Webhooks
specification (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body, so that a receiver can
refuse what is forged, altered or replayed, with a library that exists. What is sent is the state of the call or
callback *now*: a delivery that was late never overwrites what is newer, and what was erased is not sent.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from ami_bridge.adapters.store import DeliveryEntry, DeliveryState, Store, StoreUnavailable, WebhookEntry
from ami_bridge.desk.callbacks_api import callback_out
from ami_bridge.desk.keys import STORE
from ami_bridge.desk.shapes import CallOut, NoteOut

log = logging.getLogger(__name__)

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with
POLL_SECONDS = 1.0
#: The wait after the 1st, 2nd … failure: ten tries in about three days.
RETRY_SECONDS = (5, 30, 120, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
_ANSWER_SECONDS = 10.0
#: Longer than an attempt can take, so that no other desk sends the same meanwhile.
_HOLD = timedelta(seconds=60)
_AT_ONCE = 8
KEPT = timedelta(days=14)
_SWEEP_SECONDS = 3600.0


def new_secret() -> str:
    """A secret to sign with."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature`` for a message."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def after_failure(delivery: DeliveryEntry, now: datetime, status: int | None, fault: str) -> DeliveryEntry:
    """``delivery`` after a try that did not arrive: when it is tried again, or that it is given up.

    410 Gone is an answer: the receiver wants no more of it.
    """
    attempts = delivery.attempts + 1
    told = replace(delivery, attempts=attempts, status=status, fault=fault[:500])
    if status == 410 or attempts > len(RETRY_SECONDS):
        return replace(told, state=DeliveryState.GIVEN_UP, due_at=now)
    # Up to a fifth more, so that all that failed together does not come back together.
    wait = RETRY_SECONDS[attempts - 1] * (1 + secrets.randbelow(200) / 1000)
    return replace(told, due_at=now + timedelta(seconds=wait))


class Sender:
    """Files and sends while :meth:`run` runs."""

    def __init__(self, store: Store, http: aiohttp.ClientSession) -> None:
        self._store = store
        self._http = http

    async def run(self) -> None:
        """Until cancelled. A store that is away is waited for."""
        loop = asyncio.get_running_loop()
        swept = loop.time() - _SWEEP_SECONDS
        while True:
            try:
                busy = await self.send_due()
                if loop.time() - swept >= _SWEEP_SECONDS:
                    swept = loop.time()
                    await self._store.drop_deliveries(datetime.now(UTC) - KEPT)
            except StoreUnavailable as error:
                log.warning("webhooks: %s", error)
                busy = False
            if not busy:
                await asyncio.sleep(POLL_SECONDS)

    async def send_due(self) -> bool:
        """One round; says whether there was anything to do. Raises StoreUnavailable."""
        filed = await self._store.file_deliveries(datetime.now(UTC))
        taken = await self._store.take_deliveries(datetime.now(UTC), _HOLD, _AT_ONCE)
        if taken:
            webhooks = {webhook.id: webhook for webhook in await self._store.webhooks()}
            await asyncio.gather(
                *(self._send(webhooks[each.webhook], each) for each in taken if each.webhook in webhooks)
            )
        return bool(filed or taken)

    async def _send(self, webhook: WebhookEntry, delivery: DeliveryEntry) -> None:
        body = json.dumps(await self._message(webhook, delivery), ensure_ascii=False).encode()
        status, fault = await self._post(webhook, delivery, body)
        now = datetime.now(UTC)
        if status is not None and 200 <= status < 300:
            arrived = replace(
                delivery, state=DeliveryState.ARRIVED, attempts=delivery.attempts + 1, due_at=now,
                status=status, fault="",
            )  # fmt: skip
            await self._store.save_delivery(arrived)
            return
        after = after_failure(delivery, now, status, fault)
        log.warning("webhook %s, change %d, try %d: %s", webhook.id, delivery.seq, after.attempts, fault)
        await self._store.save_delivery(after)

    async def _message(self, webhook: WebhookEntry, delivery: DeliveryEntry) -> Mapping[str, Any]:
        return {
            "type": f"{delivery.kind}.changed",
            "timestamp": delivery.at.isoformat(),
            "seq": delivery.seq,
            "subject": delivery.subject,
            "data": await self._subject(delivery.kind, delivery.subject),
        }

    async def _subject(self, kind: str, subject: str) -> Mapping[str, Any] | None:
        if kind == "call":
            call = await self._store.call(subject)
            return CallOut.model_validate(call).model_dump(mode="json") if call else None
        if kind == "callback":
            callback = await self._store.callback(subject)
            return callback_out(callback).model_dump(mode="json") if callback else None
        notes = await self._store.notes(subject)
        return NoteOut.model_validate(notes[-1]).model_dump(mode="json") if notes else None

    async def _post(
        self, webhook: WebhookEntry, delivery: DeliveryEntry, body: bytes
    ) -> tuple[int | None, str]:
        message_id, timestamp = f"{webhook.id}.{delivery.seq}", int(datetime.now(UTC).timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "fourthring-webhook/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(webhook.secret, message_id, timestamp, body),
        }
        try:
            # A redirect could lead into the house: the receiver is where the admin said, and nowhere else.
            async with self._http.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, f"the receiver answered {answer.status}"
        except TimeoutError:
            return None, f"no answer within {_ANSWER_SECONDS:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, f"not reached: {error}"


async def sending(app: web.Application) -> AsyncIterator[None]:
    """aiohttp ``cleanup_ctx``: send while the application runs."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    # No cookies between receivers, and no proxy or password file of the account that the desk runs under.
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        task = asyncio.create_task(Sender(app[STORE], http).run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
