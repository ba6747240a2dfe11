"""How ``fourthring promises`` shows the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ami_bridge.adapters.store import Store
from ami_bridge.core.promises import PromiseState

COLUMNS = {
    "id": "callback_id",
    "number": "number",
    "department": "department",
    "promised by": "made_by",
    "made": "made_at",
    "due": "due_at",
    "left": "left",
    "state": "state",
    "moved": "moved",
    "rung": "rung_at",
}


async def lines_of(
    store: Store, since: datetime | None, until: datetime | None, limit: int, *, only_open: bool
) -> list[dict[str, Any]]:
    """Promises with their customer's number and the seconds that are left (None once settled)."""
    now = datetime.now(UTC)
    state = PromiseState.OPEN if only_open else None
    lines = []
    for promise in await store.promises(state=state, since=since, until=until, limit=limit):
        callback = await store.callback(promise.callback_id)
        open_ = promise.state is PromiseState.OPEN
        left = round(promise.seconds_left(now)) if open_ else None
        line = asdict(promise) | {"number": callback.number if callback else None, "seconds_left": left}
        lines.append({**line, "state": promise.state.value})
    return lines


def rows_of(lines: Sequence[dict[str, Any]]) -> Iterator[list[object]]:
    """The cells of the table."""
    for line in lines:
        shown = {**line, "left": countdown(line["seconds_left"])}
        yield [shown[key] for key in COLUMNS.values()]


def countdown(seconds: int | None) -> str:
    """ "1:05:00" hours, minutes, seconds; with a minus when it is late."""
    if seconds is None:
        return ""
    minutes, rest = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else ''}{minutes // 60}:{minutes % 60:02}:{rest:02}"


def title_of(lines: Sequence[dict[str, Any]]) -> str:
    """With the score: kept of those that time has settled."""
    kept, broken = (sum(line["state"] == state for line in lines) for state in ("kept", "broken"))
    score = f": kept {kept} of {kept + broken} ({kept / (kept + broken):.0%})" if kept + broken else ""
    return f"Promises{score}"
