"""The telephones themselves: two of them with no PBX between, then through a real Asterisk."""

from __future__ import annotations

import asyncio
import os
import time
import wave
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ami_bridge.demo.baresip import PhoneError, PhoneTimeout
from ami_bridge.demo.hearing import RATE, Samples, correlate, find_all, ring_tones
from ami_bridge.demo.recordings import Recording, join
from ami_bridge.demo.softphone import AnswerMode, PhoneState, Softphone
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.pbx.ports import Port
from ami_bridge.pbx.private_pbx import PrivatePbx
from tests.pbx.rawsip import RawSip
from tests.pbx.refusing_phone import RefusingPhone
from tests.pbx.sipp import Sipp, answering_scenario, calling_scenario

PBX = "127.0.0.1:15660"
PBX_ADDRESS = ("127.0.0.1", 15660)


def voice(seed: int, seconds: float = 2.0) -> Samples:
    """A sound that no other seed's resembles: changing chords, loud enough for any codec."""
    chance = np.random.default_rng(seed)
    clock = np.arange(int(0.1 * RATE)) / RATE
    parts = [
        sum(
            chance.uniform(0.02, 0.06) * np.sin(2 * np.pi * chance.uniform(200, 3000) * clock)
            for _ in range(5)
        )
        for _ in range(round(seconds * 10))
    ]
    return np.concatenate(parts).astype(np.float32)


