"""From bytes to believed events: incremental framing, decoding, and the guards against forged events."""

from __future__ import annotations

import logging
import re
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from ami_bridge.adapters.ami import layout
from ami_bridge.adapters.ami.live import LiveChannels
from ami_bridge.adapters.ami.raw_event import Quarantined, RawEvent
from ami_bridge.core.matched import MatchedHeaders

_log = logging.getLogger(__name__)

_END = b"\r\n\r\n"
_BANNER = re.compile(rb"^Asterisk Call Manager/[0-9.]+\r\n")
_ACTION_ID = re.compile(rb"(?:^|\r\n)ActionID: ([^\r\n]*)")
_RESPONSE = re.compile(rb"^Response: ([A-Za-z]+)\r\nActionID: ([^\r\n]*)(?:\r\n|$)")
_NO_TIMESTAMP = re.compile(rb"^Event: [A-Za-z0-9]+\r\nPrivilege: [a-z,]+,all\r\n(?!Timestamp: )")
_ITEM = re.compile(rb"^Event: ([A-Za-z0-9]+)\r\n")
# The greeting that each login gets: printed without Timestamp and SystemName (manager.c, manager_login).
_BOOTED = re.compile(
    rb"^Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: [0-9]+\r\nLastReload: [0-9]+\r\n"
    rb"Status: Fully Booted$"
)
# Asterisk's own test framework (Debian builds it in, class "reporting"); it repeats headers, nobody reads it.
_NEVER_READ = frozenset({"TestEvent"})
_ALWAYS_READ = frozenset({"Newchannel", "Hangup", "Rename"})
_MAX_EVENT_BYTES = 65_536
_MAX_HELD_BYTES = 16_384
_EXCERPT_BYTES = 2_000
_REMEMBERED_IDS = 256
_SHAPES_OF_A_KIND = 12  # UserEvent has the most: one for each fact of our dialplan
_KINDS = 500  # Asterisk has about 180 kinds of events
_UNREAD: tuple[layout.Shape, ...] = ()  # in the place of the shapes of a kind that nobody reads
# Every event is made here, and the two classes' own constructors cost twice as much.
_new_event, _new_headers = tuple.__new__, object.__new__
_ASKS_FOR_SNAPSHOT = frozenset(
    {"unknown_uniqueid", "identity_mismatch", "cut", "tampered", "tail", "oversize"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, or an item of a list, that belongs to one of our pending actions."""

    action_id: str
    is_item: bool
    event: RawEvent


class AmiReader:
    """Turns the byte stream of one AMI connection into events and answers.

    An unsolicited event is accepted only with the PBX's own opening (see :mod:`.layout`), the channel blocks
    its kind needs, every single-valued header once, and a (uniqueid, channel) pair that is known. An answer
    is accepted only with an ActionID that is pending; these are random, so that nobody can guess one.
    Everything else is counted by reason in ``refused``, kept in ``quarantine`` (the last 64) and handed to
    ``on_quarantine``.

    A blank line that a stranger injects cuts an event in two. What follows has no genuine opening, so the
    first part is held back until a genuine opening comes and is then repaired as a whole.
    """

    def __init__(
        self,
        node: str,
        *,
        wanted: Collection[str] | None = None,
        live: LiveChannels | None = None,
        on_quarantine: Callable[[Quarantined], None] | None = None,
    ) -> None:
        """
        Args:
            node: Asterisk's ``systemname``.
            wanted: names of the events that anybody reads; others are skipped before they are decoded.
            live: the set of live channels, kept by the owner across connections.
            on_quarantine: told of everything refused.
        """
        self.live = live if live is not None else LiveChannels()
        self.pending: set[str] = set()
        self.expired: dict[str, None] = {}
        self.refused: Counter[str] = Counter()
        self.accepted = self.skipped = self.repaired = 0
        self.quarantine: deque[Quarantined] = deque(maxlen=64)
        self.snapshot_reason: str | None = None
        self._opening = layout.opening_pattern(node)
        self._wanted = frozenset(wanted) | _ALWAYS_READ if wanted is not None else None
        self._on_quarantine = on_quarantine
        self._warned = False
        self._shapes: dict[bytes, tuple[layout.Shape, ...]] = {}
        self.start()

    def start(self) -> None:
        """A new connection: forget half-read bytes and expect the banner."""
        self._buffer = bytearray()
        self._scanned = 0
        self._banner_seen = False
        self._discarding = False
        self._booted = False
        self._held: list[bytes] = []
        self._last_kind = ""
        self.live.distrust()

    def feed(self, chunk: bytes, received_at: datetime) -> list[RawEvent | Answer]:
        """Take the next bytes, split anywhere; return what became complete, in order.

        Nearly every event has a form that was judged before: it is matched against its :class:`~.layout.Shape`
        as a whole and needs no loop over its lines. Whatever is new, damaged, forged or unknown takes the
        long way through ``_take``, which decides.
        """
        arrived: list[RawEvent | Answer] = []
        shapes_of, name_of = self._shapes, self.live.name_of
        for piece in self._pieces(chunk, received_at):
            # The kind stands between "Event: " and the first line end; anything else finds no shape.
            shapes = shapes_of.get(piece[7 : piece.find(b"\r", 7)])
            if not shapes or self._held:
                self._without_shape(shapes, piece, received_at, arrived)
                continue
            text = piece.decode("utf-8", "replace")
            for shape in shapes:
                found = shape.match(text)
                if found is not None:
                    break
            else:
                self._take(piece, received_at, arrived)
                continue
            form = shape.form
            values = found.group(*form.taken)
            headers = _new_headers(MatchedHeaders)
            headers.form, headers.found, headers.values_taken = form, found, values
            self._last_kind = kind = shape.kind
            for uniqueid, channel in shape.identities:
                if name_of(values[uniqueid]) != values[channel]:
                    # Not a live channel of this very name: there is something to learn, or to object to.
                    self._admit(
                        RawEvent(kind, headers, received_at), shape.channels_of(values), piece, arrived
                    )
                    break
            else:
                # What _admit does, without the call: this is where nearly every event goes through.
                if kind == "Hangup":
                    self.live.bury(values[uniqueid])
                self.accepted += 1
                arrived.append(_new_event(RawEvent, (kind, headers, received_at, False)))
        if len(self._buffer) > _MAX_EVENT_BYTES:
            self._discard(received_at)
        return arrived

    # Framing ----------------------------------------------------------------------------

    def _pieces(self, chunk: bytes, at: datetime) -> list[bytes]:
        """What ``chunk`` completes: everything up to each blank line; the rest waits in the buffer."""
        self._buffer += chunk
        if not self._banner_seen and not self._strip_banner():
            return []
        pieces: list[bytes] = []
        # The search goes on where the last one ended, so that an endless event costs no more than its bytes.
        if self._buffer.find(_END, max(0, self._scanned - 3)) >= 0:
            pieces = bytes(self._buffer).split(_END)
            self._buffer = bytearray(pieces.pop())
            if self._discarding:
                self._discarding = False
                pieces[0] = b""
        self._scanned = len(self._buffer)
        return pieces

    def _strip_banner(self) -> bool:
        if b"\r\n" not in self._buffer and len(self._buffer) < 256:
            return False
        banner = _BANNER.match(self._buffer)
        if banner:
            del self._buffer[: banner.end()]
        self._banner_seen = True
        return True

    def _discard(self, at: datetime) -> None:
        """An event without an end: drop what came, and the rest of it up to its end."""
        if not self._discarding:
            self._refuse("oversize", bytes(self._buffer[:_EXCERPT_BYTES]), at)
        self._discarding = True
        del self._buffer[:-3]
        self._scanned = 0

    def _without_shape(
        self,
        shapes: tuple[layout.Shape, ...] | None,
        piece: bytes,
        at: datetime,
        arrived: list[RawEvent | Answer],
    ) -> None:
        """Pass over a kind that nobody reads when its opening is genuine; the rest goes the long way."""
        if shapes is None or self._held or self._opening.match(piece) is None:
            self._take(piece, at, arrived)
        else:
            self.skipped += 1
            self._last_kind = "unread"

    # Judging ----------------------------------------------------------------------------

    def _take(self, piece: bytes, at: datetime, arrived: list[RawEvent | Answer]) -> None:
        # A value that ends in CR LF leaves an empty line before the next event; that must not cost this
        # event.
        bare = piece.lstrip(b"\r\n")
        opening = self._opening.match(bare)
        if opening is None and not self._is_answer(bare):
            self._stray(piece, at)
            return
        if self._held:
            self._release(at, arrived)
        if opening is not None:
            self._unsolicited(opening, bare, at, arrived)
        else:
            self._answer(bare, at, arrived)

    def _is_answer(self, piece: bytes) -> bool:
        if _BOOTED.match(piece) and not self._booted:
            return True
        ids = _ACTION_ID.findall(piece)
        if len(ids) != 1:
            return False
        action_id = ids[0].decode("ascii", "replace")
        return action_id in self.pending or action_id in self.expired

    def expect(self, action_id: str) -> None:
        """An action with this id is about to be sent."""
        self.pending.add(action_id)

    def forget(self, action_id: str) -> None:
        """The action is settled or given up: a late answer is counted, and is no forgery."""
        self.pending.discard(action_id)
        self.expired[action_id] = None
        if len(self.expired) > _REMEMBERED_IDS:
            del self.expired[next(iter(self.expired))]

    def _stray(self, piece: bytes, at: datetime) -> None:
        """No genuine opening: the rest of a cut event, a forgery, or the rest of something oversized."""
        if self._held and sum(map(len, self._held)) + len(piece) < _MAX_HELD_BYTES:
            self._held.append(piece)
            return
        if not piece.strip(b"\r\n"):
            return
        if self._last_kind:
            # A stranger's blank line after a whole event: that event's own tail may be his.
            self._refuse("tail", piece, at)
            return
        if not self.accepted and not self._warned and _NO_TIMESTAMP.match(piece):
            self._warned = True
            _log.error(
                "AMI events come without Timestamp and SystemName and are refused; set 'timestampevents = yes' in "
                "manager.conf and 'systemname' in asterisk.conf, and restart the PBX."
            )
        self._refuse("no_opening", piece, at)

    def _release(self, at: datetime, arrived: list[RawEvent | Answer]) -> None:
        """A genuine opening has come, so the held event is whole now: keep what is certain of it."""
        text, self._held = _END.join(self._held), []
        self._repair_into(text, at, arrived)

    def _unsolicited(
        self, opening: re.Match[bytes], piece: bytes, at: datetime, arrived: list[RawEvent | Answer]
    ) -> None:
        kind = opening[1].decode("ascii")
        self._last_kind = kind
        if kind in _NEVER_READ or (self._wanted is not None and kind not in self._wanted):
            self.skipped += 1
            if len(self._shapes) < _KINDS:
                self._shapes[kind.encode()] = _UNREAD
            return
        pairs = layout.split_lines(piece.decode("utf-8", "replace"))
        if pairs is None or not layout.is_clean(kind, pairs):
            self._hold_or_refuse(kind, piece, at)
            return
        self._remember_shape(kind, pairs)
        headers = layout.to_headers(pairs)
        self._admit(RawEvent(kind, headers, at), layout.identities(headers), piece, arrived)

    def _remember_shape(self, kind: str, pairs: layout.Pairs) -> None:
        """A clean event of a form that was not seen before: the next one of it takes the short way."""
        shapes = self._shapes.get(kind.encode(), ())
        if len(shapes) < _SHAPES_OF_A_KIND and len(self._shapes) < _KINDS:
            shape = layout.shape_of(kind, pairs)
            # The form may be known, and only a value too long for it.
            if shape is not None and all(shape.form.template != known.form.template for known in shapes):
                self._shapes[kind.encode()] = (*shapes, shape)

    def _hold_or_refuse(self, kind: str, piece: bytes, at: datetime) -> None:
        if layout.can_be_repaired(kind):
            self._held = [piece]
        else:
            self._refuse("tampered", piece, at)

    def _repair_into(self, text: bytes, at: datetime, arrived: list[RawEvent | Answer]) -> None:
        opening = self._opening.match(text)
        item = _ITEM.match(text)
        match = opening or item
        if match is None:
            self._refuse("cut", text, at)
            return
        kind = match[1].decode("ascii")
        opening_headers = opening[0].rstrip(b"\r\n").count(b"\r\n") + 1 if opening else 2
        headers = layout.repair(kind, text.decode("utf-8", "replace"), opening_headers)
        if headers is None:
            self._refuse("cut", text, at)
            return
        event = RawEvent(kind, headers, at, repaired=True)
        if opening is not None:
            self._admit(event, layout.identities(headers), text, arrived)
        else:
            self.repaired += 1
            self._deliver(event, arrived, is_item=True)

    def _admit(
        self,
        event: RawEvent,
        channels: list[tuple[str, str]],
        piece: bytes,
        arrived: list[RawEvent | Answer],
    ) -> None:
        """Accept ``event`` when what is known of the ``channels`` that it speaks of does not contradict it."""
        objection = self._objection(event, channels)
        if objection is not None:
            self._refuse(objection, piece, event.received_at)
            return
        if event.name == "Hangup":
            self.live.bury(event.get("Uniqueid"))
        self.accepted += 1
        self.repaired += event.repaired
        arrived.append(event)

    def _objection(self, event: RawEvent, channels: list[tuple[str, str]]) -> str | None:
        """Why the channels of this event are not believed; learns the channels that it introduces."""
        if event.name == "OriginateResponse":
            return None
        begins = event.name == "Newchannel"
        sure = begins and not event.repaired
        for uniqueid, name in channels:
            objection = self.live.objection(uniqueid, name, begins=sure)
            if objection is not None and not (begins and objection == "unknown_uniqueid"):
                return objection
        for uniqueid, name in channels:
            self.live.learn(uniqueid, name, sure=sure)
        if event.name == "Rename":
            self.live.rename(event.get("Uniqueid"), event.get("Newname"))
        return None

    # Answers ----------------------------------------------------------------------------

    def _answer(self, piece: bytes, at: datetime, arrived: list[RawEvent | Answer]) -> None:
        self._last_kind = ""
        if _BOOTED.match(piece):
            self._booted = True
            headers = layout.to_headers(layout.split_lines(piece.decode("ascii")) or [])
            arrived.append(RawEvent("FullyBooted", headers, at))
            return
        text = piece.decode("utf-8", "replace")
        pairs = layout.split_lines(text)
        response = _RESPONSE.match(piece)
        if response is not None:
            headers = layout.to_headers(
                pairs or layout.split_lines("\r\n".join(text.split("\r\n")[:2])) or []
            )
            self._deliver(RawEvent("Response", headers, at), arrived, is_item=False)
            return
        item = _ITEM.match(piece)
        if item is None:
            self._refuse("tampered", piece, at)
            return
        kind = item[1].decode("ascii")
        if pairs is None or not self._item_is_clean(kind, pairs):
            self._hold_or_refuse(kind, piece, at)
            return
        self._deliver(RawEvent(kind, layout.to_headers(pairs), at), arrived, is_item=True)

    def _item_is_clean(self, kind: str, pairs: layout.Pairs) -> bool:
        if kind == "QueueEntry" and tuple(name for name, _ in pairs) != layout.QUEUE_ENTRY:
            return False
        return layout.is_clean(kind, pairs)

    def _deliver(self, event: RawEvent, arrived: list[RawEvent | Answer], *, is_item: bool) -> None:
        action_id = event.get("ActionID")
        if action_id in self.pending:
            arrived.append(Answer(action_id, is_item, event))
        else:
            self.refused["late_answer"] += 1

    # Quarantine -------------------------------------------------------------------------

    def _refuse(self, reason: str, piece: bytes, at: datetime) -> None:
        self.refused[reason] += 1
        if self.refused[reason] == 1:
            _log.warning(
                "Part of the AMI stream is not believed (%s); see the quarantine: %r", reason, piece[:200]
            )
        if reason in _ASKS_FOR_SNAPSHOT:
            self.snapshot_reason = reason
        refused = Quarantined(reason, at, piece[:_EXCERPT_BYTES])
        self.quarantine.append(refused)
        if self._on_quarantine is not None:
            try:
                self._on_quarantine(refused)
            except Exception:
                _log.exception("The hook for refused AMI events failed")
