"""The rendered files: whatever the configuration, no caller is left in the lurch and no stranger let in."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from ami_bridge.check import _lint_manager, lint_dialplan, unread_events_overlap
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.dialplan_walk import walk_callers
from ami_bridge.pbx.paths import PbxPaths
from ami_bridge.render import UNREAD_EVENTS, render_to, rendered_files
from ami_bridge.resources import shipped_folder
from ami_bridge.settings import Settings, parse_settings

DEMO = tomllib.loads((shipped_folder("config") / "demo.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def state() -> Any:
    """One folder for all: its secrets are made once."""
    with TemporaryDirectory(prefix="fr-") as folder:
        yield Path(folder)


def configured(state: Path, **changes: Any) -> Settings:
    return parse_settings({**DEMO, "node": {"name": "fr1", "state_folder": str(state)}, **changes})


def rendered(settings: Settings) -> dict[str, str]:
    return rendered_files(settings, PbxPaths.in_state(settings.state_folder))


@pytest.fixture(scope="session")
def files(state: Path) -> dict[str, str]:
    return rendered(configured(state))


# Any company -----------------------------------------------------------------------------------

EXTENSIONS = ["101", "102", "103", "2001", "77"]
NAMES = st.text(
    st.characters(categories=("L", "N"), include_characters=" -'.,()<>@#~`"), min_size=1, max_size=30
)


@st.composite
def companies(draw: st.DrawFn) -> dict[str, Any]:
    slugs = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9_]{2,12}", fullmatch=True), min_size=1, max_size=4, unique=True)
    )
    dids = iter(
        draw(st.lists(st.from_regex(r"[0-9]{5,15}", fullmatch=True), min_size=8, max_size=8, unique=True))
    )
    members = st.lists(st.sampled_from(EXTENSIONS), min_size=1, max_size=5, unique=True)
    departments = {
        f"d{slug}"[:30]: {
            "names": {"ru": draw(NAMES)},
            "dids": [next(dids) for _ in range(draw(st.integers(1, 2)))],
            "direct": draw(st.one_of(st.just([]), members)),
            "queue": draw(members),
            "ring": {
                "zone": draw(st.sampled_from(["ru", "us", "uk"])),
                "answer_by_ring": draw(st.integers(1, 9)),
            },
        }
        for slug in slugs
    }
    agents = {extension: {"names": {"ru": draw(NAMES)}} for extension in EXTENSIONS}
    trunk = {"address": "127.0.0.2", "ringback": draw(st.sampled_from(["inband", "carrier"]))}
    callback = {
        **DEMO["callback"],
        "ask_outcome": draw(st.booleans()),
        "detect_machines": draw(st.booleans()),
        **draw(st.sampled_from([{}, {"max_minutes": 0.5}])),
    }
    return {
        "departments": departments,
        "agents": agents,
        "trunks": {"carrier": trunk},
        "callback": callback,
    }


@how(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(companies())
def test_any_company_gets_a_dialplan_without_faults(state: Path, company: dict[str, Any]) -> None:
    settings = configured(state, **company)
    files = rendered(settings)
    assert lint_dialplan(files["extensions.conf"]) == []
    assert walk_callers(files["extensions.conf"]) == []
    assert list(_lint_manager(files["manager.conf"])) == []
    for name, text in files.items():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), name
        assert "{{" not in text, name
        assert "{%" not in text, name
    for key, department in settings.departments.items():
        for did in department.dids:
            assert f"exten => {did},1,Gosub(inbound,{key},1({did}))" in files["extensions.conf"]
    for agent in company["agents"].values():
        assert files["pjsip.conf"].count(f'callerid = "{agent["names"]["ru"]}" <') >= 1


@pytest.mark.parametrize(("zone", "seconds"), [("ru", 16.7), ("us", 20.7), ("uk", 10.7)])
def test_the_dialplans_own_time_out_comes_just_after_the_deadline(
    state: Path, zone: str, seconds: float
) -> None:
    settings = configured(state, ring={"zone": zone})
    assert f"Dial(${{FR_PHONES}},{seconds},G(answered^sales^1))" in rendered(settings)["extensions.conf"]


def test_a_carrier_that_plays_its_own_ringback_gets_no_early_media(state: Path) -> None:
    own = configured(state, trunks={"carrier": {"address": "127.0.0.2", "ringback": "carrier"}})
    assert "Progress()" not in rendered(own)["extensions.conf"]
    assert "Progress()" in rendered(configured(state))["extensions.conf"]


# The lint ----------------------------------------------------------------------------------------


PLANTED = [
    ("an open end", "[x]\nexten => 1,1,Answer()\n same => n,Playback(hello)\n", "falls out"),
    ("a conditional end", "[x]\nexten => 1,1,Answer()\n same => n,GotoIf($[1]?1,1)\n", "falls out"),
    ("a lost jump", "[x]\nexten => 1,1,Goto(nowhere,1,1)\n", "does not exist"),
    ("a lost Gosub", "[x]\nexten => 1,1,Gosub(x,2,1(a))\n same => n,Hangup()\n", "does not exist"),
    ("a loose pattern", "[x]\nexten => _X.,1,Hangup()\n", "takes anything"),
    ("a looser pattern", "[x]\nexten => _.,1,Hangup()\n", "takes anything"),
    (
        "a pattern that dials",
        "[x]\nexten => _7XX,1,Dial(PJSIP/${A})\n same => n,Hangup()\n",
        "dials whatever",
    ),
    ("a caller ID", "[x]\nexten => 1,1,Set(A=${CALLERID(num)})\n same => n,Hangup()\n", "as it came"),
    ("a caller's name", "[x]\nexten => 1,1,NoOp(${CALLERID(name)})\n same => n,Hangup()\n", "as it came"),
    ("a dialled number", "[x]\nexten => 1,1,Dial(PJSIP/${EXTEN})\n same => n,Hangup()\n", "as it came"),
    ("a part of it", "[x]\nexten => 1,1,Dial(PJSIP/${EXTEN:1})\n same => n,Hangup()\n", "as it came"),
    ("a header", "[x]\nexten => 1,1,NoOp(${PJSIP_HEADER(read,X)})\n same => n,Hangup()\n", "as it came"),
    ("System", "[x]\nexten => 1,1,System(rm)\n same => n,Hangup()\n", "become a command"),
    ("TrySystem", "[x]\nexten => 1,1,TrySystem(rm)\n same => n,Hangup()\n", "become a command"),
    ("SHELL", "[x]\nexten => 1,1,Set(A=${SHELL(id)})\n same => n,Hangup()\n", "become a command"),
    ("EVAL", "[x]\nexten => 1,1,Set(A=${EVAL(${B})})\n same => n,Hangup()\n", "become a command"),
    ("Exec", "[x]\nexten => 1,1,Exec(${A})\n same => n,Hangup()\n", "become a command"),
    ("ExecIf", "[x]\nexten => 1,1,ExecIf($[1]?System:x)\n same => n,Hangup()\n", "become a command"),
    ("AGI in h", "[x]\nexten => h,1,AGI(agi://x)\n same => n,Hangup()\n", "nobody is left"),
]


@pytest.mark.parametrize(("text", "told"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_the_lint_finds(files: dict[str, str], text: str, told: str) -> None:
    found = lint_dialplan(files["extensions.conf"] + text)
    assert any(told in sentence and sentence.startswith("[x]") for sentence in found), found


def test_the_lint_lets_filtered_values_pass() -> None:
    text = "[x]\nexten => 1,1,Set(A=${FILTER(0-9,${CALLERID(num)})}${LEN(${EXTEN})})\n same => n,Hangup()\n"
    assert lint_dialplan(text) == []


@pytest.mark.parametrize(
    "planted",
    [
        "write = system,call",
        "write = command",
        "write = config,call",
        "write=all",
        "read = all",
        "read = command,call",
    ],
)
def test_the_lint_finds_rights_that_nobody_needs(files: dict[str, str], planted: str) -> None:
    assert list(_lint_manager(files["manager.conf"])) == []
    assert list(_lint_manager(f"{files['manager.conf']}\n[x]\n{planted}\n"))


def test_the_lint_wants_timestamps(files: dict[str, str]) -> None:
    text = files["manager.conf"].replace("timestampevents = yes", "timestampevents = no")
    assert any("timestampevents" in fault for fault in _lint_manager(text))


# Every path of a caller (S8) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Goto(failover,sales,fallen)", "Hangup()", "[direct] sales hangs up"),
        ("same => n,Goto(queue,sales,1)", "same => n,Playback(x)", "falls out of [failover] sales"),
        ("Goto(callback,${FR_DEPARTMENT},1)", "Hangup()", "[queue-keys] 1 hangs up"),
        ("same => n(nobody),Gosub", "same => n(nobody),Hangup()\n same => n,Gosub", "[queue] sales hangs up"),
        ("same => n(turn),Gosub(ask", "same => n(turn),AGI(agi", "AGI on the caller's own channel"),
        ("exten => i,1,Goto(lost,1)", "", "converse,i,1, which does not exist"),
        ("?failover,sales,fallen)", "?failover,sales,faln)", "faln, which does not exist"),
        ("n(again),Set", "n,Set", "again, which does not exist"),
        ("G(answered^sales^1)", "G(answred^sales^1)", "answred,sales,1, which does not exist"),
        ("Set(FR_LOST=spool)", "Set(FR_LOST=spol)", "goes to spol,sales,1"),
        ("Record(${FR_SPOOL}.wav,5,120,kq)", "NoOp()", "[spool] sales hangs up"),
        ("same => n(planned),Return()", "same => n(planned),NoOp()", "falls out of [greeting-files] s"),
        ("Goto(answered-caller,sales,1)", "Return()", "came there by Goto"),
        # Who has waited in vain has been offered nothing yet.
        (
            '!= "CONTINUE"]?callback,sales,1)',
            '!= "CONTINUE"]?gone)\n same => n(gone),Hangup()',
            "[queue] sales",
        ),
        (
            "Set(FR_REASON=agent_left)\n same => n,Goto(failover,sales,fallen)",
            "Hangup()",
            "[answered-caller] sales",
        ),
        ("[from-carrier]", "[from-the-carrier]", "no context [from-carrier]"),
        # Who was handed over, by mistake even, is not hung up on.
        (
            "Pickup()\n same => n,Goto(not-reached,s,1)",
            "Pickup()\n same => n,Hangup()",
            "[from-agents] *8 hangs up",
        ),
        ('= "FAILED"]?not-reached,s,1)', '= "FAILED"]?gone)\n same => n(gone),Hangup()', "[from-agents] *91"),
        (
            '"${CHANNEL}"]?caller)',
            '"${CHANNEL}"]?gone)\n same => n(gone),Hangup()',
            "[not-reached] s hangs up",
        ),
    ],
)
def test_no_path_leaves_a_caller_in_the_lurch(files: dict[str, str], old: str, new: str, told: str) -> None:
    extensions = files["extensions.conf"]
    assert walk_callers(extensions) == []
    assert old in extensions
    found = walk_callers(extensions.replace(old, new))
    assert any(told in sentence for sentence in found), found


def test_the_walk_goes_everywhere_that_a_caller_can_go(files: dict[str, str]) -> None:
    """A hang-up at the beginning of each of a caller's contexts is found."""
    for context in ("direct", "failover", "queue", "callback", "converse", "spool", "answered-caller"):
        spoilt = re.sub(
            rf"(\[{context}\]\n(?:;.*\n)*exten => \w+,1,).*", r"\1Hangup()", files["extensions.conf"]
        )
        assert any(sentence.startswith(f"[{context}]") for sentence in walk_callers(spoilt)), context


