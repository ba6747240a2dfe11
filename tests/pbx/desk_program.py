"""A person's program at the desk: what the pages do, by the API, with a token of that person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from ami_bridge.adapters.store import SqlStore, TokenEntry, UserEntry
from ami_bridge.demo.stage import Stage
from ami_bridge.desk.auth import hashed
from ami_bridge.desk.rights import ALL_SCOPES
from tests.pbx.calls import eventually


@dataclass
class Desk:
    """One person at the desk."""

    stage: Stage
    session: aiohttp.ClientSession
    headers: dict[str, str]

    async def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        network = self.stage.settings.network
        url = f"http://{network.address}:{network.desk_port}/api/v1{path}"
        async with self.session.post(url, json=body, headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def done(self, path: str, **body: Any) -> dict[str, Any]:
        status, told = await self.post(path, **body)
        assert status == 200, (path, told)
        return told

    async def live_call(self, number: str, phase: str) -> str:
        """The id of the call from ``number``, once it is in ``phase``."""

        async def ask() -> str | None:
            network = self.stage.settings.network
            url = f"http://{network.address}:{network.desk_port}/api/v1/live/calls"
            async with self.session.get(url, headers=self.headers) as answer:
                for call in (await answer.json())["calls"]:
                    if call["number"].endswith(number) and call["phase"] == phase:
                        return str(call["call_id"])
            return None

        return await eventually(ask, f"the call of {number} in {phase}")


@asynccontextmanager
async def desks_of(
    stage: Stage, store: SqlStore, role: str, extensions: Collection[str]
) -> AsyncIterator[dict[str, Desk]]:
    """A program for each of these phones' owners, by extension."""
    async with aiohttp.ClientSession() as session:
        yield {each: await _desk_of(stage, store, session, role, each) for each in extensions}


async def _desk_of(
    stage: Stage, store: SqlStore, session: aiohttp.ClientSession, role: str, extension: str
) -> Desk:
    """A new account for ``extension``, and its program."""
    name, secret = f"{role}{extension}", f"token-of-{role}-{extension}"
    at = datetime.now(UTC)
    await store.add_user(UserEntry(name, role, at, extension))
    await store.save_token(
        TokenEntry(f"{role}{extension}", name, "", hashed(secret), tuple(sorted(ALL_SCOPES)), at)
    )
    return Desk(stage, session, {"Authorization": f"Bearer {secret}"})
