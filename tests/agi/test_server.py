"""The whole service over real sockets: a store on disk, the real voice, and peers that mean ill."""

from __future__ import annotations

import asyncio
import socket
import wave
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from agi.server import AgiLimits, AgiServer, PortTaken
from agi.steps import outcome
from agi.steps.briefing import BriefingFacts, plan
from agi.turns import Answer, Do
from agi.voice import prompts
from agi.voice.cache import VoiceCache
from agi.voice.prompts import fixed_prompt, wav_of
from ami_bridge.adapters.store import SqlStore
from ami_bridge.core.callbacks import AttemptState, Callback, CallbackEvent, CallbackState, RetryPolicy
from ami_bridge.numbers import CheckedNumber, check_number
from ami_bridge.settings import Settings

CALLER = "+79161234567"
TOKEN = "a-secret-of-the-tests"
Environment = Callable[..., bytes]


async def until(reached: Callable[[], bool]) -> None:
    """Wait for ``reached``; the test's own time-out is the limit."""
    while not reached():  # noqa: ASYNC110 - what is waited for happens in another thread or process
        await asyncio.sleep(0.02)


def speak_into(variables: dict[str, str], *, silent: bool = False) -> None:
    """What Asterisk's Record() leaves behind."""
    noise = np.zeros(16000) if silent else 8000 * np.sin(np.arange(16000) * 0.5)
    with wave.open(variables["FR_RECORDING"] + ".wav", "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.astype("<i2").tobytes())


def all_there(files: str) -> bool:
    return all(wav_of(Path(name)).is_file() for name in files.split("&"))


async def test_a_greeting_names_who_answered(peer, environment: Environment) -> None:
    answer = await peer.ask(environment("greeting", ("direct", "sales", "101")))
    assert list(answer) == ["FR_FILES", "FR_STEP_OK"]
    assert all_there(answer["FR_FILES"])
    other = await peer.ask(environment("greeting", ("direct", "sales", "102")))
    nobody = await peer.ask(environment("greeting", ("queue-join", "sales", "")))
    assert len({answer["FR_FILES"], other["FR_FILES"], nobody["FR_FILES"]}) == 3


async def test_a_whole_capture_is_stored_before_it_is_promised(
    peer, store: SqlStore, settings: Settings
) -> None:
    first = await peer.turn("sales", "")
    assert (first["FR_DO"], first["FR_DIGITS"]) == ("key", "1")
    assert await store.callbacks() == []
    second = await peer.turn("sales", "1")
    (callback,) = await store.callbacks()
    assert (callback.state, callback.number) == (CallbackState.CAPTURING, CALLER)
    assert all_there(second["FR_FILES"])
    name = await peer.turn("sales", "1")
    assert (name["FR_DO"], name["FR_MAX_SECONDS"]) == ("record", "30")
    (callback,) = await store.callbacks()
    assert callback.name_recording == name["FR_RECORDING"] + ".wav"  # stored before the recording starts
    speak_into(name)
    subject = await peer.turn("sales", "DTMF")
    speak_into(subject)
    assert (await peer.turn("sales", "SILENCE"))["FR_DO"] == "key"
    summary = await peer.turn("sales", "1")  # as soon as possible
    assert name["FR_RECORDING"] in summary["FR_FILES"]
    assert all_there(summary["FR_FILES"])
    farewell = await peer.turn("sales", "1")
    assert farewell["FR_DO"] == "wait"
    (callback,) = await store.callbacks()
    assert callback.state is CallbackState.QUEUED
    assert callback.number_confirmed
    assert callback.language == "ru"
    consents = await store.consents(callback.id)
    assert [(each.key, each.number) for each in consents] == [("1", CALLER), ("1", CALLER)]
    heard = await store.prompt(consents[0].prompt_version)
    assert heard is not None
    assert "нажмите один" in heard.text


async def test_an_empty_recording_is_recognised_by_its_sound(peer) -> None:
    for result in ("", "1"):
        await peer.turn("sales", result)
    name = await peer.turn("sales", "1")
    speak_into(name, silent=True)
    again = await peer.turn("sales", "SILENCE")
    assert again["FR_RECORDING"] == name["FR_RECORDING"]


async def test_hanging_up_after_the_name_keeps_what_there_is(peer, store: SqlStore) -> None:
    for result in ("", "1"):
        await peer.turn("sales", result)
    speak_into(await peer.turn("sales", "1"))
    await peer.turn("sales", "DTMF")
    callback = await store.finish_capture("fr1-1.1")
    assert callback is not None
    assert callback.state is CallbackState.PARTIAL
    assert callback.name_recording is not None
    assert Path(callback.name_recording).is_file()


async def test_a_restart_between_two_turns_loses_nothing(
    peer, settings: Settings, voice: VoiceCache, store: SqlStore, server: AgiServer
) -> None:
    await peer.turn("sales", "")
    await peer.turn("sales", "1")
    await server.stop()
    another = AgiServer(settings, store, voice, TOKEN, limits=AgiLimits(step_seconds=10, answer_seconds=10))
    await another.start()
    assert (await peer.turn("sales", "1"))["FR_DO"] == "record"
    await another.stop()


async def test_two_callers_at_once_do_not_meet(peer, store: SqlStore) -> None:
    peers = [replace(peer, variables={}) for _ in range(8)]
    for result in ("", "1", "1"):
        answers = await asyncio.gather(
            *(each.turn("sales", result, uniqueid=f"fr1-9.{index}") for index, each in enumerate(peers))
        )
    assert len({answer["FR_RECORDING"] for answer in answers}) == len(peers)
    assert len(await store.callbacks()) == len(peers)


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        ("nothing", ()),
        ("greeting", ()),
        ("greeting", ("direct", "nowhere", "101")),
        ("greeting", ("oops", "sales", "101")),
        ("turn", ("capture", "sales", "not base64")),
        ("turn", ("capture", "sales", "MQ==")),  # without the dialplan's =
        ("turn", ("capture", "sales", "PSZ4")),  # "=&x"
        ("turn", ("capture", "../etc", "PQ==")),
        ("turn", ("briefing", "cb0", "PQ==")),
        ("turn", ("briefing", "../../x", "PQ==")),
        ("turn", ("gossip", "sales", "PQ==")),
    ],
)
async def test_what_makes_no_sense_is_refused_and_the_next_is_served(
    peer, server: AgiServer, environment: Environment, step: str, arguments: tuple[str, ...]
) -> None:
    assert await peer.ask(environment(step, arguments)) == {}
    assert server.counters["refused"] == 1
    assert "FR_STEP_OK" in await peer.ask(environment("greeting", ("direct", "sales", "")))


