"""Logging in and out, and choosing a password. Plain forms: they work without a line of script."""

from __future__ import annotations

import logging
import math
import time

from aiohttp import web

from ami_bridge import passwords
from ami_bridge.adapters.store import Store, UserEntry
from ami_bridge.desk.auth import (
    account_here,
    address_of,
    forget_cookie,
    open_session,
    read_form,
)
from ami_bridge.desk.keys import STORE
from ami_bridge.desk.pages import page_of
from ami_bridge.desk.rights import Account, Role, Scope, needs, public
from ami_bridge.desk.throttle import Throttle
from ami_bridge.desk.trail import trace

log = logging.getLogger(__name__)

THROTTLE: web.AppKey[Throttle] = web.AppKey("login throttle", Throttle)
#: A name longer than this is nobody's, and is not worth counting whole.
_LONGEST_NAME = 64


@public
async def login_form(request: web.Request) -> web.Response:
    """Ask who it is."""
    return page_of(request).draw(
        "login.html", fault="", name="", next=local_path(request.query.get("next", ""))
    )


@public
async def log_in(request: web.Request) -> web.StreamResponse:
    """Name, password and, for those who use one, the code of the second factor."""
    form = await read_form(request)
    name = form.get("name", "").strip().lower()[:_LONGEST_NAME]
    wanted = local_path(form.get("next", ""))
    address, throttle, now = address_of(request), request.app[THROTTLE], time.monotonic()
    wait = throttle.wait_seconds(name, address, now)
    if wait:
        answer = page_of(request).draw("login.html", 429, fault="wait", name=name, next=wanted)
        answer.headers["Retry-After"] = str(math.ceil(wait))
        return answer
    throttle.begin(name, address, now)
    user = await _checked(request.app[STORE], name, form.get("password", ""), form.get("code", ""))
    if user is None:
        log.warning("login refused for %r from %s", name, address)
        return page_of(request).draw("login.html", 401, fault="wrong", name=name, next=wanted)
    throttle.passed(name, address)
    answer_to = web.HTTPSeeOther("/password" if user.one_time else wanted)
    session = await open_session(request, user, answer_to)
    account = Account(user.name, Role(user.role), by="session", key=session.id)
    await trace(request.app[STORE], account, "login", user.name, address=address)
    raise answer_to


async def _checked(store: Store, name: str, password: str, code: str) -> UserEntry | None:
    """The user, when password and code are right. Whatever is wrong, it takes as long and says the same."""
    user = await store.user(name)
    fits = await passwords.password_fits(user.password_hash if user else "", password)
    if user is None or not user.active or not fits:
        return None
    if user.totp_secret:
        step = passwords.totp_step(user.totp_secret, code)
        if step is None or not await store.take_totp_step(name, step):
            return None
    if passwords.is_outdated(user.password_hash):
        await store.amend_user(name, password_hash=await passwords.hash_password(password))
    return user


@needs(Role.AGENT, Scope.ACCOUNT, while_one_time=True)
async def log_out(request: web.Request) -> web.Response:
    """End this session, here and in the store."""
    account = account_here(request)
    if account.by == "session":
        await request.app[STORE].end_sessions(account.name, only=account.key)
        await trace(request.app[STORE], account, "logout", account.name)
    answer = web.HTTPSeeOther("/login")
    forget_cookie(request, answer)
    raise answer


@needs(Role.AGENT, Scope.ACCOUNT, while_one_time=True)
async def password_form(request: web.Request) -> web.Response:
    """Ask for the old password and a new one."""
    return page_of(request).draw("password.html", fault="")


@needs(Role.AGENT, Scope.ACCOUNT, while_one_time=True)
async def change_password(request: web.Request) -> web.Response:
    """Keep the new password and end every other session of this user."""
    form, store, account = await read_form(request), request.app[STORE], account_here(request)
    old, new = form.get("old", ""), form.get("new", "")
    fault = "again" if new != form.get("again") else await _refusal(request, account, old, new)
    if fault:
        return page_of(request).draw("password.html", 400, fault=fault)
    await store.amend_user(account.name, password_hash=await passwords.hash_password(new), one_time=False)
    await store.end_sessions(account.name, but=account.key)
    await trace(store, account, "password.change", account.name)
    raise web.HTTPSeeOther("/")


async def _refusal(request: web.Request, account: Account, old: str, new: str) -> str:
    """Why the password may not be changed so: wait, old, same or weak; "" when it may."""
    store, throttle, now = request.app[STORE], request.app[THROTTLE], time.monotonic()
    address = address_of(request)
    if throttle.wait_seconds(account.name, address, now):
        return "wait"  # somebody sits at a screen that was left open and guesses
    throttle.begin(account.name, address, now)
    user = await store.user(account.name)
    if user is None or not await passwords.password_fits(user.password_hash, old):
        return "old"
    throttle.passed(account.name, address)
    if new == old:
        return "same"
    try:
        passwords.check_password(new, user.name)
    except passwords.WeakPassword:
        return "weak"
    return ""


def local_path(path: str) -> str:
    """Where to go after the login: a path of this desk, never another site's (``//evil``, ``/\\evil``)."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if fine and path.isprintable() and len(path) <= 500 else "/"


def add_login(app: web.Application) -> None:
    """Register the forms."""
    app[THROTTLE] = Throttle()
    app.router.add_get("/login", login_form)
    app.router.add_post("/login", log_in)
    app.router.add_post("/logout", log_out)
    app.router.add_get("/password", password_form)
    app.router.add_post("/password", change_password)
