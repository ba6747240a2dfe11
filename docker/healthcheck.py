#!/opt/fourthring/bin/python
"""Exit 0 when a service of this node is well: ``healthcheck.py agi|bridge|desk|dialer``.

It is asked twice a minute beside live calls, so each question is the cheapest that tells something.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

from ami_bridge.errors import FourthRingError
from ami_bridge.pbx.ports import Port, holder_of
from ami_bridge.settings import Settings, load_settings

_LATE = timedelta(seconds=20)


def ill(service: str, settings: Settings) -> str | None:
    """Why ``service`` is not well, or None."""
    if service == "agi":
        return _agi(settings)
    if service == "desk":
        return _desk(settings)
    return asyncio.run(_beating(service, settings))


def _agi(settings: Settings) -> str | None:
    """Looked up, not connected to: a connection without a question is a fault that the service writes down."""
    port = Port("tcp", str(settings.network.address), settings.network.agi_port, "network.agi_port")
    return None if holder_of(port) else f"nobody listens on {port}"


def _desk(settings: Settings) -> str | None:
    url = f"http://{settings.network.address}:{settings.network.desk_port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=3):
            return None
    except (urllib.error.URLError, OSError) as error:
        return f"{url}: {error}"


async def _beating(service: str, settings: Settings) -> str | None:
    from ami_bridge.adapters.store import SqlStore  # noqa: PLC0415 - heavy, and two of four do not need it

    store = SqlStore(settings.store_url)
    try:
        await store.open()
        beats = [beat for beat in await store.heartbeats() if beat.node == settings.node.name]
    finally:
        await store.close()
    beat = next((beat for beat in beats if beat.service == service), None)
    if beat is None or datetime.now(UTC) - beat.at > _LATE:
        return f"{service} gave no sign of life for {_LATE.seconds} s"
    link = beat.detail.get("link")
    return None if link == "ready" else f"its AMI link is {link}"


if __name__ == "__main__":
    try:
        reason = ill(sys.argv[1], load_settings())
    except FourthRingError as error:
        reason = str(error)
    sys.exit(reason)
