"""When nobody listened, as a journal tells it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ami_bridge.adapters.ami import EventGap, LinkLost, LinkReady, SnapshotFailed, SnapshotTaken, raw_event
from ami_bridge.adapters.journal import Journal, Journalled
from ami_bridge.adapters.lost_links import LostLink, listening

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def event(seconds: float) -> Journalled:
    return raw_event("Newchannel", {"CallerIDName": '"kind":"marker"'}, at(seconds))


def keep(folder: Path, *items: Journalled, rotate_bytes: int = 1 << 20) -> None:
    journal = Journal(folder, "fr1", rotate_bytes)
    for item in items:
        journal.append(item)
        journal.flush_now()
    journal.close_now()


def test_each_stretch_without_a_listener(tmp_path: Path) -> None:
    keep(
        tmp_path,
        LinkReady(at(0), first=True),
        SnapshotTaken(at(0.1), 0),
        event(5),
        LinkLost(at(10), "cut"),
        LinkReady(at(20), first=False),
        SnapshotFailed(at(21), "torn"),
        event(22),
        SnapshotTaken(at(23), 1),
        EventGap(at(30), 7),
        SnapshotTaken(at(30.2), 1),
        event(40),
        # killed here
        LinkReady(at(60), first=True),
        SnapshotTaken(at(60.1), 0),
        event(61),
        LinkLost(at(70), "gone"),
        rotate_bytes=300,
    )
    assert listening(tmp_path, "fr1").lost == (
        LostLink(None, at(0.1), "before the journal begins"),
        LostLink(at(10), at(23), "cut"),
        LostLink(at(30), at(30.2), "7 events dropped"),
        LostLink(at(40), at(60.1), "no bridge"),
        LostLink(at(70), None, "gone"),
    )
    heard = listening(tmp_path, "fr1", at(50))
    assert [lost.cause for lost in heard.lost] == ["no bridge", "gone"]
    assert heard.last_at == at(70)


def test_no_journal_at_all(tmp_path: Path) -> None:
    assert listening(tmp_path, "fr1").lost == (LostLink(None, None, "before the journal begins"),)
