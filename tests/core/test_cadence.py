"""Cadences: what one ring is, when the fourth ends, and that Asterisk plays what we count."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.cadence import CADENCES, Cadence
from ami_bridge.resources import shipped_folder

# ITU-T E.180 Supplement 2, by which design.md counts: end of the fourth tone after the start of the first.
FOURTH_TONE_ENDS = {"ru": 16.0, "de": 16.0, "us": 20.0, "uk": 10.0, "au": 10.0, "jp": 10.0}


@pytest.mark.parametrize("zone", sorted(CADENCES))
def test_the_fourth_tone_ends_when_the_design_says(zone: str) -> None:
    assert CADENCES[zone].deadline_seconds(4) == pytest.approx(FOURTH_TONE_ENDS[zone])


@pytest.mark.parametrize("zone", sorted(CADENCES))
def test_nobody_hears_a_fifth_ring(zone: str) -> None:
    cadence = CADENCES[zone]
    deadline = cadence.deadline_seconds(4)
    assert cadence.ring_number(deadline) == 4
    # The dialplan's own time-out comes up to 2 s later (settings: safety_margin_seconds), at 0.7 s by default.
    assert cadence.ring_number(deadline + 0.7) == 4
    assert cadence.ring_number(4 * cadence.period_seconds) == 5


@pytest.mark.parametrize(
    ("seconds", "ring"),
    [(-1.0, 1), (0.0, 1), (4.999, 1), (5.0, 2), (9.999, 2), (10.0, 3), (15.0, 4), (16.0, 4), (20.0, 5)],
)
def test_a_ring_is_one_period(seconds: float, ring: int) -> None:
    assert CADENCES["ru"].ring_number(seconds) == ring


@given(
    tone=st.integers(1, 4000),
    pause=st.integers(1, 8000),
    ring=st.integers(1, 20),
)
def test_the_deadline_lies_in_the_ring_by_which_was_to_be_answered(tone: int, pause: int, ring: int) -> None:
    cadence = Cadence(tone / 1000, (tone + pause) / 1000)
    deadline = cadence.deadline_seconds(ring)
    assert cadence.ring_number(deadline) == ring
    assert deadline == pytest.approx((ring - 1) * cadence.period_seconds + cadence.tone_seconds)


def played_ringbacks() -> dict[str, Cadence]:
    """Zone → cadence, as ``indications.conf`` has Asterisk play it: ``frequencies/milliseconds,…``."""
    zone, found = "", {}
    for line in (shipped_folder("dialplans") / "indications.conf.j2").read_text().splitlines():
        if match := re.match(r"\[(\w+)\]", line):
            zone = match[1]
        elif line.startswith("ring ="):
            bursts = [burst.split("/") for burst in line.partition("=")[2].strip().split(",")]
            lengths = [(tone != "0", int(length)) for tone, length in bursts]
            assert lengths[0][0], "a ring begins with its tone"
            assert not lengths[-1][0], "and ends with its pause"
            period = sum(length for _, length in lengths)
            found[zone] = Cadence((period - lengths[-1][1]) / 1000, period / 1000)
    return found


def test_asterisk_plays_the_rings_that_we_count() -> None:
    assert played_ringbacks() == CADENCES
