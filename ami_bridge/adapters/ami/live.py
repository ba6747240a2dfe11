"""Which channels live on the PBX, so that an event about another one is not believed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

_REMEMBERED_DEAD = 8192


@dataclass(slots=True)
class _Channel:
    name: str
    sure: bool
    learned: int


class LiveChannels:
    """``uniqueid -> channel name``, learned from Newchannel events and from CoreShowChannels.

    A forged or damaged event can name a victim's uniqueid, but it cannot also carry the victim's channel
    name, because ``Channel`` stands before all text that strangers write. So the pair is checked, not the
    uniqueid alone. Before the first snapshot of a connection an unknown uniqueid is believed: the channel
    may be older than the connection.
    """

    def __init__(self) -> None:
        self._live: dict[str, _Channel] = {}
        self._names: dict[str, str] = {}  # of the live ones, so that the reader asks with one look
        self.name_of = self._names.get
        self._dead: OrderedDict[str, _Channel] = OrderedDict()
        self._clock = 0
        self._complete = False

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, uniqueid: str) -> bool:
        return uniqueid in self._live

    @property
    def complete(self) -> bool:
        """True once a snapshot of this connection has been taken: unknown uniqueids are then refused."""
        return self._complete

    def distrust(self) -> None:
        """A new connection: what was known is still a hint, but unknown channels may exist."""
        self._complete = False
        for channel in self._live.values():
            channel.sure = False

    def objection(self, uniqueid: str, name: str, *, begins: bool = False) -> str | None:
        """Why an event about this channel is not believed, or None.

        ``begins`` says that it is a clean Newchannel: this alone may bring an unknown uniqueid, or correct an
        entry that came from a damaged event.
        """
        known = self._live.get(uniqueid) or self._dead.get(uniqueid)
        if known is None:
            return "unknown_uniqueid" if self._complete and not begins else None
        if known.name == name or (begins and not known.sure):
            return None
        return "identity_mismatch"

    def learn(self, uniqueid: str, name: str, *, sure: bool) -> None:
        """A channel began or was seen; an unsure word never replaces a sure one, nor revives the dead."""
        known = self._live.get(uniqueid)
        if uniqueid in self._dead or (known is not None and known.name == name and known.sure >= sure):
            return
        self._clock += 1
        if known is None:
            self._live[uniqueid] = _Channel(name, sure, self._clock)
            self._names[uniqueid] = name
        elif sure or not known.sure:
            known.name, known.sure = name, sure
            self._names[uniqueid] = name

    def rename(self, uniqueid: str, name: str) -> None:
        """The PBX renamed a channel (masquerade)."""
        if uniqueid in self._live:
            self._live[uniqueid].name = self._names[uniqueid] = name

    def bury(self, uniqueid: str) -> None:
        """The channel hung up. It is remembered for a while: some events come after the Hangup."""
        channel = self._live.pop(uniqueid, None)
        if channel is None:
            return
        del self._names[uniqueid]
        self._clock += 1
        channel.learned = self._clock
        self._dead[uniqueid] = channel
        if len(self._dead) > _REMEMBERED_DEAD:
            self._dead.popitem(last=False)

    def mark(self) -> int:
        """Taken before a snapshot is asked for, and handed to :meth:`adopt` with its answer."""
        return self._clock

    def adopt(self, snapshot: Iterable[tuple[str, str]], mark: int) -> None:
        """Take over a complete snapshot of (uniqueid, channel name); what it lacks and is older is gone."""
        listed = dict(snapshot)
        gone = [uid for uid, channel in self._live.items() if uid not in listed and channel.learned <= mark]
        for uniqueid in gone:
            self.bury(uniqueid)
            # It may never have been (a forged Newchannel): a clean Newchannel of that id is believed later.
            self._dead[uniqueid].sure = False
        for uniqueid, name in listed.items():
            if uniqueid in self._dead and self._dead[uniqueid].learned <= mark:
                # The PBX lists it, so what was buried under this id before was a forgery.
                del self._dead[uniqueid]
            self.learn(uniqueid, name, sure=True)
        self._complete = True
