"""Webhooks: where programs are told, and what did not arrive."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import AfterValidator, Field

from ami_bridge.adapters.store import DeliveryEntry, DeliveryState, NotStored, WebhookEntry
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.hooks import new_secret
from ami_bridge.desk.rights import Role, Scope
from ami_bridge.desk.shapes import In, Limit, Out
from ami_bridge.desk.trail import trace

MOST_WEBHOOKS = 50
Kind = Literal["call", "callback", "note"]


def _receiver(url: str) -> str:
    """An address that may be told what callers say: over TLS, or on this machine.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)  # raises ValueError for half a bracket
    host, _ = parts.hostname or "", parts.port
    if parts.username or parts.password or parts.fragment:
        raise ValueError("leave out user, password and fragment; the signature proves who sends")
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("write an address such as https://crm.example.com/hook")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValueError("write https:// (http:// only to this machine): callers' numbers are sent there")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class WebhookIn(In):
    """Where to tell, and of what."""

    url: Annotated[str, Field(max_length=2000), AfterValidator(_receiver)]
    events: Annotated[list[Kind], Field(min_length=1, max_length=3)]


class WebhookOut(Out):
    """A webhook. ``secret`` signs its messages and is shown once, when it is made."""

    id: str
    url: str
    events: list[str]
    created_by: str
    created_at: datetime
    active: bool
    waiting: int = Field(description="Deliveries on their way, at most 1,000 counted.")
    failing: str = Field(description="Why the newest of them has not arrived yet; empty: nothing failed.")
    secret: str | None = None


class Webhooks(Out):
    """Oldest first."""

    webhooks: list[WebhookOut]


class DeliveriesQuery(In):
    """Which deliveries."""

    state: DeliveryState | None = None
    limit: Limit = 100


class DeliveryOut(Out):
    """One change on its way."""

    seq: int
    kind: str
    subject: str
    at: datetime
    state: DeliveryState
    attempts: int
    due_at: datetime = Field(description="When it is tried next; when it ended, once it has.")
    status: int | None
    fault: str


class Deliveries(Out):
    """Newest first."""

    deliveries: list[DeliveryOut]


async def list_webhooks(ask: Ask) -> Webhooks:
    """With what is wrong with them."""
    return Webhooks(webhooks=[await _out(ask, webhook) for webhook in await ask.store.webhooks()])


async def add_webhook(ask: Ask) -> WebhookOut:
    """It is told of what happens from now on."""
    if len(await ask.store.webhooks()) >= MOST_WEBHOOKS:
        raise fault(409, f"There are {MOST_WEBHOOKS} webhooks already; remove one first.")
    wanted = cast(WebhookIn, ask.body)
    kinds = tuple(sorted(set(wanted.events)))
    webhook = WebhookEntry(
        f"wh{secrets.token_hex(6)}", wanted.url, kinds, new_secret(), ask.who, datetime.now(UTC)
    )
    await ask.store.save_webhook(webhook)
    await trace(ask.store, ask.account, "webhook.add", webhook.id, url=webhook.url, events=list(kinds))
    return await _out(ask, webhook, webhook.secret)


async def drop_webhook(ask: Ask) -> web.StreamResponse:
    """What has not arrived is forgotten."""
    if not await ask.store.drop_webhook(ask.named("id")):
        raise NotStored("webhook", ask.named("id"))
    await trace(ask.store, ask.account, "webhook.remove", ask.named("id"))
    return web.Response(status=204)


async def pause_webhook(ask: Ask) -> WebhookOut:
    """Nothing is sent; what happens meanwhile is kept as far back as the change feed goes."""
    return await _set_active(ask, False)


async def resume_webhook(ask: Ask) -> WebhookOut:
    """Send again, what waited first."""
    return await _set_active(ask, True)


async def _set_active(ask: Ask, active: bool) -> WebhookOut:
    webhook = replace(await _known(ask), active=active)
    await ask.store.save_webhook(webhook)
    await trace(ask.store, ask.account, "webhook.resume" if active else "webhook.pause", webhook.id)
    return await _out(ask, webhook)


async def list_deliveries(ask: Ask) -> Deliveries:
    """What arrived, what waits, what was given up."""
    query = cast(DeliveriesQuery, ask.query)
    states = None if query.state is None else [query.state]
    found = await ask.store.deliveries((await _known(ask)).id, states=states, limit=query.limit)
    return Deliveries(deliveries=[DeliveryOut.model_validate(asdict(entry)) for entry in found])


async def resend(ask: Ask) -> DeliveryOut:
    """Once more, from the first wait on."""
    webhook, seq = await _known(ask), ask.named("seq")
    found = [
        entry for entry in await ask.store.deliveries(webhook.id, limit=100_000) if str(entry.seq) == seq
    ]
    if not found:
        raise NotStored("delivery", seq)
    again = replace(found[0], state=DeliveryState.WAITING, attempts=0, due_at=datetime.now(UTC))
    await ask.store.save_delivery(again)
    await trace(ask.store, ask.account, "webhook.resend", webhook.id, seq=again.seq)
    return DeliveryOut.model_validate(asdict(again))


async def _known(ask: Ask) -> WebhookEntry:
    for webhook in await ask.store.webhooks():
        if webhook.id == ask.named("id"):
            return webhook
    raise NotStored("webhook", ask.named("id"))


async def _out(ask: Ask, webhook: WebhookEntry, secret: str | None = None) -> WebhookOut:
    waiting: list[DeliveryEntry] = await ask.store.deliveries(
        webhook.id, states=[DeliveryState.WAITING], limit=1000
    )
    failing = next((entry.fault for entry in waiting if entry.fault), "")
    return WebhookOut(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.kinds),
        created_by=webhook.created_by,
        created_at=webhook.created_at,
        active=webhook.active,
        waiting=len(waiting),
        failing=failing,
        secret=secret,
    )


def _hook(method: str, path: str, handler: Any, summary: str, answer: Any = None, **more: Any) -> Endpoint:
    more = {"role": Role.ADMIN, "scope": Scope.WEBHOOKS_WRITE, **more}
    return Endpoint(method, f"/api/v1/webhooks{path}", handler, summary, answer, **more)


ENDPOINTS = (
    _hook("GET", "", list_webhooks, "List webhooks", Webhooks),
    _hook(
        "POST", "", add_webhook, "Add a webhook", WebhookOut, body=WebhookIn, status=201, secrets=("secret",)
    ),
    _hook("DELETE", "/{id}", drop_webhook, "Remove a webhook", status=204, faults=(404,)),
    _hook("POST", "/{id}/pause", pause_webhook, "Send nothing for a while", WebhookOut, faults=(404,)),
    _hook("POST", "/{id}/resume", resume_webhook, "Send again", WebhookOut, faults=(404,)),
    _hook(
        "GET",
        "/{id}/deliveries",
        list_deliveries,
        "List what was sent, newest first",
        Deliveries,
        query=DeliveriesQuery,
        faults=(404,),
    ),
    _hook("POST", "/{id}/deliveries/{seq}/resend", resend, "Send once more", DeliveryOut, faults=(404,)),
)