def write(path: Path, samples: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def agent(folder: Path, **more: object) -> Softphone:
    return Softphone("agent", "127.0.0.1", 15600, folder / "agent", rtp_ports=(26500, 26519), **more)  # type: ignore[arg-type]


def caller(folder: Path, **more: object) -> Softphone:
    settings = {"peer": "127.0.0.1:15600", "user": "79161234567", **more}
    return Softphone("caller", "127.0.0.2", 15610, folder / "caller", rtp_ports=(26520, 26539), **settings)  # type: ignore[arg-type]


# -- recordings on the clock, without any phone ------------------------------------------------------------


def grow(recording: Recording, packets: list[float], looks: list[float]) -> None:
    """Let a recording grow by a packet of 20 ms at each of ``packets`` and be looked at at ``looks``."""
    for look in looks:
        arrived = sum(1 for at in packets if at <= look)
        recording.path.write_bytes(b"\0" * (44 + 320 * arrived))
        recording.look(look)


def test_a_pause_without_packets_is_put_back_where_it_was(tmp_path: Path) -> None:
    recording = Recording(write(tmp_path / "a.wav", voice(1, 0.1)), 1, heard=True, opened=99.9)
    packets = [100 + 0.02 * n for n in range(50)] + [103 + 0.02 * n for n in range(50)]
    grow(recording, packets, [100 + 0.023 * n for n in range(220)])
    first, second = recording.stretches()
    assert first.at == pytest.approx(99.98, abs=0.025)
    assert second.first_sample == 50 * 160
    assert second.at == pytest.approx(102.98, abs=0.025)
    assert recording.monotonic_of(1.5) == pytest.approx(103.48, abs=0.025)


def test_looking_late_is_no_pause(tmp_path: Path) -> None:
    recording = Recording(write(tmp_path / "a.wav", voice(1, 0.1)), 1, heard=True, opened=100.0)
    packets = [100 + 0.02 * n for n in range(200)]
    grow(recording, packets, [100.01, 100.5, 100.52, 102.9, 103.98])
    assert len(recording.stretches()) == 1


def test_packets_that_catch_up_are_no_pause_and_lost_ones_are(tmp_path: Path) -> None:
    steady = [100 + 0.02 * n for n in range(300)]
    late = [at + 0.2 if 102 <= at < 102.3 else max(at, 102.5) if 102.3 <= at < 102.5 else at for at in steady]
    lost = [at for at in steady if not 102 <= at < 102.2]
    looks = [100 + 0.021 * n for n in range(290)]
    found = []
    for n, packets in enumerate((late, lost)):
        recording = Recording(tmp_path / f"{n}.wav", 1, heard=True, opened=100.0)
        grow(recording, packets, looks)
        found.append(len(recording.stretches()))
        assert recording.monotonic_of(5.0) == pytest.approx((104.98, 105.18)[n], abs=0.03)
    assert found == [1, 2]


def test_the_files_of_one_call_are_joined_on_one_line_of_time(tmp_path: Path) -> None:
    one, two = voice(1, 1.0), voice(2, 1.0)
    recordings = []
    for n, (sound, at) in enumerate(((one, 50.0), (two, 53.0))):
        path = tmp_path / f"{n}.wav"
        recording = Recording(path, 1, heard=True, opened=at)
        grow(recording, [at + 0.02 * (k + 1) for k in range(50)], [at + 0.02 * (k + 1) for k in range(51)])
        write(path, sound)
        recordings.append(recording)
    now = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
    heard = join(recordings, now_monotonic=60.0, now=now)
    assert heard.started == pytest.approx(50.0, abs=0.001)
    assert heard.at(3.0) == datetime(2026, 1, 2, 11, 59, 53, tzinfo=UTC)
    assert correlate(heard.samples, one).start_seconds == pytest.approx(0.0, abs=0.001)
    assert correlate(heard.samples, two).start_seconds == pytest.approx(3.0, abs=0.001)


# -- two phones, no PBX ------------------------------------------------------------------------------------


async def test_two_phones_talk_and_each_hears_the_other_when_it_spoke(tmp_path: Path) -> None:
    to_caller, to_agent = voice(1), voice(2)
    async with agent(tmp_path) as a, caller(tmp_path, voice=write(tmp_path / "c.wav", to_agent)) as c:
        await c.dial("agent")
        incoming = await a.wait_for("incoming", 5)
        assert "79161234567" in incoming.detail
        ringing = await c.wait_for("ringing", 5)
        await a.answer()
        answered = await c.wait_for("established", 5)
        await a.wait_for("established", 5)
        spoke = time.monotonic()
        assert await a.speak(write(tmp_path / "a.wav", to_caller)) == pytest.approx(2.0)
        await asyncio.sleep(2.4)
        await c.hangup()
        closed = await a.wait_for("closed", 5)
        await c.wait_for("closed", 5)
        assert ringing.monotonic <= answered.monotonic < closed.monotonic
        assert incoming.monotonic == pytest.approx(ringing.monotonic, abs=0.2)
        assert (datetime.now(UTC) - closed.at).total_seconds() < 5
        heard = c.heard_call()
        match = correlate(heard.samples, to_caller)
        assert match.whole
        assert heard.started + match.start_seconds == pytest.approx(spoke, abs=0.25)
        assert correlate(a.heard_call().samples, to_agent).whole
        assert correlate(c.said_call().samples, to_agent).whole
        assert not correlate(c.heard_call().samples, to_agent).whole
        assert [path.name for path in c.heard()] == ["call-001-heard-1.wav"]


async def test_keys_are_heard_in_order(tmp_path: Path) -> None:
    async with agent(tmp_path, answer_mode="auto") as a, caller(tmp_path) as c:
        await c.dial("agent")
        await c.wait_for("established", 5)
        await asyncio.sleep(0.3)
        await c.send_dtmf("1190*#8")
        await asyncio.sleep(0.3)
        assert "".join(a.digits_heard) == "1190*#8"


async def test_answering_by_itself_takes_the_time_it_was_given(tmp_path: Path) -> None:
    async with agent(tmp_path, answer_mode=AnswerMode.AUTO, answer_after=1.0) as a, caller(tmp_path) as c:
        await c.dial("agent")
        incoming = await a.wait_for(PhoneState.INCOMING, 5)
        established = await a.wait_for(PhoneState.ESTABLISHED, 5)
        assert established.monotonic - incoming.monotonic == pytest.approx(1.0, abs=0.3)


async def test_a_phone_that_rejects_says_busy(tmp_path: Path) -> None:
    async with agent(tmp_path, answer_mode="reject") as a, caller(tmp_path) as c:
        await c.dial("agent")
        closed = await c.wait_for("closed", 5)
        assert closed.detail.startswith("486")
        await a.wait_for("closed", 5)
        assert a.state is PhoneState.IDLE


async def test_a_second_call_is_a_call_of_its_own(tmp_path: Path) -> None:
    async with agent(tmp_path, answer_mode="never") as a, caller(tmp_path) as c:
        for nth in (1, 2):
            await c.dial("agent", from_user=f"7916000000{nth}", display=f"Caller {nth}")
            incoming = await a.wait_for("incoming", 5)
            assert (incoming.call, f"7916000000{nth}" in incoming.detail) == (nth, True)
            assert f"Caller {nth}" in incoming.detail
            await c.hangup()
            assert (await a.wait_for("closed", 5)).call == nth
        assert a.calls == c.calls == 2


async def test_a_carriers_phone_takes_calls_to_any_number(tmp_path: Path) -> None:
    async with (
        agent(tmp_path, any_user=True, answer_mode="auto") as customer,
        caller(tmp_path) as c,
    ):
        await c.dial("+79031112233")
        await c.wait_for("established", 5)
        await c.hangup()
        await customer.wait_for("established", 5)
        await customer.wait_for("closed", 5)
        await c.dial("84950000000")
        await c.wait_for("established", 5)
        await customer.hangup()
        await c.wait_for("closed", 5)
        assert customer.dialled_users == ["+79031112233", "84950000000"]


async def test_nothing_is_left_after_stop(tmp_path: Path) -> None:
    phone = agent(tmp_path)
    await phone.start()
    pid = phone.pid
    assert pid is not None
    os.kill(pid, 0)  # it is there
    await phone.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await phone.stop()
    await phone.start()  # the same phone, the same ports
    await phone.stop()


async def test_what_cannot_be_done_is_said_in_one_sentence(tmp_path: Path) -> None:
    async with agent(tmp_path) as a:
        with pytest.raises(PhoneError, match="has no peer to dial '600'"):
            await a.dial("600")
        with pytest.raises(PhoneTimeout, match=r"'agent' was not established within 0\.2 s; it saw nothing"):
            await a.wait_for("established", 0.2)
        wrong = tmp_path / "wrong.wav"
        with wave.open(str(wrong), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
        with pytest.raises(PhoneError, match="8000 Hz mono"):
            await a.speak(wrong)


# -- through a real Asterisk -------------------------------------------------------------------------------

_MODULES = """
res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjproject res_rtp_asterisk res_timing_timerfd
res_pjsip res_pjsip_pubsub res_pjsip_session res_pjsip_sdp_rtp res_pjsip_caller_id res_pjsip_registrar
res_pjsip_authenticator_digest res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user
chan_pjsip bridge_simple codec_alaw codec_ulaw format_wav app_dial app_playback app_read app_echo app_verbose
func_channel func_callerid func_strings pbx_config
"""
_ZONES = {"ru": ("101", 7.0), "us": ("102", 7.0), "uk": ("103", 3.8)}


def _configuration(paths: PbxPaths, greeting: Path) -> dict[str, str]:
    directories = "\n".join(f"{name} => {folder}" for name, folder in paths.directories().items())
    agents = "\n".join(
        f"[{n}](phone)\nauth={n}\naors={n}\n[{n}]\ntype=aor\nmax_contacts=1\nremove_existing=yes\n"
        f"[{n}]\ntype=auth\nauth_type=userpass\nusername={n}\npassword=secret-{n}\n"
        for n, _ in _ZONES.values()
    )
    direct = "\n".join(
        f"exten => 7{n},1,Set(CHANNEL(tonezone)={zone})\n same => n,Ringing()\n same => n,Progress()\n"
        # Without the wait, 1 call in 15 is silent: the agent's ringing comes before the 183 is through, and
        # chan_pjsip then answers 180 and makes no tone.
        f" same => n,Wait(0.1)\n same => n,Dial(PJSIP/{n},20,G(answered^s^1))\n same => n,Hangup(${{HANGUPCAUSE}})"
        for zone, (n, _) in _ZONES.items()
    )
    sound = greeting.with_suffix("")
    empty = dict.fromkeys(("cdr", "cel", "acl", "udptl", "pjproject", "ccss", "features"), "[general]\n")
    return {name + ".conf": text for name, text in empty.items()} | {
        "asterisk.conf": f"[directories]\n{directories}\n[options]\nsystemname = phones\n",
        "modules.conf": "[modules]\nautoload=no\n" + "".join(f"load={m}.so\n" for m in _MODULES.split()),
        "logger.conf": "[logfiles]\nmessages => notice,warning,error\n",
        "rtp.conf": "[general]\nrtpstart=26000\nrtpend=26399\n",
        "indications.conf": "[general]\ncountry=us\n"
        "[ru]\ndescription=ru\nringcadence=1000,4000\nring=425/1000,0/4000\n"
        "[us]\ndescription=us\nringcadence=2000,4000\nring=440+480/2000,0/4000\n"
        "[uk]\ndescription=uk\nringcadence=400,200,400,2000\nring=400+450/400,0/200,400+450/400,0/2000\n",
        "pjsip.conf": f"[udp]\ntype=transport\nprotocol=udp\nbind={PBX}\n"
        "[phone](!)\ntype=endpoint\ncontext=calls\ndisallow=all\nallow=alaw\nmedia_address=127.0.0.1\n"
        "bind_rtp_to_media_address=yes\ndirect_media=no\ninband_progress=no\n"
        f"{agents}\n[trunk](phone)\naors=trunk\n[trunk]\ntype=aor\ncontact=sip:127.0.0.2:15670\n"
        "[trunk]\ntype=identify\nendpoint=trunk\nmatch=127.0.0.2\n",
        "extensions.conf": f"[calls]\n{direct}\n"
        f"exten => 600,1,Answer()\n same => n,Wait(1)\n same => n,Playback({sound})\n same => n,Wait(1.5)\n"
        f" same => n,Playback({sound})\n same => n,Read(KEYS,,3,,1,5)\n"
        f' same => n,GotoIf($["${{KEYS}}" = "159"]?keys,1)\n same => n,Hangup()\n'
        f"exten => keys,1,Playback({sound})\n same => n,Hangup()\n"
        "exten => 610,1,Dial(PJSIP/+79031112233@trunk,10)\n"
        "exten => _700X.,1,Answer()\n same => n,Wait(1)\n"
        f"[answered]\nexten => s,1,Goto(caller,1)\nexten => s,2,Playback({sound})\n same => n,Wait(60)\n"
        f"exten => caller,1,Playback({sound})\n same => n,Bridge(${{DIALEDPEERNAME}},x)\n",
    }


@pytest.fixture(scope="module")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sounds") / "greeting.wav", voice(77, 1.6))


@pytest.fixture(scope="module")
def pbx(tmp_path_factory: pytest.TempPathFactory, greeting: Path) -> Iterator[PrivatePbx]:
    paths = PbxPaths.in_state(tmp_path_factory.mktemp("pbx"))
    paths.make_folders()
    for name, text in _configuration(paths, greeting).items():
        (paths.etc / name).write_text(text)
    private = PrivatePbx(paths, [Port("udp", *PBX_ADDRESS, "the test's SIP port")])
    private.start()
    yield private
    private.stop()


def registered(folder: Path, nth: int, extension: str, **more: object) -> Softphone:
    return Softphone(
        f"agent{extension}",
        "127.0.0.1",
        15600 + 20 * nth,
        folder / extension,
        registrar=PBX,
        user=extension,
        password=f"secret-{extension}",
        rtp_ports=(26500 + 40 * nth, 26519 + 40 * nth),
        **more,  # type: ignore[arg-type]
    )


def outside(folder: Path, nth: int = 0, **more: object) -> Softphone:
    ports = (26520 + 40 * nth, 26539 + 40 * nth)
    name = f"caller{nth}"
    return Softphone(name, "127.0.0.2", 15610 + 20 * nth, folder / name, peer=PBX, rtp_ports=ports, **more)  # type: ignore[arg-type]


async def _direct_call(folder: Path, nth: int, zone: str, greeting: Samples) -> None:
    extension, rings = _ZONES[zone]
    to_caller, to_agent = voice(10 + nth), voice(20 + nth)
    async with registered(folder, nth, extension) as a, outside(folder, nth) as c:
        await c.dial(f"7{extension}")
        ringing = await c.wait_for("ringing", 5)
        early = await c.wait_for("early", 5)
        incoming = await a.wait_for("incoming", 5)
        assert ringing.monotonic <= early.monotonic
        await asyncio.sleep(rings)
        await a.answer()
        answered = await c.wait_for("established", 5)
        await asyncio.sleep(len(greeting) / RATE + 0.4)
        await a.speak(write(folder / f"a{nth}.wav", to_caller))
        await c.speak(write(folder / f"c{nth}.wav", to_agent))
        await asyncio.sleep(2.5)
        await c.hangup()
        await a.wait_for("closed", 5)
        heard, by_agent = c.heard_call(), a.heard_call()
    tones = [
        t for t in ring_tones(heard.samples, zone) if t.start < heard.seconds_at(answered.monotonic) - 0.1
    ]
    begins = heard.seconds_at(incoming.monotonic)
    shape = {
        "ru": [(0, 1), (5, 6)],
        "us": [(0, 2), (6, 7)],
        "uk": [(0, 0.4), (0.6, 1.0), (3.0, 3.4), (3.6, 3.8)],
    }[zone]
    assert [t.start for t in tones] == [pytest.approx(begins + s, abs=0.1) for s, _ in shape], tones
    # Within one stream of packets the cadence is exact; the last burst is cut by the answer.
    assert [t.seconds for t in tones[:-1]] == [pytest.approx(e - s, abs=0.02) for s, e in shape[:-1]], tones
    for sound, ear in ((greeting, heard), (greeting, by_agent), (to_caller, heard), (to_agent, by_agent)):
        match = correlate(ear.samples, sound)
        assert match.whole, (zone, match)
    starts = [ear.started + correlate(ear.samples, greeting).start_seconds for ear in (heard, by_agent)]
    assert starts == [pytest.approx(answered.monotonic, abs=0.2)] * 2


@pytest.mark.pbx
async def test_a_caller_hears_each_countrys_ring_tone_and_both_sides_the_greeting(
    pbx: PrivatePbx, tmp_path: Path, greeting: Path
) -> None:
    sound = voice(77, 1.6)
    async with asyncio.TaskGroup() as group:
        for nth, zone in enumerate(_ZONES):
            group.create_task(_direct_call(tmp_path, nth, zone, sound))


@pytest.mark.pbx
async def test_what_is_heard_after_a_pause_without_packets_is_at_its_true_time(
    pbx: PrivatePbx, tmp_path: Path
) -> None:
    """Wait() sends nothing, so the recording itself is seconds shorter than the call."""
    sound = voice(77, 1.6)
    async with outside(tmp_path) as c:
        await c.dial("600")
        answered = await c.wait_for("established", 5)
        await asyncio.sleep(1 + 1.6 + 1.5 + 1.6 + 0.5)
        await c.send_dtmf("159")
        await c.wait_for("closed", 15)
        heard = c.heard_call()
        recorded = sum(path.stat().st_size - 44 for path in c.heard()) / 2 / RATE
    starts = [heard.started + match.start_seconds for match in find_all(heard.samples, sound)]
    assert len(starts) == 3, "the third is played only when the keys arrived"
    assert starts[0] - answered.monotonic == pytest.approx(1.0, abs=0.2)
    assert starts[1] - starts[0] == pytest.approx(1.6 + 1.5, abs=0.05)
    assert len(heard.samples) / RATE - recorded > 1.4


@pytest.mark.pbx
async def test_the_pbx_calls_out_to_any_number_of_the_carrier(pbx: PrivatePbx, tmp_path: Path) -> None:
    customer = Softphone(
        "customer",
        "127.0.0.2",
        15670,
        tmp_path / "customer",
        rtp_ports=(26700, 26719),
        any_user=True,
        answer_mode="auto",
        answer_after=0.3,
    )
    async with customer, registered(tmp_path, 0, "101") as a:
        await a.dial("610")
        await a.wait_for("established", 5)
        await customer.wait_for("established", 5)
        await asyncio.sleep(0.3)  # until the PBX has joined the two legs
        await customer.speak(write(tmp_path / "customer.wav", voice(5)))
        await asyncio.sleep(2.4)
        await customer.hangup()
        await a.wait_for("closed", 5)
        assert customer.dialled_users == ["+79031112233"]
        assert correlate(a.heard_call().samples, voice(5)).whole


@pytest.mark.pbx
async def test_a_wrong_password_is_said_at_once(pbx: PrivatePbx, tmp_path: Path) -> None:
    phone = Softphone(
        "agent101",
        "127.0.0.1",
        15600,
        tmp_path / "a",
        registrar=PBX,
        user="101",
        password="no",
        rtp_ports=(26500, 26519),
    )
    with pytest.raises(PhoneError, match="'agent101' was refused by its registrar"):
        await phone.start()
    assert phone.pid is None


@pytest.mark.pbx
@pytest.mark.parametrize("status", [480, 603])
async def test_a_refusing_phone_is_heard_by_the_caller(pbx: PrivatePbx, tmp_path: Path, status: int) -> None:
    phone = RefusingPhone(
        ("127.0.0.1", 15690), PBX_ADDRESS, "101", "secret-101", status=status, reason="No", ring_seconds=0.3
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(phone)
        stranger = await stack.enter_async_context(RawSip(("127.0.0.2", 0), PBX_ADDRESS))
        call = await stranger.invite(b"sip:7101@" + PBX.encode())
        final = await call.wait_for(within=5)
        assert final.status >= 400
        assert len(phone.invites) == 1


@pytest.mark.pbx
@pytest.mark.parametrize(
    ("user", "display"),
    [
        (b"79%0d%0aEvent:%20Hangup", b""),
        (b"79%00", b'"quo\\"ted"'),
        (b"79160000000", "«😀»".encode().join((b'"', b'"'))),
        (b"79160000000", b'"' + b"A" * 10000 + b'"'),
    ],
)
async def test_a_stranger_sends_any_bytes_and_gets_rid_of_his_call(
    pbx: PrivatePbx, user: bytes, display: bytes
) -> None:
    async with RawSip(("127.0.0.2", 0), PBX_ADDRESS) as stranger:
        call = await stranger.invite(
            b"sip:7001%0d%0a@" + PBX.encode(), b"sip:" + user + b"@127.0.0.2", display
        )
        assert user in call.invite
        assert (await call.wait_for(within=5)).status == 200
        assert (await call.bye()).status == 200
        ringing = await stranger.invite(b"sip:7101@" + PBX.encode())
        assert (await ringing.wait_for(within=5)).status >= 400  # 101 has no phone here


@pytest.mark.pbx
async def test_sipp_counts_what_went_well_and_what_did_not(pbx: PrivatePbx, tmp_path: Path) -> None:
    phone = Sipp(
        tmp_path / "phone",
        answering_scenario(200),
        PBX,
        local_ip="127.0.0.2",
        local_port=15670,
        media_port=26800,
    )
    load = {"local_ip": "127.0.0.2", "local_port": 15680}
    await phone.start(calls=6)
    good = Sipp(tmp_path / "good", calling_scenario(300), PBX, service="610", media_port=26820, **load)  # type: ignore[arg-type]
    await good.start(calls=6, per_second=10)
    result, answered = await asyncio.gather(good.result(30), phone.result(30))
    assert (result.clean, result.created, answered.successful) == (True, 6, 6), result
    bad = Sipp(tmp_path / "bad", calling_scenario(300), PBX, service="nobody", media_port=26820, **load)  # type: ignore[arg-type]
    await bad.start(calls=2, per_second=10)
    failed = await bad.result(30)
    assert (failed.clean, failed.failed) == (False, 2)
    assert "404" in failed.errors
