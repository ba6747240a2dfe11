"""Chromium for the tests: logged in at the running desk, screenshots kept, every page looked at by axe-core."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page

from ami_bridge import passwords
from ami_bridge.adapters.store import SqlStore, UserEntry
from ami_bridge.settings import Settings

ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "desk"
PASSWORD = "a plain long password"
#: Chromium must neither talk to anybody nor wait for a graphics card, and root may run it.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Rules of WCAG 2.2 A and AA; whatever axe calls serious or critical fails the test.
_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def chromium() -> str:
    """Where Debian's Chromium is."""
    found = shutil.which("chromium")
    assert found, "chromium is missing: make setup-test brings it in"
    return found


async def add_user(store: SqlStore, name: str, role: str, extension: str = "") -> None:
    """Somebody who may log in with :data:`PASSWORD`; harmless when there already."""
    hashed = await passwords.hash_password(PASSWORD)
    await store.add_user(UserEntry(name, role, datetime.now(UTC), extension, password_hash=hashed))


@dataclass
class Screen:
    """One browser window at the desk."""

    page: Page
    base: str
    name: str
    strangers: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """Go to a page of the desk."""
        await self.page.goto(f"{self.base}{path}")

    async def until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until a JavaScript expression is true: Playwright's own wait evaluates text, which our CSP forbids."""
        deadline = time.monotonic() + seconds
        while not await self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"{self.name}: not within {seconds} s: {expression}"
            await asyncio.sleep(0.05)

    async def keep(self, what: str) -> None:
        """Keep a screenshot."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=ARTEFACTS / f"{self.name}-{what}.png", full_page=True)

    async def is_accessible(self, what: str) -> None:
        """axe-core finds nothing serious; also keeps a screenshot."""
        await self.keep(what)
        result = await Axe().run(self.page, options={"runOnly": _WCAG, "resultTypes": ["violations"]})
        found: list[dict[str, Any]] = result.response["violations"]
        bad = {
            each["id"]: [node["html"][:200] for node in each["nodes"]]
            for each in found
            if each["impact"] in {"serious", "critical"}
        }
        assert not bad, f"{self.name}, {what}: {bad}"

    def is_clean(self) -> None:
        """Nothing was asked of another machine, and no script failed."""
        assert self.strangers == [], f"{self.name} asked others"
        assert self.faults == [], f"{self.name}: {self.faults}"


class Screens:
    """Windows of one Chromium at one desk."""

    def __init__(self, browser: Browser, settings: Settings) -> None:
        self._browser = browser
        self.base = f"http://{settings.network.address}:{settings.network.desk_port}"
        self._contexts: list[BrowserContext] = []

    async def log_in(
        self, user: str, *, language: str = "ru", dark: bool = False, width: int = 1280, height: int = 860
    ) -> Screen:
        """A new window in which ``user`` has logged in."""
        context = await self._browser.new_context(
            locale={"ru": "ru-RU", "en": "en-GB"}[language],
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": height},
        )
        self._contexts.append(context)
        page = await context.new_page()
        screen = Screen(page, self.base, f"{user}-{language}{'-dark' if dark else ''}-{width}")
        own = urlsplit(self.base).netloc
        page.on("request", lambda asked: self._asked(screen, own, asked.url))
        page.on("pageerror", lambda fault: screen.faults.append(str(fault)))
        page.on("dialog", lambda dialog: screen.faults.append(f"dialog {dialog.message}"))
        await screen.open("/login")
        await page.fill("[name=name]", user)
        await page.fill("[name=password]", PASSWORD)
        await page.click("form.login button")
        await page.wait_for_selector("nav a")
        return screen

    @staticmethod
    def _asked(screen: Screen, own: str, url: str) -> None:
        if urlsplit(url).netloc != own:
            screen.strangers.append(url)

    async def close(self) -> None:
        """Close every window."""
        for context in self._contexts:
            await context.close()
