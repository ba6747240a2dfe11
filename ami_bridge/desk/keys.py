"""What the application carries for everybody who handles a request."""

from __future__ import annotations

from aiohttp import web

from ami_bridge.adapters.store import Store
from ami_bridge.desk.rights import Account
from ami_bridge.settings import Settings

#: Seconds in which a request's body has to arrive. aiohttp itself waits for ever.
BODY_SECONDS = 10.0

STORE: web.AppKey[Store] = web.AppKey("store", Store)
SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
#: ``request[ACCOUNT]`` is who asks; None on routes for everybody.
ACCOUNT: web.RequestKey[Account | None] = web.RequestKey("account", Account)
TOKEN: web.AppKey[str] = web.AppKey("desk token", str)
