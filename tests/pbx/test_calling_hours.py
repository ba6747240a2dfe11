"""A customer nine time zones away is rung within his hours, and one at home not before his begin. Real phones.

By hand, with ``FOURTHRING_STORIES=all``: it waits for an hour of the wall clock to begin. The table of summer time,
midnight and Friday evening is in tests/dialer/test_hours.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackState
from ami_bridge.demo.ear import Ear
from ami_bridge.demo.prompts import ExpectedPrompts
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from tests.pbx.calls import callback_of, due_callback, now
from tests.pbx.conftest import configuration, free_block, write_configuration
from tests.pbx.customers import by_hand, ended

pytestmark = [
    pytest.mark.pbx,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(400),
    by_hand,
]

HOME, FAR = ZoneInfo("Europe/Moscow"), ZoneInfo("Asia/Kamchatka")
FIRST_PORT = 30060
# Numbers of landlines: their zones are known.
AT_HOME, FAR_AWAY = "74951234567", "74152234567"


class Office(NamedTuple):
    """A running company, and when its customers at home may be rung."""

    stage: Stage
    opens_at: datetime


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office() -> AsyncIterator[Office]:
    """Customers may be rung around the hour that it is now in Kamchatka, and in two to three minutes in Moscow."""
    far = now().astimezone(FAR)
    opens_at = now().astimezone(HOME).replace(second=0, microsecond=0) + timedelta(minutes=3)
    windows = [
        (far - timedelta(hours=1), far + timedelta(hours=1)),
        (opens_at, opens_at + timedelta(hours=1)),
    ]
    with TemporaryDirectory(prefix="fh-") as folder:
        document = configuration(Path(folder) / "s", free_block(FIRST_PORT))
        document["departments"] = {"quick": document["departments"]["quick"]}
        document["callback"]["customer_hours"]["open"] = [
            f"mon-sun {begin:%H:%M}-{end:%H:%M}" for begin, end in windows
        ]
        async with Stage(write_configuration(Path(folder), document)) as running:
            yield Office(running, opens_at)


async def test_nine_time_zones_away(office: Office) -> None:
    """Both callbacks are due: the far one is dialled at once, the other when its hour begins."""
    stage, began = office.stage, now()
    expected = ExpectedPrompts(stage.settings, stage.voice)
    store = SqlStore(stage.settings.store_url)
    await store.open()
    agent, customer = await stage.agent("102"), await stage.customer()
    near = await due_callback(store, AT_HOME, began, "quick")
    far = await due_callback(store, FAR_AWAY, began, "quick")
    rung: dict[str, datetime] = {}
    for callback in (far, near):
        await agent.wait_for(PhoneState.INCOMING, 200)
        await agent.answer()
        await Ear(agent).hears(expected.phrase("briefing.choose", "quick"), timeout=40)
        await agent.send_dtmf("1")
        rung[callback.id] = (await customer.wait_for(PhoneState.INCOMING, 10)).at
        if callback is far:
            assert rung[far.id] < office.opens_at, "the system took too long to start"
            waits = await callback_of(store, AT_HOME, {CallbackState.QUEUED}, began)
            assert waits.due_at == office.opens_at
        await customer.answer()
        await Ear(customer).hears(expected.greeting("callback", "quick", "102"))
        await customer.hangup()
        await agent.wait_for(PhoneState.CLOSED, 10)
        assert (await ended(store, callback)).state == "answered"
    assert customer.dialled_users == [FAR_AWAY, AT_HOME]
    assert timedelta(0) <= rung[near.id] - office.opens_at < timedelta(seconds=40), (
        "one briefing after it opened"
    )
    await store.close()
