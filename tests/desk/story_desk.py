"""The desk that browser stories are played at: whole (store, pages, live feed), with a pen where the bridge would be.

No telephone is needed for it; calls with real phones are in tests/pbx.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from ami_bridge.adapters.live_wire import LiveWire, wire_path
from ami_bridge.adapters.store import SqlStore
from ami_bridge.configuring import applying
from ami_bridge.core.callbacks import CallbackEvent
from ami_bridge.desk import create_app, serving
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, load_settings
from tests.pbx.browser import CHROMIUM_OPTIONS, Screen, Screens, add_user, chromium

WAIT_MS = 15_000
LANGUAGES = pytest.mark.parametrize("language", ["ru", "en"])


class Pen:
    """The bridge's end of the wire: what goes on in calls, and what desks asked for."""

    def __init__(self, state_folder: Path) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.asked: list[Mapping[str, Any]] = []
        self.wire = LiveWire(wire_path(state_folder), self.calls.get, lambda: list(self.calls.values()))
        self.wire.answer = self.answer

    async def answer(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the bridge does: the call shows who listens."""
        self.asked.append(asked)
        if "supervise" in asked:
            call = self.calls[asked["supervise"]]
            told = {"by": asked["by"], "phone": asked["phone"], "mode": asked["mode"], "since": iso()}
            call["watched"] = [] if asked["mode"] == "end" else [told]
            self.wire.changed(call["call_id"])
        return {"ok": True, "why": ""}

    def tell(self, call_id: str, **call: Any) -> None:
        """A call that goes on."""
        plain = {
            "call_id": call_id,
            "kind": "call",
            "phase": "talking",
            "number": "79165550901",
            "name": "",
            "did": "74950000001",
            "department": "sales",
            "started_at": iso(),
            "ringing": [],
            "agents": [],
            "ring": None,
            "wait": None,
            "answered_at": None,
            "talk_started_at": None,
            "held_since": None,
            "held_seconds": 0,
            "talk": None,
            "transfers": 0,
            "callback_id": "",
            "absorbed": [],
            "watched": [],
        }
        self.calls[call_id] = {**plain, **call}
        self.wire.changed(call_id)

    def end(self) -> None:
        """Nothing goes on any more."""
        for call_id, call in list(self.calls.items()):
            self.wire.ended(call_id, {**call, "phase": "ended", "agents": [], "ringing": []})
        self.calls.clear()
        self.asked.clear()


def iso() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Place:
    """One desk, its store, its file, and the windows at it."""

    def __init__(self, config: Path, settings: Settings, store: SqlStore, pen: Pen, screens: Screens) -> None:
        self.config, self.settings, self.store, self.pen, self.screens = config, settings, store, pen, screens


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything() -> AsyncIterator[Place]:
    """One browser for all stories: it takes longer to start than any of them."""
    with TemporaryDirectory(prefix="fr-") as folder:
        config = Path(folder) / "fourthring.toml"
        text = (shipped_folder("config") / "demo.toml").read_text(encoding="utf-8")
        text = re.sub(r"state_folder = .*", f'state_folder = "{folder}/s"', text)
        config.write_text(text.replace("desk_port = 8080", f"desk_port = {free_port()}"), "utf-8")
        settings = load_settings(config)
        store = SqlStore(settings.store_url)
        await store.open()
        for name, role, extension in (
            ("anna", "agent", "101"),
            ("boss", "supervisor", "103"),
            ("nophone", "supervisor", ""),
            ("root", "admin", ""),
        ):
            await add_user(store, name, role, extension)
        pen = Pen(settings.state_folder)
        running = asyncio.create_task(pen.wire.run())
        app = create_app(store, settings, "a-token-for-tests", config=config)
        async with serving(app, "127.0.0.1", settings.network.desk_port), async_playwright() as driver:
            pen.wire.linked(True)
            browser = await driver.chromium.launch(executable_path=chromium(), args=CHROMIUM_OPTIONS)
            yield Place(config, settings, store, pen, Screens(browser, settings))
            await browser.close()
        running.cancel()
        await store.close()


@pytest_asyncio.fixture(loop_scope="module")
async def place(everything: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """Each story finds the file as it was, and leaves no window open."""
    monkeypatch.setattr(
        applying, "_prepare", lambda _settings: 0
    )  # half an hour of speech is tested elsewhere
    before = everything.config.read_text("utf-8")
    yield everything
    await everything.screens.close()
    everything.pen.end()
    await gone(everything)
    everything.config.write_text(before, "utf-8")


async def gone(place: Place) -> None:
    """No callback is left for the next story."""
    for each in await place.store.callbacks(limit=100):
        if each.closed_at is None:
            await place.store.update_callback(each.id, event=CallbackEvent.CANCELLED)


async def sees(screen: Screen, text: str) -> None:
    await screen.page.get_by_text(text).first.wait_for(timeout=WAIT_MS)


async def presses(screen: Screen, word: str) -> None:
    """A button of the page that bears ``word``; reached by keyboard."""
    button = screen.page.get_by_role("button", name=word, exact=True).first
    await button.wait_for(timeout=WAIT_MS)
    await button.focus()
    await screen.page.keyboard.press("Enter")
