"""What a caller is told who has to wait, and where in the queue he is put."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agi.steps.wait import plan
from agi.turns import Phrase
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import CallbackEvent, Consent
from tests.agi.conftest import CALLER, NOON_IN_MOSCOW, Peer

Environment = Callable[..., bytes]


def call(name: str, minutes: float, **more: Any) -> dict[str, Any]:
    """A call that began so many minutes before noon."""
    return {
        "call_id": name,
        "started_at": (NOON_IN_MOSCOW - timedelta(minutes=minutes)).isoformat(),
        "department": "sales",
        "uniqueids": [f"fr1-{name}"],
        **more,
    }


def answered(name: str, talk: float) -> dict[str, Any]:
    ended = (NOON_IN_MOSCOW - timedelta(minutes=10)).isoformat()
    return call(name, 20, disposition="ANSWERED", talk_seconds=talk, ended_at=ended)


def waits(name: str, minutes: float) -> dict[str, Any]:
    return call(name, minutes, queues=[{"name": "sales", "left_at": None, "left_reason": ""}])


async def told(
    peer: Peer, environment: Environment, waiting: int, logged_in: int, **more: str
) -> dict[str, str]:
    return await peer.ask(environment("wait", ("sales", str(waiting), str(logged_in)), **more))


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (None, ()),
        (100, ("waits.2",)),
        (300, ("waits.5",)),
        (301, ("waits.10", "queue.offer")),
        (9000, ("waits.more", "queue.offer")),
    ],
)
def test_a_long_wait_comes_with_the_offer(seconds: float | None, says: tuple[str, ...]) -> None:
    assert plan(seconds, 5) == tuple(Phrase(key) for key in says)


async def test_nothing_is_told_while_few_talks_are_known(
    peer: Peer, environment: Environment, store: SqlStore
) -> None:
    await store.save_calls([answered(f"a{number}", 180) for number in range(7)])
    assert (await told(peer, environment, 3, 2)) == {"FR_FILES": "", "FR_PLACE": "", "FR_STEP_OK": "1"}


async def test_callbacks_that_come_first_are_counted(
    peer: Peer, environment: Environment, store: SqlStore
) -> None:
    await store.save_calls([answered(f"a{number}", 120) for number in range(8)])
    one_file = (await told(peer, environment, 1, 2))["FR_FILES"]  # (1 + 1) · 120 s / 2
    assert one_file
    assert "&" not in one_file
    for number in range(5):
        at = NOON_IN_MOSCOW - timedelta(minutes=30)
        consent = Consent("1", "v", at, f"+7916555000{number}")
        await store.create_callback(
            f"k{number}",
            "sales",
            event=CallbackEvent.CAPTURED,
            number=f"+7916555000{number}",
            consent=consent,
            at=at,
        )
    long = (await told(peer, environment, 1, 2))[
        "FR_FILES"
    ]  # (6 + 1) · 120 s / 2: seven minutes, and the offer
    assert long.count("&") == 1
    assert one_file not in long


async def test_who_rings_again_stands_where_he_stood(
    peer: Peer, environment: Environment, store: SqlStore
) -> None:
    """Four wait; two of them came after this caller's first, missed call."""
    await store.save_calls([waits("w1", 30), waits("w2", 20), waits("w3", 10), waits("w4", 5)])
    await store.save_calls([call("mine", 0, caller={"number": CALLER}, queues=[])])
    ours = {"uniqueid": "fr1-mine"}
    assert (await told(peer, environment, 4, 2, **ours))["FR_PLACE"] == ""
    missed = await store.create_callback(
        "missed:1",
        "sales",
        event=CallbackEvent.BROKEN_OFF,
        number=CALLER,
        place_at=NOON_IN_MOSCOW - timedelta(minutes=15),
    )
    assert (await told(peer, environment, 4, 2, **ours))["FR_PLACE"] == "3"
    await store.update_callback(missed.id, event=CallbackEvent.CANCELLED)
    assert (await told(peer, environment, 4, 2, **ours))["FR_PLACE"] == ""


async def test_who_comes_back_from_the_capture_keeps_his_place(
    peer: Peer, environment: Environment, store: SqlStore
) -> None:
    await store.save_calls([waits("w1", 30), waits("w2", 5), call("mine", 12)])
    assert (await told(peer, environment, 2, 1, uniqueid="fr1-mine"))["FR_PLACE"] == "2"


@pytest.mark.parametrize(
    "arguments", [("sales", "x", "1"), ("sales", "1", "-1"), ("nowhere", "1", "1"), ("sales", "1")]
)
async def test_what_the_dialplan_never_sends_is_refused(
    peer: Peer, environment: Environment, arguments: tuple[str, ...]
) -> None:
    assert await peer.ask(environment("wait", arguments)) == {}
