"""SafeAgi against a scripted peer: pyst2's vocabulary, and every way in which Asterisk can fail us."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from asterisk.agi import AGI, AGIAppError, AGIInvalidCommand, AGIUsageError

from agi.environment import AgiProtocolError, parse_environment
from agi.session import CallerGone, SafeAgi

TOKEN = "a-secret-of-the-tests"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def opened(
    ends: tuple[socket.socket, socket.socket], environment: Callable[..., bytes]
) -> Callable[..., tuple[SafeAgi, socket.socket]]:
    def open_session(seconds: float = 5.0, early: bytes = b"") -> tuple[SafeAgi, socket.socket]:
        ours, theirs = ends
        asked = parse_environment(environment("turn", ()), TOKEN)
        return SafeAgi(ours, asked, seconds=seconds, early=early), theirs

    return open_session


Opened = Callable[..., tuple[SafeAgi, socket.socket]]


def test_it_is_pyst2s_agi_without_its_signal_handler_and_chatter(
    opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGHUP)
    session, theirs = opened()
    theirs.sendall(b"200 result=1\n200 result=1 (a) b)\n")
    assert isinstance(session, AGI)
    session.set_variable("FR_DO", "key")
    assert session.get_variable("X") == "a) b"
    assert theirs.recv(4096) == b'SET VARIABLE "FR_DO" "key"\nGET VARIABLE "X"\n'
    assert signal.getsignal(signal.SIGHUP) is before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('say "hi"', rb'"say \"hi\""'),
        ("back\\slash", rb'"back\\slash"'),
        ("Ромашка", '"Ромашка"'.encode()),
        ("", b'""'),
    ],
)
def test_values_arrive_as_they_are(opened: Opened, value: str, written: bytes) -> None:
    session, theirs = opened()
    theirs.sendall(b"200 result=1\n")
    session.set_variable("FR_X", value)
    assert theirs.recv(4096) == b'SET VARIABLE "FR_X" ' + written + b"\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "x" * 2001])
def test_what_no_command_can_hold_is_never_sent(opened: Opened, value: str) -> None:
    session, theirs = opened()
    theirs.sendall(b"200 result=1\n")
    with pytest.raises(ValueError, match="AGI command"):
        session.set_variable("FR_X", value)
    with pytest.raises(ValueError, match="AGI command"):
        session.set_context(value)  # pyst2 does not quote this one
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"510 Invalid or unknown command\n", AGIInvalidCommand),
        (b"511 Command Not Permitted on a dead channel or intercept routine\n", CallerGone),
        (
            b"520-Invalid command syntax.  Proper usage follows:\nUsage: X\n520 End of proper usage.\n",
            AGIUsageError,
        ),
        (b"520 Invalid command syntax.  Proper usage not available.\n", AGIUsageError),
        (b"520-Invalid command syntax.\n" + b"usage\n" * 500, AgiProtocolError),
        (b"200 result=-1\n", AGIAppError),
        (b"200 result=0 (hangup)\n", CallerGone),
        (b"HANGUP\n200 result=1\n", CallerGone),
        (b"200\n", AgiProtocolError),
        (b"200 result=1; rm -rf\n", AgiProtocolError),
        (b"200-result=1\n", AgiProtocolError),
        (b"999 result=1\n", AgiProtocolError),
        (b"\n", AgiProtocolError),
        (b"\x00\xff\xfe\n", AgiProtocolError),
        ("２００ result=1\n".encode(), AgiProtocolError),
        (b"2" * 10000, AgiProtocolError),
    ],
)
def test_every_answer_has_its_exception(opened: Opened, answer: bytes, error: type[Exception]) -> None:
    session, theirs = opened()
    theirs.sendall(answer)
    with pytest.raises(error):
        session.set_variable("FR_X", "1")


def test_usage_leaves_the_next_answer_untouched(opened: Opened) -> None:
    session, theirs = opened()
    theirs.sendall(b"520-Invalid\nUsage: X\n520 End of proper usage.\n200 result=1 (ok)\n")
    with pytest.raises(AGIUsageError):
        session.set_variable("FR_X", "1")
    assert session.get_variable("FR_X") == "ok"


@pytest.mark.parametrize("written", [b"", b"200 res", b"520-Invalid command syntax.\nUsage"])
def test_an_end_in_the_middle_is_a_lost_caller(opened: Opened, written: bytes) -> None:
    session, theirs = opened()
    theirs.sendall(written)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(CallerGone):
        session.set_variable("FR_X", "1")


def test_a_hangup_that_came_with_the_environment_counts(opened: Opened) -> None:
    session, _ = opened(early=b"HANGUP\n")
    with pytest.raises(CallerGone):
        session.set_variable("FR_X", "1")


def test_writing_to_a_closed_peer_is_a_lost_caller(opened: Opened) -> None:
    session, theirs = opened()
    theirs.close()
    with pytest.raises(CallerGone):
        session.set_variable("FR_X", "1")


def test_a_peer_that_trickles_cannot_hold_us_beyond_the_deadline(opened: Opened) -> None:
    session, theirs = opened(seconds=0.3)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            theirs.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(CallerGone):
            session.set_variable("FR_X", "1")
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - began < 5  # it ends at all; a slow machine is no failure


def test_an_answer_in_pieces_is_one_answer(opened: Opened) -> None:
    session, theirs = opened()

    def in_pieces() -> None:
        for piece in (b"2", b"00 resu", b"lt=1 (", "Ж".encode()[:1], "Ж".encode()[1:] + b")\n"):
            theirs.sendall(piece)
            os.sched_yield()

    thread = threading.Thread(target=in_pieces)
    thread.start()
    assert session.get_variable("FR_X") == "Ж"
    thread.join()
