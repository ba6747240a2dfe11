"""How services log: one line an event on standard error, instants in UTC."""

from __future__ import annotations

import logging
import time


def set_up_logging(service: str, *, verbose: bool = False) -> None:
    """Send the log of this process to standard error, each line marked with ``service``."""
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ {service} %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    # These narrate every query and request; what matters of them we log ourselves.
    for chatty in ("sqlalchemy", "aiosqlite", "alembic", "aiohttp.access", "panoramisk", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
