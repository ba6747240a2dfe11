"""Many desks on the live feed: nothing is missed. Small enough for every run; `fourthring bench desks` is the whole."""

from __future__ import annotations

import pytest

from ami_bridge.bench.desks import Load, Seen, measure, seen_in


def test_a_hole_in_the_numbers_is_found() -> None:
    blocks = [f'id: 7.ab.{n}\nevent: live\ndata: {{"phase":"ended"}}\n\n' for n in (3, 4, 7)]
    chunked = b"".join(b"\r\n%x\r\n%b" % (len(block), block.encode()) for block in blocks)
    picture = b"\r\n20\r\nid: 7.ab.2\nevent: picture\ndata: {}\n\n"
    assert seen_in(picture + chunked) == Seen(frames=3, missed=2, ended=3)


@pytest.mark.slow
def test_thirty_desks_see_every_call_begin_and_end() -> None:
    load = Load(desks=30, calls_per_second=10, seconds=4)
    figures = measure(load)
    assert figures["missed_updates"] == 0
    assert figures["desks_that_missed_an_end"] == 0
    assert figures["frames_per_desk"] > 3 * load.calls
    assert 1.0 < figures["bridge_cpu_ratio_within"] <= 1.15
