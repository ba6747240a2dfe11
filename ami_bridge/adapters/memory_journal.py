"""The fake journal that ships: the same port as :class:`ami_bridge.adapters.journal.Journal`, nothing on a disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ami_bridge.adapters.journal import (
    JournalEntry,
    JournalError,
    Journalled,
    from_line,
    pattern_of,
    to_line,
)


class MemoryJournal:
    """Whatever is flushed counts as durable."""

    def __init__(self, node: str = "fr1") -> None:
        self.node = node
        self._lines: list[str] = []
        self._synced = 0
        self._closed = False

    @property
    def synced_seq(self) -> int:
        """The last sequence number that counts as durable."""
        return self._synced

    def append(self, item: Journalled) -> int:
        """Keep the item as its line, so that what cannot be written fails here too."""
        if self._closed:
            raise JournalError("The journal is closed; nothing more can be written to it.")
        self._lines.append(to_line(len(self._lines) + 1, item))
        return len(self._lines)

    async def flush(self) -> bool:
        """All is durable from here."""
        self._synced = len(self._lines)
        return True

    async def close(self) -> None:
        """Flush and end."""
        await self.flush()
        self._closed = True

    def entries(
        self, since: int | None = None, mentioning: Collection[str] | None = None
    ) -> Iterator[JournalEntry]:
        """What counts as durable, from ``since`` on."""
        wanted = pattern_of(mentioning)
        for line in self._lines[: self._synced]:
            entry = from_line(line)
            if (since is None or entry.seq >= since) and (wanted is None or wanted.search(line)):
                yield entry
