"""The AMI link is cut for ten seconds while fifty calls live: none is lost, none is doubled, the gap is shown."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from ami_bridge import secrets
from ami_bridge.adapters.ami import AmiLink, RawEvent
from ami_bridge.cli.recording import all_gap_rows
from ami_bridge.core.channel_events import ChannelStories
from ami_bridge.core.events import READ_EVENTS
from tests.load import scenarios
from tests.load.conftest import Exchange
from tests.load.crowd import QUEUED, Kind, Sort, dids_of, extensions, kinds
from tests.load.test_audited import records_since
from tests.pbx.calls import eventually

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(420)]

CUT_SECONDS = 10.0
LIVE = 50
#: Events of each of these kinds that nobody hears; the rarer ones are among what else is lost.
LOST_OF_EACH = 200
PLAIN = (
    *("Newchannel", "Newstate", "DialBegin", "DialState", "DialEnd", "BridgeEnter", "BridgeLeave"),
    *("HangupRequest", "Hangup"),
)
#: Between the last event of a channel and what ``CoreShowChannels`` says of it.
AT_ONCE = timedelta(seconds=0.5)


@asynccontextmanager
async def witness(exchange: Exchange) -> AsyncIterator[list[RawEvent]]:
    """Somebody whose own link is never cut: what was lost on the other one."""
    heard: list[RawEvent] = []
    settings = exchange.settings
    link = AmiLink(settings.node.name, wanted=READ_EVENTS)
    secret = secrets.read_secret(settings, secrets.AMI_DIALER)
    network = settings.network
    await link.connect(
        str(network.address), network.ami_port, "fourthring-dialer", secret, timeout_seconds=20
    )

    async def listen() -> None:
        async for item in link.events():
            if isinstance(item, RawEvent):
                heard.append(item)

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        await link.close()
        await asyncio.wait([task], timeout=5)


async def enough_callers(exchange: Exchange) -> bool | None:
    """Whether as many callers are on the line as shall be."""
    listed = await asyncio.to_thread(exchange.pbx.cli, "core show channels concise")
    return sum(line.startswith("PJSIP/carrier-") for line in listed.splitlines()) >= LIVE or None


def before_the_cut() -> list[tuple[Kind, int]]:
    """Who is on the line when it is cut: some end within the gap, some hang on beyond it."""
    mix = {kind.name: kind for kind in kinds()}
    long = scenarios.caller_who_hangs_up(22_000)
    return [
        (Kind("stays", 0, long, dids_of(Sort.ANSWERS)[:12]), 12),
        (Kind("leaves", 0, scenarios.caller_who_hangs_up(12_000), dids_of(Sort.ANSWERS)[12:]), 12),
        (mix["agent hangs up"], 8),
        (mix["transferred"], 8),
        (Kind("waits", 0, long, dids_of(QUEUED)), 5),
        (mix["abandoned"], 5),
        (Kind("waits too", 0, long, dids_of(Sort.RINGS_ON)[-5:]), 5),
    ]


def within_the_cut() -> list[tuple[Kind, int, float]]:
    """Who calls while nobody listens, how many and how many a second; only the last are still there afterwards."""
    mix = {kind.name: kind for kind in kinds()}
    short = scenarios.caller_who_hangs_up(300, known=False)
    long = scenarios.caller_who_hangs_up(14_000)
    return [
        (Kind("word", 0, short, extensions(Sort.TAKES), internal=True), LOST_OF_EACH + 20, 28.0),
        (mix["busy"], 4, 4.0),
        (mix["refused"], 4, 4.0),
        (Kind("comes and stays", 0, long, dids_of(QUEUED)), 4, 4.0),
    ]


async def test_ten_seconds_of_silence(exchange: Exchange) -> None:
    since = datetime.now(UTC)
    crowd = exchange.crowd
    async with witness(exchange) as heard:
        calling = [
            asyncio.create_task(crowd.call(kind, calls, 8.0, 100 + number))
            for number, (kind, calls) in enumerate(before_the_cut())
        ]
        await eventually(lambda: enough_callers(exchange), f"{LIVE} calls at once", 30)
        lost_at = datetime.now(UTC)
        exchange.proxy.closed = True
        exchange.proxy.cut()
        calling += [
            asyncio.create_task(crowd.call(kind, calls, per_second, 200 + number))
            for number, (kind, calls, per_second) in enumerate(within_the_cut())
        ]
        await asyncio.sleep(CUT_SECONDS)
        exchange.proxy.closed = False
        found_at = datetime.now(UTC)
        await asyncio.gather(*calling)
        await exchange.calls_end(90)
    missed = Counter(event.name for event in heard if lost_at < event.received_at < found_at)
    assert all(missed[kind] >= LOST_OF_EACH for kind in PLAIN), missed
    assert {"UserEvent", "BlindTransfer"} <= missed.keys(), missed
    await nothing_is_lost_or_doubled(exchange, since, lost_at, found_at)


async def nothing_is_lost_or_doubled(
    exchange: Exchange, since: datetime, lost_at: datetime, reachable_at: datetime
) -> None:
    """One record for each call of which anything could be known, with the gap in those that it touched."""
    records = await records_since(exchange, since)
    gaps = {gap["found_at"] for record in records for gap in record["gaps"]}
    assert len(gaps) == 1, "one silence, the same in every record"
    # The PBX could be reached again; a try, a log-in and an answer later we knew what lives.
    found_at = datetime.fromisoformat(gaps.pop())
    assert reachable_at <= found_at < reachable_at + timedelta(seconds=5)
    owners = Counter(uniqueid for record in records for uniqueid in record["uniqueids"])
    assert max(owners.values()) == 1, "a channel is in two records"
    assert all(record["ended_at"] for record in records), "a call was left open"
    stories = ChannelStories()
    stories.take_all(exchange.log.events(since))
    margin = timedelta(seconds=1)
    unseen, ended_unseen, survived = [], [], []
    for story in stories.by_uniqueid.values():
        began, ended = story.started_at, story.ended_at
        if began is None or began < since or ended is None:
            continue
        if began > lost_at + margin and ended < found_at:
            unseen.append(story)
        else:
            assert owners[story.uniqueid] or began > lost_at, f"{story} is lost"
        heard_of = owners[story.uniqueid] and began < lost_at
        if story.uniqueid not in story.linkedids or not heard_of or ended < lost_at + margin:
            continue
        if abs(ended - found_at) > AT_ONCE:
            (ended_unseen if ended < found_at else survived).append(story.uniqueid)
    by_channel = {uniqueid: record for record in records for uniqueid in record["uniqueids"]}
    assert len(ended_unseen) > 5
    assert len(survived) > 5
    for uniqueid in ended_unseen:
        record = by_channel[uniqueid]
        (gap,) = record["gaps"]
        assert (record["disposition"], record["hung_up_by"]) == ("UNKNOWN", "unknown"), record
        assert record["ended_at"] == gap["lost_at"], "the last that is known of it"
    for uniqueid in survived:
        record = by_channel[uniqueid]
        (gap,) = record["gaps"]
        assert record["disposition"] != "UNKNOWN", (record, stories.by_uniqueid[uniqueid])
        assert abs(datetime.fromisoformat(gap["lost_at"]) - lost_at) < margin
    report = await exchange.audited(since)
    assert report.unexplained == ()
    assert {difference.reason for difference in report.differences} == {"gap"}
    rows = all_gap_rows(exchange.settings, records, since, None)
    (silence,) = [row for row in rows if not row["call_id"]]
    whole = sum(story.uniqueid in story.linkedids for story in unseen)
    assert int(silence["unknown"][0].split()[-5]) >= whole > 0
