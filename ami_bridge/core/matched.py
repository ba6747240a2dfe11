"""Headers of an event that was matched as a whole: nothing is taken out of its text before somebody asks.

Most headers of most events are never read. An event whose form is known costs one match; the tracker takes
its five to twelve values from the match at once, and the journal makes a dict of all when it writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class Wanted(Protocol):
    """Somebody who takes the same headers out of many events."""

    names: tuple[str, ...]
    optional: tuple[str, ...]


class _Places(dict[Wanted, tuple[int, ...]]):
    """The groups that each reader takes, found once; what the form lacks has its last group, always empty."""

    def __init__(self, place_of: Mapping[str, int]) -> None:
        super().__init__()
        self._place_of = place_of

    def __missing__(self, wanted: Wanted) -> tuple[int, ...]:
        empty = len(self._place_of) + 1
        names = wanted.names + wanted.optional
        places = self[wanted] = tuple(self._place_of.get(name, empty) for name in names)
        return places


class Form:
    """Which headers a kind of event has, in order; which are the same in all, and the group of each other one.

    A match of it has one group for each header of ``varying``, in order, and one more that is always empty.
    """

    __slots__ = ("constant", "kind", "place_of", "places", "stamp_place", "system", "template", "varying")

    def __init__(self, names: tuple[str, ...], constant: dict[str, str | list[str]]) -> None:
        self.constant = constant
        self.kind = constant["Event"]
        self.system = constant.get("SystemName")
        self.varying = tuple(name for name in names if name not in constant)
        self.place_of = {name: place for place, name in enumerate(self.varying, start=1)}
        self.places = _Places(self.place_of)
        self.stamp_place = self.place_of["Timestamp"]
        self.template: dict[str, str | list[str]] = {name: constant.get(name, "") for name in names}


class MatchedHeaders(Mapping[str, str | list[str]]):
    """A mapping like the dict of the same event, and equal to it."""

    __slots__ = ("form", "found")

    def __init__(self, form: Form, found: re.Match[str]) -> None:
        self.form = form
        self.found = found

    def __getitem__(self, name: str) -> str | list[str]:
        place = self.form.place_of.get(name)
        value: str | list[str] = self.form.constant[name] if place is None else self.found[place]
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict; the inherited one raises and catches KeyError for each header that is not there."""
        place = self.form.place_of.get(name)
        return self.form.constant.get(name, default) if place is None else self.found[place]

    def __contains__(self, name: object) -> bool:
        return name in self.form.template

    def __iter__(self) -> Iterator[str]:
        return iter(self.form.template)

    def __len__(self) -> int:
        return len(self.form.template)

    def copy(self) -> dict[str, str | list[str]]:
        """All headers as a dict of one's own, in their order."""
        headers = self.form.template.copy()
        headers.update(zip(self.form.varying, self.found.groups()))  # noqa: B905 - the last is the empty one
        return headers

    def __repr__(self) -> str:
        return repr(self.copy())
