"""Every branch of the capture, played by real phones with keys and speech, many callers side by side."""

from __future__ import annotations

import os

import pytest

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.stage import Stage
from tests.pbx.capture_player import play_all
from tests.pbx.capture_stories import STORIES

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

TELEPHONES = 7
#: Every sixth story in the ordinary run, so that it ends in time; FOURTHRING_STORIES=all plays the whole table.
PLAYED = STORIES if os.environ.get("FOURTHRING_STORIES") == "all" else STORIES[::6]


@pytest.mark.timeout(600)
async def test_capture_stories(phones: Stage, store: SqlStore, expected: ExpectedPrompts) -> None:
    """Stored fields as agreed, recordings playable and whole, refusals logged, nothing lost."""
    assert len(STORIES) >= 30
    assert not await play_all(phones, store, expected, PLAYED, TELEPHONES)
