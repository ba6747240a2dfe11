"""Puts the desk together."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from ami_bridge.adapters.store import Store
from ami_bridge.configuring import Configuration
from ami_bridge.cues import check_cues
from ami_bridge.desk import (
    accounts_api,
    agreements,
    callback_actions,
    callbacks_api,
    calls_api,
    directory_api,
    etiquette_api,
    export_api,
    health,
    hooks,
    hooks_api,
    live,
    settings_api,
    supervise_api,
    talk_api,
    voice_api,
)
from ami_bridge.desk.admin_calendar import add_calendar_pages
from ami_bridge.desk.admin_pages import add_admin_pages
from ami_bridge.desk.admin_people import add_people_pages
from ami_bridge.desk.admin_prompts import add_prompt_pages
from ami_bridge.desk.agent_pages import add_agent_pages
from ami_bridge.desk.auth import authenticated
from ami_bridge.desk.board_pages import add_board_pages
from ami_bridge.desk.day_pages import add_day_pages
from ami_bridge.desk.endpoint import Ask, Endpoint
from ami_bridge.desk.etiquette_pages import add_etiquette_pages
from ami_bridge.desk.faults import one_sentence, safe_headers
from ami_bridge.desk.guard import tell_guard
from ami_bridge.desk.keys import SETTINGS, STORE, TOKEN
from ami_bridge.desk.login import add_login
from ami_bridge.desk.oidc_pages import add_oidc
from ami_bridge.desk.openapi import openapi
from ami_bridge.desk.pages import LANGUAGES, add_pages
from ami_bridge.desk.phone_pages import add_phone_pages
from ami_bridge.desk.record_pages import add_record_pages
from ami_bridge.desk.rights import check_routes
from ami_bridge.desk.supervise_pages import add_supervise_pages
from ami_bridge.desk.talk_pages import add_talk_pages
from ami_bridge.desk.voice_pages import add_voice_pages
from ami_bridge.desk.wave_pages import add_wave_pages
from ami_bridge.settings import Settings

#: Bytes of the largest body. A note's fields are at most 4,000 characters each.
LARGEST_BODY = 64 * 1024
_PARTS = (
    calls_api,
    callbacks_api,
    callback_actions,
    directory_api,
    export_api,
    hooks_api,
    live,
    supervise_api,
    settings_api,
    talk_api,
    agreements,
    etiquette_api,
    accounts_api,
    voice_api,
    health,
)


def create_app(
    store: Store,
    settings: Settings,
    token: str,
    *,
    registry: CollectorRegistry | None = None,
    config: Path | None = None,
) -> web.Application:
    """The desk on an open ``store``. ``token`` opens everything; ``registry`` adds others' metrics.

    ``config``: the file that admins may change; without it they look only.

    Raises:
        ValueError: ``token`` is too short to be a secret.
        ConfigError: a cue file of the company's own is wrong, or the OpenID client's secret is missing.
    """
    if len(token) < 12:
        raise ValueError("The desk's token must have at least 12 characters.")
    for language in LANGUAGES:
        check_cues(settings, language)
    app = web.Application(
        middlewares=[tell_guard, health.counted, one_sentence, authenticated],
        client_max_size=LARGEST_BODY,
    )
    feed = live.Feed(store, settings)
    app[STORE], app[SETTINGS], app[TOKEN] = store, settings, token
    app[live.FEED], app[health.METRICS] = feed, health.Metrics(registry)
    if config is not None:
        app[settings_api.CONFIGURATION] = Configuration(config, settings.state_folder)
    app[settings_api.APPLYING] = asyncio.Lock()
    app.cleanup_ctx.append(feed.follow)
    app.cleanup_ctx.append(hooks.sending)
    app.on_shutdown.append(feed.close)
    app.on_response_prepare.append(safe_headers)
    add_login(app)
    add_oidc(app)
    add_pages(app)
    add_agent_pages(app)
    add_talk_pages(app)
    add_day_pages(app)
    add_etiquette_pages(app)
    add_phone_pages(app)
    add_board_pages(app)
    add_record_pages(app)
    add_supervise_pages(app)
    add_wave_pages(app)
    add_admin_pages(app)
    add_people_pages(app)
    add_calendar_pages(app)
    add_prompt_pages(app)
    add_voice_pages(app)
    for endpoint in _endpoints():
        app.router.add_route(endpoint.method, endpoint.path, endpoint.__call__)
    check_routes(app)
    return app


def _endpoints() -> list[Endpoint]:
    described = [endpoint for part in _PARTS for endpoint in part.ENDPOINTS]
    document: dict[str, Any] = {}

    async def show_openapi(_ask: Ask) -> web.StreamResponse:
        return web.json_response(document)

    itself = Endpoint("GET", "/api/v1/openapi.json", show_openapi, "This document", role=None)
    endpoints = [*described, itself]
    document.update(openapi(endpoints, _version()))
    return endpoints


def _version() -> str:
    try:
        return version("fourthring")
    except PackageNotFoundError:
        return "0"
