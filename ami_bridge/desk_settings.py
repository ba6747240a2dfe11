"""The section ``[desk]`` of the configuration: house rules of the agent's card, and who may log in from elsewhere."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ami_bridge.setting_types import Section, Slug, form


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine by its very name."""
    try:
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RonaSettings(Section):
    """After how many calls in a row that rang out an agent is paused (S5); 0: never.

    ``queue``: calls from the queue; ``direct``: calls under the ring clock.
    """

    queue: Annotated[int, Field(ge=0, le=20)] = 1
    direct: Annotated[int, Field(ge=0, le=20)] = 2


_Claim = Annotated[str, Field(min_length=1, max_length=100)]
_Address = Annotated[
    str, form(r"^https?://[^\s?#]+$", "write an address that begins with https://"), Field(max_length=300)
]


def _safe_transport(address: str) -> str:
    """Over plain HTTP anybody between could read codes and tokens; to this machine there is nobody between."""
    host = urlsplit(address).hostname or ""
    if not address.startswith("https://") and not is_loopback(host):
        raise ValueError("http is for this machine alone; write an address that begins with https://")
    return address.rstrip("/")


class OidcSettings(Section):
    """Logging in by way of an OpenID Connect provider; see :mod:`ami_bridge.desk.oidc`.

    Attributes:
        issuer: the provider's own name, under which ``/.well-known/openid-configuration`` is found.
        client_id: ours at the provider; the secret ``oidc-client`` belongs to it.
        public_url: this desk as browsers reach it; ``/login/oidc/back`` under it is registered with the provider.
        label: what the button on the login page says.
        name_claim: who it is at the desk; small letters, digits, and ``._@-``.
        role_claim: the claim (a text or a list) in which ``roles`` looks for its values.
        roles: role → values of the claim; the highest role that fits counts, without one nobody gets in.
        extension_claim: the claim with an agent's extension; "" for none.
        scopes: asked for beside ``openid``.
    """

    issuer: Annotated[_Address, AfterValidator(_safe_transport)]
    client_id: _Claim
    public_url: Annotated[_Address, AfterValidator(_safe_transport)]
    label: Annotated[str, Field(min_length=1, max_length=60)] = "OpenID Connect"
    name_claim: _Claim = "preferred_username"
    role_claim: _Claim = "groups"
    roles: Annotated[dict[Literal["agent", "supervisor", "admin"], list[_Claim]], Field(min_length=1)]
    extension_claim: Annotated[str, Field(max_length=100)] = ""
    scopes: list[_Claim] = Field(default=["profile"])


class DeskSettings(Section):
    """How the card behaves.

    Attributes:
        smile: whether the one-line cue stands on the card while the phone rings (S24).
        note_seconds: after the call, until its note should stand (S11).
        transfer_budget: transfers of one call without a warning (S7).
        introduction_seconds: until the caller should have had the word (S14).
        card_hours: until a supervisor may open an etiquette card that its agent has not looked at yet.
        cues: a folder with cue files of the company's own, see :mod:`ami_bridge.cues`.
        silent: departments whose card shows no smile cue although ``smile`` is on.
    """

    smile: bool = True
    silent: list[Slug] = Field(default=[])
    note_seconds: Annotated[int, Field(ge=30, le=3600)] = 180
    transfer_budget: Annotated[int, Field(ge=0, le=10)] = 1
    introduction_seconds: Annotated[int, Field(ge=5, le=300)] = 45
    card_hours: Annotated[float, Field(ge=0, le=720)] = 24.0
    cues: Path | None = None
    rona: RonaSettings = RonaSettings()
    oidc: OidcSettings | None = None
