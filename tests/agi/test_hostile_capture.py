"""Fifty numbers that nobody should have us ring, and a flood of requests for one victim, through the AGI service."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agi.server import AgiServer
from ami_bridge.adapters.store import DoNotCall, MemoryStore, SqlStore
from ami_bridge.core.callbacks import AttemptState, RetryPolicy
from tests.agi.conftest import CALLER, NOON_IN_MOSCOW, Peer

# What is typed → why it is not rung. Taken from the abuse that PBX operators report: premium and shared-cost
# ranges, satellite, callbacks to far countries, service codes, star codes, overlong and empty input.
HOSTILE = {
    # premium, shared cost, freephone
    "88091234567": "not_callable_type",
    "88031234567": "not_callable_type",
    "88061234567": "invalid",
    "88001234567": "not_callable_type",
    "88041234567": "not_callable_type",
    # satellite networks and countries billed like them, under the home country's code
    "89541234567": "not_callable_type",
    "88401234567": "not_callable_type",
    "89401234567": "not_callable_type",
    # abroad, by the ways in which it can be dialled
    "810442071838750": "not_allowed_region",
    "8104420718387501": "invalid",
    "81088216000000": "not_callable_type",
    "442071838750": "invalid",
    "0044207183875": "invalid",
    "011442071838750": "invalid",
    "3725123456789": "invalid",
    "12025550123": "invalid",
    "19005550123": "invalid",
    "77172123456": "not_allowed_region",  # Kazakhstan shares +7
    "87172123456": "not_allowed_region",
    "375291234567": "invalid",
    "252612345678": "invalid",
    "882161234567": "invalid",
    "8816234567": "invalid",
    "8708776543210": "invalid",
    "8709876543210": "invalid",
    # emergency and short
    "112": "emergency",
    "101": "emergency",
    "102": "emergency",
    "103": "emergency",
    "911": "short",
    "0911": "short",
    "900": "short",
    "0": "short",
    "1": "short",
    "00": "short",
    "000000": "short",
    # ourselves
    "84950000001": "own_number",
    "74950000002": "own_number",
    "4950000001": "own_number",
    # garbage
    "0000000000": "invalid",
    "9999999999999999999": "invalid",
    "8" * 40: "not_digits",
    "1234567890" * 4: "not_digits",
    "12345678901234567890": "invalid",
    "8495123456": "invalid",
    "849512345678": "invalid",
    "11111111111": "invalid",
    "74959999999999": "invalid",
    # star codes: what stands behind the last star is what counts
    "*72*88091234567": "not_callable_type",
    "*21*112": "emergency",
    "**04*0000*1234*1234": "short",
    # the admin's own list
    "89581234567": "denied_prefix",
    # a person who asked never to be rung
    "89161112233": "do_not_call",
}


@pytest.fixture
def denied(server: AgiServer) -> None:
    callback = server._settings.callback.model_copy(update={"denied_prefixes": ["7958"]})
    server._settings = server._settings.model_copy(update={"callback": callback})


async def test_hostile_numbers_are_refused_politely_logged_and_never_stored(
    denied: None, peer: Peer, store: SqlStore
) -> None:
    """Each is typed by a caller of its own; nothing that could be rung is left behind, and each is in the trail."""
    assert len(HOSTILE) >= 50
    await store.forbid_calling(DoNotCall("+79161112233", NOON_IN_MOSCOW, "anna"))
    wrong: dict[str, str] = {}
    for index, (typed, reason) in enumerate(HOSTILE.items()):
        channel = f"fr1-7.{index}"
        for result in ("", "1", "2"):  # permission, then: another number
            asked = await peer.turn("sales", result, uniqueid=channel)
        assert (asked["FR_DO"], asked["FR_DIGITS"]) == ("digits", "40")
        again = await peer.turn("sales", typed, uniqueid=channel)
        callback = await store.callback_of_channel(channel)
        told = {entry.subject: entry.detail["reason"] for entry in await store.audits(limit=1000)}
        found = told.get(typed.rpartition("*")[2], "")
        # A kind word stands before the question, which is asked again; no number is kept.
        refused = again["FR_DO"] == "digits" and again["FR_FILES"].count("&") == 1
        if found != reason or not refused or callback is None or callback.number is not None:
            wrong[typed] = found or "taken"
    assert not wrong
    assert await store.claim_due(NOON_IN_MOSCOW + timedelta(days=1), "w", 60, 100) == []


@pytest.mark.parametrize("typed", ["*", "***", "84951234567*", ""])
async def test_a_star_alone_is_no_number(peer: Peer, store: SqlStore, typed: str) -> None:
    for result in ("", "1", "2"):
        await peer.turn("sales", result)
    assert (await peer.turn("sales", typed))["FR_DO"] == "digits"
    assert await store.audits() == []


@pytest.mark.parametrize("caller", ["88091234567", "112", "442071838750", "74950000001", "unknown", "0"])
async def test_a_caller_whom_we_would_not_ring_is_asked_for_a_number(peer: Peer, caller: str) -> None:
    for result in ("", "1"):
        asked = await peer.turn("sales", result, agi_callerid=caller)
    assert asked["FR_DO"] == "digits"


async def _whole_capture(peer: Peer, channel: str, *, typed: str = "") -> str:
    """One request of the flood, by somebody who sends the victim's number or types it; what was said last."""
    keys = ["", "1", *(("2", typed) if typed else ()), "1", "ERROR", "ERROR", "ERROR", "ERROR", "1", "1"]
    caller = "79031234567" if typed else CALLER.removeprefix("+")
    for key in keys:
        turn = await peer.turn("sales", key, uniqueid=channel, agi_callerid=caller)
        if turn["FR_DO"] == "wait":
            return turn["FR_FILES"]
    return ""


