"""Scenes of tests/scenarios on the real PBX of today: the record says what the phones did.

All of them are in tests/recordings; played again here are those that hang on manners of Asterisk which a new
version may change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.pbx.conftest import free_block
from tests.scenarios.__main__ import FIRST_PORT, perform, settings_in
from tests.scenarios.pbx import ScenarioPbx
from tests.scenarios.stories import SCENES

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="module")]

PLAYED = [
    "agent_vanished",
    "attended_keys",
    "attended_then_back",
    "blind_back",
    "blonde_refer",
    "callback_a",
    "conference",
    "dnd_480",
    "dnd_603",
    "forwarded_302_after_ring",
    "hold_by_agent",
    "hung_up_on_hold",
    "local_b",
    "parked_and_fetched",
    "pickup",
    "queue_leastrecent",
    "queue_rrmemory",
    "redirected_callee",
    "three_way_keys",
    "voicemail",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pbx() -> AsyncIterator[ScenarioPbx]:
    """A PBX whose dialplan is nothing but scenes."""
    with TemporaryDirectory(prefix="fs-") as state:
        async with ScenarioPbx(settings_in(Path(state), free_block(FIRST_PORT))) as running:
            yield running


@pytest.mark.parametrize("name", PLAYED)
async def test_the_record_says_what_was_done(pbx: ScenarioPbx, name: str) -> None:
    _, story = await perform(pbx, SCENES[name])
    assert story == SCENES[name].truth