# The other files --------------------------------------------------------------------------------------


def test_what_is_read_is_not_filtered_out(files: dict[str, str]) -> None:
    assert unread_events_overlap(READ_EVENTS) == set()
    assert unread_events_overlap(frozenset({"VarSet", "Hangup"})) == {"VarSet"}
    filtered = set(re.findall(r"name\((\w+)\)", files["manager.conf"]))
    assert filtered == set(UNREAD_EVENTS)


def test_files_are_their_owners_alone(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "etc"
    assert render_to(configured(state), out) == out
    written = {path.name: path for path in out.iterdir()}
    assert set(written) == {
        path.name.removesuffix(".j2") for path in shipped_folder("dialplans").glob("*.j2")
    }
    for path in written.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    written["pjsip.conf"].chmod(0o644)
    render_to(configured(state), out)
    assert stat.S_IMODE(written["pjsip.conf"].stat().st_mode) == 0o600, "also one that was open before"
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


# Phones in the browser ------------------------------------------------------------------------------


def with_browser_phones(state: Path, **webrtc: Any) -> dict[str, str]:
    agents = {**DEMO["agents"], "101": {**DEMO["agents"]["101"], "webrtc": True}}
    return rendered(configured(state, agents=agents, webrtc={"enabled": True, **webrtc}))


def test_without_browser_phones_there_is_no_door_for_them(files: dict[str, str]) -> None:
    everything = "\n".join(files.values())
    assert "enabled = no" in files["http.conf"]
    for part in (
        "websocket",
        "-web",
        "res_srtp",
        "webrtc = yes",
        "protocol = ws",
        "icesupport = yes",
        "@phones",
    ):
        assert part not in everything, part


def test_a_browser_phone_is_a_second_endpoint_of_the_same_person(state: Path) -> None:
    files = with_browser_phones(state)
    extensions = files["extensions.conf"]
    assert lint_dialplan(extensions) == []
    assert walk_callers(extensions) == []
    assert "exten => 101,hint,PJSIP/101&PJSIP/101-web" in extensions
    assert "Dial(PJSIP/101," not in extensions, "every dial looks which of the two are there"
    assert "Dial(PJSIP/102," in extensions
    assert "member => Local/101@queue-member/n,0,101,hint:101@phones" in files["queues.conf"]
    assert files["pjsip.conf"].count("webrtc = yes") == 1
    assert "102-web" not in "\n".join(files.values())
    assert "bindport = 8088" in files["http.conf"]


@pytest.mark.parametrize(("codecs", "loaded"), [(["alaw"], False), (["opus", "alaw"], True)])
def test_opus_is_loaded_only_where_it_is_wanted(state: Path, codecs: list[str], loaded: bool) -> None:
    files = with_browser_phones(state, codecs=codecs)
    assert f"allow = {','.join(codecs)}\n" in files["pjsip.conf"]
    assert ("codec_opus" in files["modules.conf"]) is loaded