async def test_five_hundred_requests_for_one_number_ring_it_once(server: AgiServer) -> None:
    """Caller IDs are forged at will. The victim is rung once; once that call is over, nothing rings it again soon."""
    peer, store = Peer(server.port), MemoryStore()
    server._store = (
        store  # the contract is one; 500 conversations through a database cost half a minute of CI
    )
    rules = server._settings.callback.model_copy(update={"requests_per_day": 3, "again_after_minutes": 30})
    server._settings = server._settings.model_copy(update={"callback": rules})
    rung = 0
    for number in range(500):
        typed = "89161234567" if number % 50 == 49 else ""
        await _whole_capture(peer, f"fr1-8.{number}", typed=typed)
        if number in {0, 1, 2, 100, 499}:  # the dialer looks now and then, and the victim answers it
            at = server._clock.now()
            for callback in await store.claim_due(at, "w", 60, 10):
                rung += 1
                attempt = await store.begin_attempt(
                    callback.id, callback.fence, f"x{number}", agent="101", at=at
                )
                policy = RetryPolicy(3, (5.0,))
                await store.finish_attempt(attempt.id, AttemptState.ANSWERED, policy=policy, at=at)
    assert rung == 1
    everyone = await store.callbacks_of_number(CALLER)
    assert len([each for each in everyone if each.consent is not None]) <= 3
    refusals = [entry for entry in await store.audits(limit=1000) if entry.subject in {CALLER, "89161234567"}]
    assert {(entry.action, entry.detail["reason"]) for entry in refusals} == {
        ("callback.refused", "too_many")
    }
    assert len(refusals) >= 490


async def _asks_for(peer: Peer, channel: str, typed: str, caller: str) -> dict[str, str]:
    """Somebody types another's number and agrees to it."""
    asked: dict[str, str] = {}
    for key in ("", "1", "2"):
        if asked.get("FR_DO") != "digits":  # the own number is refused already: asked for another at once
            asked = await peer.turn("sales", key, uniqueid=channel, agi_callerid=caller)
    return await peer.turn("sales", typed, uniqueid=channel, agi_callerid=caller)


async def test_one_caller_cannot_have_many_others_rung(
    server: AgiServer, peer: Peer, store: SqlStore
) -> None:
    """Five requests within the hour, whatever numbers are typed; another caller is not touched by it."""
    caller = "79031234567"
    taken = []
    for number in range(9):
        answer = await _asks_for(peer, f"fr1-9.{number}", f"8916123450{number}", caller)
        taken.append(answer["FR_DO"] == "key")  # read back; else the question again
    assert taken == [True] * 5 + [False] * 4
    told = [entry for entry in await store.audits(limit=100) if entry.action == "callback.refused"]
    assert {entry.detail["reason"] for entry in told} == {"too_many"}
    assert (await _asks_for(peer, "fr1-9.20", "89161234520", "79037654321"))["FR_DO"] == "key"


async def test_a_flood_at_one_did_is_taken_as_messages(
    server: AgiServer, peer: Peer, store: SqlStore
) -> None:
    """Caller IDs are forged, each another: past the limit a person listens first. Another DID is not touched."""
    rules = server._settings.callback.model_copy(update={"requests_per_did": 10})
    server._settings = server._settings.model_copy(update={"callback": rules})
    for number in range(12):
        channel = f"fr1-10.{number}"
        did = "74950000001" if number < 11 else "74950000002"
        record = {"call_id": f"c{number}", "did": did, "department": "sales", "uniqueids": [channel]}
        await store.save_calls([{**record, "started_at": NOON_IN_MOSCOW.isoformat()}])
        await peer.turn("sales", "", uniqueid=channel, agi_callerid=f"791612346{number:02}")
        asked = await peer.turn("sales", "1", uniqueid=channel, agi_callerid=f"791612346{number:02}")
        assert asked["FR_DO"] == ("record" if number == 10 else "key"), number
    told = [(entry.subject, entry.detail["reason"]) for entry in await store.audits(limit=100)]
    assert told == [("74950000001", "flood")]
    kept = await store.callback_of_channel("fr1-10.10")
    assert kept is not None
    assert kept.number is None
    assert not kept.dialable
