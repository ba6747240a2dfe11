"""Phones in the browser: which are offered, and what the PBX needs for them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ami_bridge.setting_types import Section

#: What an agent's second endpoint in the PBX is called: the tracker takes ``101-web`` for ``101``.
WEB_SUFFIX = "-web"
Codec = Literal["alaw", "ulaw", "g722", "opus"]


class WebRtc(Section):
    """WebRTC phones on the agents' page; see docs/decisions/0012-browser-phone.md.

    ``codecs``: best first. Those of the trunk need no transcoding; opus hides lost packets of a bad network and
    costs the PBX's processor.
    """

    enabled: bool = False
    codecs: list[Codec] = Field(default=["alaw", "ulaw"], min_length=1)


def web_endpoint(extension: str) -> str:
    """The name of the endpoint behind the browser phone of ``extension``: also its user name."""
    return extension + WEB_SUFFIX
