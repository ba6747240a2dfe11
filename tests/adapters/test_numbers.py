"""Which numbers we ring back, and how they are read aloud."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.numbers import CheckedNumber, Refusal, check_number, read_back_groups

RU = frozenset({"RU"})


@pytest.mark.parametrize("text", ["+79161234567", "79161234567", "89161234567", "9161234567"])
def test_all_ways_to_write_a_number_are_one_number(text: str) -> None:
    assert check_number(text, "RU", RU) == CheckedNumber(
        "+79161234567", "RU", ("8", "916", "123", "45", "67")
    )


@pytest.mark.parametrize(
    ("text", "region", "allowed", "reason"),
    [
        ("", "RU", RU, Refusal.NOT_DIGITS),
        ("+", "RU", RU, Refusal.NOT_DIGITS),
        ("8 916 123 45 67", "RU", RU, Refusal.NOT_DIGITS),
        ("+7916123456a", "RU", RU, Refusal.NOT_DIGITS),
        ("+7916FLOWERS", "RU", RU, Refusal.NOT_DIGITS),
        ("89161234567;ext=5", "RU", RU, Refusal.NOT_DIGITS),
        ("89161234567\n", "RU", RU, Refusal.NOT_DIGITS),
        ("٨٩١٦١٢٣٤٥٦٧", "RU", RU, Refusal.NOT_DIGITS),
        ("８９１６１２３４５６７", "RU", RU, Refusal.NOT_DIGITS),
        ("9" * 21, "RU", RU, Refusal.NOT_DIGITS),
        ("112", "RU", RU, Refusal.EMERGENCY),
        ("+112", "RU", RU, Refusal.EMERGENCY),
        ("911", "US", {"US"}, Refusal.EMERGENCY),
        ("0911", "RU", RU, Refusal.SHORT),
        ("101", "RU", RU, Refusal.EMERGENCY),
        ("900", "RU", RU, Refusal.SHORT),
        ("8916123456", "RU", RU, Refusal.INVALID),
        ("891612345678", "RU", RU, Refusal.INVALID),
        ("88091234567", "RU", RU, Refusal.NOT_CALLABLE_TYPE),  # premium
        ("88001234567", "RU", RU, Refusal.NOT_CALLABLE_TYPE),  # toll-free
        ("+79541234567", "RU", RU, Refusal.NOT_CALLABLE_TYPE),  # satellite, called mobile
        ("+79401234567", "RU", RU, Refusal.NOT_CALLABLE_TYPE),  # Abkhazia, called mobile
        ("+881612345678", "RU", RU, Refusal.NOT_CALLABLE_TYPE),
        ("+870773123456", "RU", RU, Refusal.NOT_CALLABLE_TYPE),
        ("+447024123456", "GB", {"GB"}, Refusal.NOT_CALLABLE_TYPE),  # personal number, billed dear
        ("+19002345678", "US", {"US"}, Refusal.NOT_CALLABLE_TYPE),
        ("+77011234567", "RU", RU, Refusal.NOT_ALLOWED_REGION),  # Kazakhstan shares +7
        ("87011234567", "RU", RU, Refusal.NOT_ALLOWED_REGION),
        ("+12125551234", "RU", RU, Refusal.NOT_ALLOWED_REGION),
        ("8104951234567", "RU", RU, Refusal.NOT_ALLOWED_REGION),
    ],
)
def test_what_is_refused_and_why(text: str, region: str, allowed: set[str], reason: Refusal) -> None:
    assert check_number(text, region, allowed) is reason


def test_we_do_not_ring_ourselves() -> None:
    assert check_number("84950000001", "RU", RU, ["74950000001"]) is Refusal.OWN_NUMBER
    assert isinstance(check_number("84950000002", "RU", RU, ["74950000001"]), CheckedNumber)


@pytest.mark.parametrize(
    ("e164", "home", "groups"),
    [
        ("+74950000001", "RU", ("8", "495", "000", "00", "01")),
        ("+74950000001", "US", ("7", "495", "000", "00", "01")),
        ("+12125551234", "US", ("212", "555", "1234")),
        ("+12125551234", "RU", ("1", "212", "555", "1234")),
        ("+442079460018", "GB", ("020", "7946", "0018")),
        ("+77011234567", "RU", ("7", "701", "123", "4567")),
    ],
)
def test_read_back_in_the_groups_people_use(e164: str, home: str, groups: tuple[str, ...]) -> None:
    assert read_back_groups(e164, home) == groups


def test_a_number_without_plus_cannot_be_read_back() -> None:
    with pytest.raises(ValueError, match="leading plus"):
        read_back_groups("89161234567")


@given(st.text(max_size=30))
def test_whatever_a_stranger_sends_only_plain_e164_comes_out(text: str) -> None:
    checked = check_number(text, "RU", RU)
    if isinstance(checked, CheckedNumber):
        assert checked.e164.startswith("+7")
        assert checked.e164[1:].isascii()
        assert checked.e164[1:].isdigit()
