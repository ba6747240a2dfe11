"""The page on which an agent gives the own voice: listen, upload a WAV, forget."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ami_bridge.adapters.store import NotStored
from ami_bridge.desk.keys import SETTINGS
from ami_bridge.desk.pages import page_of, reader_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.voice_api import may_record_for, voice_of


@needs(Role.AGENT, Scope.VOICE_WRITE)
async def my_voice(request: web.Request) -> web.Response:
    """The reader's own; a supervisor names the agent in the path."""
    account, settings = reader_of(request), request.app[SETTINGS]
    extension = request.match_info.get("extension", account.extension)
    if not may_record_for(account, settings, extension):
        raise NotStored("agent", extension)
    page = page_of(request)
    voice = await asyncio.to_thread(voice_of, settings, extension)
    return page.draw(
        "voice.html",
        voice=voice,
        recorded={each.part: each for each in voice.recorded},
        name=settings.agents[extension].names.get(page.language, extension),
        codes=settings.own_voices,
        source=f"/api/v1/agents/{extension}/voice",
    )


def add_voice_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/voice", my_voice)
    app.router.add_get("/voice/{extension}", my_voice)