@pytest.mark.parametrize("token", [None, "", "a-wrong-secret-of-tests"])
async def test_a_stranger_gets_nothing(peer, environment: Environment, token: str | None) -> None:
    assert await peer.ask(environment("greeting", ("direct", "sales", "101"), token=token)) == {}


async def test_a_forged_consent_is_not_believed(peer, environment: Environment, store: SqlStore) -> None:
    await peer.turn("sales", "")
    forged = (
        f"x\nagi_arg_1: capture\nagi_arg_2: sales\nagi_arg_3: PTE=\nagi_arg_4: fr1-1.1\nagi_arg_5: {TOKEN}"
    )
    assert await peer.ask(environment("turn", ("capture", "sales", "PQ=="), agi_calleridname=forged)) == {}
    assert await store.callbacks() == []


@pytest.mark.parametrize(
    "reply",
    [
        b"510 no\n",
        b"511 dead\n",
        b"520-a\n520 b\n",
        b"HANGUP\n",
        b"\x00\xff\n",
        b"200 result=-1\n",
        b"",
        b"x" * 9000,
    ],
)
async def test_a_peer_that_answers_badly_hurts_nobody_else(
    voice: VoiceCache, store: SqlStore, environment: Environment, peer, reply: bytes
) -> None:
    bad = replace(peer, reply=lambda _command: reply, variables={})
    limits = AgiLimits(step_seconds=10, answer_seconds=0.3)
    port = free_port()
    server = AgiServer(moved(voice.settings, port), store, voice, TOKEN, limits=limits)
    await server.start()
    bad.port = port
    answer = await bad.ask(environment("greeting", ("direct", "sales", "")))
    assert "FR_STEP_OK" not in answer
    assert (await peer.ask(environment("greeting", ("direct", "sales", ""))))["FR_STEP_OK"] == "1"
    await server.stop()
    assert server.counters["served"] == 0


async def test_connections_that_say_nothing_do_not_stop_the_others(
    settings: Settings, voice: VoiceCache, store: SqlStore, environment: Environment, peer
) -> None:
    """Bare connect-and-close, half-open and trickling peers: panoramisk's server froze on the first."""
    port = free_port()
    limits = AgiLimits(
        environment_seconds=0.5, step_seconds=10, answer_seconds=10, threads=2, connections=100
    )
    server = AgiServer(moved(settings, port), store, voice, TOKEN, limits=limits)
    await server.start()
    for _ in range(50):
        socket.create_connection(("127.0.0.1", port)).close()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for each in silent[:20]:
        each.sendall(b"agi_network: yes\n")
    peer.port = port
    answers = [await peer.ask(environment("greeting", ("direct", "sales", ""))) for _ in range(5)]
    assert all(answer.get("FR_STEP_OK") == "1" for answer in answers)
    # Each is dropped after its half second.
    await until(lambda: server.counters["failed"] == len(silent))
    assert all(each.recv(1) == b"" for each in silent)
    for each in silent:
        each.close()
    await server.stop()
    assert server.counters["served"] == 5


