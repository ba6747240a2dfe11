"""At most once: whatever is lost between dialer, PBX and store, no customer is rung twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiLost, AmiTimeout, EventGap, LinkLost, LinkReady
from ami_bridge.adapters.store import StoreUnavailable
from ami_bridge.core.callbacks import AttemptState, CallbackState
from ami_bridge.dialer.dialer import _FOUND, Pace
from ami_bridge.dialer.evidence import Evidence, look_up
from tests.dialer.conftest import NOW, cel_line

LEASE_SECONDS = Pace().lease
TRUNK_CHANNEL = "PJSIP/carrier-00000007"


class AwayStore:
    """Makes one method of a store fail until :meth:`back` is called."""

    def __init__(self, store: Any, method: str) -> None:
        self._store, self._method, self._real = store, method, getattr(store, method)

        async def refuse(*arguments: Any, **named: Any) -> Any:
            raise StoreUnavailable("The store is away.")

        setattr(store, method, refuse)

    def back(self) -> None:
        setattr(self._store, self._method, self._real)


async def launched(reception: Any) -> Any:
    callback = await reception.ask()
    await reception.tick()
    reception.live.add(reception.channel_id())
    return callback


async def test_the_good_story(reception: Any) -> None:
    callback = await launched(reception)
    channel = reception.channel_id()
    await reception.tell("agent_answered", channel)
    await reception.tell("customer_dialled", channel)
    await reception.tell("customer_answered", channel)
    assert (await reception.now_is(callback)).state is CallbackState.TALKING
    await reception.tell("ended", channel, "ANSWER")
    await reception.hang_up(channel)
    done = await reception.now_is(callback)
    assert (done.state, done.attempts, done.last_result) == (CallbackState.DONE, 1, "answered")
    await reception.tick(600)
    assert len(reception.originates) == 1


@pytest.mark.parametrize("fault", [AmiLost("Originate"), AmiTimeout("Originate", 5)])
async def test_an_originate_in_doubt_is_not_sent_again(reception: Any, fault: Exception) -> None:
    """The PBX carried it out, though its answer never came."""
    callback = await reception.ask()

    async def carried_out(*arguments: Any, **named: Any) -> Any:
        reception.live.add(named["channel_id"])
        raise fault

    reception.link.originate = carried_out
    await reception.tick()
    del reception.link.originate
    for _ in range(20):
        await reception.tick(3)
    assert reception.originates == []
    assert (await reception.now_is(callback)).state is CallbackState.DIALING


async def test_the_link_cut_between_originate_and_answer(reception: Any) -> None:
    callback = await reception.ask()
    reception.link._silent.add("Originate")

    async def cut(*arguments: Any, **named: Any) -> Any:
        reception.live.add(named["channel_id"])
        reception.link.lose()
        raise AmiLost("Originate")

    reception.link.originate = cut
    await reception.tick()
    del reception.link.originate
    (channel,) = reception.live
    await reception.dialer._take(LinkLost(reception.clock.now(), "cut"))
    await reception.tick(1)
    reception.link.restore()
    await reception.dialer._take(LinkReady(reception.clock.now(), first=False))
    await reception.tick(1)
    await reception.tell("customer_answered", channel)
    await reception.tell("ended", channel, "ANSWER")
    await reception.tick(600)
    assert reception.originates == []
    assert (await reception.now_is(callback)).state is CallbackState.DONE


@pytest.mark.parametrize(
    ("lines", "state", "attempts", "rung_again"),
    [
        ([], CallbackState.QUEUED, 0, False),
        ([("CHAN_START", "Local/101@callback-agent-1;1")], CallbackState.DIALING, 0, True),
        ([("CHAN_START", TRUNK_CHANNEL)], CallbackState.QUEUED, 1, False),
        ([("CHAN_START", TRUNK_CHANNEL), ("ANSWER", TRUNK_CHANNEL)], CallbackState.DONE, 1, False),
        (None, CallbackState.UNKNOWN, 0, False),
    ],
    ids=["never made", "agent only", "customer rung", "customer answered", "no log"],
)
async def test_what_was_lost_is_found_in_the_channel_event_log(
    reception: Any, lines: list[tuple[str, str]] | None, state: CallbackState, attempts: int, rung_again: bool
) -> None:
    callback = await launched(reception)
    channel = reception.channel_id()
    if lines is None:
        reception.cel.unlink()
    for event, name in lines or ():
        reception.log_cel(channel, event, name)
    await reception.dialer._take(EventGap(reception.clock.now(), 9))
    reception.live.clear()
    await reception.tick(1)
    assert len(reception.originates) == 1, "its last event may be on the way; nothing is judged at once"
    await reception.tick(4.9)
    assert len(reception.originates) == 1
    await reception.tick(0.1)
    await reception.tick(1)
    after = await reception.now_is(callback)
    assert (after.state, after.attempts) == (state, attempts)
    assert (len(reception.originates) == 2) == rung_again


async def test_what_never_reached_the_pbx_is_nobodys_fault_and_soon_tried_again(reception: Any) -> None:
    reception.free = {"sales": ("101",)}
    callback = await reception.ask()
    await reception.tick()
    await reception.tick(6)
    await reception.tick(6)
    after = await reception.now_is(callback)
    assert (after.state, after.attempts, after.last_result) == (CallbackState.QUEUED, 0, "not_dialled")
    await reception.tick(14)
    assert len(reception.originates) == 1
    await reception.tick(1)
    assert reception.rung == ["101", "101"], "the agent never heard of it and is not spared"


async def test_what_another_dialer_may_be_about_to_dial_is_not_judged_before_its_lease_is_over(
    tmp_path: Path, new_reception: Any
) -> None:
    """It has committed and was frozen before its Originate: nobody else may dial until it can no longer."""
    frozen = new_reception(tmp_path)
    other = new_reception(tmp_path, store=frozen.store, clock=frozen.clock)
    callback = await frozen.ask()
    (claimed,) = await frozen.store.claim_due(frozen.clock.now(), "dialer-fr1-1", LEASE_SECONDS)
    await frozen.store.begin_attempt(
        callback.id, claimed.fence, f"cb-fr1-{callback.id}-1", agent="101", at=frozen.clock.now()
    )
    for _ in range(9):
        await other.tick(6)
    assert (await other.now_is(callback)).state is CallbackState.DIALING
    for _ in range(5):
        await other.tick(6)
    assert len(other.originates) == 1
    assert (await other.now_is(callback)).fence == 2


async def test_an_originate_that_could_only_come_late_is_not_sent(reception: Any) -> None:
    callback = await reception.ask()
    real = reception.store.begin_attempt

    async def slow(*arguments: Any, **named: Any) -> Any:
        attempt = await real(*arguments, **named)
        reception.clock.advance(timedelta(seconds=LEASE_SECONDS))
        return attempt

    reception.store.begin_attempt = slow
    await reception.tick()
    assert reception.originates == []
    assert (await reception.now_is(callback)).last_result == "not_dialled"


async def test_unknown_does_not_block_the_agent_or_the_log_for_ever(
    reception: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await launched(reception)
    reception.cel.unlink()
    reception.live.clear()
    reception.free = {"sales": ("101",)}
    for _ in range(10):
        await reception.tick(3)
    assert caplog.text.count("NO_LOG") == 1
    await reception.ask("002")
    await reception.tick(1)
    assert reception.rung == ["101", "101"]


async def test_a_hang_up_after_a_gap_is_not_taken_for_an_agent_who_did_not_pick_up(reception: Any) -> None:
    """The end of the talk fell into the gap, the hang-up came after it."""
    callback = await launched(reception)
    channel = reception.channel_id()
    reception.log_cel(channel, "CHAN_START", TRUNK_CHANNEL)
    reception.log_cel(channel, "ANSWER", TRUNK_CHANNEL)
    await reception.dialer._take(EventGap(reception.clock.now(), 1))
    await reception.hang_up(channel)
    assert (await reception.now_is(callback)).state is CallbackState.DIALING
    await reception.tick(1)
    await reception.tick(6)
    assert (await reception.now_is(callback)).state is CallbackState.DONE
    assert len(reception.originates) == 1


async def test_an_agent_who_answered_is_not_taken_for_one_who_did_not(reception: Any) -> None:
    callback = await launched(reception)
    await reception.tell("agent_answered", reception.channel_id())
    await reception.hang_up(reception.channel_id())
    assert (await reception.now_is(callback)).last_result == ""


async def test_a_result_waits_while_the_store_is_away(reception: Any) -> None:
    """They talked; the store missed it. The hang-up that follows must not make it 'not picked up'."""
    callback = await launched(reception)
    channel = reception.channel_id()
    away = AwayStore(reception.store, "finish_attempt")
    with pytest.raises(StoreUnavailable):
        await reception.tell("ended", channel, "ANSWER")
    with pytest.raises(StoreUnavailable):
        await reception.hang_up(channel)
    with pytest.raises(StoreUnavailable):
        await reception.tick(30)
    away.back()
    await reception.tick(1)
    assert (await reception.now_is(callback)).state is CallbackState.DONE
    assert len(reception.originates) == 1


async def test_leases_are_renewed_while_the_call_goes_on(reception: Any) -> None:
    callback = await launched(reception)
    for _ in range(10):
        await reception.tick(LEASE_SECONDS / 2)
        now = await reception.now_is(callback)
        assert now.state is CallbackState.DIALING
        assert now.lease_until == reception.clock.now() + timedelta(seconds=LEASE_SECONDS)
    assert len(reception.originates) == 1


async def test_a_callback_that_went_on_without_this_dialer_is_let_go(reception: Any) -> None:
    callback = await launched(reception)
    now = await reception.now_is(callback)
    reception.store._callbacks[callback.id] = replace(now, fence=now.fence + 1)
    await reception.tick(1)
    await reception.tell("ended", reception.channel_id(), "ANSWER")
    assert (await reception.now_is(callback)).state is CallbackState.DIALING


async def test_a_restarted_dialer_goes_on_with_a_live_attempt(reception: Any) -> None:
    callback = await launched(reception)
    reception.dialer = reception.new_dialer()
    await reception.tick(1)
    await reception.tell("customer_answered", reception.channel_id())
    await reception.tell("ended", reception.channel_id(), "ANSWER")
    assert (await reception.now_is(callback)).state is CallbackState.DONE
    assert len(reception.originates) == 1


async def test_a_restarted_dialer_finds_out_what_became_of_an_attempt(reception: Any) -> None:
    callback = await launched(reception)
    reception.log_cel(reception.channel_id(), "CHAN_START", TRUNK_CHANNEL)
    reception.live.clear()
    reception.clock.advance(timedelta(hours=2))
    reception.dialer = reception.new_dialer()
    await reception.tick()
    assert (await reception.now_is(callback)).state is CallbackState.UNKNOWN
    await reception.tick(6)
    after = await reception.now_is(callback)
    assert (after.state, after.attempts, after.last_result) == (CallbackState.QUEUED, 1, "no_answer")


async def test_attempts_of_another_node_are_not_judged_here(reception: Any) -> None:
    callback = await reception.ask()
    (claimed,) = await reception.store.claim_due(reception.clock.now(), "dialer-fr2", 60)
    await reception.store.begin_attempt(
        callback.id, claimed.fence, f"cb-fr2-{callback.id}-1", agent="101", at=reception.clock.now()
    )
    for _ in range(5):
        await reception.tick(5)
    assert (await reception.now_is(callback)).state is CallbackState.DIALING


async def test_two_dialers_on_one_store_never_dial_one_number_twice(
    tmp_path: Path, new_reception: Any
) -> None:
    first = new_reception(tmp_path)
    second = new_reception(tmp_path, store=first.store, clock=first.clock)
    first.free = second.free = {"sales": ("101", "102", "103")}
    for digits in ("001", "002", "003"):
        await first.ask(digits)
    await first.ask("001", "support")
    for _ in range(3):
        await first.tick(1)
        await second.tick(0)
        # Both see what lives on their PBX.
        first.live = second.live = {
            str(sent.headers["ChannelId"]) for sent in first.originates + second.originates
        }
    channels = [str(sent.headers["ChannelId"]) for sent in first.originates + second.originates]
    assert len(channels) == len(set(channels)) == 3
    numbers = [
        attempt.number
        for callback in await first.store.callbacks()
        for attempt in await first.store.attempts(callback.id)
    ]
    assert sorted(numbers) == ["+79161234001", "+79161234002", "+79161234003"]


async def test_two_dialers_never_have_one_agent_rung_for_two_customers(
    tmp_path: Path, new_reception: Any
) -> None:
    """Both see him free in the same instant: the store lets one of them have him."""
    first = new_reception(tmp_path)
    second = new_reception(tmp_path, store=first.store, clock=first.clock)
    first.free = second.free = {"sales": ("101",)}
    await first.ask("001")
    await first.ask("002")
    await asyncio.gather(first.tick(1), second.tick(0))
    assert sorted(first.rung + second.rung) == ["101"]
    states = sorted(callback.state for callback in await first.store.callbacks())
    assert states == [CallbackState.DIALING, CallbackState.QUEUED]


async def test_a_bad_event_stops_nothing(reception: Any, caplog: pytest.LogCaptureFixture) -> None:
    callback = await launched(reception)
    reception.store.connect_attempt = None
    listening = asyncio.create_task(reception.dialer._listen())
    channel = reception.channel_id()
    for phase, result in (("customer_answered", ""), ("ended", "ANSWER")):
        reception.link.emit(
            "UserEvent",
            UserEvent="FourthRing",
            Fact="attempt",
            Phase=phase,
            Uniqueid=channel,
            Linkedid=channel,
            Channel="Local/101@callback-agent-1;1",
            Result=result,
        )
    await reception.link.close()
    await asyncio.wait_for(listening, 5)
    assert (await reception.now_is(callback)).state is CallbackState.DONE
    assert "passed over" in caplog.text


# The channel event log -----------------------------------------------------------------------


def told(event: str, uniqueid: str, linkedid: str, channel: str) -> str:
    return cel_line(NOW, event, uniqueid, linkedid, channel)


RUNG = told("CHAN_START", "u3", "cb-1", "PJSIP/carrier-3")


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        (None, Evidence.NO_LOG),
        ("", Evidence.NEVER_MADE),
        (told("CHAN_START", "cb-other", "cb-other", "PJSIP/carrier-1"), Evidence.NEVER_MADE),
        (told("CHAN_START", "cb-1", "cb-1", "Local/101@callback-agent-1;1"), Evidence.AGENT_ONLY),
        (told("ANSWER", "u2", "cb-1", "PJSIP/101-2"), Evidence.AGENT_ONLY),
        (RUNG, Evidence.CUSTOMER_RUNG),
        (told("HANGUP", "u3", "cb-1", "PJSIP/carrier-3"), Evidence.AGENT_ONLY),
        (told("ANSWER", "u3", "cb-1", "PJSIP/carrier-3"), Evidence.CUSTOMER_ANSWERED),
        (told("CHAN_START", "u3", "cb-1", "PJSIP/carrier2-3"), Evidence.AGENT_ONLY),
        (f'\0\n"HANGUP","torn\n{RUNG}', Evidence.CUSTOMER_RUNG),
        (f"\0\n,,\n{RUNG}", Evidence.CUSTOMER_RUNG),
        # A forged line in a stranger's text, as CSV_QUOTE leaves it; and one that is not whole.
        (
            f'"CHAN_START","1795411727.386437","u","u","x\n{RUNG.replace(chr(34), 2 * chr(34))}',
            Evidence.NEVER_MADE,
        ),
        (RUNG[:-1], Evidence.NEVER_MADE),
    ],
)
def test_evidence(tmp_path: Path, text: str | None, evidence: Evidence) -> None:
    log = tmp_path / "cel.csv"
    if text is not None:
        log.write_text(text)
    assert look_up(log, "cb-1", "carrier", NOW) is evidence


def test_a_log_that_was_cut_off_denies_nothing(tmp_path: Path) -> None:
    """Whoever takes what was removed for what never was dials a customer twice."""
    log, kept = tmp_path / "cel.csv", tmp_path / "cel.000002.csv"
    kept.write_text(told("CHAN_START", "u9", "u9", "PJSIP/101-9"))
    log.touch()
    assert look_up(log, "cb-1", "carrier", NOW - timedelta(hours=1)) is Evidence.NO_LOG
    assert look_up(log, "cb-1", "carrier", NOW + timedelta(hours=1)) is Evidence.NEVER_MADE
    kept.rename(tmp_path / "cel.000001.csv")
    assert look_up(log, "cb-1", "carrier", NOW - timedelta(hours=1)) is Evidence.NEVER_MADE


def test_every_piece_of_evidence_leads_somewhere() -> None:
    assert set(_FOUND) == set(Evidence)
    assert AttemptState.ANSWERED is _FOUND[Evidence.CUSTOMER_ANSWERED]
