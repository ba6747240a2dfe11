"""The one ordered queue between the link, which only appends, and its single consumer; and its reading."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from ami_bridge.adapters.ami.port import LinkState
from ami_bridge.adapters.ami.raw_event import EventGap, LinkReady, StreamItem, utc_now


class OrderedStream:
    """A bounded queue that never loses silently.

    When it is full, new events are dropped and counted, and an :class:`EventGap` stands exactly where they
    would have stood; the consumer then takes a snapshot. Way not taken: to stop reading from the socket; the
    PBX closes the account after about 4 MB, and then everything is lost and not only the overflow. Markers
    are never dropped.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.dropped = 0
        self._items: deque[StreamItem] = deque()
        self._gap: EventGap | None = None
        self._changed = asyncio.Event()
        self._end: BaseException | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put_event(self, event: StreamItem) -> None:
        """Append an event, or note that it was dropped."""
        if len(self._items) >= self.limit:
            self.dropped += 1
            self._gap = EventGap(
                self._gap.at if self._gap else utc_now(), (self._gap.dropped if self._gap else 0) + 1
            )
        else:
            self._flush_gap()
            self._items.append(event)
        self._changed.set()

    def put_marker(self, marker: StreamItem) -> None:
        """Append a marker, whatever the limit."""
        self._flush_gap()
        self._items.append(marker)
        self._changed.set()

    def end(self, error: BaseException | None = None) -> None:
        """No more items: the consumer drains what is left and stops, with ``error`` when there is one."""
        if self._end is None:
            self._end = error or StopAsyncIteration()
        self._changed.set()

    async def get(self) -> StreamItem:
        """The next item.

        Raises:
            StopAsyncIteration: the stream has ended.
        """
        while True:
            if self._items:
                return self._items.popleft()
            if self._gap is not None:
                self._flush_gap()
                continue
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()

    def _flush_gap(self) -> None:
        if self._gap is not None:
            self._items.append(self._gap)
            self._gap = None


class StreamedLink:
    """What the real link and the fake have alike: a state, and one consumer of everything in exact order."""

    def __init__(self, queue_limit: int) -> None:
        """
        Args:
            queue_limit: how many events may wait for the consumer before an EventGap.
        """
        self._stream = OrderedStream(queue_limit)
        self._state = LinkState.LOST
        self._hook: asyncio.Future[None] | None = None  # what runs after a login, before its first event

    @property
    def state(self) -> LinkState:
        """Where the link is."""
        return self._state

    async def events(self) -> AsyncIterator[StreamItem]:
        """Everything in exact order; one consumer. Ends after close(), raises AmiAuthError when refused."""
        while True:
            try:
                item = await self._stream.get()
            except StopAsyncIteration:
                return
            yield item
            if isinstance(item, LinkReady) and self._hook is not None:
                await asyncio.gather(self._hook, return_exceptions=True)
