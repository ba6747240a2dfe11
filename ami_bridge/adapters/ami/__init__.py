"""The Asterisk Manager Interface: a guarded link on panoramisk, and the fake that ships with it."""

from ami_bridge.adapters.ami.errors import (
    AmiAuthError,
    AmiError,
    AmiLost,
    AmiMisconfigured,
    AmiNotReady,
    AmiTimeout,
    AmiValueError,
)
from ami_bridge.adapters.ami.fake import FakeAmiLink, SentAction
from ami_bridge.adapters.ami.link import AmiLink, LinkTimings
from ami_bridge.adapters.ami.port import ActionResult, AmiPort, LinkState
from ami_bridge.adapters.ami.raw_event import (
    EventGap,
    Headers,
    LinkLost,
    LinkReady,
    LongCalls,
    Quarantined,
    RawEvent,
    SnapshotFailed,
    SnapshotTaken,
    SnapshotWanted,
    StreamItem,
    raw_event,
)
from ami_bridge.adapters.ami.reader import AmiReader, Answer

__all__ = [
    "ActionResult",
    "AmiAuthError",
    "AmiError",
    "AmiLink",
    "AmiLost",
    "AmiMisconfigured",
    "AmiNotReady",
    "AmiPort",
    "AmiReader",
    "AmiTimeout",
    "AmiValueError",
    "Answer",
    "EventGap",
    "FakeAmiLink",
    "Headers",
    "LinkLost",
    "LinkReady",
    "LinkState",
    "LinkTimings",
    "LongCalls",
    "Quarantined",
    "RawEvent",
    "SentAction",
    "SnapshotFailed",
    "SnapshotTaken",
    "SnapshotWanted",
    "StreamItem",
    "raw_event",
]
