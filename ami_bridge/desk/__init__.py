"""The desk: HTTP API, live feed, pages, health and metrics.

:func:`create_app` makes the application; :func:`serving` runs it behind the read guard that aiohttp lacks.
"""

from __future__ import annotations

from ami_bridge.desk.app import create_app
from ami_bridge.desk.guard import serving

__all__ = ["create_app", "serving"]
