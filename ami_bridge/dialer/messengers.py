"""Ways to tell people about a promise: a POST to an address of theirs, and e-mail."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Any

import aiohttp

from ami_bridge.dialer.ledger import Messenger
from ami_bridge.settings import Settings

_LIMIT_SECONDS = 10.0
_TRIES, _FIRST_PAUSE_SECONDS = 3, 2.0


class WebhookMessenger:
    """POSTs the message as JSON; anything but 2xx is tried again a little later, three times in all."""

    def __init__(self, url: str, *, first_pause_seconds: float = _FIRST_PAUSE_SECONDS) -> None:
        self._url = url
        self._pause = first_pause_seconds

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Raises OSError when nobody took it."""
        limit = aiohttp.ClientTimeout(total=_LIMIT_SECONDS)
        reason = ""
        for tried in range(_TRIES):
            await asyncio.sleep(self._pause * tried)
            try:
                async with (
                    aiohttp.ClientSession(timeout=limit) as session,
                    session.post(self._url, json=dict(message), allow_redirects=False) as answer,
                ):
                    if answer.status // 100 == 2:
                        return
                    reason = f"answered {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
        raise OSError(f"promises.webhook {reason}")


class MailMessenger:
    """Sends one plain mail over SMTP (RFC 5321), without caller's data but the callback's id."""

    def __init__(self, host: str, port: int, sender: str, recipients: Sequence[str]) -> None:
        self._host, self._port = host, port
        self._sender, self._recipients = sender, recipients

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Raises OSError (smtplib's errors are some) when the server did not take it."""
        await asyncio.to_thread(self._send, self._mail(message))

    def _mail(self, message: Mapping[str, Any]) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = f"{message['event']}: {message['department']}, due {message['due_at']}"
        mail["From"], mail["To"] = self._sender, ", ".join(self._recipients)
        mail.set_content("\n".join(f"{key}: {value}" for key, value in message.items()) + "\n")
        return mail

    def _send(self, mail: EmailMessage) -> None:
        with smtplib.SMTP(self._host, self._port, timeout=_LIMIT_SECONDS) as server:
            server.send_message(mail)


def messengers_of(settings: Settings) -> list[Messenger]:
    """Those that the configuration names."""
    promises = settings.promises
    found: list[Messenger] = []
    if promises.webhook:
        found.append(WebhookMessenger(promises.webhook))
    if promises.mail_to:
        found.append(
            MailMessenger(promises.mail_server, promises.mail_port, promises.mail_from, promises.mail_to)
        )
    return found
