"""The channels that carry one request to our AGI and are no part of any call.

The dialplan's context ``ask`` makes a Local channel for each request, so that whoever answers in the AGI's place
cannot hold a caller. It lives for milliseconds. Asterisk does not send its events (``manager.conf``); the list of
all channels and Asterisk's own records name it nevertheless.
"""

from __future__ import annotations

#: What the dialplan dials; the names of its two halves begin with it.
ERRAND = "Local/s@errand"


def is_errand(channel: str) -> bool:
    """Whether a channel of this name carries a request to our AGI."""
    return channel.startswith(ERRAND)
