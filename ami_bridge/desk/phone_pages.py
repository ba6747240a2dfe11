"""The browser as a phone: what it registers with, and the way to the PBX.

The page's WebSocket ends here, on the desk's own origin, and is handed on to Asterisk's: one address, one port and one
certificate for the browser, the session's rights at the door, and Asterisk's HTTP server stays unseen. The way not
taken, and why a password is still needed: docs/decisions/0012-browser-phone.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, ClientWebSocketResponse, WSMsgType, web

from ami_bridge import secrets
from ami_bridge.adapters.store import StoreUnavailable
from ami_bridge.desk.auth import account_here, account_of
from ami_bridge.desk.keys import SETTINGS
from ami_bridge.desk.rights import Account, Role, needs
from ami_bridge.settings import Settings
from ami_bridge.webrtc_settings import web_endpoint

log = logging.getLogger(__name__)

SIP_OVER_WEBSOCKET = "sip"  # the subprotocol's name, RFC 7118
#: Bytes of the longest SIP message; a browser's offer with many candidates has some 4,000.
LONGEST_MESSAGE = 32 * 1024
#: A browser that answers no ping for half of this is gone, and so is its registration: nobody rings it in vain.
HEARTBEAT_SECONDS = 20.0
CONNECT_SECONDS = 5.0
#: How long a browser may take to agree that it is over: the desk's own end waits for it.
GOODBYE_SECONDS = 2.0
#: How long a phone may go on after its user was logged out or disabled.
RECHECK_SECONDS = 15.0
MOST_PHONES = 150


class OpenPhones(set[web.WebSocketResponse]):
    """The browsers that have a line now."""


_OPEN: web.AppKey[OpenPhones] = web.AppKey("browser phones", OpenPhones)

Line = web.WebSocketResponse | ClientWebSocketResponse


def colleagues_of(
    account: Account, settings: Settings, names: Mapping[str, str]
) -> list[tuple[str, str]] | None:
    """Whom the browser phone of ``account`` can ring or hand a caller to, by ``names``; None when it has none."""
    if not settings.has_browser_phone(account.extension):
        return None
    return [(extension, name) for extension, name in names.items() if extension != account.extension]


def with_microphone(page: web.Response) -> web.Response:
    """Let the browser give ``page`` the microphone, which no other page of the desk may have."""
    page.headers["Permissions-Policy"] = "camera=(), microphone=(self), geolocation=()"
    return page


@needs(Role.AGENT)
async def registration(request: web.Request) -> web.Response:
    """What the own browser phone registers with; never in a page, and not for tokens of programs."""
    account, settings = _owner(request), request.app[SETTINGS]
    return web.json_response(
        {
            "user": web_endpoint(account.extension),
            "password": secrets.read_secret(settings, secrets.web_secret(account.extension)),
            "domain": str(settings.network.address),
        }
    )


@needs(Role.AGENT)
async def line(request: web.Request) -> web.StreamResponse:
    """The browser's SIP, to and from the PBX, until one of them leaves or the session ends."""
    account = _owner(request)
    _refuse_foreign_pages(request)
    phones = request.app[_OPEN]
    if len(phones) >= MOST_PHONES:
        raise web.HTTPServiceUnavailable(text="Too many browser phones are open already.")
    session = ClientSession(timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS))
    async with session:
        try:
            pbx = await session.ws_connect(
                _pbx_url(request.app[SETTINGS]),
                protocols=(SIP_OVER_WEBSOCKET,),
                max_msg_size=LONGEST_MESSAGE,
                autoclose=True,
            )
        except (ClientError, TimeoutError, OSError) as error:
            log.warning("the PBX takes no browser phone: %s", error)
            raise web.HTTPBadGateway(text="The telephone system does not answer.") from None
        browser = web.WebSocketResponse(
            protocols=(SIP_OVER_WEBSOCKET,),
            heartbeat=HEARTBEAT_SECONDS,
            timeout=GOODBYE_SECONDS,
            max_msg_size=LONGEST_MESSAGE,
            compress=False,
        )
        async with pbx:
            await browser.prepare(request)
            phones.add(browser)
            try:
                await _until_one_ends(
                    _carry(browser, pbx), _carry(pbx, browser), _until_shut_out(request, account)
                )
            finally:
                phones.discard(browser)
                await browser.close()
    return browser


def _owner(request: web.Request) -> Account:
    account = account_here(request)
    if account.by != "session" or not request.app[SETTINGS].has_browser_phone(account.extension):
        raise web.HTTPNotFound(text="You have no phone in the browser.")
    return account


def _refuse_foreign_pages(request: web.Request) -> None:
    """Any page may open a WebSocket to anywhere, with our cookie if the browser is old: only ours may have this one."""
    origin = urlsplit(request.headers.get("Origin", "")).netloc
    if origin.lower() != request.host.lower():
        raise web.HTTPForbidden(text="This was asked for by another site's page; open the desk itself.")


def _pbx_url(settings: Settings) -> str:
    return f"ws://{settings.network.address}:{settings.network.websocket_port}/ws"


async def _until_one_ends(*works: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(source: Line, into: Line) -> None:
    async for message in source:
        send: Callable[[Any], Awaitable[None]]
        if message.type is WSMsgType.TEXT:
            send = into.send_str
        elif message.type is WSMsgType.BINARY:
            send = into.send_bytes
        else:
            return
        try:
            await send(message.data)
        except (ConnectionError, ClientError):
            return


async def _until_shut_out(request: web.Request, account: Account) -> None:
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            if await account_of(request) != account:
                return
        except StoreUnavailable:
            continue  # nobody can be asked; the next look tells


async def _hang_up(app: web.Application) -> None:
    phones = app[_OPEN]
    for browser in list(phones):
        await browser.close()


def add_phone_pages(app: web.Application) -> None:
    """Register them."""
    app[_OPEN] = OpenPhones()
    app.on_shutdown.append(_hang_up)
    app.router.add_post("/agent/phone/registration", registration)
    app.router.add_get("/agent/phone/ws", line)
