"""Liveness, readiness and metrics."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from pydantic import BaseModel

from ami_bridge.adapters.store import StoreUnavailable
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.desk.endpoint import Ask, Endpoint
from ami_bridge.desk.live import FEED

#: A bridge that has said nothing for so long is taken for dead.
BEAT_SECONDS = 30.0


class Metrics:
    """What the desk counts about itself, and asks the store when it is scraped."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter(
            "fourthring_desk_requests", "Requests answered.", labels, registry=self.registry
        )
        self.seconds = Histogram(
            "fourthring_desk_request_seconds", "Time to answer.", ["route"], registry=self.registry
        )
        self.listeners = Gauge(
            "fourthring_desk_live_clients", "Clients of the live feed.", registry=self.registry
        )
        self.callbacks = Gauge(
            "fourthring_callbacks", "Callbacks by state.", ["state"], registry=self.registry
        )
        self.store_up = Gauge("fourthring_store_up", "1 when the store answers.", registry=self.registry)
        self.beat_age = Gauge(
            "fourthring_heartbeat_age_seconds",
            "Seconds since a service last said that it lives.",
            ["service", "node"],
            registry=self.registry,
        )
        self.overtakings = Gauge(
            "fourthring_overtakings",
            "Served before one who came earlier, since the dialer's start: must be 0.",
            ["node"],
            registry=self.registry,
        )


METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count by route, never by path: a stranger's paths must not grow the set of time series."""
    metrics, started, status = request.app[METRICS], time.perf_counter(), 500
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as refused:
        status = refused.status
        raise
    finally:
        method = request.method if route != "unknown" else "any"
        metrics.requests.labels(method, route, str(status)).inc()
        if route != "/api/v1/live":
            metrics.seconds.labels(route).observe(time.perf_counter() - started)
    return response


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether calls can be recorded and shown; ``bridge`` is unseen until one has run with this store."""

    ready: bool
    store: Literal["ok", "unavailable"]
    bridge: Literal["ok", "silent", "unseen"]


async def healthz(_ask: Ask) -> Alive:
    """Says only that the loop turns."""
    return Alive()


async def readyz(ask: Ask) -> web.StreamResponse:
    """200 or 503."""
    state = await _readiness(ask)
    return web.Response(
        text=state.model_dump_json(), content_type="application/json", status=200 if state.ready else 503
    )


async def _readiness(ask: Ask) -> Ready:
    try:
        await ask.store.ping()
        beats = [beat.at for beat in await ask.store.heartbeats() if beat.service == "bridge"]
    except StoreUnavailable:
        return Ready(ready=False, store="unavailable", bridge="unseen")
    if not beats:
        return Ready(ready=True, store="ok", bridge="unseen")
    alive = max(beats) > datetime.now(UTC) - timedelta(seconds=BEAT_SECONDS)
    return Ready(ready=alive, store="ok", bridge="ok" if alive else "silent")


async def metrics(ask: Ask) -> web.StreamResponse:
    """Prometheus text format."""
    figures = ask.request.app[METRICS]
    figures.listeners.set(ask.request.app[FEED].clients)
    try:
        counts = await ask.store.count_callbacks()
        for state in CallbackState:
            figures.callbacks.labels(state.value).set(counts.get(state, 0))
        for beat in await ask.store.heartbeats():
            age = (datetime.now(UTC) - beat.at).total_seconds()
            figures.beat_age.labels(beat.service, beat.node).set(age)
            if "overtakings" in beat.detail:
                figures.overtakings.labels(beat.node).set(beat.detail["overtakings"])
        figures.store_up.set(1)
    except StoreUnavailable:
        figures.store_up.set(0)
    return web.Response(body=generate_latest(figures.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


ENDPOINTS = (
    Endpoint("GET", "/healthz", healthz, "Say whether the process lives", Alive, role=None),
    Endpoint("GET", "/readyz", readyz, "Say whether it can do its work", Ready, role=None),
    Endpoint("GET", "/metrics", metrics, "Figures for Prometheus", media="text/plain", role=None),
)
