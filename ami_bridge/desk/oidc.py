"""OpenID Connect: who logs in is told by a provider (Core 1.0, authorization code flow with PKCE, RFC 7636).

Signatures, keys and claims are joserfc's; here are the four steps that use them: discovery, the address to which the
browser is sent, the exchange of its code, the check of the ID token. The way not taken: Authlib's client does the same
steps with an HTTP library of its own beside ours, and leaves the check of the claims to us all the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout, encode_basic_auth
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ami_bridge.desk_settings import OidcSettings

BACK_PATH = "/login/oidc/back"
#: How long somebody may take at the provider.
ATTEMPT_SECONDS = 600.0
_TIMEOUT = ClientTimeout(total=10)
_MOST_BYTES = 256 * 1024
_KEPT_SECONDS = 3600.0
_LEEWAY = 60
_MOST_ATTEMPTS = 1000
#: Asymmetric ones alone: whoever may read our client's secret must not be able to make tokens.
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


class OidcRefused(Exception):
    """The provider did not answer as it must; the message is for our log, not for the browser."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login on its way to the provider and back."""

    nonce: str
    verifier: str
    wanted: str  # where the browser goes afterwards
    began: float = field(default_factory=time.monotonic)


class Oidc:
    """Our side of one provider."""

    def __init__(self, settings: OidcSettings, secret: str) -> None:
        self.settings = settings
        self._secret = secret
        self._attempts: dict[str, Attempt] = {}
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends the browser back to; registered there."""
        return f"{self.settings.public_url}{BACK_PATH}"

    async def begin(self, wanted: str) -> tuple[str, str]:
        """(state, address): the browser keeps the one and goes to the other. Raises OidcRefused."""
        metadata = await self._discovered()
        now = time.monotonic()
        self._attempts = {
            state: each for state, each in self._attempts.items() if now - each.began < ATTEMPT_SECONDS
        }
        while len(self._attempts) >= _MOST_ATTEMPTS:
            self._attempts.pop(next(iter(self._attempts)))
        state, attempt = (
            secrets.token_urlsafe(24),
            Attempt(secrets.token_urlsafe(24), secrets.token_urlsafe(48), wanted),
        )
        self._attempts[state] = attempt
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(["openid", *self.settings.scopes]),
            "state": state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        address = str(metadata["authorization_endpoint"])
        return state, f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    async def finish(self, state: str, answer: Mapping[str, str]) -> tuple[Mapping[str, Any], str]:
        """The claims of who logged in, and where the browser wanted to go.

        Raises:
            OidcRefused: this is no answer to a login of ours, or the token is not what it must be.
        """
        attempt = self._attempts.pop(state, None)
        if attempt is None or time.monotonic() - attempt.began >= ATTEMPT_SECONDS:
            raise OidcRefused("the login was not begun here, or took too long")
        if answer.get("iss", self.settings.issuer) != self.settings.issuer:  # RFC 9207
            raise OidcRefused("the answer comes from another issuer")
        if "error" in answer or not answer.get("code"):
            raise OidcRefused(f"the provider says: {answer.get('error', 'no code')[:100]}")
        token = await self._exchanged(answer["code"], attempt)
        return await self._checked(token, attempt), attempt.wanted

    async def _exchanged(self, code: str, attempt: Attempt) -> str:
        metadata = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        headers = {"Accept": "application/json"}
        if "client_secret_basic" in methods:
            # Each part is form-encoded first (RFC 6749, 2.3.1).
            login, password = quote_plus(self.settings.client_id), quote_plus(self._secret)
            headers["Authorization"] = encode_basic_auth(login, password)
        else:
            form |= {"client_id": self.settings.client_id, "client_secret": self._secret}
        told = await _asked("POST", str(metadata["token_endpoint"]), data=form, headers=headers)
        token = told.get("id_token")
        if not isinstance(token, str):
            raise OidcRefused("the token endpoint gives no ID token")
        return token

    async def _checked(self, token: str, attempt: Attempt) -> Mapping[str, Any]:
        """Core 1.0, 3.1.3.7. A key that is not known yet may be a new one: the keys are fetched once more."""
        try:
            decoded = await self._decoded(token)
            claims = decoded.claims
            jwt.JWTClaimsRegistry(
                leeway=_LEEWAY,
                iss={"essential": True, "value": self.settings.issuer},
                sub={"essential": True},
                aud={"essential": True, "value": self.settings.client_id},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": attempt.nonce},
            ).validate(claims)
        except (JoseError, ValueError, KeyError) as error:
            raise OidcRefused(f"the ID token is not good: {type(error).__name__} {error}") from None
        audience = claims["aud"]
        others = isinstance(audience, list) and len(audience) > 1
        if claims.get("azp", None if others else self.settings.client_id) != self.settings.client_id:
            raise OidcRefused("the ID token was made for another client")
        return claims

    async def _decoded(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, await self._known_keys(), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError, KeyError):
            self._keys = None
            return jwt.decode(token, await self._known_keys(), algorithms=list(ALGORITHMS))

    async def _known_keys(self) -> KeySet:
        if self._keys is None or time.monotonic() - self._keys[0] > _KEPT_SECONDS:
            metadata = await self._discovered()
            found: Any = await _asked("GET", str(metadata["jwks_uri"]))
            self._keys = (time.monotonic(), KeySet.import_key_set(found))
        return self._keys[1]

    async def _discovered(self) -> Mapping[str, Any]:
        if self._metadata is None or time.monotonic() - self._metadata[0] > _KEPT_SECONDS:
            found = await _asked("GET", f"{self.settings.issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self.settings.issuer:
                raise OidcRefused(f"the provider calls itself {found.get('issuer')!r}")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if lacking := [
                name for name in needed if not str(found.get(name, "")).startswith(("https://", "http://"))
            ]:
                raise OidcRefused(f"the provider's metadata lack {', '.join(lacking)}")
            self._metadata = (time.monotonic(), found)
        return self._metadata[1]


async def _asked(method: str, address: str, **more: Any) -> dict[str, Any]:
    """One JSON object. A redirect could lead into the house: none is followed."""
    raw = bytearray()
    try:
        async with (
            ClientSession(timeout=_TIMEOUT) as http,
            http.request(method, address, allow_redirects=False, **more) as answer,
        ):
            async for chunk in answer.content.iter_chunked(16 * 1024):
                raw += chunk
                if len(raw) > _MOST_BYTES:
                    raise OidcRefused(f"{address} answers without an end")
            if answer.status != 200:
                raise OidcRefused(f"{address} answers {answer.status}")
    except (ClientError, TimeoutError, OSError) as error:
        raise OidcRefused(f"{address} does not answer ({type(error).__name__})") from None
    return _parsed(bytes(raw))


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        raise OidcRefused("the answer is no JSON") from None
    if not isinstance(told, dict):
        raise OidcRefused("the answer is no JSON object")
    return told
