"""A supervisor at real calls: what each of the three hears, and that the caller is never dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ami_bridge.adapters.store import SqlStore
from ami_bridge.demo.hearing import correlate, load_wav
from ami_bridge.demo.softphone import PhoneState, Softphone
from ami_bridge.demo.stage import Stage
from tests.faults.listening import listen
from tests.pbx.calls import eventually, now, record_of, spoken
from tests.pbx.desk_program import Desk, desks_of

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]

TRIES = 8
SUPERVISOR_SAYS = {
    "whisper": "Спросите номер договора",
    "barge": "Добрый день, я руководитель отдела",
    "take": "Теперь вам помогу я",
}


@pytest_asyncio.fixture(loop_scope="session")
async def desk(phones: Stage, store: SqlStore) -> AsyncIterator[dict[str, Desk]]:
    """Two supervisors, by the extension of their phones."""
    async with desks_of(phones, store, "supervisor", ("104", "105")) as desks:
        yield desks


async def told(store: SqlStore, call_id: str) -> list[str]:
    """What the audit trail has of a call, oldest first."""
    return [entry.action for entry in reversed(await store.audits(subject=call_id, limit=50))]


async def says(stage: Stage, who: Softphone, what: str, to: list[Softphone], not_to: list[Softphone]) -> None:
    """``who`` speaks; those in ``to`` hear it whole, those in ``not_to`` nothing of it.

    What is mixed for a third ear loses a packet now and then on a machine that is busy: whoever was not understood
    says it again.
    """
    words, deaf = await spoken(stage, what), list(to)
    for left in reversed(range(TRIES)):
        since = time.monotonic() - 0.1
        await who.speak(words)
        ears = [listen(phone, words, since=since, limit=2.0 if left else 10.0) for phone in deaf]
        told = await asyncio.gather(*ears, return_exceptions=True)
        deaf = [phone for phone, heard in zip(deaf, told, strict=True) if isinstance(heard, BaseException)]
        if not deaf:
            break
    assert not deaf, f"{[phone.name for phone in deaf]} did not hear «{what}»: {told}"
    for phone in not_to:
        hears_nothing_of(phone, words)


def hears_nothing_of(phone: Softphone, words: Path) -> None:
    match = correlate(phone.heard_call().samples, load_wav(words)[0])
    assert match.missing >= 0.7 * match.slices, f"{phone.name} heard some of {words.stem}: {match}"


async def supervised(  # noqa: PLR0917 - one per thing that differs
    stage: Stage, store: SqlStore, desk: Desk, did: str, extension: str, phone: str, index: int
) -> None:
    """One call, listened to, whispered into, joined and taken over; then the supervisor and the caller are alone."""
    since, number = now(), f"7916555080{index}"
    agent, boss = await asyncio.gather(stage.agent(extension), stage.agent(phone))
    caller = await stage.caller(number, index=index)
    await caller.dial(did)
    await agent.wait_for(PhoneState.INCOMING, 40)
    await agent.answer()
    call_id = await desk.live_call(number, "talking")
    await desk.done(f"/calls/{call_id}/supervise", mode="listen")
    await boss.wait_for(PhoneState.INCOMING, 10)
    await boss.answer()
    await boss.wait_for(PhoneState.ESTABLISHED, 5)
    await says(stage, agent, "Слушаю вас, чем могу помочь", [caller, boss], [])
    await says(stage, caller, "Здравствуйте, хочу сделать заказ", [agent, boss], [])
    await says(stage, boss, "Меня никто не слышит", [], [])
    await desk.done(f"/calls/{call_id}/supervise", mode="whisper")
    await says(stage, boss, SUPERVISOR_SAYS["whisper"], [agent], [caller])
    await desk.done(f"/calls/{call_id}/supervise", mode="barge")
    await says(stage, boss, SUPERVISOR_SAYS["barge"], [agent, caller], [])
    nobody = await spoken(stage, "Меня никто не слышит")
    hears_nothing_of(agent, nobody)
    hears_nothing_of(caller, nobody)
    calls = caller.calls
    await desk.done(f"/calls/{call_id}/supervise", mode="take")
    await agent.wait_for(PhoneState.CLOSED, 10)
    await says(stage, boss, SUPERVISOR_SAYS["take"], [caller], [])
    await says(stage, caller, "Спасибо, что помогли", [boss], [])
    assert caller.state is PhoneState.ESTABLISHED
    assert caller.calls == calls
    await caller.hangup()
    await boss.wait_for(PhoneState.CLOSED, 10)
    record = await record_of(store, number, since)
    assert record["hung_up_by"] == "caller", record["hung_up_evidence"]
    assert record["disposition"] == "ANSWERED"
    assert [party["endpoint"] for party in record["answers"]] == [extension, phone]
    assert [note["name"] for note in record["notes"]].count("taken_over") == 1
    assert await told(store, call_id) == ["call.listen", "call.whisper", "call.barge", "call.take_over"]


async def test_listen_whisper_join_in_and_take_over(
    phones: Stage, store: SqlStore, desk: dict[str, Desk]
) -> None:
    """On the direct path and out of the queue, side by side. No call of their own is left in the records."""
    since = now()
    await asyncio.gather(
        supervised(phones, store, desk["104"], "74950000003", "102", "104", 0),
        supervised(phones, store, desk["105"], "74950000008", "103", "105", 1),
    )
    calls = await store.calls(since=since, limit=50)
    assert len(calls) == 2, [(call.caller_number, call.record["kind"]) for call in calls]


async def test_a_carrier_where_nobody_is_stands_on_the_wallboard(
    phones: Stage, desk: dict[str, Desk]
) -> None:
    """Asterisk asks it; the other carrier, which is not asked, is not accused."""
    network, here = phones.settings.network, desk["104"]
    url = f"http://{network.address}:{network.desk_port}/wallboard/parts"

    async def ask() -> str | None:
        async with here.session.get(url, headers={**here.headers, "Accept-Language": "en"}) as answer:
            text = await answer.text()
        return text if "Trunk is down: reserve" in text else None

    assert "Trunk is down: carrier" not in await eventually(ask, "the alarm", 40)
