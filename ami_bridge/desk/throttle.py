"""How long the next login attempt has to wait. Pure: time comes in as an argument.

Three counts grow with each failure: of one name from one address (a person who mistypes; a program that
guesses), of an address (one that tries many names), and of a name from anywhere (many addresses that guess one
password). The last one waits a minute at most, for otherwise a stranger could lock a supervisor out of the desk
for a whole shift; at that pace a year of guessing is half a million tries, hopeless against a decent password.

The counts live in the process: strangers must not be able to make the database write. A restart forgets them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

#: Failures are forgotten after this long without a further one.
FORGET_SECONDS = 3600.0
_MOST_COUNTS = 20_000


@dataclass(frozen=True, slots=True)
class _Rule:
    free: int
    longest_seconds: float


_PAIR, _ADDRESS, _NAME = _Rule(5, 900.0), _Rule(30, 900.0), _Rule(50, 60.0)


class Throttle:
    """Counts failures; :meth:`wait_seconds` says how long the next attempt must wait, 0.0 for not at all."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()

    def wait_seconds(self, name: str, address: str, now: float) -> float:
        """Seconds until an attempt for ``name`` from ``address`` is looked at again."""
        return max(self._wait(key, rule, now) for key, rule in _keys(name, address))

    def begin(self, name: str, address: str, now: float) -> None:
        """Count an attempt as failed *before* it is looked at: else a thousand at once would count as none."""
        for key, _ in _keys(name, address):
            count, last = self._counts.pop(key, (0, now))
            self._counts[key] = (1 if now - last > FORGET_SECONDS else count + 1, now)
        while len(self._counts) > _MOST_COUNTS:
            self._counts.popitem(last=False)

    def passed(self, name: str, address: str) -> None:
        """The attempt was good. The address keeps its count but for this one: others may guess from there."""
        pair, from_address, of_name = (key for key, _ in _keys(name, address))
        self._counts.pop(pair, None)
        for key in (from_address, of_name):
            if key in self._counts:
                count, last = self._counts[key]
                self._counts[key] = (max(count - 1, 0), last)

    def _wait(self, key: tuple[str, ...], rule: _Rule, now: float) -> float:
        count, last = self._counts.get(key, (0, now))
        if count < rule.free or now - last > FORGET_SECONDS:
            return 0.0
        pause = min(2.0 ** min(count - rule.free, 20), rule.longest_seconds)
        return max(0.0, last + pause - now)


def _keys(name: str, address: str) -> tuple[tuple[tuple[str, ...], _Rule], ...]:
    return ((("pair", name, address), _PAIR), (("address", address), _ADDRESS), (("name", name), _NAME))
