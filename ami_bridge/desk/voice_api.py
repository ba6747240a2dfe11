"""People's own voices: an agent's name, or whole greeting, from a WAV file; what callers hear next."""

from __future__ import annotations

import asyncio
import wave
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from pydantic import Field

from agi.voice import own_voice
from agi.voice.prompts import wav_of
from agi.voice.render import RenderError
from ami_bridge.adapters.store import NotStored
from ami_bridge.desk.endpoint import Ask, Endpoint, fault
from ami_bridge.desk.rights import Account, Role, Scope
from ami_bridge.desk.shapes import Out
from ami_bridge.desk.trail import trace
from ami_bridge.settings import Settings

#: Bytes of the largest file: a minute at 48 kHz. What is longer is no greeting.
LARGEST_FILE = 6 * 1024 * 1024
_NAME, _GREETING = "name", "greeting-"


class RecordedOut(Out):
    """One recording of an agent's."""

    part: str = Field(description="'name', or 'greeting-' and a language.")
    seconds: float
    recorded_at: datetime


class VoiceOut(Out):
    """What an agent has recorded, and what more could be."""

    extension: str
    parts: list[str]
    recorded: list[RecordedOut]


def parts_of(settings: Settings) -> list[str]:
    """What an agent can record."""
    return [_NAME, *(f"{_GREETING}{language}" for language in settings.languages)]


def voice_of(settings: Settings, extension: str) -> VoiceOut:
    """What ``extension`` has recorded so far. Blocks."""
    found = [(part, _file_of(settings, extension, part)) for part in parts_of(settings)]
    recorded = [
        RecordedOut(
            part=part, seconds=_seconds(file), recorded_at=datetime.fromtimestamp(file.stat().st_mtime, UTC)
        )
        for part, file in found
        if file is not None
    ]
    return VoiceOut(extension=extension, parts=parts_of(settings), recorded=recorded)


def may_record_for(account: Account, settings: Settings, extension: str) -> bool:
    """Agents speak for themselves; a supervisor may help anybody."""
    mine = account.extension == extension
    return extension in settings.agents and (mine or account.is_at_least(Role.SUPERVISOR))


async def show_voice(ask: Ask) -> VoiceOut:
    """What the agent has recorded."""
    return await asyncio.to_thread(voice_of, ask.settings, _extension(ask))


async def play_voice(ask: Ask) -> web.StreamResponse:
    """The recording as callers hear it."""
    extension, part = _extension(ask), _part(ask)
    file = await asyncio.to_thread(_file_of, ask.settings, extension, part)
    if file is None:
        raise fault(404, f"Agent {extension} has not recorded '{part}'.")
    return web.FileResponse(file, headers={"Content-Type": "audio/wav", "Content-Disposition": "inline"})


async def keep_voice(ask: Ask) -> VoiceOut:
    """The WAV in the body is what callers hear from now on."""
    extension, part = _extension(ask), _part(ask)
    language = part.removeprefix(_GREETING) if part != _NAME else ""
    try:
        await asyncio.to_thread(own_voice.keep, ask.settings, extension, ask.raw, greeting=language)
    except RenderError as error:
        raise fault(400, str(error)) from None
    await trace(ask.store, ask.account, "voice.keep", extension, part=part)
    return await show_voice(ask)


async def drop_voice(ask: Ask) -> VoiceOut:
    """The voice of the house says it again."""
    extension, part = _extension(ask), _part(ask)
    await asyncio.to_thread(own_voice.drop, ask.settings, extension, part)
    await trace(ask.store, ask.account, "voice.drop", extension, part=part)
    return await show_voice(ask)


def _extension(ask: Ask) -> str:
    extension = ask.named("extension")
    if not may_record_for(ask.account, ask.settings, extension):
        raise NotStored("agent", extension)
    return extension


def _part(ask: Ask) -> str:
    part = ask.named("part")
    if part not in parts_of(ask.settings):
        raise fault(404, f"There is no '{part}' to record; there are {', '.join(parts_of(ask.settings))}.")
    return part


def _file_of(settings: Settings, extension: str, part: str) -> Path | None:
    language = part.removeprefix(_GREETING) if part != _NAME else ""
    own = (
        own_voice.greeting_of(settings, extension, language)
        if language
        else own_voice.name_of(settings, extension)
    )
    return wav_of(own.path) if own is not None else None


def _seconds(file: Path) -> float:
    with closing(wave.open(str(file))) as sound:
        return float(round(sound.getnframes() / sound.getframerate(), 1))


_ONE = "/api/v1/agents/{extension}/voice"
_PART = f"{_ONE}/{{part}}"
ENDPOINTS = (
    Endpoint(
        "GET",
        _ONE,
        show_voice,
        "Show what an agent has recorded",
        VoiceOut,
        scope=Scope.DIRECTORY_READ,
        faults=(404,),
    ),
    Endpoint(
        "GET",
        _PART,
        play_voice,
        "Hear an agent's recording",
        scope=Scope.DIRECTORY_READ,
        media="audio/wav",
        faults=(404,),
    ),
    Endpoint(
        "PUT",
        _PART,
        keep_voice,
        "Give callers an agent's own voice: a WAV file, mono, 16 bit",
        VoiceOut,
        scope=Scope.VOICE_WRITE,
        upload=LARGEST_FILE,
        faults=(404,),
    ),
    Endpoint(
        "DELETE",
        _PART,
        drop_voice,
        "Forget an agent's recording",
        VoiceOut,
        scope=Scope.VOICE_WRITE,
        faults=(404,),
    ),
)