async def test_too_many_connections_are_turned_away(
    settings: Settings, voice: VoiceCache, store: SqlStore
) -> None:
    port = free_port()
    server = AgiServer(
        moved(settings, port), store, voice, TOKEN, limits=AgiLimits(environment_seconds=30, connections=3)
    )
    await server.start()
    crowd = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(8)]
    await until(lambda: server.counters["connected"] == len(crowd))
    assert server.counters["crowded"] == 5
    for each in crowd:
        each.close()
    await server.stop()


async def test_without_a_store_people_are_greeted_and_callbacks_fail_open(
    peer, store: SqlStore, environment: Environment
) -> None:
    await store.close()
    assert (await peer.ask(environment("greeting", ("direct", "sales", ""))))["FR_STEP_OK"] == "1"
    assert "FR_STEP_OK" not in await peer.turn("sales", "")


async def test_a_missing_greeting_is_the_generic_one(
    peer, settings: Settings, voice: VoiceCache, environment: Environment
) -> None:
    """And it is there again for the next caller."""
    asked = environment("greeting", ("direct", "sales", "102"))
    whole = wav_of(Path((await peer.ask(asked))["FR_FILES"]))
    whole.unlink()
    assert (await peer.ask(asked))["FR_FILES"] == str(whole.with_suffix(""))  # put together at once
    whole.unlink()
    piece = wav_of(voice.path_of("менеджер Пётр Иванов.", voice.books["ru"]))
    piece.unlink()
    assert (await peer.ask(asked))["FR_FILES"] == str(fixed_prompt(settings, "sales", "greeting"))
    await until(piece.is_file)
    assert (await peer.ask(asked))["FR_FILES"] == str(whole.with_suffix(""))


