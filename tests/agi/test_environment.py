"""Only the exact environment of Asterisk 22 is believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agi.environment import AgiProtocolError, TokenRefused, parse_environment

TOKEN = "a-secret-of-the-tests"
# Seen on Asterisk 22.10.1: every line of it, in this order.
SEEN = b"""agi_network: yes
agi_network_script: greeting
agi_request: agi://127.0.0.1:4573/greeting
agi_channel: Local/stay@test-00000007;1
agi_language: en
agi_type: Local
agi_uniqueid: fr1-1795409891.14
agi_version: 22.10.1+dfsg+~cs6.17.60671434-1
agi_callerid: +74951234567
agi_calleridname: unknown
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: unknown
agi_rdnis: unknown
agi_context: test
agi_extension: env
agi_priority: 3
agi_enhanced: 0.0
agi_accountcode: 
agi_threadid: 140022675404480
agi_arg_1: direct
agi_arg_2: sales
agi_arg_3: 
agi_arg_4: fr1-1785000000.7
agi_arg_5: a-secret-of-the-tests

"""  # noqa: W291 - Asterisk writes the blank after an empty value


def test_what_asterisk_sends_is_understood() -> None:
    asked = parse_environment(SEEN, TOKEN)
    assert (asked.step, asked.uniqueid, asked.caller) == ("greeting", "fr1-1785000000.7", "+74951234567")
    assert asked.arguments == ("direct", "sales", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"+74951234567", b"12\r\n200 result=1", id="a forged answer in the caller ID"),
        pytest.param(b"+74951234567", b"12\nagi_calleridname: x", id="a forged line, then the true one"),
        pytest.param(b"+74951234567", b"12\nagi_callerid: +79990000000", id="a duplicate"),
        pytest.param(b"+74951234567", b"12\n\n", id="an early end"),
        pytest.param(b"+74951234567", b"12\x00", id="NUL"),
        pytest.param(b"unknown\nagi_callingpres", b"\x1b[2J\nagi_callingpres", id="an escape sequence"),
        pytest.param(b"agi_language: en\n", b"", id="a missing line"),
        pytest.param(
            b"agi_language: en\nagi_type: Local", b"agi_type: Local\nagi_language: en", id="another order"
        ),
        pytest.param(
            b"agi_arg_1: direct\n", b"agi_arg_1: direct\nagi_arg_1: direct\n", id="an argument twice"
        ),
        pytest.param(b"fr1-1785000000.7", b"../../etc/passwd", id="a uniqueid that is a path"),
        pytest.param(
            b"agi_network_script: greeting", b"agi_network_script: ../greeting", id="a step that is a path"
        ),
        pytest.param(b"22.10.1", b"2" * 1100, id="a long line"),
        pytest.param(b"22.10.1", b"2\n" * 5000, id="many lines"),
        pytest.param(b"\n\n", b"\n", id="no end"),
        pytest.param(
            b"agi_arg_2: sales\n", b"agi_arg_2: sales\nagi_arg_3: x\n" * 3, id="arguments out of order"
        ),
        pytest.param(b"agi_callingpres: 0", b"agi_callingpres: x", id="a presentation that is no number"),
    ],
)
def test_anything_else_is_refused(before: bytes, after: bytes) -> None:
    assert before in SEEN
    with pytest.raises(AgiProtocolError):
        parse_environment(SEEN.replace(before, after, 1), TOKEN)


@pytest.mark.parametrize("token", [b"wrong", b"", b"a-secret-of-the-test", TOKEN.encode() + b"s"])
def test_without_the_secret_nothing_is_done(token: bytes) -> None:
    with pytest.raises(TokenRefused):
        parse_environment(SEEN.replace(TOKEN.encode(), token), TOKEN)


def test_a_forgery_cannot_bring_its_own_end_and_secret(environment: Callable[..., bytes]) -> None:
    """The whole tail, written into the caller's name, lacks nothing but the secret."""
    forged = "x\n" + "\n".join(f"agi_arg_{index}: y" for index in range(1, 5)) + "\n\n"
    with pytest.raises(AgiProtocolError):
        parse_environment(environment("turn", ("a", "b", "c"), agi_calleridname=forged), TOKEN)


@pytest.mark.parametrize(
    ("number", "presentation", "expected"),
    [
        ("+79161234567", "0", "+79161234567"),
        ("89161234567", "3", "89161234567"),
        ("+79161234567", "32", ""),  # restricted
        ("+79161234567", "67", ""),  # unavailable
        ("unknown", "0", ""),
        ("sip:someone", "0", ""),
        ("٠١٢٣٤٥٦٧٨٩", "0", ""),
    ],
)
def test_only_a_number_that_was_shown_is_a_caller(
    environment: Callable[..., bytes], number: str, presentation: str, expected: str
) -> None:
    raw = environment("turn", (), agi_callerid=number, agi_callingpres=presentation)
    assert parse_environment(raw, TOKEN).caller == expected


def test_a_name_cut_in_the_middle_of_a_letter_is_no_attack(environment: Callable[..., bytes]) -> None:
    raw = environment("turn", ()).replace("Иван".encode(), "Иван".encode()[:-1])
    assert parse_environment(raw, TOKEN).step == "turn"
