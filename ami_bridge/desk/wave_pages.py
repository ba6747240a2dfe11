"""A recording as a picture: where somebody speaks and where not, so that a listener finds the place."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
from aiohttp import web

from ami_bridge.adapters.store import NotStored
from ami_bridge.desk.callbacks_api import recording_file
from ami_bridge.desk.keys import SETTINGS, STORE
from ami_bridge.desk.pages import reader_of
from ami_bridge.desk.rights import Role, Scope, needs
from ami_bridge.desk.view import sees_department

_BARS, _HEIGHT = 120, 40
#: Readable on light and on dark: a picture of its own knows nothing of the page's colours.
_COLOUR = "#3d8f99"


def peaks_of(file: Path, bars: int = _BARS) -> list[float]:
    """The loudest sample of each of ``bars`` stretches, 0 to 1 of the loudest of all; flat when it cannot be read."""
    try:
        with wave.open(str(file)) as sound:
            raw = sound.readframes(sound.getnframes()) if sound.getsampwidth() == 2 else b""
    except (OSError, EOFError, wave.Error):
        raw = b""
    samples = np.abs(np.frombuffer(raw, dtype="<i2").astype(np.int32))
    if not len(samples) or not samples.max():
        return [0.0] * bars
    stretches = np.array_split(samples, bars)
    return [round(float(each.max()) / float(samples.max()), 3) if len(each) else 0.0 for each in stretches]


def drawn(peaks: list[float]) -> str:
    """As SVG."""
    bars = "".join(
        f'<rect x="{place * 4}" y="{(_HEIGHT - height) / 2:.1f}" width="3" height="{height:.1f}" rx="1"/>'
        for place, height in enumerate(max(1.5, peak * _HEIGHT) for peak in peaks)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(peaks) * 4} {_HEIGHT}" '
        f'preserveAspectRatio="none" fill="{_COLOUR}">{bars}</svg>'
    )


@needs(Role.AGENT, Scope.CALLBACKS_READ)
async def callback_wave(request: web.Request) -> web.Response:
    """Of what a caller said. Looking is not hearing: only the sound itself is written into the audit trail."""
    callback = await request.app[STORE].callback(request.match_info["id"])
    if callback is None or not sees_department(reader_of(request), callback.department):
        raise NotStored("callback", request.match_info["id"])
    stored = getattr(callback, f"{request.match_info['part']}_recording")
    file = await asyncio.to_thread(recording_file, request.app[SETTINGS], stored) if stored else None
    if file is None:
        raise web.HTTPNotFound(text="There is no such recording.")
    picture = drawn(await asyncio.to_thread(peaks_of, file))
    return web.Response(text=picture, content_type="image/svg+xml")


def add_wave_pages(app: web.Application) -> None:
    """Register them."""
    app.router.add_get("/callbacks/{id}/wave/{part:name|subject}.svg", callback_wave)
