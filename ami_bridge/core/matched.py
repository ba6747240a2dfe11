"""Headers of an event that was matched as a whole: nothing is taken out of its text before somebody asks.

Most headers of most events are never read. An event whose form is known costs one match, out of which the five
to twelve values that the tracker reads are taken at once; the journal makes a dict of all when it writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ami_bridge.core.header_values import Reading


class Form:
    """Which headers a kind of event has, in order; which are the same in all, and the group of each other one.

    A match of it has one group for each header of ``varying``, in order, and one more that is always empty.
    """

    __slots__ = (
        "constant",
        "kind",
        "only_read",
        "place_of",
        "read",
        "reading",
        "stamp_place",
        "system",
        "taken",
        "taken_names",
        "template",
        "varying",
    )

    def __init__(
        self,
        names: tuple[str, ...],
        constant: dict[str, str | list[str]],
        reading: Reading | None = None,
        besides: Iterable[str] = (),
    ) -> None:
        """
        Args:
            names: all headers, in order; ``constant`` has the values of those that are the same in all.
            reading: how an event of this kind is read; None when nobody reads it.
            besides: headers that somebody looks at before it is read.
        """
        self.constant = constant
        self.kind = constant["Event"]
        self.system = constant.get("SystemName")
        self.varying = tuple(name for name in names if name not in constant)
        self.place_of = {name: place for place, name in enumerate(self.varying, start=1)}
        self.stamp_place = self.place_of["Timestamp"]
        self.template: dict[str, str | list[str]] = {name: constant.get(name, "") for name in names}
        self.reading = reading
        wanted = reading.names + reading.optional if reading is not None else ()
        self.taken_names = (*wanted, *(name for name in dict.fromkeys(besides) if name not in wanted))
        #: Groups for ``re.Match.group``: what the reading wants, in its order, then the rest of ``besides``.
        #: What the form lacks is the last group, the empty one.
        self.taken = tuple(self.place_of.get(name, len(self.varying) + 1) for name in self.taken_names)
        self.read = slice(len(wanted))
        self.only_read = len(wanted) == len(self.taken)


class MatchedHeaders(Mapping[str, str | list[str]]):
    """A mapping like the dict of the same event, and equal to it. ``values_taken``: what its form takes."""

    __slots__ = ("form", "found", "values_taken")

    def __init__(self, form: Form, found: re.Match[str], values_taken: tuple[str, ...]) -> None:
        self.form = form
        self.found = found
        self.values_taken = values_taken

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