async def test_a_running_request_ends_before_the_server_does(
    peer, server: AgiServer, environment: Environment
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(environment("greeting", ("direct", "sales", "101")))
    first = await reader.readline()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    lines = [first]
    writer.write(b"200 result=1\n")
    lines.append(await reader.readline())
    writer.write(b"200 result=1\n")
    await stopping
    assert lines[-1] == b'SET VARIABLE "FR_STEP_OK" "1"\n'
    assert server.counters["served"] == 1
    writer.close()


async def test_a_taken_port_is_one_sentence(
    settings: Settings, voice: VoiceCache, store: SqlStore, server: AgiServer
) -> None:
    with pytest.raises(PortTaken, match=r"agi_port"):
        await AgiServer(settings, store, voice, TOKEN).start()


# The agent's leg ----------------------------------------------------------------------------------


async def due_callback(store: SqlStore, peer) -> Callback:
    await peer.turn("sales", "")
    await peer.turn("sales", "1")
    speak_into(await peer.turn("sales", "1"))
    speak_into(await peer.turn("sales", "DTMF"))
    await peer.turn("sales", "DTMF")
    await peer.turn("sales", "1")
    (callback,) = await store.callbacks()
    (claimed,) = await store.claim_due(callback.due_at, "tests", 60)
    await store.begin_attempt(claimed.id, claimed.fence, "fr1-2.2", agent="101", at=callback.due_at)
    return claimed


async def test_the_agent_hears_who_and_why_and_takes_it(peer, store: SqlStore, settings: Settings) -> None:
    callback = await due_callback(store, peer)
    brief = await peer.turn(callback.id, "", conversation="briefing", uniqueid="fr1-2.2")
    assert brief["FR_DO"] == "key"
    assert all_there(brief["FR_FILES"])
    recorded = str(prompts.recordings_folder(settings) / callback.id)
    assert f"{recorded}/name" in brief["FR_FILES"].split("&")
    assert f"{recorded}/subject" in brief["FR_FILES"].split("&")
    taken = await peer.turn(callback.id, "1", conversation="briefing", uniqueid="fr1-2.2")
    assert (taken["FR_DO"], taken["FR_NUMBER"]) == ("accept", "79161234567")


async def test_a_late_call_of_a_dialer_that_was_frozen_is_told_nothing(peer, store: SqlStore) -> None:
    """Its Originate arrives when another dialer has the callback in hand: no customer is rung twice."""
    callback = await due_callback(store, peer)
    for uniqueid, number in (("fr1-1.9", ""), ("fr1-2.2", "79161234567")):
        await peer.turn(callback.id, "", conversation="briefing", uniqueid=uniqueid)
        brief = await peer.turn(callback.id, "1", conversation="briefing", uniqueid=uniqueid)
        assert brief["FR_NUMBER"] == number
    policy = RetryPolicy(3, (5,))
    await store.finish_attempt(f"{callback.id}-1", AttemptState.NOT_DIALLED, policy=policy)
    (again,) = await store.claim_due(datetime.now(UTC) + timedelta(minutes=1), "other", 60)
    await store.begin_attempt(again.id, again.fence, "fr1-3.3", agent="102")
    late = await peer.turn(callback.id, "1", conversation="briefing", uniqueid="fr1-2.2")
    assert (late["FR_DO"], late["FR_NUMBER"]) == ("decline", "")


async def test_a_withdrawn_callback_is_not_dialled(peer, store: SqlStore) -> None:
    await peer.turn("sales", "")
    await peer.turn("sales", "1")
    (callback,) = await store.callbacks()
    await store.update_callback(callback.id, event=CallbackEvent.CANCELLED, by="desk")
    brief = await peer.turn(callback.id, "1", conversation="briefing", uniqueid="fr1-2.3")
    assert brief["FR_DO"] == "decline"
    assert brief["FR_NUMBER"] == ""
    assert brief["FR_FILES"]


_NUMBER = check_number(CALLER, "RU", ["RU"])
assert isinstance(_NUMBER, CheckedNumber)
FACTS = BriefingFacts(_NUMBER, has_name=False, has_subject=False)


@pytest.mark.parametrize(
    ("answers", "last"),
    [
        (["1"], Do.ACCEPT),
        (["2"], Do.DECLINE),
        (["9", "1"], Do.ACCEPT),
        (["", "", "1"], Do.ACCEPT),
        (["", "", ""], Do.DECLINE),
        (["*", "#", "0"], Do.DECLINE),
    ],
)
def test_only_one_takes_the_call(answers: list[str], last: Do) -> None:
    misses, turn = plan(0, None, FACTS)
    for answer in answers:
        assert turn.do is Do.KEY
        misses, turn = plan(misses, Answer(answer), FACTS)
    assert turn.do is last
    assert turn.number == ("79161234567" if last is Do.ACCEPT else "")


def test_a_number_that_may_not_be_rung_is_never_offered() -> None:
    _, turn = plan(0, Answer("1"), replace(FACTS, number=None))
    assert (turn.do, turn.number) == (Do.DECLINE, "")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def moved(settings: Settings, port: int) -> Settings:
    return settings.model_copy(update={"network": settings.network.model_copy(update={"agi_port": port})})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([], outcome.SPOKEN),  # hangs up while he is asked
        (["1"], outcome.SPOKEN),
        ([""], outcome.SPOKEN),
        (["9"], outcome.SPOKEN),
        (["3"], outcome.REFUSED),
        (["4"], outcome.WRONG_NUMBER),
        (["2"], "LATER24"),  # hangs up before he has said when
        (["2", "3"], "LATER3"),
        (["2", "48"], "LATER48"),
        (["2", ""], "LATER24"),
        (["2", "0"], "LATER24"),
        (["2", "*"], "LATER24"),
    ],
)
def test_how_it_went(keys: list[str], said: str) -> None:
    stage, so_far, turn = outcome.plan("", None)
    for key in keys:
        assert turn.do in {Do.KEY, Do.DIGITS}
        stage, so_far, turn = outcome.plan(stage, Answer(key))
    assert so_far == said
    assert turn.do is (Do.DIGITS if keys == ["2"] else Do.END if keys else Do.KEY)


async def test_the_agent_is_asked_and_the_dialplan_is_told(peer, store: SqlStore) -> None:
    callback = await due_callback(store, peer)
    await peer.turn(callback.id, "", conversation="briefing", uniqueid="fr1-2.2")
    asked = await peer.turn(callback.id, "", conversation="outcome", uniqueid="fr1-2.2")
    assert (asked["FR_DO"], asked["FR_AGREED"]) == ("key", "ANSWER")
    assert all_there(asked["FR_FILES"])
    hours = await peer.turn(callback.id, "2", conversation="outcome", uniqueid="fr1-2.2")
    assert (hours["FR_DO"], hours["FR_DIGITS"], hours["FR_AGREED"]) == ("digits", "2", "LATER24")
    noted = await peer.turn(callback.id, "3", conversation="outcome", uniqueid="fr1-2.2")
    assert (noted["FR_DO"], noted["FR_AGREED"]) == ("end", "LATER3")


@pytest.mark.parametrize(("key", "never"), [("1", False), ("0", False), ("2", True)])
async def test_who_wants_no_calls_is_on_the_list_before_he_hears_so(
    peer, store: SqlStore, key: str, never: bool
) -> None:
    callback = await due_callback(store, peer)
    asked = await peer.turn(callback.id, "", conversation="confirm", uniqueid="fr1-2.2")
    answered = await peer.turn(callback.id, key, conversation="confirm", uniqueid="fr1-2.2")
    assert asked["FR_FILES"]
    assert answered["FR_FILES"] != asked["FR_FILES"]
    assert callback.number is not None
    assert bool(await store.do_not_call([callback.number])) is never
